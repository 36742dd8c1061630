"""Structure families as stoichiometric patterns: the chemistry that the embedded list draws from.

Only data. A pattern is a chain of sites, each a class of ions or elements with its multiplicities:
``R:3 B3:2 B3:3 O2:12`` is a garnet. :mod:`coreloss.materials.compounds.generate` fills the sites.
"""

from __future__ import annotations

# --- classes of elements ------------------------------------------------------------------------

RARE_EARTHS = "Sc Y La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu"
LANTHANIDES = "La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu"
ELEMENT_CLASSES: dict[str, str] = {
    "alkali": "Li Na K Rb Cs",
    "big": f"{RARE_EARTHS} Ca Sr Ba Th U",
    "active": f"{RARE_EARTHS} Mg Ca Sr Ba Zr Hf Ti Th",
    "earth": "Mg Ca Sr Ba Eu Yb",
    "rare": RARE_EARTHS,
    "early": "Ti Zr Hf V Nb Ta Cr Mo W Sc",
    "late": "Mn Fe Co Ni Cu Ru Rh Pd Ag Os Ir Pt Au Re Tc",
    "metal": "Ti V Cr Mn Fe Co Ni Cu Zn Zr Nb Mo Tc Ru Rh Pd Ag Cd Hf Ta W Re Os Ir Pt Au Hg",
    "group12": "Zn Cd Hg Be Mg",
    "main": "Al Ga In Tl Si Ge Sn Pb As Sb Bi",
    "tetrel": "Si Ge Sn Pb",
    "silicon": "Si Ge",
    "triel": "Al Ga In Tl",
    "pnictogen": "P As Sb Bi",
    "chalcogen": "S Se Te",
    "boron": "B",
    "carbon": "C",
    "carbonnitrogen": "C N",
    "light": "B C N",
}

# --- patterns of compounds without formal charges -----------------------------------------------
# (family, pattern, share of the family, radius ratio of the first to the second site or None)

