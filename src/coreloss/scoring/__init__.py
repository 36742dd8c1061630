"""Scores and calibration: pure functions on labels and probabilities.

May import nothing of the package.
"""
