"""How well rare earths are told apart by their N45 edges alone, 2 to 12 eV from those of the next.

    python -m coreloss.study.rare_earths [--n 40] [--out FILE]
    python -m coreloss.study.rare_earths --train [--spectra 24576] [--seeds 0 1]

The hardest windows that a simulated set has: one rare earth, its 4d -> 4f resonance visible, its
M45 edge outside. Scored are the shipped networks, on axes that are known well and badly, or, with
--train, small ones that learned with and without the multiplets. Writes rare_earths.json or
multiplets.json in book/results.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from coreloss.atoms.multiplet_table import RARE_EARTHS
from coreloss.axis import TYPICAL_AXIS_ERROR_EV, UNCALIBRATED_AXIS_ERROR_EV, window_of
from coreloss.datasets.evaluation import inputs_of, observed_probability
from coreloss.datasets.measured import data_dir
from coreloss.datasets.published_streams import bare_source
from coreloss.edges import ELEMENT_INDEX, ELEMENTS, edge_shells
from coreloss.identification.trained_model import Model, load_model, shipped_models
from coreloss.reports.markdown import table
from coreloss.scoring.metrics import per_element, scores
from coreloss.simulation.batch import Batch, concatenate
from coreloss.simulation.settings import SimulationSettings
from coreloss.study.ablation.variants import run
from coreloss.study.results import Row, Writer

BLOCK = 512
_MOST_BLOCKS = 8
_SHOWN = {"F1": "f1", "EMR": "exact_match", "cross-entropy": "cross_entropy"}


def n45_windows(n_per_element: int, *, axis_error_ev: float, seed: int) -> Batch:
    """Simulated windows with the visible N45 edge of one rare earth and without any M45 edge.

    ``n_per_element`` of each of La to Yb, in that order, on axes with this standard deviation.
    ValueError when there are not so many in a few thousand spectra of an element.
    """
    settings = replace(
        SimulationSettings().without("mixed specimens"),
        axis_error_ev=(axis_error_ev, axis_error_ev),
        free_window_probability=0.0,
        nuisance_window_probability=0.0,
    )
    source = bare_source(settings, block_size=BLOCK)
    lowest_m5_ev = min(e.onset_ev for e in edge_shells() if (e.element, e.shell) == ("La", "M45"))
    found = []
    for number, element in enumerate(RARE_EARTHS):
        stream, kept = source.stream(element, seed=(seed << 8) + number), []
        for block in range(_MOST_BLOCKS):
            batch = stream.block(block)
            label = ELEMENT_INDEX[element]
            seen = (batch.present & batch.counted)[:, label]
            kept.append(batch[seen & (window_of(batch.mask)[1] < lowest_m5_ev)])
            if sum(map(len, kept)) >= n_per_element:
                break
        else:
            n = sum(map(len, kept))
            raise ValueError(f"n_per_element = {n_per_element}; {element} has {n}: ask for fewer")
        found.append(concatenate(kept)[slice(n_per_element)])
    return concatenate(found)


def told_apart(model: Model, batch: Batch) -> dict[str, Any]:
    """Scores of a network on `n45_windows`, over all and per rare earth.

    Rows: element, F1, how often it was named, and the other rare earth named most often with its
    share of the spectra.
    """
    probability = observed_probability(model, inputs_of(batch))
    present, counted = batch.present.numpy(), batch.counted.numpy()
    named = probability >= model.present_threshold
    every = scores(
        *(present, probability),
        threshold=model.present_threshold, subset="N45 alone", counted=counted,
    )  # fmt: skip
    each = per_element(present, probability, threshold=model.present_threshold, counted=counted)
    labels = [ELEMENT_INDEX[element] for element in RARE_EARTHS]
    rows = []
    for element, label in zip(RARE_EARTHS, labels, strict=True):
        share = named[present[:, label]].mean(0)
        others = [other for other in labels if other != label]
        rival = max(others, key=lambda k: share[k])
        rows.append(
            {
                "element": element,
                "f1": float(each.f1[label]),
                "named": float(share[label]),
                "taken_for": ELEMENTS[rival] if share[rival] > 0 else "",
                "taken_for_share": float(share[rival]),
            }
        )
    n = int(np.count_nonzero(present[:, labels].any(1)))
    return {"n": n, "f1": every.f1, "exact_match_ratio": every.exact_match_ratio, "rows": rows}


def trainings_table(rows: Sequence[Row]) -> str:
    """What short trainings with and without multiplets have learned, from ``multiplets.json``.

    Rare earths by N45 alone, and measured files of quality A and B; cross-entropy needs no
    threshold.
    """
    header = ("multiplets", "seed", *(f"{s} {n}" for s in ("N45", "measured") for n in _SHOWN))
    body = [
        (
            row["multiplets"],
            row["seed"],
            *(
                f"{row[f'{key}_{part}']:.3f}" if f"{key}_{part}" in row else "–"
                for part in ("simulated", "measured")
                for key in _SHOWN.values()
            ),
        )
        for row in sorted(rows, key=lambda row: (row["multiplets"] != "with", row["seed"]))
    ]
    return table(header, body)


def apart_table(rows: Sequence[Row]) -> str:
    """Each rare earth by N45 alone: F1 of every network and axis, and what it is taken for."""
    names = [f"{row['model']}, {row['axis_error_ev']} eV" for row in rows]
    body = []
    for several in zip(*(row["rows"] for row in rows), strict=True):
        cells = []
        for one in several:
            taken = (
                f" ({one['taken_for']} {one['taken_for_share']:.0%})" if one["taken_for"] else ""
            )
            cells.append(f"{one['f1']:.2f}{taken}")
        body.append((several[0]["element"], *cells))
    return table(("", *names), body)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=40, help="simulated windows per rare earth")
    parser.add_argument("--train", action="store_true", help="what do the multiplets buy?")
    parser.add_argument("--spectra", type=int, default=24_576, help="of each short training")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if args.train:
        _train(args, Writer("multiplets", args.out))
    else:
        _score(args, Writer("rare_earths", args.out))


def _score(args: argparse.Namespace, result: Writer) -> None:
    rows = []
    for axis_error_ev in (TYPICAL_AXIS_ERROR_EV, UNCALIBRATED_AXIS_ERROR_EV):
        batch = n45_windows(args.n, axis_error_ev=axis_error_ev, seed=0)
        for name in shipped_models():
            found = told_apart(load_model(name), batch)
            rows.append({"model": name, "axis_error_ev": axis_error_ev, **found})
            print(name, axis_error_ev, f"F1 {found['f1']:.3f}", flush=True)
    result.write({"networks": rows})


def _train(args: argparse.Namespace, result: Writer) -> None:
    batch = n45_windows(args.n, axis_error_ev=TYPICAL_AXIS_ERROR_EV, seed=0)
    settings, rows = SimulationSettings(), []
    for seed in args.seeds:
        for name, chosen in (("with", settings), ("without", settings.without("multiplets"))):
            with tempfile.TemporaryDirectory() as folder:
                found = run(
                    chosen,
                    seed=seed,
                    spectra=args.spectra,
                    directory=data_dir(),
                    reference=batch,
                    out_dir=folder,
                )
            rows.append({"multiplets": name, "seed": seed, **found})
            print(name, seed, {k: round(v, 3) for k, v in found.items()}, flush=True)
    result.write({"spectra": args.spectra, "trainings": rows})


if __name__ == "__main__":
    main()