INTERMETALLICS: tuple[tuple[str, str, int, tuple[float, float] | None], ...] = (
    ("laves", "active:1 late:2", 330, (1.05, 1.6)),
    ("laves", "earth:1 main:2", 70, (1.05, 1.6)),
    ("CsCl", "active:1 late:1", 300, None),
    ("CsCl", "active:1 group12:1", 90, None),
    ("L1_2", "active:1 late:3", 240, None),
    ("L1_2", "main:1 metal:3", 160, None),
    ("L1_2", "main:3 big:1", 200, None),
    ("L1_0", "early:1 late:1", 120, None),
    ("CaCu5", "big:1 late:5", 150, (1.2, 2.0)),
    ("CaCu5", "big:1 group12:5", 50, None),
    ("Th2Zn17", "big:2 late:17", 110, (1.2, 2.0)),
    ("PuNi3", "big:1 late:3", 110, (1.2, 2.0)),
    ("Th2Ni7", "big:2 late:7", 80, (1.2, 2.0)),
    ("ThMn12", "big:1 metal:12", 60, None),
    ("Th6Mn23", "big:6 late:23", 50, (1.2, 2.0)),
    ("Th7Fe3", "big:7 late:3", 60, None),
    ("MoSi2", "early:1 late:2", 90, None),
    ("A15", "early:3 main:1", 80, None),
    ("A15", "early:3 late:1", 60, None),
    ("NiAs", "metal:1 main:1", 160, None),
    ("NaTl", "alkali:1 main:1", 60, None),
    ("zintl", "alkali:1 main:2", 60, None),
    ("zintl", "alkali:3 main:1", 60, None),
    ("zintl", "big:5 main:3", 170, None),
    ("zintl", "big:1 main:1", 150, None),
    ("zintl", "big:1 main:2", 190, None),
    ("zintl", "big:2 main:1", 110, None),
    ("zintl", "big:3 main:1", 60, None),
    ("zintl", "big:4 pnictogen:3", 60, None),
    ("NaZn13", "alkali:1 group12:13", 18, None),
    ("NaZn13", "big:1 group12:13", 30, None),
    ("beryllide", "metal:1 Be:12", 25, None),
    ("beryllide", "metal:1 Be:2", 25, None),
    ("beryllide", "metal:1 Be:1", 20, None),
    ("beryllide", "early:2 Be:17", 12, None),
    ("aluminide", "metal:1 Al:6", 24, None),
    ("aluminide", "metal:2 Al:5", 24, None),
    ("aluminide", "metal:4 Al:13", 20, None),
    ("aluminide", "metal:2 Al:9", 15, None),
    ("mercuride", "active:1 Hg:1", 25, None),
    ("mercuride", "active:1 Hg:2", 25, None),
    ("mercuride", "active:1 Hg:3", 25, None),
    ("W5Si3", "metal:5 main:3", 140, None),
    ("silicide", "metal:1 silicon:1", 55, None),
    ("silicide", "metal:1 silicon:2", 50, None),
    ("silicide", "metal:2 silicon:1", 50, None),
    ("silicide", "metal:3 silicon:1", 45, None),
    ("silicide", "metal:5 silicon:3", 50, None),
    ("phosphide", "metal:1 pnictogen:1", 100, None),
    ("phosphide", "metal:2 pnictogen:1", 90, None),
    ("phosphide", "metal:3 pnictogen:1", 60, None),
    ("phosphide", "metal:1 pnictogen:2", 70, None),
    ("phosphide", "metal:1 pnictogen:3", 25, None),
    ("chalcogenide", "metal:1 chalcogen:2", 75, None),
    ("chalcogenide", "metal:1 chalcogen:1", 75, None),
    ("chalcogenide", "metal:3 chalcogen:4", 50, None),
    ("chalcogenide", "metal:5 chalcogen:8", 25, None),
    ("boride", "metal:1 boron:1", 28, None),
    ("boride", "metal:1 boron:2", 28, None),
    ("boride", "metal:2 boron:1", 28, None),
    ("boride", "metal:3 boron:1", 24, None),
    ("boride", "metal:3 boron:4", 18, None),
    ("boride", "metal:5 boron:2", 15, None),
    ("boride", "metal:7 boron:3", 12, None),
    ("boride", "big:1 boron:2", 20, None),
    ("boride", "big:1 boron:4", 22, None),
    ("boride", "big:1 boron:6", 22, None),
    ("boride", "big:1 boron:12", 18, None),
    ("boride", "rare:1 boron:66", 12, None),
    ("carbide", "metal:1 carbon:1", 22, None),
    ("carbide", "metal:2 carbon:1", 20, None),
    ("carbide", "metal:3 carbon:1", 16, None),
    ("carbide", "metal:3 carbon:2", 12, None),
    ("carbide", "metal:7 carbon:3", 10, None),
    ("carbide", "metal:23 carbon:6", 10, None),
    ("carbide", "big:1 carbon:2", 20, None),
    ("carbide", "big:2 carbon:3", 18, None),
    ("carbide", "big:2 carbon:1", 18, None),
    ("nitride", "metal:1 N:1", 22, None),
    ("nitride", "metal:2 N:1", 20, None),
    ("nitride", "metal:3 N:1", 18, None),
    ("nitride", "metal:4 N:1", 18, None),
    ("nitride", "metal:2 N:3", 10, None),
    ("nitride", "metal:1 N:2", 10, None),
    ("hydride", "active:1 H:2", 22, None),
    ("hydride", "active:1 H:3", 14, None),
    ("hydride", "big:1 late:5 H:6", 40, None),
    ("hydride", "big:2 late:1 H:6", 40, None),
    ("hydride", "active:1 late:2 H:4", 60, None),
    ("graphite intercalate", "alkali:1 carbon:8", 4, None),
    ("graphite intercalate", "earth:1 carbon:6", 6, None),
    # ternary
    ("heusler", "late:2 early:1 main:1", 800, None),
    ("heusler", "late:2 metal:1 main:1", 500, None),
    ("heusler", "late:2 rare:1 main:1", 500, None),
    ("heusler", "active:2 late:1 main:1", 260, None),
    ("heusler", "active:2 late:1 group12:1", 200, None),
    ("heusler", "rare:1 late:2 group12:1", 150, None),
    ("heusler", "big:1 main:2 late:1", 250, None),
    ("heusler", "alkali:2 active:1 main:1", 80, None),
    ("heusler", "metal:2 metal:1 Be:1", 60, None),
    ("half-heusler", "early:1 late:1 main:1", 350, None),
    ("half-heusler", "alkali:1 group12:1 pnictogen:1", 60, None),
    ("RTX", "big:1 late:1 main:1", 900, None),
    ("RTX", "big:1 group12:1 main:1", 260, None),
    ("TiNiSi", "early:1 late:1 pnictogen:1", 200, None),
    ("TiNiSi", "early:1 late:1 silicon:1", 110, None),
    ("ThCr2Si2", "big:1 late:2 silicon:2", 380, None),
    ("ThCr2Si2", "big:1 late:2 pnictogen:2", 330, None),
    ("ThCr2Si2", "big:1 late:2 main:2", 220, None),
    ("ThCr2Si2", "big:1 group12:2 pnictogen:2", 130, None),
    ("ThCr2Si2", "alkali:1 metal:2 chalcogen:2", 110, None),
    ("BaNiSn3", "big:1 late:1 tetrel:3", 130, None),
    ("CeNiSi2", "big:1 late:1 silicon:2", 120, None),
    ("U2Co3Si5", "big:2 late:3 silicon:5", 110, None),
    ("Sc5Co4Si10", "big:5 late:4 silicon:10", 50, None),
    ("U3Ni4Si4", "big:3 late:4 silicon:4", 60, None),
    ("Hf3Ni2Si3", "big:3 late:2 main:3", 90, None),
    ("Mo2FeB2", "big:2 late:2 main:1", 260, None),
    ("Mo2FeB2", "big:2 late:2 group12:1", 120, None),
    ("Yb3Rh4Sn13", "big:3 late:4 tetrel:13", 80, None),
    ("CePt3B", "big:1 late:3 main:1", 140, None),
    ("HoCoGa5", "big:1 late:1 triel:5", 90, None),
    ("Ho2CoGa8", "big:2 late:1 triel:8", 60, None),
    ("CeCr2Al20", "big:1 metal:2 Al:20", 90, None),
    ("CeCr2Al20", "big:1 metal:2 Zn:20", 70, None),
    ("ThMn12", "big:1 late:4 Al:8", 70, None),
    ("ThMn12", "big:1 late:10 early:2", 60, None),
    ("YbFe2Al10", "big:1 metal:2 Al:10", 70, None),
    ("KHg2", "big:1 late:1 group12:2", 80, None),
    ("PrNi2Al3", "big:1 late:2 triel:3", 100, None),
    ("CaCu5", "big:1 late:4 triel:1", 120, None),
    ("CaCu5", "big:1 late:3 late:2", 140, None),
    ("Gd4RhIn", "big:4 late:1 triel:1", 90, None),
    ("Gd4RhIn", "big:4 late:1 Mg:1", 60, None),
    ("laves", "active:1 late:1 main:1", 120, None),
    ("kappa phase", "early:9 late:4 light:1", 30, None),
    ("eta carbide", "early:3 late:3 carbon:1", 50, None),
    ("eta carbide", "early:4 late:2 O:1", 40, None),
    ("skutterudite", "big:1 late:4 pnictogen:12", 190, None),
    ("skutterudite", "late:1 pnictogen:3", 20, None),
    ("clathrate", "alkali:8 triel:8 tetrel:38", 25, None),
    ("clathrate", "earth:8 triel:16 tetrel:30", 30, None),
    ("clathrate", "earth:8 metal:6 tetrel:40", 60, None),
    ("CaAl2Si2", "earth:1 triel:2 silicon:2", 36, None),
    ("zintl", "earth:1 group12:2 pnictogen:2", 80, None),
    ("zintl", "earth:3 triel:1 pnictogen:3", 50, None),
    ("zintl", "earth:14 metal:1 pnictogen:11", 60, None),
    ("zintl", "alkali:1 main:1 tetrel:1", 80, None),
    ("zintl", "alkali:2 earth:1 tetrel:1", 50, None),
    ("zintl", "alkali:3 pnictogen:1", 20, None),
    ("MAX phase", "early:2 main:1 carbonnitrogen:1", 150, None),
    ("MAX phase", "early:3 main:1 carbonnitrogen:2", 110, None),
    ("MAX phase", "early:4 main:1 carbonnitrogen:3", 70, None),
    ("antiperovskite", "metal:3 main:1 carbonnitrogen:1", 160, None),
    ("antiperovskite", "rare:3 main:1 carbonnitrogen:1", 110, None),
    ("antiperovskite", "earth:3 pnictogen:1 N:1", 20, None),
    ("ternary carbide", "big:1 late:1 carbon:2", 110, None),
    ("ternary carbide", "big:1 late:3 carbon:1", 50, None),
    ("ternary carbide", "rare:2 late:1 carbon:2", 60, None),
    ("ternary carbide", "big:1 metal:4 carbon:8", 20, None),
    ("ternary boride", "big:1 late:4 boron:4", 110, None),
    ("ternary boride", "big:1 late:2 boron:2", 110, None),
    ("ternary boride", "big:1 late:3 boron:2", 90, None),
    ("ternary boride", "big:1 late:4 boron:1", 70, None),
    ("ternary boride", "big:2 late:14 boron:1", 40, None),
    ("ternary boride", "early:1 late:1 boron:1", 60, None),
    ("ternary boride", "early:2 late:1 boron:2", 60, None),
    ("ternary boride", "big:1 metal:1 boron:4", 60, None),
    ("MAB phase", "metal:2 Al:1 boron:2", 12, None),
    ("MAB phase", "metal:1 Al:1 boron:1", 12, None),
    ("borocarbide", "rare:1 late:2 boron:2 carbon:1", 80, None),
    ("borocarbide", "rare:1 boron:2 carbon:2", 15, None),
    ("borocarbide", "rare:1 boron:1 carbon:1", 15, None),
    ("filled nitride", "rare:2 metal:17 carbonnitrogen:3", 40, None),
    ("kagome", "alkali:1 early:3 Sb:5", 12, None),
    ("kagome", "big:1 metal:6 tetrel:6", 110, None),
    ("ternary metal", "metal:2 metal:1 metal:1", 300, None),
    ("quaternary heusler", "late:1 late:1 early:1 main:1", 320, None),
    ("quaternary heusler", "alkali:1 late:1 early:1 main:1", 60, None),
    ("1111 pnictide", "rare:1 late:1 pnictogen:1 O:1", 110, None),
    ("1111 pnictide", "earth:1 late:1 pnictogen:1 F:1", 45, None),
    ("1111 silicide", "rare:1 late:1 silicon:1 H:1", 50, None),
    ("chevrel", "metal:1 Mo:6 chalcogen:8", 60, None),
    ("intercalated dichalcogenide", "metal:1 early:3 chalcogen:6", 160, None),
    ("misfit layer", "rare:1 early:1 chalcogen:3", 110, None),
    ("misfit layer", "tetrel:1 early:1 chalcogen:3", 40, None),
    ("dichalcogenide alloy", "early:1 early:1 chalcogen:4", 60, None),
    ("Janus dichalcogenide", "early:1 chalcogen:1 chalcogen:1", 25, None),
)

