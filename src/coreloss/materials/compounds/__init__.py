"""How the shipped table of plausible compounds is made; runs once, needs pymatgen."""
