"""Core-loss spectra of the EELS Data Base (eelsdb.eu), as a folder of files with a manifest.

The data base: P. Ewels, T. Sikora, V. Serin, C. P. Ewels and L. Lajaunie, Microsc. Microanal. 22
(2016) 717. Its spectra are under the Open Database License 1.0: name the contributor and the EELS
Data Base. ``index.json`` in the folder keeps what the API says about each record and the checksum
of each file; the manifest is made from it.
"""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from coreloss.datasets.eelsdb_client import Client, Unavailable
from coreloss.datasets.manifest import MANIFEST_FILE, described, sha256_of, write_manifest
from coreloss.datasets.records import edges_that_count
from coreloss.edges import ELEMENTS
from coreloss.materials.formula import composition
from coreloss.runtime.files import replacing
from coreloss.runtime.progress import told
from coreloss.spectra.reading import read_spectrum
from coreloss.spectra.spectrum import Spectrum

API_URL = "https://api.eelsdb.eu/spectra"
PER_PAGE, REPORT_EVERY = 50, 50
TYPES = ("coreloss", "all")
INDEX, FILES = "index.json", "files"
LICENSE = "ODbL 1.0 (EELS Data Base, eelsdb.eu: credit the contributor and the EELS Data Base)"
PAPER = "Ewels et al., Microsc. Microanal. 22 (2016) 717"
MIN_RAW_EV = 150.0
BACKGROUND_SHARE = 0.25
"""A spectrum that begins below this share of its maximum has had its background removed."""
NO_ELEMENT = "No"
"""What the data base says where a record names no element (it is no nobelium)."""


@dataclass(frozen=True)
class Fetched:
    """What a run did: the manifest, numbers of files, and how many records were left out why."""

    manifest: Path
    n_files: int
    n_downloaded: int
    skipped: dict[str, int] = field(default_factory=dict)

    def summary(self) -> str:
        """A few lines for a person."""
        head = f"{self.manifest}: {self.n_files} files, {self.n_downloaded} of them fetched now"
        return "\n".join([head, *(f"left out {n}: {why}" for why, n in self.skipped.items())])


def fetch_eelsdb(
    out_dir: str | Path,
    *,
    elements: Sequence[str] = (),
    spectrum_type: str = "coreloss",
    limit: int | None = None,
    api_url: str = API_URL,
    interval_s: float = 1.0,
    per_page: int = PER_PAGE,
) -> Fetched:
    """Fetch the core-loss spectra of the EELS Data Base that name any of the elements, or all.

    Requests follow each other by ``interval_s`` at least and are repeated when the server is busy.
    A file that is there with its checksum is not fetched again, so that the same command goes on
    after an interruption; records of earlier runs stay in the manifest. Records that are not core
    loss, name no element of the 80, or whose file cannot be read are left out and counted.

    Raises
    ------
    ValueError
        For an unknown element or type, and when the server cannot be reached (all files that came
        before are kept).
    """
    if unknown := sorted(set(elements) - set(ELEMENTS)):
        raise ValueError(f"elements {', '.join(unknown)} are not among the 80; write them as 'Ti'")
    if spectrum_type not in TYPES:
        raise ValueError(f"type is {spectrum_type!r}; allowed: {', '.join(TYPES)}")
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit} files; allowed: at least 1")
    folder, client = Path(out_dir), Client(interval_s=interval_s)
    index, n_downloaded = _read_index(folder), 0
    skipped: Counter[str] = Counter()
    rows: dict[str, dict[str, Any]] = {}
    query = {} if spectrum_type == "all" else {"type": spectrum_type}
    try:
        for entry in told(
            _entries(client, api_url, query, elements, per_page), "records", REPORT_EVERY
        ):
            try:
                labels = labels_of(entry)
                n_downloaded += _fetch_file(client, entry, folder, index, api_url)
                rows[_name(entry)] = manifest_row(index[_name(entry)], folder, labels)
            except Unusable as reason:
                skipped[str(reason)] += 1
            if limit is not None and len(rows) >= limit:
                break
    finally:
        rows |= _earlier_rows(index, folder, set(rows))
        if rows:
            ordered = sorted(rows, key=lambda name: (len(name), name))
            write_manifest(folder, [rows[name] for name in ordered])
    if not rows:
        reasons = "; ".join(f"{n} records: {why}" for why, n in skipped.items())
        raise ValueError(f"{api_url}: no usable spectrum ({reasons or 'no record'})")
    return Fetched(folder / MANIFEST_FILE, len(rows), n_downloaded, dict(skipped))


