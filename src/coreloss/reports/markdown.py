"""Results as Markdown tables for notebooks (text in, text out)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown; columns of numbers to the right.

    >>> print(table(("edge", "eV"), [("C K", 284)]))
    | edge | eV |
    |:---|---:|
    | C K | 284 |
    """
    texts = [[str(cell) for cell in row] for row in rows]
    numeric = [all(_is_number(row[i]) for row in texts) for i in range(len(header))]
    rule = "".join("---:|" if right else ":---|" for right in numeric)
    body = ["| " + " | ".join(row) + " |" for row in texts]
    return "\n".join(["| " + " | ".join(header) + " |", f"|{rule}", *body])


def with_interval(value: float, limits: Sequence[float], *, digits: int = 2) -> str:
    """A value with its interval, which no line break takes apart.

    >>> with_interval(0.904, (0.8, 1)).replace("\u2060", "")
    '0.90 (0.80–1.00)'
    """
    low, high = limits
    return f"{value:.{digits}f} ({low:.2f}–\u2060{high:.2f})"


def _is_number(text: str) -> bool:
    try:
        float(text.split(" ")[0].replace(",", "") or 0)
    except ValueError:
        return text == "–"
    return True
