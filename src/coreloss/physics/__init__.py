"""From an edge to its cross-section and through the specimen: what simulator and fits share.

May import `runtime` and `materials`. Tables are read here and made in `atoms`.
"""
