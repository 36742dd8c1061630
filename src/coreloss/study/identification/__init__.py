"""Chapters on identification: methods side by side, measured files, what errors cost."""
