"""One self-contained page about identified files: nothing is loaded from elsewhere.

The same results give the same bytes: figures carry neither dates nor random names.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from importlib.metadata import version

from coreloss.identification.edge_fit import best_edges
from coreloss.identification.identify import Elements, Identification
from coreloss.reports.terminal import (
    decision_rows,
    evidence_text,
    note_text,
    offset_text,
    short_text,
)

MOST_SECTIONS = 20
"""Spectra of one file that get figure and table; the summary has them all, up to..."""
MOST_ROWS = 500
"""... so many rows."""

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #fff; --line: #c8c8c8; --soft: #f3f5f7;
  --accent: #005a9c; --warn: #8a4b00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e6; --paper: #15181c; --line: #454b52;
  --soft: #20252b; --accent: #7cc0f5; --warn: #ffc070; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2, h3 { line-height: 1.25; overflow-wrap: anywhere; }
a { color: var(--accent); }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; font-size: 0.92rem; }
caption { text-align: left; font-weight: 600; padding-bottom: 0.3rem; }
th, td { border-bottom: 1px solid var(--line); padding: 0.3rem 0.6rem; text-align: left;
  vertical-align: top; overflow-wrap: anywhere; }
thead th { background: var(--soft); white-space: nowrap; }
tbody th { font-weight: normal; min-width: 6rem; }
li { overflow-wrap: anywhere; }
@media (max-width: 45rem) { table { display: block; overflow-x: auto; } }
tr.present th { font-weight: 600; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
tr.undetermined { font-style: italic; }
.line { white-space: nowrap; }
img { max-width: 100%; height: auto; background: #fff; }
.warning { color: var(--warn); }
.small { font-size: 0.85rem; }
@media print { :root { --ink: #000; --paper: #fff; --line: #999; --soft: #eee; --accent: #000;
  --warn: #000; } body { max-width: none; margin: 0; } section { break-before: page; }
  tr, figure { break-inside: avoid; } }
"""

_CAPTION = (
    "Top: the spectrum with the tabulated onsets of present (solid) and of the likeliest "
    "undetermined elements (dashed). Zooms: the best edge of each of those present elements for "
    "which it is weakest, where the fit finds it (solid) and where it is tabulated (dotted). "
    "Bottom: probability of every element; framed: present, grey: not observable."
)


