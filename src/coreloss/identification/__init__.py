"""From a spectrum to its elements: network, local fits, evidence.

May import `training` and what stands before it.
"""