# --- ions ---------------------------------------------------------------------------------------

# Oxidation states of elements that pymatgen's ICSD statistics leave out, or hold too seldom.
EXTRA_SPECIES = (
    "Tc4 Tc7 Pm3 Os4 Os6 Os8 Pt2 Pt4 Au1 Au3 Hg2 Re7 Rh3 Ru4 Ir4 Lu3 Tm3 Pd2 Eu2 Be2 Hf4"
)

SIMPLE_ANIONS = "O-2 S-2 Se-2 Te-2 F-1 Cl-1 Br-1 I-1 N-3 P-3 As-3 Sb-3 C-4 H-1"

# Largest charge of a cation beside each anion: what the anion would reduce is left out.
HIGHEST_CHARGE = {
    "O": 8, "F": 6, "Cl": 5, "Br": 4, "I": 4, "N": 5, "S": 5, "Se": 5, "Te": 4,
    "P": 4, "As": 4, "Sb": 4, "C": 4, "H": 4,
}  # fmt: skip
SOFT_ANIONS = "S Se Te Br I P As Sb N C H"
OXIDISING = (
    "Mn3 Mn4 Co3 Co4 Ni3 Ni4 Ce4 Pr4 Tb4 Pb4 Bi5 Cu3 Ag2 Ag3 Tl3 Fe4 Cr6 Mn7 Mn5 Cr5 Cr4 Rh4"
)

