"""The comparison of networks: trainings of all architectures and their scores.

    python -m coreloss.study.comparison train RUNS [--minutes 45] [--part 0/2] [--only NAME]
    python -m coreloss.study.comparison rates RUNS --only NAME [--spectra 16384]
    python -m coreloss.study.comparison heads RUNS --only NAME [--spectra 16384]
    python -m coreloss.study.comparison answer FOLDER...
    python -m coreloss.study.comparison score FOLDER...

`train` goes through the list of `plan.runs`, most important first; the same command goes on where
it was. Several processes share the work, each with its part. Without more, sizes are reduced and
each network gets `--minutes` of CPU time, at the lowest priority. `--full` trains the networks of
published size on as many spectra as the paper, for a GPU (`--device cuda`); `--slot 9` ends within
nine minutes, to be continued. `rates` and `heads` compare learning rates and heads on short runs.
`answer` asks every network about the test spectra and keeps what it says beside its card: enough to
score it where its weights are too large to bring back (`train` does the same).
`score` scores what has answered or can be asked, the shipped network, and the ensembles, to
book/results/networks.json. A FOLDER holds runs, or is one: networks of full size that were trained
elsewhere take their place among the others, with the device, the spectra and the seconds of their
training, whatever their folder is called. What was scored before on the same spectra stays.
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

from coreloss.datasets.measured import data_dir
from coreloss.identification.trained_model import DEFAULT_MODEL, load_model
from coreloss.networks.architectures import architecture_of
from coreloss.runtime.provenance import provenance
from coreloss.simulation.stream import simulator_fingerprint
from coreloss.study.comparison import plan
from coreloss.study.comparison.answers import (
    ANSWERS,
    Answers,
    Sets,
    answers_of,
    load_sets,
    read_answers,
    together,
    write_answers,
)
from coreloss.study.comparison.confusion import observable_rates
from coreloss.study.comparison.scores import confused, score
from coreloss.study.comparison.tables import thresholds_table
from coreloss.study.results import Writer
from coreloss.training.log import read_log
from coreloss.training.loop import CARD, LOG, train
from coreloss.training.search import LEARNING_RATE, choices_file, search_learning_rate, short_runs

FINISH_S = 60.0
"""Kept at the end of a slot for the card and the answers of the last network."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=("train", "rates", "heads", "answer", "score"))
    parser.add_argument("folder", type=Path, nargs="+", help="of runs; one to train")
    parser.add_argument("--minutes", type=float, default=45.0, help="CPU minutes of each run")
    parser.add_argument("--materials", default="embedded")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--full", action="store_true", help="published sizes and spectra")
    parser.add_argument("--slot", type=float, help="stop after so many minutes")
    parser.add_argument("--part", default="0/1", help="this process of how many, such as 0/2")
    parser.add_argument("--only", nargs="+", help="names of runs")
    parser.add_argument("--spectra", type=int, default=16_384, help="of each short run")
    parser.add_argument("--test", type=int, default=2048, help="simulated test spectra")
    parser.add_argument("--single", type=int, default=100, help="spectra of each element alone")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    tasks = {"train": train_all, "rates": rate_all, "heads": head_all}
    tasks |= {"answer": answer_all, "score": score_all}
    try:
        tasks[args.task](args)
    except ValueError as error:
        raise SystemExit(str(error)) from None


def train_all(args: argparse.Namespace) -> None:
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise SystemExit("one network at a time is for several processes: use coreloss train")
    part, parts = map(int, args.part.split("/"))
    end = math.inf if args.slot is None else time.monotonic() + 60 * args.slot - FINISH_S
    sets = cache(lambda: _sets(args))
    broken = []
    for run in _chosen(args)[part::parts]:
        folder, left = args.folder[0] / run.name, end - time.monotonic()
        if (folder / CARD).exists() and (folder / ANSWERS).exists():
            continue
        if left < 0:
            break
        print(run.name, flush=True)
        (folder / ANSWERS).unlink(missing_ok=True)  # of an earlier training
        try:
            train(run.config, out_dir=folder, pause_after_s=None if args.slot is None else left)
        except ValueError as error:  # the others can do without this one
            print(error, file=sys.stderr, flush=True)
            broken.append(run.name)
        if (folder / CARD).exists() and not (folder / ANSWERS).exists():
            _ask(run.name, folder, sets(), device=args.device)
    if broken:
        raise SystemExit(f"not trained to the end: {', '.join(broken)}")


