"""Files written whole, progress, threads, and where a result comes from.

May import nothing of the package.
"""
