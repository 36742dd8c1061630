"""The comparison of networks: trainings of all architectures and their scores.

    python tests/benchmarks/bench_networks.py train RUNS [--minutes 30] [--part 0/2] [--only NAME]
    python tests/benchmarks/bench_networks.py score RUNS

`train` goes through the list of `benchmark_networks.runs`; the same command goes on where it was.
Several processes share the work, each with its part. `--full` trains the networks of published size
on as many spectra as the paper, for a GPU; `--slot 9` stops after nine minutes, to be continued.
`score` scores what is finished, the ensembles and every snapshot, to book/results/networks.json.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from pathlib import Path

import numpy as np
import torch

from coreloss import benchmark_networks as networks
from coreloss.benchmark_confusion import confused_pairs, confusion, single_element_batch
from coreloss.datasets import data_dir
from coreloss.files import replacing
from coreloss.identify import load_model
from coreloss.train import LOG, train
from coreloss.train_export import provenance

RESULTS = Path(__file__).resolve().parents[2] / "book" / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=("train", "score"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=30.0, help="CPU minutes of each run")
    parser.add_argument("--materials", default="embedded")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--full", action="store_true", help="published sizes and spectra")
    parser.add_argument("--slot", type=float, help="stop after so many minutes")
    parser.add_argument("--part", default="0/1", help="this process of how many, such as 0/2")
    parser.add_argument("--only", nargs="+", help="names of runs")
    parser.add_argument("--ours", type=Path, nargs="*", default=[], help="more networks to score")
    parser.add_argument("--test", type=int, default=4096, help="simulated test spectra")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    {"train": train_all, "score": score_all}[args.task](args)


def train_all(args: argparse.Namespace) -> None:
    part, parts = map(int, args.part.split("/"))
    plan = networks.runs(
        full=args.full, cpu_minutes=args.minutes, materials=args.materials, device=args.device
    )
    chosen = [run for run in plan if not args.only or run.name in args.only]
    begun = time.monotonic()
    for run in chosen[part::parts]:
        folder = args.folder / run.name
        left = None if args.slot is None else 60 * args.slot - (time.monotonic() - begun)
        if (folder / "card.json").exists() or (left is not None and left < 10):
            continue
        print(run.name, flush=True)
        train(run.config, out_dir=folder, pause_after_s=left)


def score_all(args: argparse.Namespace) -> None:
    sets = networks.load_sets(n_test=args.test, n_validation=4096, directory=data_dir())
    single = single_element_batch(max(args.test // 128, 4), seed=0)
    folders = sorted(card.parent for card in args.folder.glob("*/card.json"))
    models, rows, curves = {}, [], {}
    for folder in [*folders, *args.ours]:
        models[folder.name] = model = networks.decided(load_model(str(folder)), sets.validation)
        rows.append(_row(model, sets, single) | _training(folder))
        curves[folder.name] = _log(folder / LOG)
        print(_line(rows[-1]), flush=True)
        for snapshot in sorted(folder.glob("snapshot-*.safetensors"), key=_spectra_of):
            rows.append(_snapshot(folder, snapshot, sets))
    for name, members in networks.ensembles(models).items():
        model = networks.ensemble(name, [models[m] for m in members], sets.validation)
        rows.append(_row(model, sets, single) | {"members": list(members)})
        print(_line(rows[-1]), flush=True)
    found = {
        "sets": {
            "test": len(sets.test),
            "validation": len(sets.validation),
            "single": len(single),
            **{f"measured_{quality}": len(m) for quality, m in sets.measured.items()},
        },
        "networks": rows,
        "curves": curves,
        "provenance": provenance("cpu"),
    }
    with replacing(args.out / "networks.json") as path:
        path.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _row(model, sets, single) -> dict:
    row = networks.score(model, sets)
    rates = confusion(model, single)
    row["confused_pairs"] = [vars(pair) for pair in confused_pairs(rates, 12)]
    row["confusion"] = np.round(rates, 3).tolist()
    return row


if __name__ == "__main__":
    main()