def rate_all(args: argparse.Namespace) -> None:
    for run in _chosen(args):
        folder = _short_folder(args, LEARNING_RATE, run)
        best = search_learning_rate(run.config, plan.RATES, spectra=args.spectra, out_dir=folder)
        print(f"{run.name}: {best:g} of {', '.join(f'{rate:g}' for rate in plan.RATES)}")


def head_all(args: argparse.Namespace) -> None:
    for run in _chosen(args):
        model = run.config.model
        heads = plan.HEADS.get(architecture_of(model))
        if heads is None:
            raise SystemExit(f"{run.name}: heads are compared for {', '.join(plan.HEADS)}")
        configs = {head: replace(run.config, model=replace(model, head=head)) for head in heads}
        folder = _short_folder(args, HEAD, run)
        for row in short_runs(configs, HEAD, spectra=args.spectra, out_dir=folder):
            print(f"{run.name}, {row[HEAD]}: average precision {row['average_precision']:.3f}")


def answer_all(args: argparse.Namespace) -> None:
    sets = _sets(args)
    for name, source in _sources(args.folder).items():
        folder = source.card.parent
        if source.is_run and not (folder / ANSWERS).exists():
            print(name, flush=True)
            _ask(name, folder, sets, device=args.device)


def _chosen(args: argparse.Namespace) -> list[plan.Run]:
    """Runs of the plan that were asked for; on a processor, at the lowest priority."""
    if args.device == "cpu":
        os.nice(19)  # hours of work that can wait for everything else
    if len(args.folder) > 1:
        raise SystemExit(f"{len(args.folder)} folders to train in; give one")
    runs = plan.runs(
        full=args.full, cpu_minutes=args.minutes, materials=args.materials, device=args.device
    )
    if unknown := sorted(set(args.only or ()) - {run.name for run in runs}):
        raise SystemExit(
            f"no run {', '.join(unknown)}; there are: {', '.join(r.name for r in runs)}"
        )
    return [run for run in runs if not args.only or run.name in args.only]


def _sets(args: argparse.Namespace) -> Sets:
    n = {"n_test": args.test, "n_validation": args.test, "n_single": args.single}
    return load_sets(**n, directory=data_dir())


def _ask(name: str, folder: Path, sets: Sets, *, device: str = "cpu") -> Answers:
    answers = answers_of(name, load_model(str(folder)).network, sets, device=device)
    write_answers(answers, folder, sets)
    return answers


def score_all(args: argparse.Namespace) -> None:
    result = Writer("networks", args.out)
    sets = _sets(args)
    about = {
        "spectra": {"simulator": simulator_fingerprint(), "sets": sets.fingerprint},
        "sets": {
            "test": len(sets.test),
            "validation": len(sets.validation),
            "single": len(sets.single),
            **{f"measured_{quality}": len(m.records) for quality, m in sets.measured.items()},
        },
        "observable": np.round(observable_rates(sets.single), 2).tolist(),
    }
    stored = json.loads(result.path.read_text()) if result.path.is_file() else {}
    if stored.get("spectra") != about["spectra"]:
        stored = {}
    sources = _sources(args.folder)
    known = {row["model"]: row for row in stored.get("networks", ())}
    rows = {name: row for name, row in known.items() if "members" not in row}
    curves = dict(stored.get("curves", {}))
    answers: dict[str, Answers] = {}
    for name, source in sources.items():
        answers[name] = _answers(name, source, sets)
        rows[name] = _row(answers[name], sets) | _training(source)
        curves[name] = _columns(source.log)
    ensembles: dict[str, dict[str, Any]] = {}
    missing: dict[str, list[str]] = {}
    for name, members in plan.ENSEMBLES.items():
        old = known.get(name)
        if old and old["members"] == list(members) and not set(members) & set(answers):
            ensembles[name], missing[name] = old, []
            continue
        missing[name] = [member for member in members if member not in rows]
        missing[name] = missing[name] or [member for member in members if member not in answers]
        if not missing[name]:
            found = together(name, [answers[member] for member in members], sets)
            parameters = sum(rows[member]["parameters"] for member in members)
            ensembles[name] = _row(found, sets) | {
                "members": list(members),
                "parameters": parameters,
            }
    result.write(
        about
        | {"networks": [*rows.values(), *ensembles.values()], "missing": missing}
        | {"curves": curves}
        | {f"{x}s": stored.get(f"{x}s", {}) | _chosen_by(x, args.folder) for x in CHOICES}
    )
    for part in (f"measured_{quality}" for quality in sets.measured):
        print(f"\n{part}: F1 / EMR by origin of the threshold")
        print(thresholds_table([*rows.values(), *ensembles.values()], part), flush=True)


