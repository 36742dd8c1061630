"""Chapters on maps and amounts: known lattices, measured specimens, other programs."""
