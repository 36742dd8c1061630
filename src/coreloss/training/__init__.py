"""Training on simulated spectra: loop, checkpoint, losses, processes, and the card at the end.

May import `simulation`, `networks`, `scoring` and what stands before them; no library beyond torch,
numpy, scipy, h5py and safetensors.
"""
