"""The search: an Optuna study over a space."""
