"""Elements and amounts of whole images, in memory or piece by piece.

May import `quantification` and what stands before it.
"""
