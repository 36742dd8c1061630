"""The command ``coreloss``: arguments in, tables or files out, no logic of its own.

May import everything but `study`.
"""
