"""Chapter on training: what the network sees, its card, which elements are hard."""
