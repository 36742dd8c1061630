"""Materials: formula -> composition, three sources of formulas, splits that do not leak.

A spectrum is simulated for a real or plausible compound, so that the elements appear together as
they do in nature. Three sources give the same :class:`Materials` table:

- the embedded list (:mod:`coreloss.materials.compounds.generate` says how it is made),
- a CSV file with a column ``formula``, or one already parsed by :meth:`Materials.write`,
- the Materials Project, with a key (optional dependency ``mp-api``).

A parsed table carries every composition as text (``Ba1 Ti1 O3``), so that training reads it without
pymatgen. H, He, Li and the elements past Bi have no label; they keep their share of the atoms, so
the fractions of the labelled elements of ``LiF`` add up to 0.5.
"""

from __future__ import annotations

import csv
import gzip
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

from coreloss import shipped
from coreloss.edges import ELEMENT_INDEX, ELEMENTS
from coreloss.materials.formula import read_composition, reduce_formula
from coreloss.runtime.files import replacing


@dataclass(frozen=True, eq=False)
class Materials:
    """Distinct reduced formulas with the atomic fractions of their labelled elements.

    The fractions of material i are ``fractions[offsets[i]:offsets[i + 1]]`` for the element indices
    ``labels[offsets[i]:offsets[i + 1]]`` (positions in ``coreloss.edges.ELEMENTS``).
    """

    formulas: tuple[str, ...]
    compositions: tuple[str, ...]  # "Ba1 Ti1 O3", every element, labelled or not
    origins: tuple[str, ...]
    source: str
    offsets: np.ndarray  # (n + 1,) int64
    labels: np.ndarray  # (k,) int64
    fractions: np.ndarray  # (k,) float32

    def __len__(self) -> int:
        return len(self.formulas)

    def padded(self) -> tuple[np.ndarray, np.ndarray]:
        """Labels and fractions as (n, most elements) arrays, filled with -1 and 0."""
        counts = np.diff(self.offsets)
        rows = np.repeat(np.arange(len(self)), counts)
        columns = np.arange(len(self.labels)) - np.repeat(self.offsets[:-1], counts)
        labels = np.full((len(self), counts.max(initial=0)), -1, dtype=np.int64)
        fractions = np.zeros(labels.shape, dtype=np.float32)
        labels[rows, columns] = self.labels
        fractions[rows, columns] = self.fractions
        return labels, fractions

    def contains(self) -> np.ndarray:
        """Which element is in which material, (n, 80) bool."""
        present = np.zeros((len(self), len(ELEMENTS)), dtype=bool)
        present[np.repeat(np.arange(len(self)), np.diff(self.offsets)), self.labels] = True
        return present

    def write(self, path: str | Path) -> None:
        """Write the parsed table (formula, composition, origin), gzipped where it ends in .gz."""
        write_table(path, zip(self.formulas, self.compositions, self.origins, strict=True))


# --- sources ------------------------------------------------------------------------------------


def load_materials(source: str | Path = "embedded", *, api_key: str | None = None) -> Materials:
    """Materials from the embedded list, a CSV file or the Materials Project.

    ``source``: 'embedded', 'mp' (key in ``api_key`` or the environment variable MP_API_KEY), or the
    path of a .csv or .csv.gz file with a column ``formula``. A column ``composition`` beside it is
    read as it stands; without it pymatgen parses the formulas (about a minute for 100,000 rows).
    Materials without any of the 80 elements are left out, and equal reduced formulas are one.
    """
    if str(source) == "embedded":
        return _embedded_materials()
    if str(source) == "mp":
        formulas = fetch_materials_project(api_key=api_key)
        return make_materials(parse_formulas(formulas, origin="mp"), source="mp")
    path = Path(source)
    if not path.is_file():
        raise ValueError(f"materials: no file {str(path)!r}; use 'embedded', 'mp' or a .csv[.gz]")
    return make_materials(_read_rows(path.read_bytes(), path.name), source=str(path))


@cache
def _embedded_materials() -> Materials:
    """The embedded list is parsed once for all that ask for it, and nobody can change it."""
    made = make_materials(_read_rows(_embedded_table(), "compounds.csv.gz"), source="embedded")
    for values in (made.offsets, made.labels, made.fractions):
        values.flags.writeable = False
    return made


def make_materials(rows: Iterable[tuple[str, str, str]], *, source: str) -> Materials:
    """Materials from (reduced formula, composition text, origin) rows; see load_materials."""
    kept: dict[str, tuple[str, str]] = {}
    offsets = [0]
    labels: list[int] = []
    fractions: list[float] = []
    for formula, text, origin in rows:
        amounts = read_composition(text)
        labelled = {e: n for e, n in amounts.items() if e in ELEMENT_INDEX}
        if not labelled or formula in kept:
            continue
        total = sum(amounts.values())
        kept[formula] = (text, origin)
        labels.extend(ELEMENT_INDEX[element] for element in labelled)
        fractions.extend(amount / total for amount in labelled.values())
        offsets.append(len(labels))
    if not kept:
        raise ValueError(f"materials: {source} holds no material with one of the 80 elements")
    return Materials(
        formulas=tuple(kept),
        compositions=tuple(text for text, _ in kept.values()),
        origins=tuple(origin for _, origin in kept.values()),
        source=source,
        offsets=np.array(offsets, dtype=np.int64),
        labels=np.array(labels, dtype=np.int64),
        fractions=np.array(fractions, dtype=np.float32),
    )