HEAD = "head"
CHOICES = (LEARNING_RATE, HEAD)


class NetworkFiles(NamedTuple):
    """Where a network is: what `trained_model.load_model` takes, and the files beside it."""

    model: str
    card: Path
    log: Path

    @property
    def is_run(self) -> bool:
        """Whether it is the output of a training, not a shipped network."""
        return self.model == str(self.card.parent)


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
    """That of the folder if the plan has it, else architecture and seed; and whether reduced."""
    about = json.loads(card.read_text())
    known = card.parent.name in plan.names()
    name = card.parent.name if known else f"{about['architecture']} {about['training']['seed']}"
    full = plan.is_full_size(about["architecture"], about["config"])
    return name if full else name + plan.REDUCED_SUFFIX


def _answers(name: str, source: NetworkFiles, sets: Sets) -> Answers:
    folder = source.card.parent
    if source.is_run and (folder / ANSWERS).exists():
        return read_answers(name, folder, sets)
    return answers_of(name, load_model(source.model).network, sets)


def _row(answers: Answers, sets: Sets) -> dict[str, Any]:
    row = score(answers, sets) | confused(answers, sets)
    row["scored_with"] = provenance()["commit"]
    parts = ("simulated", "simulated_visible", "measured_A", "measured_AB")
    said = [f"{k} {row[k]['f1']:.3f}/{row[k]['exact_match_ratio']:.3f}" for k in parts if k in row]
    print(f"{answers.name}: F1/EMR {', '.join(said)}", flush=True)
    return row


def _training(source: NetworkFiles) -> dict[str, Any]:
    """What the card and the log say about the training of a network, all of its stages."""
    card, last = json.loads(source.card.read_text()), read_log(source.log)[-1]
    training, minutes = card["training"], last["minutes"]
    spent = {"minutes": minutes, "seconds": round(60 * minutes, 1)}
    if "cpu_minutes" in last and card["provenance"]["device"].startswith("cpu"):
        spent["cpu_minutes"] = last["cpu_minutes"]
    stages = training.get("stages", [{"spectra": last["spectra"]}])
    return {
        "architecture": card["architecture"],
        "config": card["config"],
        "parameters": card["parameters"],
        "spectra": int(sum(stage["spectra"] for stage in stages)),
        **({} if training["start"] else spent),
        "full_size": plan.is_full_size(card["architecture"], card["config"]),
        "device": card["provenance"]["device"],
        "started": bool(training["start"]),
        "recipe": training.get("loss", "masked_bce"),
        "seed": training["seed"],
        "commit": card["provenance"]["commit"],
        "note": card.get("note", ""),
    }


def _short_folder(args: argparse.Namespace, choice: str, run: plan.Run) -> Path:
    return args.folder[0] / f"{choice}s" / run.name


def _chosen_by(choice: str, folders: Sequence[Path]) -> dict[str, Any]:
    """Results of `short_runs` by the name of the run."""
    places = f"{choice}s/*/{choices_file(choice)}"
    found = (path for folder in folders for path in sorted(folder.glob(places)))
    return {path.parent.name: json.loads(path.read_text()) for path in found}


def _columns(log: Path) -> dict[str, list[float]]:
    rows = read_log(log)
    return {name: [row[name] for row in rows] for name in rows[0]}


if __name__ == "__main__":
    main()
