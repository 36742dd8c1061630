"""Network architectures, one to a page: a normalised spectrum and its mask in, 80 logits out.

May import what stands before it; knows nothing of training.
"""
