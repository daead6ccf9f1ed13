"""Nets trained on images in memory: the loop, its devices, and what a net costs."""
