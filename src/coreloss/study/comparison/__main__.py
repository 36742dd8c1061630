"""The comparison of networks: trainings of all architectures and their scores.

    python -m coreloss.study.comparison train RUNS [--minutes 30] [--part 0/2] [--only NAME]
    python -m coreloss.study.comparison score FOLDER...

`train` goes through the list of `scores.runs`, most important first; the same command goes on where
it was. Several processes share the work, each with its part. Without more, sizes are reduced and
each network gets `--minutes` of CPU time, at the lowest priority. `--full` trains the networks of
published size on as many spectra as the paper, for a GPU (`--device cuda`); `--slot 9` ends within
nine minutes, to be continued. Beside the weights of each lie its answers to the test spectra.
`score` scores what is finished, the shipped network, the ensembles and some snapshots, to
book/results/networks.json; it goes on with what it has written itself, by the same code. A FOLDER
holds runs, or is one: networks of full size that were trained elsewhere take their place among the
others, with the device, the spectra and the seconds of their training, whatever their folder is
called.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file

from coreloss.datasets.measured import data_dir
from coreloss.identification.trained_model import DEFAULT_MODEL, Model, load_model
from coreloss.networks.architectures import build
from coreloss.study.comparison import scores as networks
from coreloss.study.comparison.confusion import (
    confused_pairs,
    confusion,
    observable_rates,
    single_element_batch,
)
from coreloss.study.comparison.predictions import PREDICTIONS, write_predictions
from coreloss.study.comparison.tables import thresholds_table
from coreloss.study.results import Writer
from coreloss.training.log import read_log
from coreloss.training.loop import CARD, LOG, train

SNAPSHOT_SETS = ("simulated", "measured")
FINISH_S = 60.0
"""Kept at the end of a slot for the card and the predictions of the last network."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=("train", "score"))
    parser.add_argument("folder", type=Path, nargs="+", help="of runs; one to train")
    parser.add_argument("--minutes", type=float, default=30.0, help="CPU minutes of each run")
    parser.add_argument("--materials", default="embedded")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--full", action="store_true", help="published sizes and spectra")
    parser.add_argument("--slot", type=float, help="stop after so many minutes")
    parser.add_argument("--part", default="0/1", help="this process of how many, such as 0/2")
    parser.add_argument("--only", nargs="+", help="names of runs")
    parser.add_argument("--test", type=int, default=4096, help="simulated test spectra")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    {"train": train_all, "score": score_all}[args.task](args)


def train_all(args: argparse.Namespace) -> None:
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise SystemExit("one network at a time is for several processes: use coreloss train")
    if args.device == "cpu":
        os.nice(19)  # hours of work that can wait for everything else
    if len(args.folder) > 1:
        raise SystemExit(f"{len(args.folder)} folders to train in; give one")
    part, parts = map(int, args.part.split("/"))
    plan = networks.runs(
        full=args.full, cpu_minutes=args.minutes, materials=args.materials, device=args.device
    )
    if unknown := sorted(set(args.only or ()) - {run.name for run in plan}):
        raise SystemExit(
            f"no run {', '.join(unknown)}; there are: {', '.join(r.name for r in plan)}"
        )
    chosen = [run for run in plan if not args.only or run.name in args.only]
    end = math.inf if args.slot is None else time.monotonic() + 60 * args.slot - FINISH_S
    sets = cache(lambda: _sets(args))
    broken = []
    for run in chosen[part::parts]:
        folder, left = args.folder[0] / run.name, end - time.monotonic()
        if (folder / CARD).exists() and (folder / PREDICTIONS).exists():
            continue
        if left < 0:
            break
        print(run.name, flush=True)
        try:
            train(run.config, out_dir=folder, pause_after_s=None if args.slot is None else left)
        except ValueError as error:  # the others can do without this one
            print(error, file=sys.stderr, flush=True)
            broken.append(run.name)
        if (folder / CARD).exists() and not (folder / PREDICTIONS).exists():
            write_predictions(folder, sets(), device=args.device)
    if broken:
        raise SystemExit(f"not trained to the end: {', '.join(broken)}")


def _sets(args: argparse.Namespace) -> networks.Sets:
    return networks.load_sets(n_test=args.test, n_validation=args.test, directory=data_dir())


