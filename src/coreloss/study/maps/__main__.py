"""Maps and amounts: known superlattices, measured spectra, speed beside eXSpy and pyEELSMODEL.

    python -m coreloss.study.maps [--only doses thickness ...] [--out FILE]
    python -m coreloss.study.maps --speed | --million

The first writes book/results/maps.json; each part replaces its own entry, and entries made by other
code are dropped. The second writes speed.json or million.json; run it on a machine that does
nothing else.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from coreloss.datasets.measured import NO_DATA, data_dir
from coreloss.simulation.superlattice.settings import Superlattice
from coreloss.study.maps import measured as real
from coreloss.study.maps import superlattice
from coreloss.study.results import Writer

DOSES = (5e5, 2e6, 2e7, 2e8)
THICKNESSES_NM = (10.0, 100.0)
"""Beside the usual one, which is among the doses."""


def main() -> None:
    args = arguments().parse_args()
    alone = "speed" if args.speed else "million" if args.million else None
    if alone is not None:
        Writer(alone, args.out).write(ALONE[alone]())
        return
    result = Writer("maps", args.out)
    found = result.kept()
    for part in args.only or COMPUTED:
        if part not in COMPUTED:
            raise SystemExit(f"no part {part!r}; there are: {', '.join(COMPUTED)}")
        content = COMPUTED[part]()
        if content is not None:
            found[part] = content
            result.write(found)
            print(part, "done", flush=True)


def doses() -> list[dict[str, Any]]:
    return [
        row
        for dose in DOSES
        for seed in (1, 2)
        for row in superlattice.lattice_rows(Superlattice(electrons_per_pixel=dose), seed=seed)
    ]


def thickness() -> list[dict[str, Any]]:
    return [
        row
        for nm in THICKNESSES_NM
        for row in superlattice.lattice_rows(Superlattice(thickness_nm=nm), seed=1)
    ]


def wide() -> list[dict[str, Any]]:
    """With Sr L in the window."""
    return superlattice.lattice_rows(replace(Superlattice.wide(), map_shape=(13, 301)), seed=1)


def unnamed() -> list[dict[str, Any]]:
    """Every element with an edge in the window is fitted."""
    return superlattice.unnamed_rows(Superlattice(map_shape=(8, 301)), seed=1)


def measured() -> dict[str, Any] | None:
    directory = data_dir()
    if directory is None:
        print(NO_DATA)
        return None
    rows = [real.real_row(directory, known) for known in real.KNOWN]
    return {
        "ratios": rows,
        "line": real.line_profile(directory),
        "coarse": real.coarse_map(directory),
    }


COMPUTED = {
    "doses": doses,
    "thickness": thickness,
    "wide": wide,
    "unnamed": unnamed,
    "real": measured,
}
ALONE: dict[str, Callable[[], dict[str, Any]]] = {
    "speed": superlattice.speeds,
    "million": superlattice.streamed,
}


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="+", help=f"of {', '.join(COMPUTED)}")
    parser.add_argument("--speed", action="store_true", help="times beside other programs")
    parser.add_argument("--million", action="store_true", help="time and memory of an image")
    parser.add_argument("--out", type=Path)
    return parser


if __name__ == "__main__":
    main()
