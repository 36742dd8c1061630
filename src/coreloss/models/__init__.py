"""Network architectures, one per file. Each maps a normalised spectrum and its mask to logits."""
