"""Trained nets as folders that work without this package."""
