"""A spectrum image of a stack of layers, with the truth of every pixel."""
