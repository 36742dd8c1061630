"""Chapter on simulated beside measured spectra: could the simulator have made them?"""
