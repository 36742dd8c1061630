"""Work of ``coreloss identify`` around the identification: files in, tables and figures out."""

from __future__ import annotations

import csv
import errno
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from coreloss.runtime.files import replacing

CSV_COLUMNS = (
    "file", "spectrum", "element", "probability", "decision", "edge", "found_ev", "z",
    "contamination",
)  # fmt: skip


def expand(paths: Iterable[Path]) -> Iterator[Path]:
    """Files as given, and of each folder those whose suffix tells a readable format, sorted.

    A folder without any is passed on as it is: reading it says what is wrong.
    """
    from coreloss.spectra.formats import READERS, SHARED_BY_MANY, TEXT, is_hyperspy

    suffixes = {*READERS, *filter(None, TEXT), ".npz"}
    for path in paths:
        inside = sorted(path.rglob("*")) if path.is_dir() else []
        inside = [
            file
            for file in inside
            if file.suffix.lower() in suffixes
            and file.is_file()
            and file.name[0] != "."
            and (file.suffix.lower() not in SHARED_BY_MANY or is_hyperspy(file))
        ]
        yield from inside or [path]


def signal_of(text: str | None) -> int | str | None:
    """Number or title of a spectrum in a file, as `reading.read_spectrum` takes it.

    >>> signal_of("2"), signal_of("HAADF"), signal_of(None)
    (2, 'HAADF', None)
    """
    return int(text) if text is not None and text.isdecimal() else text


def check_targets(*targets: str | Path | None) -> None:
    """OSError before any work when a file cannot be written, ValueError when two share stdout."""
    named = [str(target) for target in targets if target is not None]
    if named.count("-") > 1:
        raise ValueError("standard output ('-') is asked for 2 outputs; allowed: one; name a file")
    for target in (name for name in named if name != "-"):
        if not target:
            raise FileNotFoundError(errno.ENOENT, "the name of the file to write is empty")
        if os.path.isdir(target):
            raise IsADirectoryError(errno.EISDIR, "is a folder; give the name of a file", target)
        folder = Path(target).resolve().parent
        while not folder.exists():
            folder = folder.parent
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, f"{folder} is not a folder", target)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, f"{folder} cannot be written to", target)


def check_figures(target: Path | None, scale: str) -> None:
    """ValueError before any work when scale or suffix are none of those that exist."""
    from coreloss.figures.spectrum import SCALES

    if scale not in SCALES:
        raise ValueError(f"scale is {scale!r}; allowed: {', '.join(SCALES)}")
    if target is None or not target.suffix:
        return
    from matplotlib.figure import Figure

    known = sorted(Figure().canvas.get_supported_filetypes())
    if target.suffix[1:].lower() not in known:
        raise ValueError(f"figure is {target.suffix!r}; allowed: {', '.join(known)}")


def with_progress(files: Sequence[Path]) -> Iterable[Path]:
    """The files, with a bar on standard error where that is a terminal and they are several."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    hidden = len(files) < 2 or not console.is_terminal
    return track(files, "Identifying", console=console, transient=True, disable=hidden)


def csv_rows(results: Iterable[Any]) -> Iterator[tuple]:
    """One row per file, spectrum and observable element, with its best edge where it was fitted."""
    from coreloss.identification.edge_fit import best_edges

    for result in results:
        for number, elements in enumerate(result.spectra):
            best = best_edges(elements.evidence)
            hidden = set(elements.not_observable)
            for element, p in elements.probabilities.items():
                if element in hidden:
                    continue
                decision = next(
                    (d for d in ("present", "undetermined") if element in getattr(elements, d)),
                    "alternative" if p >= result.absent_threshold else "absent",
                )
                edge = best.get(element)
                fit = ("", "", "")
                if edge is not None:
                    fit = (edge.edge.split()[-1], f"{edge.found_ev:.1f}", f"{edge.z:.2f}")
                suspect = "possible" if element in elements.contamination else ""
                file = result.spectrum.file or result.spectrum.title
                yield file, number, element, f"{p:.4f}", decision, *fit, suspect


def write_csv(results: Iterable[Any], target: str) -> None:
    """Table for spreadsheets and pandas; '-' is standard output."""
    if target == "-":
        _write_rows(sys.stdout, results)
        return
    with replacing(target) as path, path.open("w", newline="", encoding="utf-8") as stream:
        _write_rows(stream, results)


def _write_rows(stream, results: Iterable[Any]) -> None:
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    writer.writerows(csv_rows(results))


def write_report(results: Sequence[Any], target: Path, *, scale: str) -> None:
    """One self-contained HTML page."""
    from coreloss.reports.html import html_report

    page = html_report(results, scale=scale)
    with replacing(target) as path:
        path.write_text(page, encoding="utf-8")


def write_figure(results: Sequence[Any], target: Path, *, scale: str) -> None:
    """All about one spectrum, or one panel for each of several."""
    from coreloss.figures.identification import draw_identification
    from coreloss.figures.spectrum import draw_results

    alone = len(results) == 1 and len(results[0]) == 1
    figure = draw_identification(results[0], scale=scale) if alone else None
    figure = figure or draw_results(results, scale=scale)
    with replacing(target) as path:
        figure.savefig(path, format=target.suffix.lstrip(".").lower() or "png", dpi=150)
