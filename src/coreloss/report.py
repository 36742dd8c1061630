"""Results as tables for a terminal (rich renderables in, nothing printed here)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from coreloss.benchmark import Evaluation
from coreloss.edges import identifying_sets
from coreloss.identify import Elements, Identification

SCORE_COLUMNS = {
    "f1": "F1",
    "precision": "Prec.",
    "recall": "Recall",
    "exact_match_ratio": "EMR",
    "average_precision": "AP",
}


def identification_table(result: Identification) -> RenderableType:
    """What a person wants to read about one file."""
    low, high = result.window_ev
    head = Text(overflow="fold")
    head.append(Path(result.spectrum.file or result.spectrum.title or "spectrum").name, "bold")
    head.append(
        f"  {low:g}..{high:g} eV\n{result.model}: present from {result.threshold:.3f}, "
        f"absent below {result.absent_threshold:.3f}"
    )
    body = _one(result) if len(result) == 1 else _several(result)
    hidden = Text(
        f"Not observable in this window ({len(result.not_observable)}): "
        + " ".join(result.not_observable),
        style="dim",
    )
    return Group(head, body, hidden, *_warnings(result))


def _one(result: Identification) -> RenderableType:
    elements = result.spectra[0]
    if not elements.present and not elements.undetermined:
        return Text("No element reaches the thresholds.")
    table = Table("Element", "Probability", "Decision", "Edges in the window")
    for decision, style in (("present", "bold"), ("undetermined", "dim")):
        for element in getattr(elements, decision):
            probability = f"{elements.probabilities[element]:.3f}"
            edges = _edges(element, result.window_ev)
            table.add_row(element, probability, decision, edges, style=style)
    return table


def _several(result: Identification) -> Table:
    table = Table("Spectrum", "Present", "Undetermined")
    for number, elements in enumerate(result.spectra):
        table.add_row(
            str(number), _with_probabilities(elements, "present"), " ".join(elements.undetermined)
        )
    return table


def _with_probabilities(elements: Elements, decision: str) -> str:
    return "  ".join(f"{e} {elements.probabilities[e]:.2f}" for e in getattr(elements, decision))


def _edges(element: str, window_ev: tuple[float, float]) -> str:
    low, high = window_ev
    return ", ".join(
        f"{edge.shell} {edge.onset_ev:.0f} eV"
        for edge in identifying_sets()
        if edge.element == element and low < edge.onset_ev < high
    )


def _warnings(result: Identification) -> Iterator[Text]:
    """Each warning once, with the number of spectra that have it."""
    counts: dict[str, int] = {}
    for elements in result.spectra:
        for warning in elements.warnings:
            counts[warning] = counts.get(warning, 0) + 1
    for warning, count in counts.items():
        where = f" ({count} of {len(result)} spectra)" if count < len(result) else ""
        yield Text(f"Warning{where}: {warning}", style="yellow")


def evaluation_table(evaluation: Evaluation) -> RenderableType:
    """Scores by subset, and each measured spectrum with what was missed or falsely found."""
    threshold = evaluation.scores[0].threshold
    title = f"{evaluation.model}, threshold {threshold:.3f}"
    table = Table(title=title, box=box.SIMPLE, pad_edge=False)
    for name in ("Subset", "n", "Positives", *SCORE_COLUMNS.values()):
        table.add_column(name, no_wrap=True, justify="left" if name == "Subset" else "right")
    for part in evaluation.scores:
        numbers = [f"{getattr(part, name):.3f}" for name in SCORE_COLUMNS]
        table.add_row(part.subset, str(part.n), str(part.n_positive), *numbers)
    intervals = ", ".join(
        f"{SCORE_COLUMNS[name]} {low:.3f}..{high:.3f}"
        for name, (low, high) in evaluation.intervals.items()
        if name in SCORE_COLUMNS
    )
    note = Text(f"95 % intervals of the first row: {intervals}; ECE {evaluation.ece:.3f}")
    if not evaluation.spectra:
        return Group(table, note)
    spectra = Table("File", "Present", "Missed", "False")
    for row in evaluation.spectra:
        spectra.add_row(row["id"], *(" ".join(row[k]) for k in ("present", "missed", "false")))
    return Group(table, note, spectra)