MOLECULAR_CATIONS = (
    ("NH4", 1, 6),
    ("N2H5", 1, 1),
    ("CH6N", 1, 2),
    ("C2H8N", 1, 1),
    ("CH6N3", 1, 1),
)

# How often an element is drawn, beside the frequency of its ions: less where it is radioactive,
# poisonous or precious, more where rocks and devices are made of it.
ELEMENT_WEIGHTS = {
    "Tc": 0.35, "Pm": 0.45, "Th": 0.4, "U": 0.4,
    "Re": 0.4, "Os": 0.5, "Ir": 0.7, "Ru": 0.7, "Be": 0.5,
    "Hg": 0.8, "Tl": 0.8, "Sc": 0.6, "Eu": 0.7,
    "In": 0.8, "Ge": 0.8, "Ag": 0.8, "Li": 1.3, "Na": 1.7,
    "K": 1.5, "Mg": 2.0, "Al": 1.4, "Si": 1.2, "Ca": 1.5,
    "Ti": 1.2, "Mn": 1.2, "Fe": 1.5, "Sr": 1.2, "Ba": 1.3,
}  # fmt: skip

# (oxo-anion, charge, weight)
OXO_ANIONS: tuple[tuple[str, int, float], ...] = (
    ("PO4", -3, 22), ("P2O7", -4, 9), ("PO3", -1, 6), ("P3O10", -5, 1), ("P4O13", -6, 0.5),
    ("SiO4", -4, 7), ("Si2O7", -6, 4), ("SiO3", -2, 6), ("Si2O5", -2, 3), ("Si3O8", -4, 1),
    ("Si4O10", -4, 2), ("AlSi3O8", -1, 2), ("AlSiO4", -1, 3), ("AlSi2O6", -1, 2), ("GeO4", -4, 3),
    ("GeO3", -2, 2), ("SO4", -2, 8), ("S2O7", -2, 0.5), ("SO3", -2, 1), ("S2O3", -2, 0.7),
    ("CO3", -2, 12), ("C2O4", -2, 4), ("CHO2", -1, 3),
    ("C2H3O2", -1, 3), ("NO3", -1, 10), ("NO2", -1, 1),
    ("BO3", -3, 6), ("B2O5", -4, 2), ("B3O6", -3, 1), ("B4O7", -2, 2), ("BO2", -1, 2),
    ("B6O10", -2, 1), ("B3O5", -1, 1), ("B5O9", -3, 1),
    ("VO4", -3, 4), ("V2O7", -4, 2), ("VO3", -1, 2),
    ("AsO4", -3, 4), ("As2O7", -4, 1), ("CrO4", -2, 2), ("Cr2O7", -2, 1), ("MoO4", -2, 5),
    ("Mo2O7", -2, 1), ("WO4", -2, 4), ("SeO4", -2, 1.5),
    ("SeO3", -2, 3), ("Se2O5", -2, 1), ("TeO3", -2, 3),
    ("TeO4", -2, 0.7), ("TeO6", -6, 2), ("Te2O5", -2, 1), ("IO3", -1, 3), ("IO4", -1, 0.7),
    ("ClO4", -1, 1.5), ("ClO3", -1, 0.5), ("BrO3", -1, 0.5), ("ReO4", -1, 1.2), ("TcO4", -1, 0.9),
    ("MnO4", -1, 0.5), ("OsO5", -2, 0.3), ("FeO4", -2, 0.3),
    ("NbO4", -3, 1.5), ("TaO4", -3, 1), ("SbO4", -3, 1),
    ("HPO4", -2, 4), ("H2PO4", -1, 2), ("HSO4", -1, 1.5), ("HCO3", -1, 1.5), ("HAsO4", -2, 0.7),
    ("UO4", -2, 0.5), ("SnO4", -4, 0.3), ("TiO4", -4, 0.7), ("ZrO4", -4, 0.3),
)  # fmt: skip
OTHER_ANIONS: tuple[tuple[str, int, float], ...] = (
    ("OH", -1, 6), ("CN", -1, 5), ("SCN", -1, 4), ("CN2", -2, 3), ("OCN", -1, 0.5), ("NH2", -1, 1),
    ("N3", -1, 1), ("O2", -2, 0.5), ("BH4", -1, 1.5),
    ("AlH4", -1, 0.7), ("BF4", -1, 1.5), ("PF6", -1, 1),
    ("SiF6", -2, 2), ("AsF6", -1, 0.8), ("SbF6", -1, 0.8), ("TiF6", -2, 1), ("GeF6", -2, 0.8),
    ("AlF6", -3, 2), ("AlF4", -1, 1), ("BeF4", -2, 1.5),
    ("BeF3", -1, 0.7), ("ZrF6", -2, 1), ("NbF6", -1, 0.6),
    ("TaF6", -1, 0.6), ("AlCl4", -1, 1), ("GaCl4", -1, 0.7), ("PtCl6", -2, 1), ("PtF6", -2, 0.6),
    ("OsCl6", -2, 0.6), ("IrCl6", -2, 0.6),
    ("ReCl6", -2, 0.6), ("TcCl6", -2, 0.6), ("SnCl6", -2, 0.6),
    ("AuCl4", -1, 0.7), ("PdCl4", -2, 0.6),
    ("HgCl4", -2, 0.6), ("ZnCl4", -2, 0.8), ("HgI4", -2, 0.5),
    ("AuCN2", -1, 0.4), ("FeC6N6", -4, 0.7), ("FeC6N6", -3, 0.6), ("CoC6N6", -3, 0.6),
    ("PtC4N4", -2, 0.5), ("NiC4N4", -2, 0.5), ("PS4", -3, 4), ("P2S6", -4, 3), ("P2S7", -4, 1),
    ("PSe4", -3, 2), ("P2Se6", -4, 2), ("SiS4", -4, 2), ("GeS4", -4, 3), ("SnS4", -4, 2),
    ("GeSe4", -4, 2), ("SnSe4", -4, 1.5), ("AsS4", -3, 1), ("AsS3", -3, 1.5), ("SbS4", -3, 1.5),
    ("SbS3", -3, 2), ("SbSe3", -3, 1), ("AsSe3", -3, 1),
    ("VS4", -3, 1), ("NbS4", -3, 0.7), ("TaS4", -3, 0.7),
    ("MoS4", -2, 1), ("WS4", -2, 1), ("ReH9", -2, 0.2), ("B12H12", -2, 0.5),
)  # fmt: skip

