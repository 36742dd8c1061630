"""The gate for the published procedure, the defaults, and the defaults without each ingredient.

"simulated" puts simulated spectra of the defaults in the place of the measured ones: what the
numbers are when the simulator is right.

python -m coreloss.study.gate [--n 512] [--seed 0] [--only paper default ...] [--out FILE]

Writes book/results/gate.json after every settings value; reports of the same code, n and seed that
are there already and not asked for stay.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from coreloss.datasets.measured import NO_DATA, data_dir
from coreloss.simulation.settings import INGREDIENTS, SimulationSettings
from coreloss.study.gate.gate import gate, summary
from coreloss.study.gate.pools import read_measured, stand_ins
from coreloss.study.results import Writer

WITH_FILES = ("paper", "default")
"""Only these reports keep their list of files."""
CONTROL = "simulated"


def named_settings() -> dict[str, SimulationSettings]:
    """The settings to compare, by name."""
    default = SimulationSettings()
    without = {f"without {name}": default.without(name) for name in INGREDIENTS}
    return {"paper": SimulationSettings.paper(), "default": default, CONTROL: default, **without}


def chosen(names: list[str] | None) -> dict[str, SimulationSettings]:
    """The named settings, or all of them; unknown names stop."""
    known = named_settings()
    unknown = set(names or ()) - set(known)
    if unknown:
        sys.exit(f"no settings named {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    return {name: known[name] for name in names or known}


def kept(reports: dict[str, dict], *, n: int, seed: int) -> dict[str, dict]:
    """Those of the reports of an earlier run that have the same n and seed."""
    return {k: v for k, v in reports.items() if (v["n"], v["seed"]) == (n, seed)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=512, help="simulated spectra per file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", help="names such as paper, default")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    settings, folder = chosen(args.only), data_dir()
    if folder is None:
        sys.exit(NO_DATA)
    measured = read_measured(folder)
    result = Writer("gate", args.out)
    reports = kept(result.kept().get("reports", {}), n=args.n, seed=args.seed)
    for name, value in settings.items():
        start = time.perf_counter()
        seen = measured
        if name == CONTROL:
            seen = stand_ins(measured, value, seed=args.seed + 1)
        report = gate(seen, value, n=args.n, seed=args.seed).to_dict()
        report["seconds"] = round(time.perf_counter() - start, 1)
        row = "  ".join(f"{key} {number:.2g}" for key, number in summary(report).items())
        print(f"{name} ({report['seconds']:.0f} s): {row}", flush=True)
        reports[name] = report if name in WITH_FILES else {**report, "files": []}
        ordered = {key: reports[key] for key in named_settings() if key in reports}
        result.write({"reports": ordered})


if __name__ == "__main__":
    main()
