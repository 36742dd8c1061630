"""GOS files of others: fetched, checked, summed up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from coreloss.edges import SHELLS
from coreloss.physics.gos_table import BUILTIN_GOSH, GosTable, read_gosh

CHECK_ENERGY_EV = 200.0


WHOLE_SHELL_TOLERANCE = 0.2


PUBLISHED_TABLES = {  # name: address and md5
    "dft": (
        "https://zenodo.org/records/7645765/files/Segger_Guzzinati_Kohl_1.5.0.gosh",
        "7fee8891c147a4f769668403b54c529b",
    ),
    "dirac": (
        "https://zenodo.org/records/12800856/files/Dirac_GOS_compact.gosh",
        "01a855d3750d2c063955248358dbee8d",
    ),
}


@dataclass(frozen=True)
class GosInfo:
    """Summary of a `.gosh` file; ``ratio_to_builtin`` is the median over the shared shells."""

    path: str
    name: str
    n_tables: int
    n_measured: int
    elements: tuple[str, ...]
    shells: tuple[str, ...]
    q_per_angstrom: tuple[float, float]
    free_energy_ev: tuple[float, float]
    ratio_to_builtin: float | None
    whole_shell: bool | None

    def __str__(self) -> str:
        ratio = "no shell shared with the built-in table"
        if self.ratio_to_builtin is not None:
            kind = "whole-shell tables" if self.whole_shell else "NOT whole-shell tables"
            ratio = f"{self.ratio_to_builtin:.3f} x the built-in df/dE at +200 eV: {kind}"
        return "\n".join(
            [
                f"{self.path}: {self.name}",
                f"  {self.n_tables} shells of {len(self.elements)} elements, "
                f"{self.n_measured} with a measured variant; {' '.join(self.shells)}",
                "  q {:.3g} to {:.3g} 1/Angstrom".format(*self.q_per_angstrom)
                + ", free energies {:.3g} to {:.4g} eV".format(*self.free_energy_ev),
                f"  {ratio}",
            ]
        )


def gos_info(path: str | Path | None = None) -> GosInfo:
    """Summary of a `.gosh` file (None: the shipped one), with the whole-shell check.

    The check compares df/dE at the smallest momentum transfer and 200 eV above the onset with the
    built-in tables: a ratio near 1 means tables of whole shells, 1.5 or 0.67 those of subshells.
    """
    import h5py

    path = BUILTIN_GOSH if path is None else Path(path)
    tables = read_gosh(path)
    if not tables:
        raise ValueError(f"GOS file {path} holds no shell that this program knows")
    with h5py.File(path, "r") as file:
        name = str(file["metadata"].attrs.get("name", "unnamed"))
    builtin = read_gosh()
    ratios = [
        optical_strength_per_ev(table, CHECK_ENERGY_EV)
        / optical_strength_per_ev(known, CHECK_ENERGY_EV)
        for key, table in tables.items()
        if (known := builtin.get(key)) and table.free_energy_ev[-1] >= CHECK_ENERGY_EV
    ]
    ratio = float(np.median(ratios)) if ratios else None
    held = {shell for _, shell in tables}
    return GosInfo(
        path=str(path),
        name=name,
        n_tables=len(tables),
        n_measured=sum(table.measured is not None for table in tables.values()),
        elements=tuple(dict.fromkeys(element for element, _ in tables)),
        shells=tuple(shell for shell in SHELLS if shell in held),
        q_per_angstrom=_span(tables, "q_per_angstrom"),
        free_energy_ev=_span(tables, "free_energy_ev"),
        ratio_to_builtin=ratio,
        whole_shell=None if ratio is None else abs(ratio - 1) < WHOLE_SHELL_TOLERANCE,
    )


def optical_strength_per_ev(table: GosTable, free_energy_ev: float) -> float:
    """df/dE [1/eV] of a table at its smallest momentum transfer, linear in energy."""
    return float(np.interp(free_energy_ev, table.free_energy_ev, table.gos_per_ev[0]))


def _span(tables: dict[tuple[str, str], GosTable], field: str) -> tuple[float, float]:
    arrays = [getattr(table, field) for table in tables.values()]
    return float(min(a[0] for a in arrays)), float(max(a[-1] for a in arrays))


def fetch_published(name: str, folder: str | Path | None = None) -> Path:
    """Download a published table and return its path; it is kept and checked by its md5.

    ``name``: 'dft' (Segger, Guzzinati and Kohl 1.5.0) or 'dirac' (Zhang et al., compact);
    ``folder``: where to keep it, by default the cache of the operating system.
    """
    import pooch

    if name not in PUBLISHED_TABLES:
        raise ValueError(
            f"published GOS table {name!r} is unknown; choose one of {sorted(PUBLISHED_TABLES)}"
        )
    url, md5 = PUBLISHED_TABLES[name]
    folder = Path(folder) if folder else pooch.os_cache("coreloss")
    try:
        found = pooch.retrieve(url, f"md5:{md5}", fname=url.rsplit("/", 1)[1], path=folder)
    except (OSError, ValueError) as error:
        offline = isinstance(error, OSError)
        reason = "no connection" if offline else str(error).splitlines()[0]
        raise ValueError(
            f"cannot download {url} ({reason}); fetch it by hand, put it into {folder} "
            f"(md5 {md5}), or use the built-in tables"
        ) from None
    return Path(found)
