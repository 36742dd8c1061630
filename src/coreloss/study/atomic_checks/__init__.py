"""Chapter on edges: tables beside published values and other codes."""
