"""Candidates of a search space, and how they score on a proxy."""
