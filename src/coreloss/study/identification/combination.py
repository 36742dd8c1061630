"""Fit how network and local fits are joined, on simulated spectra, into a network's card.

python -m coreloss.study.identification.combination CARD_OR_FOLDER [--n 4096] [--seed 0] [--dry-run]

Half of the spectra are fitted, the other half tells what the join is worth.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from sklearn.metrics import log_loss

from coreloss.datasets.evaluation import inputs_of, observed_probability
from coreloss.identification.edge_fit import element_z
from coreloss.identification.evidence import KNOWN_FROM, Combination, fit_combination
from coreloss.identification.trained_model import load_model
from coreloss.materials.split import query_table, split_materials
from coreloss.materials.table import are_common, load_materials
from coreloss.runtime.files import replacing
from coreloss.simulation.settings import SimulationSettings
from coreloss.simulation.simulator import Simulator

COMBINATION_SEED = (1 << 32) + 500  # random numbers of no training and of no scored set


def decisions(model, *, n: int, seed: int):
    """Network's probability, significance and truth of all open decisions, and their spectra."""
    compounds = load_materials()
    rows = split_materials(compounds, seed=0)["validation"]
    share = SimulationSettings().common_share
    queries = query_table(compounds, rows, common=are_common(compounds), common_share=share)
    batch = Simulator(compounds, queries, seed=COMBINATION_SEED + seed).batch(0, n)
    inputs = inputs_of(batch)
    p = observed_probability(model, inputs)
    open_ones = p >= model.absent_threshold
    z = element_z(inputs, open_ones, known=p >= KNOWN_FROM)
    counted = open_ones & (batch.counted.numpy() > 0)
    spectrum, _ = np.nonzero(counted)
    return p[counted], z[counted], batch.present.numpy()[counted], spectrum


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="card (.json) beside its weights")
    parser.add_argument("--n", type=int, default=4096, help="simulated spectra")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dry-run", action="store_true", help="do not write the card")
    args = parser.parse_args()
    model = load_model(str(args.model.with_suffix(".safetensors")))
    p, z, truth, spectrum = decisions(model, n=args.n, seed=args.seed)
    first = spectrum < args.n // 2
    nothing = np.zeros_like(z)
    for name, here, there in (("network", p, nothing), ("fit", nothing + 0.5, z), ("both", p, z)):
        half = fit_combination(here[first], there[first], truth[first])
        left = log_loss(truth[~first], half.probability(here[~first], there[~first]))
        print(f"{name:8} log loss {left:.4f} of {int((~first).sum())} open decisions")
    combination = fit_combination(p, z, truth)
    print(combination)
    if args.dry_run:
        return
    card = json.loads(args.model.read_text(encoding="utf-8"))
    card["combination"] = Combination.to_dict(combination)
    with replacing(args.model) as part:
        part.write_text(json.dumps(card, indent=1, allow_nan=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