# (family, sites, anions, number). A site is an ion class with its possible multiplicities; the
# number of anions follows from the charges and must be whole and, where it is given, the one named.
IONIC: tuple[tuple[str, str, str, int | None, int], ...] = (
    # family, cation sites, anions, anions per formula (None: any), how many
    ("perovskite", "A:1 B:1", "O-2", 3, 420),
    ("perovskite", "A:1 B:1", "F-1 Cl-1 Br-1 I-1", 3, 260),
    ("perovskite", "A:1 B:1", "S-2 Se-2 N-3", 3, 120),
    ("spinel", "B2:1 B:2", "O-2", 4, 240),
    ("spinel", "B2:1 B:2", "S-2 Se-2", 4, 220),
    ("inverse spinel", "B4:1 B2:2", "O-2", 4, 90),
    ("spinel", "B2:1 B3:1 B3:1", "O-2", 4, 260),
    ("K2NiF4", "A:2 B:1", "O-2 F-1 Cl-1", 4, 350),
    ("Ruddlesden-Popper", "A:3 B:2", "O-2 F-1", 7, 160),
    ("Ruddlesden-Popper", "A:1 A:2 B:2", "O-2", 7, 220),
    ("double perovskite", "A:2 B:1 B:1", "O-2", 6, 1100),
    ("double perovskite", "A:1 A:1 B:2", "O-2", 6, 420),
    ("elpasolite", "M1:2 M1:1 B3:1", "F-1 Cl-1 Br-1 I-1", 6, 620),
    ("A2BX6", "M1:2 B4:1", "F-1 Cl-1 Br-1 I-1", 6, 220),
    ("triple perovskite", "A:3 B:1 B:2", "O-2", 9, 380),
    ("pyrochlore", "A:2 B:2", "O-2", 7, 280),
    ("pyrochlore", "A:1 A:1 B:2", "O-2", 7, 180),
    ("scheelite", "A:1 B:1", "O-2", 4, 160),
    ("double scheelite", "M1:1 R:1 B6:2", "O-2", 8, 110),
    ("garnet", "R:3 B3:5", "O-2", 12, 80),
    ("garnet", "R:3 B3:2 B3:3", "O-2", 12, 160),
    ("garnet", "A:3 B:2 B4:3", "O-2", 12, 180),
    ("Li garnet", "Li:5 R:3 B5:2", "O-2", 12, 40),
    ("Li garnet", "Li:7 R:3 B4:2", "O-2", 12, 30),
    ("delafossite", "M1:1 B3:1", "O-2 S-2 Se-2 Te-2", 2, 520),
    ("layered oxide", "alkali+:1 T3:2 T:1", "O-2", None, 120),
    ("layered oxide", "alkali+:3 T:1 T:2", "O-2", 6, 260),
    ("layered oxide", "alkali+:2 T4:1", "O-2", 3, 60),
    ("layered oxide", "alkali+:2 T2:1 T4:3", "O-2", 8, 110),
    ("layered oxide", "alkali+:5 T2:1 T3:1 T4:4", "O-2", None, 60),
    ("spinel cathode", "alkali+:1 T:1 T:1", "O-2", 4, 220),
    ("brannerite", "M1:1 R:1 B5:2", "O-2", None, 60),
    ("columbite", "M2:1 B5:2", "O-2", 6, 120),
    ("tungsten bronze", "A:2 M1:1 B5:5", "O-2", 15, 70),
    ("magnetoplumbite", "A:1 B3:12", "O-2", 19, 60),
    ("cuprate", "Ba2:1 R:2 T2:1", "O-2", 5, 90),
    ("fluorite alloy", "B4:1 R:2", "O-2", 5, 60),
    ("fluorite alloy", "Ce4:4 R:2", "O-2", 11, 18),
    ("rock salt alloy", "M2:1 M2:1", "O-2 S-2 Se-2 Te-2", None, 240),
    ("rock salt alloy", "M2:1 M2:3", "O-2 S-2 Se-2 Te-2", None, 160),
    ("corundum alloy", "B3:1 B3:1", "O-2", 3, 120),
    ("fluoride", "alkali+:1 R:1", "F-1 Cl-1", 4, 80),
    ("fluoride", "earth+:1 B2:1", "F-1 Cl-1", 4, 80),
    ("fluoride", "alkali+:1 earth+:1 B3:1", "F-1", 6, 220),
    ("cryolite", "M1:3 B3:1", "F-1 Cl-1 Br-1 I-1", 6, 260),
    ("chalcopyrite", "M1:1 B3:1", "S-2 Se-2 Te-2", 2, 160),
    ("chalcopyrite", "B2:1 B4:1", "P-3 As-3 N-3 Sb-3", 2, 110),
    ("kesterite", "coinage:2 B2:1 B4:1", "S-2 Se-2 Te-2", 4, 180),
    ("quaternary chalcogenide", "M1:1 R:1 B2:1", "S-2 Se-2 Te-2", 3, 320),
    ("quaternary chalcogenide", "M1:1 R:1 B4:1", "S-2 Se-2", 4, 240),
    ("quaternary chalcogenide", "M2:1 R:1 coinage:1", "S-2 Se-2 Te-2", 3, 180),
    ("sulfosalt", "cation:1:2:3 B3:1:2:3", "S-2 Se-2 Te-2", None, 500),
    ("chalcogenide", "R:1:2:3 M2:1", "S-2 Se-2 Te-2", None, 420),
    ("ternary oxide", "cation:1:2:3:4 B:1:2:3:4", "O-2", None, 1900),
    ("ternary oxide", "cation:1:2:3 cation:1:2:3", "O-2", None, 500),
    ("ternary oxide", "R:1:2:3:4:6 B:1:2:3:5", "O-2", None, 450),
    ("ternary chalcogenide", "cation:1:2:3 B:1:2:3", "S-2 Se-2 Te-2", None, 1100),
    ("ternary halide", "cation:1:2:3 B:1:2", "F-1 Cl-1 Br-1 I-1", None, 900),
    ("ternary nitride", "cation:1:2:3:4 B:1:2", "N-3", None, 360),
    ("ternary pnictide", "cation:1:2:3 B:1:2:3", "P-3 As-3 Sb-3", None, 520),
    ("ternary hydride", "cation:1:2 B:1:2", "H-1", None, 150),
    ("quaternary oxide", "cation:1:2:3 cation:1:2 B:1:2:3", "O-2", None, 1700),
    ("quaternary oxide", "A:1:2 B:1:2 B:1:2:3", "O-2", None, 900),
    ("quaternary chalcogenide", "cation:1:2 cation:1:2 B:1:2", "S-2 Se-2 Te-2", None, 420),
    ("quaternary halide", "cation:1:2 cation:1 B:1", "F-1 Cl-1 Br-1 I-1", None, 420),
    ("ammonium halide", "ammonium:1:2:3 B:1:2", "F-1 Cl-1 Br-1 I-1", None, 350),
    ("quinary oxide", "cation:1:2 A:1:2 B:1:2 B:1:2", "O-2", None, 1300),
)  # fmt: skip

