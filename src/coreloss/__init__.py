"""Elements in core-loss EELS spectra, from networks trained on simulated spectra only."""