def score_all(args: argparse.Namespace) -> None:
    result = Writer("networks", args.out)
    sets = _sets(args)
    single = single_element_batch(max(args.test // 128, 4), seed=0)
    about = {
        "sets": {
            "test": len(sets.test),
            "validation": len(sets.validation),
            "single": len(single),
            **{f"measured_{quality}": len(m.records) for quality, m in sets.measured.items()},
        },
        "observable": np.round(observable_rates(single), 2).tolist(),
    }
    stored = result.kept()
    usable = stored.get("sets") == about["sets"]
    known = {row["model"]: row for row in stored["networks"]} if usable else {}
    old_snapshots = stored["snapshots"] if usable else []
    sources = _sources(args.folder)

    @cache
    def model_of(name: str) -> Model:
        model = replace(load_model(sources[name].model), name=name)
        return networks.decided(model, sets.validation)

    rows: dict[str, dict[str, Any]] = {}
    curves: dict[str, dict[str, Any]] = {}
    snapshots: list[dict[str, Any]] = []

    def write() -> None:
        result.write(
            about | {"networks": list(rows.values()), "snapshots": snapshots, "curves": curves}
        )

    for name, source in sources.items():
        training = _training(source)
        curves[name] = _columns(source.log)
        if all(known.get(name, {}).get(key) == value for key, value in training.items()):
            rows[name] = known[name]
            snapshots += [entry for entry in old_snapshots if entry["model"] == name]
            continue
        rows[name] = _row(model_of(name), sets, single) | training
        parts = _snapshots(source.log.parent)
        snapshots += [_snapshot(model_of(name), part, sets) for part in parts]
        write()
    for name, members in networks.ENSEMBLES.items():
        if not set(members) <= set(rows):
            continue
        if name in known and all(rows[member] is known.get(member) for member in members):
            rows[name] = known[name]
            continue
        model = networks.ensemble(name, [model_of(m) for m in members], sets.validation)
        rows[name] = _row(model, sets, single) | {"members": list(members)}
    write()
    for part in (f"measured_{quality}" for quality in sets.measured):
        print(f"\n{part}: F1 / EMR by origin of the threshold")
        print(thresholds_table(list(rows.values()), part), flush=True)


class NetworkFiles(NamedTuple):
    """Where a network is: what `trained_model.load_model` takes, and the files beside it."""

    model: str
    card: Path
    log: Path


def _sources(folders: Sequence[Path]) -> dict[str, NetworkFiles]:
    """Finished runs by name, and the shipped network."""
    found: dict[str, NetworkFiles] = {}
    for folder in folders:
        cards = [folder / CARD] if (folder / CARD).exists() else sorted(folder.glob(f"*/{CARD}"))
        if not cards:
            raise SystemExit(f"{folder}: no finished run in it; needed: a folder with {CARD}")
        for card in cards:
            name = _name_of(card)
            if name in found:
                raise SystemExit(f"{name} is in {found[name].card.parent} and in {card.parent}")
            found[name] = NetworkFiles(str(card.parent), card, card.parent / LOG)
    weights = Path(str(resources.files("coreloss") / "weights"))
    files = (weights / f"{DEFAULT_MODEL}{ending}" for ending in (".json", ".csv"))
    return found | {DEFAULT_MODEL: NetworkFiles(DEFAULT_MODEL, *files)}


def _name_of(card: Path) -> str:
    """That of the folder if the plan has it, else architecture and seed."""
    if card.parent.name in networks.names():
        return card.parent.name
    about = json.loads(card.read_text())
    return f"{about['architecture']} {about['training']['seed']}"


def _row(model, sets, single) -> dict:
    row = networks.score(model, sets)
    found = confusion(model, single)
    row["confused_pairs"] = [vars(pair) for pair in confused_pairs(found.rates, 12, nuisance=True)]
    row["confusion"] = np.round(found.rates, 3).tolist()
    row["confusion_shares"] = np.round(found.shares, 3).tolist()
    parts = ("simulated", "simulated_visible", "measured_A", "measured_AB")
    said = [f"{k} {row[k]['f1']:.3f}/{row[k]['exact_match_ratio']:.3f}" for k in parts if k in row]
    print(f"{model.name}: F1/EMR {', '.join(said)}", flush=True)
    return row


def _training(source: NetworkFiles) -> dict:
    """What the card and the log say about the training of a network, all of its stages."""
    card, last = json.loads(source.card.read_text()), read_log(source.log)[-1]
    training, minutes = card["training"], last["minutes"]
    spent = {"minutes": minutes, "seconds": round(60 * minutes, 1)}
    stages = training.get("stages", [{"spectra": last["spectra"]}])
    return {
        "architecture": card["architecture"],
        "config": card["config"],
        "spectra": int(sum(stage["spectra"] for stage in stages)),
        **({} if training["start"] else spent),
        "full_size": networks.is_full_size(card["architecture"], card["config"]),
        "device": card["provenance"]["device"],
        "started": bool(training["start"]),
        "recipe": training.get("loss", "masked_bce"),
        "seed": training["seed"],
        "commit": card["provenance"]["commit"],
        "note": card.get("note", ""),
    }


def _snapshot(model, path: Path, sets) -> dict:
    """Scores of the weights that a network had after fewer spectra."""
    network = build(model.network.config)
    network.load_state_dict(load_file(path))
    early = networks.decided(replace(model, network=network.eval()), sets.validation)
    found = networks.score(early, sets)
    keep = ("f1", "exact_match_ratio", "average_precision")
    scores = {k: {n: v[n] for n in keep} for k, v in found.items() if k.startswith(SNAPSHOT_SETS)}
    return {"model": model.name, "spectra": _spectra_of(path)} | scores


def _snapshots(folder: Path) -> list[Path]:
    """Those that are scored, see `scores.SCORED`."""
    kept = sorted(folder.glob("snapshot-*.safetensors"), key=_spectra_of)
    return [path for path in kept if _spectra_of(path) in networks.SCORED]


def _spectra_of(path: Path) -> int:
    return int(path.stem.removeprefix("snapshot-"))


def _columns(log: Path) -> dict[str, list[float]]:
    rows = read_log(log)
    return {name: [row[name] for row in rows] for name in rows[0]}


if __name__ == "__main__":
    main()
