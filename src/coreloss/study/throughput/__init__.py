"""Chapter on throughput: spectra per second beside eXSpy and pyEELSMODEL."""
