"""Sets of labelled spectra, measured and simulated, and scores of a network on them.

May import `mapping` and what stands before it.
"""
