"""Tables of the methods of identification side by side (Markdown text out)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from coreloss.report_markdown import table

Row = Mapping[str, Any]
COLUMNS = {"f1": "F1", "precision": "precision", "recall": "recall", "exact_match_ratio": "EMR"}


def methods_table(rows: Sequence[Row], data: str, *, own: bool = False) -> str:
    """Scores of all methods on one set, with 95 % intervals of F1 and EMR.

    At the threshold where precision equals recall on simulated validation spectra or, with ``own``,
    at that of each method itself, of those that have one.
    """
    header = ("method", "threshold", *COLUMNS.values(), "AP", "micro F1", "ECE")
    part = "own_threshold" if own else "sets"
    body = [
        (
            row["method"],
            f"{found['threshold']:.3f}",
            *(_with_interval(found, key) for key in COLUMNS),
            *(f"{found[key]:.3f}" for key in ("average_precision", "micro_f1", "ece")),
        )
        for row in rows
        if (found := row.get(part, {}).get(data))
    ]
    return table(header, body)


def measured_sets(rows: Sequence[Row]) -> list[str]:
    """Names of the measured sets of the rows, the one that has chosen nothing first."""
    return [name for name in rows[0]["sets"] if name.startswith("measured")]


def groups_table(groups: Sequence[Row]) -> str:
    """Scores of groups of measured files: by source, range, dose and edge family."""
    header = ("by", "group", "n", "positives", "F1", "EMR")
    body = [
        (
            group["by"],
            *(group["scores"][key] for key in ("subset", "n", "n_positive")),
            *(f"{group['scores'][key]:.3f}" for key in ("f1", "exact_match_ratio")),
        )
        for group in groups
    ]
    return table(header, body)


def evidence_table(elements) -> str:
    """Edges behind each name of one spectrum, an `identify.Elements`."""
    header = ("element", "probability", "edge", "tabulated (eV)", "found (eV)", "z", "remark")
    body = []
    for edge in elements.evidence:
        remarks = [] if edge.element in elements.present else ["undetermined"]
        remarks += ["possible contamination"] if edge.element in elements.contamination else []
        others = elements.alternatives.get(edge.element, ())
        remarks += [f"or {', '.join(others)}"] if others else []
        probability = f"{elements.probabilities[edge.element]:.3f}"
        energies = (f"{edge.onset_ev:.0f}", f"{edge.found_ev:.0f}")
        row = (edge.element, probability, edge.edge, *energies, f"{edge.z:.1f}", "; ".join(remarks))
        body.append(row)
    return table(header, body)


def _with_interval(found: Row, key: str) -> str:
    if key not in found["intervals"]:
        return f"{found[key]:.3f}"
    low, high = found["intervals"][key]
    return f"{found[key]:.3f} ({low:.2f}..{high:.2f})"