# Compounds with two simple anions: (family, cation sites, first anion, second anion, how many)
MIXED_ANION: tuple[tuple[str, str, str, str, int], ...] = (
    ("oxyhalide", "cation:1:2:3", "O-2", "F-1 Cl-1 Br-1 I-1", 420),
    ("oxyhalide", "cation:1:2 B:1:2", "O-2", "F-1 Cl-1 Br-1 I-1", 620),
    ("oxychalcogenide", "R:1:2:3", "O-2", "S-2 Se-2 Te-2", 90),
    ("oxychalcogenide", "cation:1:2 B:1:2", "O-2", "S-2 Se-2 Te-2", 380),
    ("oxynitride", "cation:1:2 B:1:2", "O-2", "N-3", 240),
    ("oxynitride", "B:1:2:3", "O-2", "N-3", 70),
    ("nitride halide", "cation:1:2:3", "N-3", "F-1 Cl-1 Br-1 I-1", 90),
    ("chalcohalide", "cation:1:2:3", "S-2 Se-2 Te-2", "F-1 Cl-1 Br-1 I-1", 240),
    ("chalcohalide", "cation:1:2 B:1", "S-2 Se-2", "Cl-1 Br-1 I-1", 200),
    ("sulfide selenide", "B:1:2", "S-2", "Se-2 Te-2", 120),
    ("pnictide chalcogenide", "cation:1:2:3", "P-3 As-3 Sb-3", "S-2 Se-2 Te-2", 110),
    ("oxypnictide", "cation:1:2 B:1:2", "O-2", "P-3 As-3 Sb-3", 130),
    ("halide mixture", "B:1", "F-1 Cl-1", "Br-1 I-1 Cl-1", 110),
    ("oxyhydride", "cation:1:2 B:1", "O-2", "H-1", 60),
    ("hydride halide", "M2:1", "H-1", "F-1 Cl-1 Br-1 I-1", 20),
)

