"""Fix the threshold of groups of neighbours on simulated spectra, in a network's card.

python -m coreloss.study.identification.groups CARD [--n 8192] [--seed 0] [--dry-run]

Prints what the groups are worth on other compounds and on measured files: how often one of the
named elements is there, how often the first is, and the scores with and without them.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from coreloss.axis import window_of
from coreloss.datasets.evaluation import inputs_of, observed_probability
from coreloss.datasets.measured import MEASURED_SETS, data_dir, measured_set
from coreloss.edges import rivals
from coreloss.identification.trained_model import Model, load_model
from coreloss.runtime.files import replacing
from coreloss.scoring.groups import group_certainty, ranked
from coreloss.scoring.metrics import scores
from coreloss.simulation.simulator import Simulator
from coreloss.training.export import group_decisions


def report(name: str, model: Model, probability, mask, present, counted) -> str:
    """One line on the groups in some spectra; all (n, 80) but ``mask`` (n, 3072)."""
    threshold, absent = model.present_threshold, model.absent_threshold
    with_groups, right, first = probability.copy(), [], []
    windows = torch.stack(window_of(mask), 1).tolist()
    for row, window in enumerate(windows):
        p, near = probability[row], rivals(*window)
        certainty = group_certainty(p[None], near, present=threshold, absent=absent)[0]
        for k in np.flatnonzero(certainty >= model.group_threshold).tolist():
            names = ranked(k, p, near, absent=absent)
            with_groups[row, k] = threshold
            right.append(present[row, names].any())
            first.append(present[row, k])
    text = f"{name}: {len(probability)} spectra, {len(right)} groups"
    if right:
        text += f", one of them there in {np.mean(right):.1%}, the first in {np.mean(first):.1%}"
    for title, p in (("without", probability), ("with", with_groups)):
        s = scores(present, p, threshold=threshold, subset=title, counted=counted)
        text += f"; {title}: F1 {s.f1:.4f}, EMR {s.exact_match_ratio:.4f}"
        text += f", right names {s.micro_precision:.4f}"
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="card (.json) beside its weights")
    parser.add_argument("--n", type=int, default=8192, help="simulated spectra")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dry-run", action="store_true", help="do not write the card")
    args = parser.parse_args()
    model = load_model(str(args.model.with_suffix(".safetensors")))
    batch = Simulator.of_split("validation", seed=args.seed).batch(0, args.n)
    fixed = group_decisions(
        observed_probability(model, inputs_of(batch)),
        batch,
        present=model.present_threshold,
        absent=model.absent_threshold,
    )
    print(fixed)
    if fixed["group_threshold"] is not None:
        _print_reports(replace(model, group_threshold=fixed["group_threshold"]), args)
    if args.dry_run:
        return
    card = json.loads(args.model.read_text(encoding="utf-8")) | fixed
    with replacing(args.model) as part:
        part.write_text(json.dumps(card, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _print_reports(model: Model, args: argparse.Namespace) -> None:
    folder = data_dir()
    if folder is not None:
        for name in MEASURED_SETS:
            measured = measured_set(folder, name)
            p = observed_probability(model, measured.inputs)
            labels = (measured.present.numpy(), measured.counted.numpy())
            print(report(f"measured {name}", model, p, measured.inputs.mask, *labels))
    batch = Simulator.of_split("test", seed=args.seed).batch(0, args.n)
    p = observed_probability(model, inputs_of(batch))
    labels = (batch.present.numpy(), batch.counted.numpy())
    print(report("simulated test", model, p, batch.mask, *labels))


if __name__ == "__main__":
    main()
