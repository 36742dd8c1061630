"""Chapters on the networks: trainings, scores, confusion, costs, attribution."""