def html_report(results: Iterable[Identification], *, scale: str = "log") -> str:
    """The page as text: a summary over all files, then figure and elements of each.

    ``scale`` is that of the counts in the figures, see `identification.draw_identification`.
    """
    results = tuple(results)
    if not results:
        raise ValueError("a report on 0 results was asked for; allowed: one or more")
    sections = "\n".join(_section(n, result, scale) for n, result in enumerate(results, start=1))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Elements in core-loss spectra</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>Elements in core-loss spectra</h1>
{_models(results)}
{_summary(results)}
{sections}
</main>
</body>
</html>
"""


def _models(results: Sequence[Identification]) -> str:
    """Each network with its thresholds once, and how to read the decisions."""
    used = dict.fromkeys((r.model, r.fingerprint, r.threshold, r.absent_threshold) for r in results)
    lines = "".join(
        f"<li>{escape(name)} (fingerprint {fingerprint or 'unknown'}): present from a probability "
        f"of {present:.3f}, absent below {absent:.3f}, undetermined between them</li>"
        for name, fingerprint, present, absent in used
    )
    return (
        f"<p>coreloss {escape(version('coreloss'))}; networks and thresholds:</p>\n"
        f"<ul>{lines}</ul>\n<p class=small>z is the significance of an edge in a fit, in standard "
        "deviations. An element that is <em>not observable</em> has no identifying edge inside the "
        "window: the spectrum says nothing about it.</p>"
    )


def _summary(results: Sequence[Identification]) -> str:
    rows = [
        (
            f'<a href="#file-{n}">{escape(result.name)}</a>'
            + (f" ({number + 1} of {len(result)})" if len(result) > 1 else ""),
            _span(result.window_ev),
            "<br>".join(_line(_supported(elements, e)) for e in elements.present) or "none",
            escape(_listed(elements, elements.undetermined)),
            str(len(elements.warnings) or ""),
        )
        for n, result in enumerate(results, start=1)
        for number, elements in enumerate(result.spectra)
    ]
    head = ("File", "Window (eV)", "Present", "Undetermined", "Warnings")
    hidden = len(rows) - MOST_ROWS
    note = f"<p>{hidden} more spectra are not listed.</p>" if hidden > 0 else ""
    return _table("Summary", head, ((row, "") for row in rows[:MOST_ROWS]), numeric=()) + note


def _section(number: int, result: Identification, scale: str) -> str:
    spectra = result.spectra
    parts = [f'<section id="file-{number}">', f"<h2>{escape(result.name)}</h2>"]
    facts = [f"Title: {result.spectrum.title}"] if result.spectrum.title else []
    facts += [f"File: {result.spectrum.file}"] if result.spectrum.file else []
    facts += [f"Energies: {_span(result.cut_ev)} eV, used: {_span(result.window_ev)} eV"]
    facts += [offset_text(result)] if offset_text(result) else []
    facts += [short_text(result)] if result.too_short else []
    parts += ["<ul>", *(f"<li>{escape(fact)}</li>" for fact in facts), "</ul>"]
    for row, elements in enumerate(spectra[:MOST_SECTIONS]):
        if len(spectra) > 1:
            parts.append(f"<h3>Spectrum {row + 1} of {len(spectra)}</h3>")
        parts += [_figure(result, row, elements, scale), _elements(result, elements)]
        if elements.warnings:
            items = "".join(f"<li>{escape(text)}</li>" for text in elements.warnings)
            parts.append(f'<p class="warning">Warnings:</p><ul class="warning">{items}</ul>')
    if len(spectra) > MOST_SECTIONS:
        parts.append(f"<p>Shown are {MOST_SECTIONS} of {len(spectra)} spectra.</p>")
    hidden = " ".join(result.not_observable) or "none"
    parts.append(f"<p class=small>Not observable ({len(result.not_observable)}): {hidden}</p>")
    return "\n".join([*parts, "</section>"])


def _elements(result: Identification, elements: Elements) -> str:
    """Present elements in one table, undetermined ones in the same below them."""
    rows = [
        (
            (
                elements.label(element),
                f"{elements.probabilities[element]:.3f}",
                decision,
                escape(evidence_text(result, elements, element)),
                escape(note_text(elements, element)),
            ),
            decision,
        )
        for element, decision in decision_rows(elements)
    ]
    if not rows:
        return "<p>No element reaches the thresholds.</p>"
    head = ("Element", "Probability", "Decision", "Edges", "Note")
    return _table("Elements", head, rows, numeric=(1,))


def _table(
    caption: str, head: Sequence[str], rows: Iterable[tuple[Sequence[str], str]], *, numeric
) -> str:
    """Cells are HTML already; each row comes with its class. The first cell heads its row."""

    def lines() -> Iterator[str]:
        for cells, kind in rows:
            first, *others = cells
            body = "".join(
                f'<td class="number">{cell}</td>' if i in numeric else f"<td>{cell}</td>"
                for i, cell in enumerate(others, start=1)
            )
            opening = f'<tr class="{kind}">' if kind else "<tr>"
            yield f'{opening}<th scope="row">{first}</th>{body}</tr>'

    columns = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    return (
        f"<table>\n<caption>{escape(caption)}</caption>\n<thead><tr>{columns}</tr></thead>\n<tbody>"
        + "\n".join(lines())
        + "</tbody>\n</table>"
    )


def _figure(result: Identification, row: int, elements: Elements, scale: str) -> str:
    """An SVG inside the page; as an image of its own, its names and styles stay apart."""
    import matplotlib as mpl

    from coreloss.figures.identification import draw_identification

    stream = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "coreloss", "svg.fonttype": "path"}):
        figure = draw_identification(result, row=row, scale=scale)
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    data = base64.b64encode(stream.getvalue()).decode("ascii")
    found = ", ".join(elements.label(e) for e in elements.present) or "none"
    alt = (
        f"Spectrum from {_span(result.window_ev)} eV with the onsets of its elements, zooms into "
        f"the weakest edges, and a periodic table of probabilities. Present: {found}."
    )
    return (
        f'<figure><img src="data:image/svg+xml;base64,{data}" alt="{escape(alt)}">'
        f"<figcaption class=small>{_CAPTION}</figcaption></figure>"
    )


def _span(limits_ev: tuple[float, float]) -> str:
    return f"{limits_ev[0]:g} to {limits_ev[1]:g}"


def _supported(elements: Elements, element: str) -> str:
    """An element with its probability and its best edge."""
    text = f"{elements.label(element)} {elements.probabilities[element]:.2f}"
    best = best_edges(elements.evidence).get(element)
    if best is None:
        return text
    return f"{text}: {best.edge.split()[-1]} {best.found_ev:.0f} eV z {best.z:.0f}"


def _line(text: str) -> str:
    """Text that stays in one line."""
    return f'<span class="line">{escape(text)}</span>'


def _listed(elements: Elements, names: Sequence[str]) -> str:
    return ", ".join(f"{e} {elements.probabilities[e]:.2f}" for e in names)
