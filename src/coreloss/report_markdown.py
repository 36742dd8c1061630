"""Results as Markdown tables for notebooks (text in, text out)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from coreloss.benchmark import Evaluation
from coreloss.benchmark_robustness import Example, Mistake
from coreloss.edges import ELEMENTS
from coreloss.evaluate import PerElement, Scores

PUBLISHED = (
    ("ensemble of five", 0.86, 0.88, 0.88, 0.70),
    ("U-Net", 0.84, None, None, 0.62),
    ("ViT", 0.84, None, None, 0.60),
)
"""Weighted F1, precision, recall and EMR of Annys et al., Sci. Rep. 13, 13724 (2023)."""
INTERVAL_KEYS = ("f1", "precision", "recall", "exact_match_ratio")


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown; columns of numbers to the right.

    >>> print(table(("edge", "eV"), [("C K", 284)]))
    | edge | eV |
    |:---|---:|
    | C K | 284 |
    """
    rows = [[str(cell) for cell in row] for row in rows]
    numeric = [all(_is_number(row[i]) for row in rows) for i in range(len(header))]
    rule = "".join("---:|" if right else ":---|" for right in numeric)
    body = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(["| " + " | ".join(header) + " |", f"|{rule}", *body])


def _is_number(text: str) -> bool:
    try:
        float(text.split(" ")[0].replace(",", "") or 0)
    except ValueError:
        return text == "–"
    return True


def score_table(parts: Sequence[Scores]) -> str:
    """Weighted scores of several subsets, each with its threshold and number of positives."""
    header = ("counted", "threshold", "positives", "F1", "precision", "recall", "EMR", "AP")
    names = (*INTERVAL_KEYS, "average_precision")
    rows = [
        (
            part.subset,
            f"{part.threshold:.3f}",
            part.n_positive,
            *(f"{getattr(part, name):.3f}" for name in names),
        )
        for part in parts
    ]
    return table(header, rows)


def comparison_table(evaluations: Mapping[str, Evaluation]) -> str:
    """Scores on sets of measured spectra with their 95 % intervals, above the published ones."""
    rows = []
    for name, evaluation in evaluations.items():
        part = evaluation.scores[0]
        cells = (
            f"{getattr(part, key):.2f} ({low:.2f} to {high:.2f})"
            for key in (*INTERVAL_KEYS, "micro_f1")
            for low, high in [evaluation.intervals[key]]
        )
        rows.append((f"{evaluation.model}, {name}, {part.n} spectra", *cells))
    for name, *values in PUBLISHED:
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


def stages_of(card: Mapping[str, Any]) -> list[int]:
    """Spectra of each stage of a training, the last one last; each spectrum was seen once."""
    seen = card["validation"]["spectra"]
    return [stage["spectra"] for stage in card["training"].get("stages", [{"spectra": seen}])]


def card_table(card: Mapping[str, Any]) -> str:
    """What the card of a network says: architecture, training, decisions, scores, provenance."""
    training, config, row = card["training"], card["config"], card["validation"]
    widths = ", ".join(f"{k} {v}" for k, v in config.items() if not isinstance(v, Sequence))
    stages = stages_of(card)
    last = "" if len(stages) == 1 else f"; last stage {stages[-1]:,}"
    rows = [
        ("architecture", f"{card['architecture']} ({widths})"),
        ("parameters", f"{card['parameters']:,}"),
        ("materials", training["materials"]),
        ("spectra seen", f"{sum(stages):,} in {len(stages)} stages, each of them once{last}"),
        ("time of the last stage", f"{row['minutes']:.0f} minutes, {row['spectra_per_s']:.0f} "
         "spectra/s"),
        ("device", card["provenance"]["device"]),
        ("batch, learning rate", f"{training['batch_size']}, {training['learning_rate']:g}"),
        ("seed", training["seed"]),
        ("validation F1, visible elements", f"{row['f1_visible']:.3f}"),
        ("validation F1, all elements", f"{row['f1_all']:.3f}"),
        ("present from, absent below", f"{card['present_threshold']:.3f}, "
         f"{card['absent_threshold']:.3f}"),
        ("temperature", f"{card['temperature']:.3f}"),
        ("commit", card["provenance"]["commit"][:12]),
        ("PyTorch, Python", f"{card['provenance']['torch']}, {card['provenance']['python']}"),
    ]  # fmt: skip
    return table(("", ""), [(name, str(value)) for name, value in rows])


def decision_text(card: Mapping[str, Any]) -> str:
    """How answers follow from the probabilities of the shipped network, in words."""
    right, lost = f"{100 * card['right_names']:g} %", f"{100 * card['lost_elements']:g} %"
    return (
        f"An element is **present** from a probability of {card['present_threshold']:.3f}: from"
        f" there on {right} of the names given are right, on {card['decisions']}, visible elements"
        f" only. It is **absent** below {card['absent_threshold']:.3f}, which loses {lost} of the"
        f" visible elements, and **undetermined** between the two. These spectra are simulated; but"
        f" the level of {right}, one of five from 95 to 98 %, was chosen on the validation half of"
        " the measured files, so that only their **test half** has chosen nothing."
    )


def hardest_elements_table(
    result: PerElement, labels: tuple[np.ndarray, np.ndarray, np.ndarray], *, n_shown: int
) -> str:
    """The elements of lowest F1, and what was falsely found most often where they were missed.

    ``labels`` is (present, predicted, counted), bool of shape (n, 80) each.
    """
    present, predicted, counted = labels
    missed, false = present & ~predicted & counted, predicted & ~present & counted
    order = [k for k in np.argsort(result.f1, kind="stable") if result.support[k] > 0]
    rows = []
    for k in order[:n_shown]:
        instead = false[missed[:, k]].sum(0)
        top = [j for j in np.argsort(-instead, kind="stable")[:3] if instead[j]]
        names = ", ".join(f"{ELEMENTS[j]} ({instead[j]})" for j in top)
        numbers = (f"{x[k]:.2f}" for x in (result.f1, result.precision, result.recall))
        rows.append((ELEMENTS[k], int(result.support[k]), *numbers, names))
    return table(("element", "spectra", "F1", "precision", "recall", "found instead"), rows)


def credits_table(examples: Sequence[Example]) -> str:
    """Source and terms of the spectra that a figure shows."""
    rows = [(e.id, _short(e.material), e.source, _short(e.license)) for e in examples]
    return table(("spectrum", "specimen", "source", "terms"), rows)
