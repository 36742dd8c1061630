"""Maps and amounts: known superlattices, measured spectra, speed beside eXSpy and pyEELSMODEL.

    python tests/benchmarks/bench_maps.py [--only doses thickness ...] [--out FILE]

Each part replaces its own entry of the results file. Run the part `speed` on a machine that does
nothing else.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from coreloss import benchmark_maps as bench
from coreloss import benchmark_real as real
from coreloss.datasets import NO_DATA, data_dir
from coreloss.files import replacing
from coreloss.superlattice import Superlattice
from coreloss.train_export import provenance

RESULTS = Path(__file__).resolve().parents[2] / "book" / "results" / "maps.json"
DOSES = (5e5, 2e6, 2e7, 2e8)
THICKNESSES_NM = (10.0, 100.0)
"""Beside the usual one, which is among the doses."""


def main() -> None:
    args = arguments().parse_args()
    found: dict[str, Any] = json.loads(args.out.read_text()) if args.out.exists() else {}
    for part in args.only:
        content = PARTS[part]()
        if content is None:
            continue
        found[part] = {"rows": content, "provenance": provenance("cpu")}
        with replacing(args.out) as path:
            path.write_text(json.dumps(found, indent=1) + "\n")
        print(part, "done", flush=True)


def doses() -> list[dict[str, Any]]:
    return [
        row
        for dose in DOSES
        for seed in (1, 2)
        for row in bench.lattice_rows(Superlattice(electrons_per_pixel=dose), seed=seed)
    ]


def thickness() -> list[dict[str, Any]]:
    return [
        row
        for nm in THICKNESSES_NM
        for row in bench.lattice_rows(Superlattice(thickness_nm=nm), seed=1)
    ]


def wide() -> list[dict[str, Any]]:
    """With Sr L in the window."""
    return bench.lattice_rows(replace(Superlattice.wide(), map_shape=(13, 301)), seed=1)


def unnamed() -> list[dict[str, Any]]:
    """Every element with an edge in the window is fitted."""
    return bench.unnamed_rows(Superlattice(map_shape=(8, 301)), seed=1)


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


PARTS = {
    "doses": doses,
    "thickness": thickness,
    "wide": wide,
    "unnamed": unnamed,
    "real": measured,
    "speed": bench.speeds,
    "million": bench.streamed,
}


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser


if __name__ == "__main__":
    main()
