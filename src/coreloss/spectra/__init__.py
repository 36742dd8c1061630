"""Measured spectra: files in, one axis, faults mended, windows found, input of a network out.

May import `physics` and what stands before it; nothing of the simulation.
"""
