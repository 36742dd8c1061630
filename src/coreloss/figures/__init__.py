"""Figures: Axes in, Axes out. May import `datasets` and what stands before it."""
