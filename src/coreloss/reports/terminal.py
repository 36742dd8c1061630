"""Results as tables for a terminal (rich renderables in, nothing printed here)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from coreloss.datasets.breakdown import GroupScores
from coreloss.datasets.evaluation import Evaluation
from coreloss.edges import identifying_sets
from coreloss.identification.identify import Elements, Identification

SCORE_COLUMNS = {
    "f1": "F1",
    "precision": "Prec.",
    "recall": "Recall",
    "exact_match_ratio": "EMR",
    "average_precision": "AP",
}
MAX_GROUPS = 8
"""Groups of one kind that a table lists; of the sources, those with the most files."""


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
    offset = [Text(offset_text(result))] if offset_text(result) else []
    hidden = Text(
        f"Not observable in this window ({len(result.not_observable)}): "
        + " ".join(result.not_observable),
        style="dim",
    )
    short = [Text(short_text(result), style="dim")] if result.too_short else []
    return Group(head, body, *offset, *short, hidden, *_warnings(result))


def short_text(result: Identification) -> str:
    """Edges that begin in the window, too near to its ends."""
    edges = ", ".join(f"{e.element} {e.shell} {e.onset_ev:.0f} eV" for e in result.too_short)
    return f"Begin in this window, too near to its ends to be judged: {edges}"


def decision_rows(elements: Elements) -> Iterator[tuple[str, str]]:
    """(element, decision) of the present elements, then of the undetermined ones."""
    for decision in ("present", "undetermined"):
        for element in getattr(elements, decision):
            yield element, decision


def evidence_text(result: Identification, elements: Elements, element: str) -> str:
    """Edges of an element: where the fit found them and how surely, else their tabulated onsets."""
    found = [edge for edge in elements.evidence if edge.element == element]
    shells = (edge.edge.removeprefix(f"{element} ") for edge in found)
    fitted = (f"{s} {e.found_ev:.0f} eV z {e.z:.0f}" for s, e in zip(shells, found, strict=True))
    return ", ".join(fitted) or _edges(element, result.window_ev)


def note_text(elements: Elements, element: str) -> str:
    """What else may be behind the name of an element: contamination, another element."""
    notes = ["possible contamination"] if element in elements.contamination else []
    others = elements.alternatives.get(element, ())
    if others and element not in elements.groups:
        notes.append(f"could be {' or '.join(others)}")
    return "; ".join(notes)


def offset_text(result: Identification) -> str:
    """The calibration error of the axis, or nothing where no edge tells it.

    With several spectra it is the median of theirs.
    """
    if result.offset_ev is None:
        return ""
    error = f" ± {result.offset_error_ev:.1f}" if result.offset_error_ev is not None else ""
    return f"Energy axis: {result.offset_ev:+.1f}{error} eV off, by the edges of present elements"


def _one(result: Identification) -> RenderableType:
    elements = result.spectra[0]
    rows = list(decision_rows(elements))
    if not rows:
        return Text("No element reaches the thresholds.")
    edges = "Edges in the fit" if elements.evidence else "Edges in the window"
    table = Table("Element", "Probability", "Decision", edges, "Note")
    for element, decision in rows:
        table.add_row(
            elements.label(element),
            f"{elements.probabilities[element]:.3f}",
            decision,
            evidence_text(result, elements, element),
            note_text(elements, element),
            style="bold" if decision == "present" else "dim",
        )
    return table


def _several(result: Identification) -> Table:
    table = Table("Spectrum", "Present", "Undetermined")
    for number, elements in enumerate(result.spectra):
        table.add_row(
            str(number), _with_probabilities(elements, "present"), " ".join(elements.undetermined)
        )
    return table


def _with_probabilities(elements: Elements, decision: str) -> str:
    return "  ".join(
        f"{elements.label(e)} {elements.probabilities[e]:.2f}" for e in getattr(elements, decision)
    )


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
    """Scores by subset and by group of files, and what was missed or falsely found in each file."""
    threshold = evaluation.scores[0].threshold
    title = f"{evaluation.model}, threshold {threshold:.3f}"
    table = Table(title=title, box=box.SIMPLE, pad_edge=False)
    for name in ("Subset", "n", "Positives", *SCORE_COLUMNS.values()):
        numeric = name != "Subset"
        table.add_column(
            name, no_wrap=numeric, overflow="fold", justify="right" if numeric else "left"
        )
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
    return Group(table, note, *_breakdown(evaluation.breakdown), spectra)


def _breakdown(groups: Sequence[GroupScores]) -> Iterator[RenderableType]:
    """One line per group, a title where the next kind of groups begins; "Micro" is the micro F1."""
    if not groups:
        return
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("Group", overflow="fold")
    for name in ("n", "Pos.", "F1", "95 %", "Prec.", "Rec.", "Micro", "EMR"):
        table.add_column(name, no_wrap=True, justify="right")
    for by, members in groupby(groups, key=lambda group: group.by):
        table.add_row(by, style="bold")
        for number, group in enumerate(members):
            if number < MAX_GROUPS:
                table.add_row(*_group_row(group))
            elif number == MAX_GROUPS:
                table.add_row("  ...")
    yield table


def _group_row(group: GroupScores) -> tuple[str, ...]:
    part = group.scores
    head = (f"  {part.subset}", str(part.n), str(part.n_positive))
    exact = f"{part.exact_match_ratio:.2f}"
    if part.n_positive == 0:  # ratios of nothing are not zero
        return (*head, *"-----", exact)
    span = "{:.2f}..{:.2f}".format(*group.intervals["f1"])
    ratios = (f"{value:.2f}" for value in (part.precision, part.recall, part.micro_f1))
    return (*head, f"{part.f1:.2f}", span, *ratios, exact)
