"""Tables of the methods of identification side by side (Markdown text out)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from coreloss.datasets.evaluation import Evaluation
from coreloss.reports.markdown import table, with_interval
from coreloss.study.identification.examples import Example, Mistake
from coreloss.study.results import Row


def methods_table(rows: Sequence[Row]) -> str:
    """F1 with its 95 % interval and EMR of all methods, on the set that chose nothing first.

    In the simulated set of the rows, elements that are present but not visible do not count.
    A line for the threshold where precision equals recall on simulated validation spectra, and one
    for the threshold of the method itself, of those that have one.
    """
    sets = [*measured_sets(rows), "simulated"]
    sizes = {name: rows[0]["sets"][name]["n"] for name in sets}
    body = []
    for row in rows:
        for part, kind in (("sets", "balanced"), ("own_threshold", "its own")):
            if found := row.get(part):
                threshold = f"{found['simulated']['threshold']:.3f}, {kind}"
                body.append(
                    (row["method"], threshold, *(_f1_and_emr(found[name]) for name in sets))
                )
    names = [*map(_set_name, sets[:-1]), SCORED_SETS["simulated_visible"]]
    header = (f"{name} ({n})" for name, n in zip(names, sizes.values(), strict=True))
    return table(("method", "threshold", *header), body)


def measured_sets(rows: Sequence[Row]) -> list[str]:
    """Names of the measured sets of the rows, the one that has chosen nothing first."""
    return [name for name in rows[0]["sets"] if name.startswith("measured")]


def networks_table(networks: Mapping[str, Row], apart: Sequence[Row]) -> str:
    """Size, speed and scores of the shipped networks, at their own thresholds.

    ``networks`` by name as in `study.scores`; ``apart`` the rows of `study.rare_earths`.
    """
    header = ("network", "parameters", "spectra/s", "set", "n", "F1", "EMR")
    rows = []
    for name, found in networks.items():
        about = (name, f"{found['parameters']:,}", f"{found['spectra_per_s']:.0f}")
        scored = {
            _set_name(f"measured {part}"): one["scores"][0]
            for part, one in found["measured"].items()
        }
        everything, visible = found["simulated"]["scores"][:2]
        scored |= {SCORED_SETS["simulated"]: everything, SCORED_SETS["simulated_visible"]: visible}
        for row in apart:
            if row["model"] == name:
                scored[f"rare earths by N45 alone, axis right to {row['axis_error_ev']} eV"] = row
        for i, (part, one) in enumerate(scored.items()):
            numbers = (f"{one[key]:.3f}" for key in ("f1", "exact_match_ratio"))
            rows.append((*(about if i == 0 else ("", "", "")), part, one["n"], *numbers))
    return table(header, rows)


def groups_table(groups: Sequence[Row]) -> str:
    """Scores of groups of measured files: by source, range, dose and edge family."""
    header = ("by", "group", "n", "positives", "F1", "EMR")
    body = [
        (
            group["by"],
            *(group["scores"][key] for key in ("subset", "n", "n_positive")),
            f"{group['scores']['f1']:.3f}" if group["scores"]["n_positive"] else "–",
            f"{group['scores']['exact_match_ratio']:.3f}",
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


def _f1_and_emr(found: Row) -> str:
    f1 = with_interval(found["f1"], found["intervals"]["f1"], digits=3)
    return f"{f1} /\u00a0{found['exact_match_ratio']:.2f}"


SCORED_SETS = {
    "simulated": "simulated, all",
    "simulated_visible": "simulated, visible",
    "measured_A test": "measured, A, test half",
    "measured_A": "measured, A",
    "measured_AB": "measured, A and B",
}
"""What the sets of the results are called in tables."""


def _set_name(key: str) -> str:
    return SCORED_SETS[key.replace("measured ", "measured_")]


PUBLISHED_SCORES = (
    ("ensemble of five", 0.86, 0.88, 0.88, 0.70),
    ("U-Net", 0.84, None, None, 0.62),
    ("ViT", 0.84, None, None, 0.60),
)
"""Weighted F1, precision, recall and EMR of Annys et al., Sci. Rep. 13, 13724 (2023)."""


INTERVAL_KEYS = ("f1", "precision", "recall", "exact_match_ratio")


def comparison_table(evaluations: Mapping[str, Evaluation]) -> str:
    """Scores on sets of measured spectra with their 95 % intervals, above the published ones."""
    rows = []
    for name, evaluation in evaluations.items():
        part = evaluation.scores[0]
        cells = (
            with_interval(getattr(part, key), evaluation.intervals[key])
            for key in (*INTERVAL_KEYS, "micro_f1")
        )
        rows.append((f"{evaluation.model}, {name}, {part.n} spectra", *cells))
    for name, *values in PUBLISHED_SCORES:
        numbers = ["–" if value is None else f"{value:.2f}" for value in values]
        rows.append((f"Annys et al., {name}, their spectra", *numbers, "–"))
    return table(("", "F1", "precision", "recall", "EMR", "micro F1"), rows)


def spectra_table(evaluation: Evaluation) -> str:
    """Each measured spectrum: what is present, what was predicted, and the difference."""
    rows = []
    for row in evaluation.spectra:
        wrong = [f"{key} {' '.join(row[key])}" for key in ("missed", "false") if row[key]]
        elements = (" ".join(row[key]) for key in ("present", "predicted"))
        rows.append((row["id"], _short(row["material"]), *elements, ", ".join(wrong)))
    return table(("file", "material", "present", "predicted", "mistakes"), rows)


def _short(text: str) -> str:
    return text.split(" (")[0]


def mistakes_table(mistakes: Sequence[Mistake]) -> str:
    """Every mistake with its probability and the edge of a present element that lies nearest."""
    header = ("file", "element", "mistake", "probability", "its edge", "nearest edge present", "eV")
    rows = [
        (
            *(m.id, m.element, m.kind, f"{m.probability:.2f}", m.edge, m.neighbour),
            f"{m.distance_ev:+.0f}" if np.isfinite(m.distance_ev) else "–",
        )
        for m in mistakes
    ]
    return table(header, rows)


def credits_table(examples: Sequence[Example]) -> str:
    """Source and terms of the spectra that a figure shows."""
    rows = [(e.id, _short(e.material), e.source, _short(e.license)) for e in examples]
    return table(("spectrum", "specimen", "source", "terms"), rows)
