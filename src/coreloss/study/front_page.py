"""What the first pages show: a measured spectrum with its elements, and the main table.

    python -m coreloss.study.front_page

Writes the generated parts of README.md, book/intro.md and book/data.md, which stand between
``<!-- name -->`` and ``<!-- /name -->``, from the stored results, and the picture. The measured
file and the list of sources need the measured files; without them these parts stay as they are.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from coreloss.datasets.manifest import manifest_path, read_manifest
from coreloss.datasets.measured import data_dir, load_record
from coreloss.figures.explore import Setting, draw_settings
from coreloss.identification.identify import identify
from coreloss.reports.markdown import table
from coreloss.runtime.files import replacing
from coreloss.runtime.provenance import CHECKOUT
from coreloss.study import results
from coreloss.study.identification.tables import PUBLISHED_SCORES

SHOWN_ID = "eelsdb_nomad_Ta2O5"
"""Of the files that chose nothing, under the Open Database License."""
PICTURE = CHECKOUT / "book" / "_static" / "answer.png"
PAGES = {
    "README.md": ("scores", "example"),
    "book/intro.md": ("scores",),
    "book/data.md": ("sources",),
}
SETS = {
    "A test": "measured, the half that chose nothing",
    "A": "measured, all of quality A",
    "AB": "measured, quality A and B",
}
KEYS = ("f1", "precision", "recall", "exact_match_ratio")


def scores_table() -> str:
    """Our scores, those of files that chose nothing first, and the published ones."""
    stored = results.read("scores")
    rows = [
        (name, one["scores"][0]["n"], *_scores(one["scores"][0], one["intervals"]))
        for part, name in SETS.items()
        for one in [stored["measured"][part]]
    ]
    simulated = stored["simulated"]
    everything, visible = simulated["scores"][:2]
    rows.append(("simulated, all", everything["n"], *_scores(everything, simulated["intervals"])))
    rows.append(("simulated, visible", visible["n"], *_scores(visible, {})))
    for name, *values in PUBLISHED_SCORES:
        numbers = ["–" if value is None else f"{value:.2f}" for value in values]
        rows.append((f"Annys et al., {name}, their spectra", "–", *numbers))
    return table(("", "n", "F1", "precision", "recall", "EMR"), rows)


def _scores(found: Mapping, intervals: Mapping) -> list[str]:
    texts = []
    for key in KEYS:
        text = f"{found[key]:.2f}"
        if key in intervals:  # may break: on a narrow screen all columns must have room
            low, high = intervals[key]
            text += f" ({low:.2f}–{high:.2f})"
        texts.append(text)
    return texts


def example(folder: Path) -> str:
    """What `coreloss identify` says of the shown file, as a block of text."""
    file = manifest_path(folder).parent / _shown(folder).file
    said = subprocess.run(
        [sys.executable, "-m", "coreloss.cli", "identify", file.name],
        cwd=file.parent, env=os.environ | {"COLUMNS": "80", "NO_COLOR": "1"},
        capture_output=True, text=True, encoding="utf-8", check=True,
    )  # fmt: skip
    return f"```text\n{said.stdout.strip()}\n```"


def sources_table(folder: Path) -> str:
    """Where the measured files come from and under which terms, a row for each source."""
    records = [record for record in read_manifest(folder) if record.kind != "low_loss"]
    count = Counter((record.source, record.license.split(" (")[0]) for record in records)
    rows = [(repo, n, terms) for (repo, terms), n in sorted(count.items())]
    return table(("source", "files", "terms"), rows)


def draw_picture(folder: Path):
    """New Figure: the shown file with its elements, and the likeliest of all."""
    record = _shown(folder)
    found = identify(load_record(record, folder))
    name = f"{record.material}, measured"
    return draw_settings([found], [Setting(name)])


def _shown(folder: Path):
    return next(record for record in read_manifest(folder) if record.id == SHOWN_ID)


def parts() -> dict[str, str]:
    """The generated parts that can be made here, by name."""
    folder = data_dir()
    made = {"scores": scores_table()}
    if folder is not None:
        made |= {"example": example(folder), "sources": sources_table(folder)}
    return made


def filled(page: str, made: Mapping[str, str]) -> str:
    """The text of a page with its generated parts replaced.

    >>> filled("<!-- scores -->\\nold\\n<!-- /scores -->", {"scores": "new"})
    '<!-- scores -->\\n\\nnew\\n\\n<!-- /scores -->'
    """
    for name, text in made.items():
        between = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        page = between.sub(rf"\1\n{_literal(text)}\n\n\2", page)
    return page


def _literal(text: str) -> str:
    """As the replacement of a regular expression."""
    return text.replace("\\", r"\\")


def main() -> None:
    """Write all pages, and the picture where there are measured files."""
    made = parts()
    for name in PAGES:
        path = CHECKOUT / name
        with replacing(path) as part:
            part.write_text(filled(path.read_text(encoding="utf-8"), made), encoding="utf-8")
    if (folder := data_dir()) is not None:
        with replacing(PICTURE) as part:
            draw_picture(folder).savefig(part, format="png", dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main()