# Salts of molecular anions: (family, cation sites, 'oxo' or 'other', how many)
SALTS: tuple[tuple[str, str, str, int], ...] = (
    ("oxo-salt", "cation:1:2:3:4", "oxo", 2100),
    ("oxo-salt", "cation:1:2:3 cation:1:2", "oxo", 3000),
    ("oxo-salt", "cation:1:2:3 B:1:2", "oxo", 1100),
    ("oxo-salt", "alkali+:1 B:1 B:1", "oxo", 350),
    ("phosphate", "alkali+:1:2:3:4 T:1:2:3:4", "phosphate", 900),
    ("phosphate", "cation:1:2:3 cation:1:2", "phosphate", 700),
    ("ammonium salt", "ammonium:1:2:3", "oxo", 90),
    ("ammonium salt", "ammonium:1:2:3", "other", 80),
    ("ammonium salt", "ammonium:1:2 cation:1:2", "oxo", 600),
    ("ammonium salt", "ammonium:1:2 cation:1:2", "other", 250),
    ("complex salt", "cation:1:2:3", "other", 900),
    ("complex salt", "cation:1:2 cation:1:2", "other", 900),
)
MIXED_SALTS: tuple[tuple[str, str, str, str, int], ...] = (
    ("apatite and basic salts", "M2:1:2:3:5", "oxo", "F-1 Cl-1 Br-1 I-1 OH-1", 350),
    ("oxo-salt halide", "cation:1:2:3 cation:1:2", "oxo", "F-1 Cl-1 Br-1 OH-1 O-2", 600),
    ("oxo-salt oxide", "cation:1:2:3", "oxo", "O-2 F-1 OH-1", 350),
)
HYDRATES = 1300  # salts and halides with 1..8 molecules of water or, one in three, of ammonia
SUBSTITUTIONS = 12000  # draws of known compounds with ions or metals replaced

# --- named compounds ----------------------------------------------------------------------------

MINERALS_AND_DEVICES = """
SiO2 Al2O3 TiO2 CeO2 ZrO2 HfO2 MgO ZnO NiO CoO MnO FeO Fe2O3 Fe3O4 Cr2O3 V2O5 WO3 MoO3 Nb2O5 Ta2O5
SrTiO3 BaTiO3 PbTiO3 LaAlO3 LaMnO3 BiFeO3 LiNbO3 LiTaO3 KNbO3 NaTaO3 CaTiO3 MgSiO3 Mg2SiO4 CaSiO3
LiCoO2 LiFePO4 LiMn2O4 Li4Ti5O12 LiNiO2 NaCoO2 Li7La3Zr2O12 Na3Zr2Si2PO12 YBa2Cu3O7
Bi2Sr2CaCu2O8 La2CuO4 HgBa2CaCu2O6 Tl2Ba2Ca2Cu3O10 CoFe2O4 NiFe2O4 MgAl2O4 BaFe12O19 Y3Fe5O12
Y3Al5O12 Gd3Ga5O12 InGaZnO4 In2O3 SnO2 Ga2O3 GaN AlN InN BN Si3N4 TiN TiC SiC WC B4C GaAs InP InAs
InSb GaSb AlAs ZnS ZnSe ZnTe CdS CdSe CdTe HgTe PbS PbSe PbTe SnTe Bi2Te3 Sb2Te3 Bi2Se3 Ge2Sb2Te5
MoS2 WS2 MoSe2 WSe2 MoTe2 NbSe2 TaS2 CrI3 CsPbBr3 CsPbI3 CH3NH3PbI3 Cu2ZnSnS4 CuInSe2 CuGaSe2 FeS2
FeSe Nd2Fe14B SmCo5 Sm2Co17 FePt CoPt NiTi Ni3Al TiAl Ti3Al NiAl MgB2 LaB6 CaB6 Nb3Sn NbTi Fe3C CrN
CaCO3 CaMgC2O6 CaSO4 CaH4SO6 BaSO4 Ca5P3O13H KAlSi3O8 NaAlSi3O8 CaAl2Si2O8 Al2Si2O9H4 KAl3Si3O12H2
Mg3Si4O12H2 CaF2 NaCl KCl KBr CsI NaF LaF3 NaYF4 Cu2O CuO Ag2O AgCl AgBr HgS As2S3 Sb2S3 CuFeS2
FeAsS CoAsS NiAs Cu5FeS4 PbMoO4 CaWO4 ZrSiO4 FeTiO3 MnWO4 UO2 ThO2 BeO Be3Al2Si6O18 Al2SiO5
CaMgSi2O6 FeCr2O4 MnO2 NaCrO2 La2NiO4 SrRuO3 SrIrO3 Ca3Co4O9 SrFeO3 LaCoO3 PrNiO3 NdNiO2 HoMnO3
DyScO3 GdScO3 TbScO3 EuTiO3 YMnO3 LuFe2O4 ErFeO3 Tm3Fe5O12 YbMgGaO4 Pb3ZnNb2O9 Pb3MgNb2O9 KTiPO5
Si1Ge1 C3N4 CNTi2 Ti3C2O2 Ti3C2F2 XeF2 XeF4 XeF6 XeO3 XeO4 KrF2 C2H4 C8H8 C5H8O2 C2F4 C2H3Cl C3H6
C12H22O11 C6H6 C32H18N8 C32H16CuN8 C32H16ZnN8 C32H16CoN8 C2H4O C22H10N2O5 C10H8 CO2 H2O NH3 CH4 SF6
"""

