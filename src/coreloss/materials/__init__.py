"""Formulas, the table of compounds, and splits of it that do not leak.

May import `runtime` and the words that every room uses (`axis`, `edges`, `beam`).
"""
