"""Results for the terminal, as HTML pages and as Markdown tables.

May import `figures` and what stands before it.
"""
