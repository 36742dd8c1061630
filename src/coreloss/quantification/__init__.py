"""From a spectrum and its elements to amounts with errors: a linear fit of cross-sections.

May import `identification` and what stands before it.
"""
