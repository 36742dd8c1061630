"""Scores of the shipped network on measured files and on the simulated benchmark set.

    python -m coreloss.study.scores [--n 10240] [--seed 0] [--out FILE]

The benchmark set is made anew from its seed; its SHA-256 is stored beside the scores. Writes
book/results/scores.json.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from coreloss.datasets.evaluation import make_benchmark, score_benchmark, score_experimental
from coreloss.datasets.measured import MEASURED_SETS, NO_DATA, data_dir
from coreloss.identification.trained_model import load_model
from coreloss.study.results import Writer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=10_240, help="simulated spectra")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    folder, model, result = data_dir(), load_model(), Writer("scores", args.out)
    measured: dict[str, dict[str, Any]] = {}
    if folder is None:
        print(NO_DATA)
    else:
        measured = {
            name: score_experimental(folder, model=model, quality=quality, split=split).to_dict()
            for name, (quality, split) in MEASURED_SETS.items()
        }
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "benchmark.h5"
        about = {"n": args.n, "sha256": make_benchmark(path, n=args.n, seed=args.seed)}
        simulated = about | score_benchmark(path, model=model).to_dict()
    result.write({"measured": measured, "simulated": simulated})
    for name, found in [*measured.items(), ("simulated", simulated)]:
        first = found["scores"][0]
        f1, exact = first["f1"], first["exact_match_ratio"]
        print(f"{name}: n {first['n']}, F1 {f1:.3f}, EMR {exact:.3f}, ECE {found['ece']:.3f}")


if __name__ == "__main__":
    main()
