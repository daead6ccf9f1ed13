"""A run: opened by its options, its stages in order, each taking what the run folder holds."""
