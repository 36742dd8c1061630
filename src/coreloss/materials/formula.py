"""Chemical formulas: composition, reduced formula, and the text that parsed tables carry."""

from __future__ import annotations

import re
import warnings
from math import gcd

_TOKEN = re.compile(r"([A-Z][a-z]?)([0-9]+(?:\.[0-9]*)?)")


def reduce_formula(formula: str) -> tuple[str, str]:
    """Reduced formula and composition text of a formula, through pymatgen.

    >>> reduce_formula("Ti2 Ba2 O6")
    ('BaTiO3', 'Ba1 Ti1 O3')
    """
    try:
        from pymatgen.core import Composition
    except ImportError:
        raise ValueError(
            "parsing formulas needs pymatgen: pip install 'coreloss[materials]', or give a table"
            " that `coreloss materials` has parsed"
        ) from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # noble gases have no electronegativity to order by
            parsed = Composition(formula, strict=True)
            if any(abs(amount - round(amount)) > 1e-8 for amount in parsed.values()):
                parsed = Composition(parsed.get_integer_formula_and_factor()[0])
            amounts = {element.symbol: round(amount) for element, amount in parsed.items()}
            divisor = gcd(*amounts.values())
            reduced = Composition({e: amounts[e] // divisor for e in sorted(amounts)})
            return reduced.reduced_formula, _text(reduced)
    except Exception as error:  # pymatgen raises many kinds, also KeyError and ZeroDivisionError
        raise ValueError(
            f"formula {formula!r} is not a chemical formula ({error}); write element symbols with "
            "amounts, such as SrTiO3 or Ba0.6Sr0.4TiO3"
        ) from error


def composition(formula: str) -> dict[str, float]:
    """Atomic fraction of every element of a formula, the ones without a label included.

    >>> composition("SrTiO3")
    {'Sr': 0.2, 'Ti': 0.2, 'O': 0.6}
    """
    amounts = read_composition(reduce_formula(formula)[1])
    total = sum(amounts.values())
    return {element: amount / total for element, amount in amounts.items()}


def read_composition(text: str) -> dict[str, float]:
    """Amounts of a composition text; the inverse of what a parsed table holds, no pymatgen needed.

    >>> read_composition("Ba1 Ti1 O3")
    {'Ba': 1.0, 'Ti': 1.0, 'O': 3.0}
    """
    amounts: dict[str, float] = {}
    for token in text.split():
        match = _TOKEN.fullmatch(token)
        if match is None:
            raise ValueError(f"composition {text!r}: {token!r} is not like 'Ti1'")
        amounts[match[1]] = amounts.get(match[1], 0.0) + float(match[2])
    if not amounts or min(amounts.values()) <= 0:
        raise ValueError(f"composition {text!r} has no atoms; it should be like 'Ba1 Ti1 O3'")
    return amounts


def _text(parsed) -> str:
    """Composition text in pymatgen's order of electronegativity."""

    def place(element) -> tuple[float, str]:
        return (element.X if element.X == element.X else 9.0, element.symbol)

    ordered = sorted(parsed.elements, key=place)
    return " ".join(f"{element.symbol}{parsed[element]:g}" for element in ordered)