@lru_cache(maxsize=1)  # of the table that was asked for last: training and its validation
def are_common(materials: Materials) -> np.ndarray:
    """Which materials are under microscopes most often, (n,) bool, whatever a list calls them.

    Pure elements, minerals, oxides and materials of devices, as the column ``common`` of the
    embedded list marks them.
    """
    known = _common_compositions()
    return np.array([_atomic_shares(text) in known for text in materials.compositions])


@cache
def _common_compositions() -> frozenset[frozenset[tuple[str, float]]]:
    rows = _records(_embedded_table(), "compounds.csv.gz")
    return frozenset(_atomic_shares(row["composition"]) for row in rows if row["common"])


def _atomic_shares(text: str) -> frozenset[tuple[str, float]]:
    amounts = read_composition(text)
    total = sum(amounts.values())
    return frozenset((element, round(n / total, 6)) for element, n in amounts.items())


def merge_materials(*tables: Materials) -> Materials:
    """One table of several; of equal reduced formulas the first keeps its row and its origin.

    >>> one, two = (make_materials([row], source=row[2]) for row in
    ...             (("TiO2", "Ti1 O2", "a"), ("TiO2", "Ti1 O2", "b")))
    >>> merged = merge_materials(one, two)
    >>> merged.formulas, merged.origins, merged.source
    (('TiO2',), ('a',), 'a + b')
    """
    if not tables:
        raise ValueError("materials: nothing to merge; give at least one table")
    rows = (
        row
        for table in tables
        for row in zip(table.formulas, table.compositions, table.origins, strict=True)
    )
    return make_materials(rows, source=" + ".join(table.source for table in tables))


def parse_formulas(formulas: Iterable[str], *, origin: str) -> list[tuple[str, str, str]]:
    """Rows of a parsed table from formulas; unreadable ones are an error that names them."""
    return [(*reduce_formula(formula), origin) for formula in formulas]


def fetch_materials_project(
    *, api_key: str | None = None, energy_above_hull_ev: float = 0.1, client=None
) -> list[str]:
    """Formulas of the Materials Project up to an energy above the hull [eV/atom].

    ``client`` is an open MPRester (or a stand-in); by default one is made from the key.
    """
    if client is None:
        client = _materials_project_client(api_key or os.environ.get("MP_API_KEY"))
    documents = client.materials.summary.search(
        energy_above_hull=(0, energy_above_hull_ev), fields=["formula_pretty"]
    )
    return sorted({document.formula_pretty for document in documents})


def _materials_project_client(api_key: str | None):
    if not api_key:
        raise ValueError(
            "Materials Project: no API key; pass api_key or set MP_API_KEY (free at "
            "https://materialsproject.org/api), or use the source 'embedded' or a CSV file"
        )
    try:
        from mp_api.client import MPRester
    except ImportError as error:
        raise ValueError(
            "Materials Project: the package mp-api is not installed; pip install 'coreloss[mp]'"
        ) from error
    return MPRester(api_key)


def _embedded_table() -> bytes:
    return shipped.contents("data/compounds.csv.gz")


def _read_rows(data: bytes, name: str) -> list[tuple[str, str, str]]:
    """Rows of a parsed table, or of a list of formulas that pymatgen parses."""
    rows = _records(data, name)
    if rows and "composition" not in rows[0]:
        return parse_formulas((row["formula"] for row in rows), origin=name)
    return [(row["formula"], row["composition"] or "", row.get("origin") or name) for row in rows]


def _records(data: bytes, name: str) -> list[dict[str, str]]:
    try:
        text = (gzip.decompress(data) if name.endswith(".gz") else data).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise ValueError(f"materials: {name} is not a readable CSV file ({error})") from error
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    reader = csv.DictReader(lines)
    fields = reader.fieldnames or []
    if "formula" not in fields:
        raise ValueError(f"materials: {name} has no column 'formula' in its first line: {fields}")
    return list(reader)


TABLE_COLUMNS = ("formula", "composition", "origin")


def write_table(
    path: str | Path,
    rows: Iterable[Sequence[str]],
    *,
    columns: Sequence[str] = TABLE_COLUMNS,
    header: str = "",
) -> None:
    """Write a parsed table; gzipped without a time stamp, so that equal tables are equal files."""
    text = io.StringIO()
    text.write(header)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    data = text.getvalue().encode()
    if str(path).endswith(".gz"):
        data = gzip.compress(data, compresslevel=9, mtime=0)
    with replacing(path) as temporary:
        temporary.write_bytes(data)


# --- splits and queries -------------------------------------------------------------------------
