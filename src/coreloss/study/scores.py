"""Scores of the shipped networks on measured files and on the simulated benchmark set.

    python -m coreloss.study.scores [--n 10240] [--seed 0] [--out FILE]

The benchmark set is made anew from its seed; its SHA-256 is stored beside the scores. Writes
book/results/scores.json: the default network, and ``networks`` with size and speed of each.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from coreloss.datasets.evaluation import (
    inputs_of,
    make_benchmark,
    score_benchmark,
    score_experimental,
)
from coreloss.datasets.measured import MEASURED_SETS, NO_DATA, data_dir
from coreloss.identification.trained_model import (
    DEFAULT_MODEL,
    Model,
    load_model,
    shipped_models,
)
from coreloss.simulation.simulator import Simulator
from coreloss.study.results import Writer

SPEED_SPECTRA = 256


def spectra_per_s(model: Model) -> float:
    """Simulated spectra of all kinds that a network answers in a second, on one thread."""
    inputs = inputs_of(Simulator.of_split("test").batch(0, SPEED_SPECTRA))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        model.probability(inputs)
        begun = time.perf_counter()
        model.probability(inputs)
        return SPEED_SPECTRA / (time.perf_counter() - begun)
    finally:
        torch.set_num_threads(threads)


def scores_of(model: Model, folder: Path | None, benchmark: Path) -> dict[str, Any]:
    """Size, speed, and scores on the measured sets and on the benchmark set."""
    measured: dict[str, dict[str, Any]] = {}
    if folder is not None:
        for name, (quality, split) in MEASURED_SETS.items():
            found = score_experimental(folder, model=model, quality=quality, split=split)
            measured[name] = found.to_dict()
    simulated = score_benchmark(benchmark, model=model).to_dict()
    for name, scored in [*measured.items(), ("simulated", simulated)]:
        first = scored["scores"][0]
        f1, exact = first["f1"], first["exact_match_ratio"]
        print(f"{model.name}, {name}: n {first['n']}, F1 {f1:.3f}, EMR {exact:.3f}", flush=True)
    speed = spectra_per_s(model)
    size = {"parameters": model.card["parameters"], "spectra_per_s": round(speed, 1)}
    return {**size, "measured": measured, "simulated": simulated}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=10_240, help="simulated spectra")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    folder, result = data_dir(), Writer("scores", args.out)
    if folder is None:
        print(NO_DATA)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "benchmark.h5"
        about = {"n": args.n, "sha256": make_benchmark(path, n=args.n, seed=args.seed)}
        networks = {name: scores_of(load_model(name), folder, path) for name in shipped_models()}
    default = networks[DEFAULT_MODEL]
    simulated = about | default["simulated"]
    result.write({"measured": default["measured"], "simulated": simulated, "networks": networks})


if __name__ == "__main__":
    main()
