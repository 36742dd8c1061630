"""Tables of the chapter on training (Markdown text out)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from coreloss.edges import ELEMENTS
from coreloss.reports.markdown import table
from coreloss.scoring.metrics import PerElement, Scores
from coreloss.study.identification.tables import INTERVAL_KEYS


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