class Unusable(ValueError):
    """A record that cannot become a row of the manifest; the text says why, alike for all."""


def labels_of(entry: dict[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Elements of a record inside and outside the 80: as it lists them, else from its formula.

    >>> labels_of({"type": "Core Loss", "elements": ["Li", "F"]})
    (('F',), ('Li',))
    >>> labels_of({"type": "Core Loss", "elements": ["No"], "formula": "SrTiO3"})
    (('O', 'Ti', 'Sr'), ())
    """
    kind = str(entry.get("type") or "unknown")
    if re.sub(r"\W", "", kind).lower() != "coreloss":
        raise Unusable(f"type is {kind}")
    listed = entry.get("elements") or []
    if isinstance(listed, str):  # older answers hold a list inside a text
        listed = re.findall(r"[A-Z][a-z]?", listed)
    listed = [str(name).strip() for name in listed]
    found = _known(name for name in listed if name != NO_ELEMENT)
    found = found or _known_formula(str(entry.get("formula") or ""))
    inside = tuple(sorted(found & set(ELEMENTS), key=ELEMENTS.index))
    if not inside:
        raise Unusable("no element of the 80 in its metadata")
    return inside, tuple(sorted(found - set(ELEMENTS)))


def _known(symbols: Iterable[str]) -> set[str]:
    known = set()
    for symbol in symbols:
        known |= {symbol} if symbol in ELEMENTS else _known_formula(symbol)
    return known


def _known_formula(formula: str) -> set[str]:
    try:
        return set(composition(formula))
    except ValueError:
        return set()


def manifest_row(
    record: dict[str, Any], folder: Path, labels: tuple[tuple[str, ...], tuple[str, ...]]
) -> dict[str, Any]:
    """Row of the manifest for one record of the index; `Unusable` when its file cannot be read."""
    entry = record["entry"]
    try:
        spectrum = read_spectrum(folder / record["file"])
        row = described(spectrum)
    except ValueError:
        raise Unusable("unreadable file") from None
    inside, outside = labels
    window = float(row["usable_start_eV"]), float(row["usable_end_eV"])
    visible = {edge.element for edge in edges_that_count(window)} & set(inside)
    for column, key, unit in (
        ("beam_energy_keV", "beamenergy", "kV"),
        ("convergence_mrad", "convergence", "mrad"),
        ("collection_mrad", "collection", "mrad"),
    ):
        row[column] = row[column] or _with_unit(entry.get(key), unit)
    return row | {
        "id": f"eelsdb_{_name(entry)}",
        "file": record["file"],
        "source_repo": "eelsdb.eu",
        "source_path": entry.get("permalink", ""),
        "license": LICENSE,
        "material": html.unescape(str(entry.get("title") or "")),
        "elements_nominal": " ".join(inside),
        "elements_present_in_range": " ".join(e for e in inside if e in visible),
        "energy_offset_eV": 0,
        "quality": quality_of(spectrum),
        "edges_in_usable_range": " ".join(map(str, entry.get("edges") or ())),
        "out_of_vocabulary": " ".join(outside),
        "notes": " ".join(html.unescape(str(entry.get("description") or "")).split()),
        "how_known": "elements and formula as its contributor gave them; quality by rule",
        "sha256": record["sha256"],
        "author": _author(entry),
        "citation": citation_of(entry),
    }


def quality_of(spectrum: Spectrum) -> str:
    """Quality by rule, where nobody has looked: C processed, B narrower than 150 eV, else A.

    Processed is what has negative counts or begins low: a background falls from the first channel
    on.
    """
    counts = spectrum.sum().counts[0]
    counts = counts[np.isfinite(counts)]
    start = np.median(counts[: max(3, len(counts) // 20)])
    if counts.min() < 0 or start < BACKGROUND_SHARE * counts.max():
        return "C"
    return "A" if np.ptp(spectrum.energy_ev) >= MIN_RAW_EV else "B"


def citation_of(entry: dict[str, Any]) -> str:
    """Title, contributor, address and publication of a record, and the paper on the data base."""
    title = html.unescape(str(entry.get("title") or "untitled"))
    parts = [f"{title}, by {_author(entry)}, EELS Data Base", str(entry.get("permalink") or "")]
    reference = entry.get("reference") or {}
    if isinstance(reference, dict):
        names = ("authors", "title", "journal", "volume", "year", "page", "doi")
        reference = ", ".join(str(reference[name]) for name in names if reference.get(name))
    return "; ".join(filter(None, [*parts, html.unescape(str(reference)), PAPER]))


def _author(entry: dict[str, Any]) -> str:
    author = entry.get("author") or ""
    name = author.get("name") if isinstance(author, dict) else author
    return html.unescape(str(name or "unknown contributor")).strip()


def _with_unit(text: Any, unit: str) -> str:
    """The number of a text such as '100 kV', "" when it is not positive or has another unit."""
    found = re.fullmatch(rf"\s*(\d+(?:\.\d+)?)\s*{unit}\s*", str(text or ""))
    return found[1] if found and float(found[1]) > 0 else ""


def _entries(
    client: Client, api_url: str, query: dict[str, Any], elements: Sequence[str], per_page: int
) -> Iterator[dict[str, Any]]:
    """All records that match, each once, page by page; several elements are asked one by one."""
    seen = set()
    for chosen in [{"element": element} for element in elements] or [{}]:
        for entry in _paged(client, api_url, query | chosen, per_page):
            if entry["id"] not in seen:
                seen.add(entry["id"])
                yield entry


def _paged(
    client: Client, api_url: str, query: dict[str, Any], per_page: int
) -> Iterator[dict[str, Any]]:
    seen, page = set(), 1
    while True:
        found = client.records(api_url, query | {"per_page": per_page, "page": page})
        fresh = [entry for entry in found if entry["id"] not in seen]
        if found and not fresh:  # the server repeats itself: it knows no pages, so ask for all
            found = client.records(api_url, query | {"per_page": -1})
            yield from (entry for entry in found if entry["id"] not in seen)
            return
        if not found:
            return
        seen |= {entry["id"] for entry in fresh}
        yield from fresh
        page += 1


def _fetch_file(
    client: Client, entry: dict[str, Any], folder: Path, index: dict[str, Any], api_url: str
) -> bool:
    """Have the file of a record in the folder and in the index; whether it was fetched now."""
    link, identifier = str(entry.get("download_link") or ""), _name(entry)
    if not _same_site(link, api_url):
        raise Unusable("no file at eelsdb.eu")
    known = index.get(identifier)
    if known and known["entry"].get("download_link") == link:
        path = folder / known["file"]
        if path.is_file() and sha256_of(path) == known["sha256"]:
            index[identifier] = known | {"entry": entry}
            return False
    suffix = Path(urlsplit(link).path).suffix.lower()
    name = f"{FILES}/{identifier}{suffix if re.fullmatch(r'[.][a-z0-9]+', suffix) else ''}"
    try:
        with replacing(folder / name) as temporary:
            client.download(link, temporary)
    except Unavailable as reason:
        raise Unusable(str(reason)) from None
    index[identifier] = {"entry": entry, "file": name, "sha256": sha256_of(folder / name)}
    with replacing(folder / INDEX) as temporary:
        temporary.write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    return True


def _same_site(link: str, api_url: str) -> bool:
    parts, site = urlsplit(link), (urlsplit(api_url).hostname or "").removeprefix("api.")
    host = parts.hostname or ""
    return parts.scheme in ("http", "https") and (host == site or host.endswith(f".{site}"))


def _read_index(folder: Path) -> dict[str, Any]:
    path = folder / INDEX
    if not path.exists():
        return {}
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        _ = [(record["entry"]["id"], record["file"], record["sha256"]) for record in index.values()]
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ValueError(f"{path}: damaged index; delete it to fetch the files again") from None
    return index


def _earlier_rows(index: dict[str, Any], folder: Path, done: set[str]) -> dict[str, dict[str, Any]]:
    """Rows of the records in the index that this run did not come to, where the file is right."""
    rows = {}
    for identifier, record in index.items():
        path = folder / record["file"]
        if identifier in done or not path.is_file() or sha256_of(path) != record["sha256"]:
            continue
        try:
            rows[identifier] = manifest_row(record, folder, labels_of(record["entry"]))
        except Unusable:
            continue
    return rows


def _name(entry: dict[str, Any]) -> str:
    """Number of a record, as it stands in names of files and in the index."""
    return re.sub(r"\W", "_", str(entry["id"]))