# Alloys in simple whole-number atomic ratios.
ALLOYS = """
Fe9Cr1 Fe7Cr2Ni1 Fe70Cr19Ni9Mn2 Fe65Cr18Ni12Mo3Mn2 Fe49Co49V2 Fe94Si6 Fe3Si1 Fe64Ni36 Ni80Fe20
Ni8Cr2 Ni55Cr20Fe20Nb3Mo2 Ni60Co10Cr8Al12Ti2Ta3W3Re2 Co60Cr28Mo6W6 Co28Cr7Mo1 Cu6Zn4 Cu7Zn3 Cu9Sn1
Cu9Al1 Cu7Ni3 Cu98Be2 Al96Cu4 Al97Mg2Si1 Al90Zn6Mg3Cu1 Al93Si7 Al90Mg10 Al97Li3 Al99Sc1 Al86Ni8La6
Ti90Al6V4 Ti66Nb34 Ti50Ta50 Ti74Nb20Zr4Sn2 Mg90Al9Zn1 Mg96Zn2Y2 Mg97Y2Zn1 Mg95Gd5 Mg96Nd4 Zr98Sn2
Zr98Nb2 Zr55Cu30Al10Ni5 Zr41Ti14Cu12Ni10Be23 Pd40Cu30Ni10P20 Fe80B20 Fe40Ni40P14B6 Co68Fe4Si16B12
Pb4Sn6 Sn96Ag4 Sn99Cu1 In5Sn5 Ga7In2Sn1 Bi5Pb3Sn2 Au9Cu1 Au7Ag3 Au8Sn2 Ag9Cu1 Ag7Pd3 Pt9Rh1 Pt9Ir1
Pt3Co1 Pt3Ni1 Pt1Ru1 Pt3Sn1 Pd3Au1 Pd9Ag1 Ir1Os1 Re1W9 Re5Mo5 Ta9W1 Mo9Re1 W9Ni1 Nb98Zr2 Nb1Hf1
Co1Cr1Fe1Mn1Ni1 Al1Co1Cr1Fe1Ni1 Co1Cr1Fe1Ni1 Co1Cr1Ni1 Cu1Ni1Co1Fe1Pd1 Hf1Nb1Ta1Ti1Zr1 Mo1Nb1Ta1W1
V1Nb1Mo1Ta1W1 Au1Pt1Pd1Rh1Ru1 Ir1Pt1Pd1Rh1Ru1 Cd1Hg1 Cd7Zn3 Sn1Tl1 Ge9Sn1 Si9Ge1 Si8B1 Si98As2
Si98P2 Ge3Si7 Se9Te1 As4Se6 Se8As1Te1 Na1K1 Na2K1 Cs1Na1 Be9Al1 Be62Al38 U9Zr1 U9Mo1 U1Nb1 Sm1Y1
"""
ALLOY_GROUPS = (
    "Ti V Cr Mn Fe Co Ni Cu Zn Al",
    "Zr Nb Mo Hf Ta W Ti V Re Cr",
    "Ru Rh Pd Ag Ir Pt Au Os Cu Ni Co Fe",
    f"{LANTHANIDES} Y Sc Mg",
    "Mg Al Zn Li Ca Sn Be Cd",
    "Zn Cd Hg In Tl Sn Pb Ga Bi Sb",
    "Cu Ag Au Sn Sb In Ge Al",
    "Mo Tc Re Ru Rh W Os",
    "Na K Rb Cs Li",
    "Ca Sr Ba Eu Yb Mg",
    "Si Ge Sn",
    "Se Te S",
    "As Sb Bi P",
)

# Hosts of noble-gas bubbles and implants. Not compounds, but where a microscope meets these gases.
NOBLE_GASES = ("Ne", "Ar", "Kr", "Xe")
GAS_HOSTS = """
Al Si Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge Zr Nb Mo Ag In Sn Ta W Pt Au Pb Mg Be C SiC SiO2 Al2O3 MgO
ZrO2 TiN TiC GaN GaAs InP UO2 CeO2 Si3N4 BN SrTiO3 NiTi Fe7Cr2Ni1 Fe9Cr1 YBa2Cu3O7 ZrN MgAl2O4 ZnO
AlN LiNbO3 TiO2 InAs Pd Ru Hf Y2O3 Cr2O3 Fe3O4 B4C WC MoS2 CaF2 NaCl KCl FePt Ni3Al TiAl HfO2 Ga2O3
CoPt
"""
GAS_AMOUNTS = ((1, 19), (1, 9), (1, 4), (2, 3), (4, 1))  # gas atoms per host atoms
