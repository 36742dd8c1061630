"""The atomic calculations that make the shipped tables; run once, need numba.

May import `physics` and what stands before it.
"""
