"""Simulated spectra: window, specimen, edges, scattering, background, detector, labels.

May import `spectra` and what stands before it.
"""
