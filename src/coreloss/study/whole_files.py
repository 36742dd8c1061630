"""What a whole file costs: windows found by the program beside windows that are given.

    python -m coreloss.study.whole_files [--n 1000] [--seed 0] [--out FILE]

Simulated files with zero loss, changes of gain and ragged ends, see `simulation.whole_files`:
how many changes are missed, how many are seen where there is none, and how well the network does
in the window that is found, in the right one, and without any. Writes
book/results/whole_files.json.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from coreloss.figures.spectrum import BLUE, RED, axes_or_new, plot_spectrum
from coreloss.identification.trained_model import Model, load_model
from coreloss.reports.markdown import table
from coreloss.scoring.metrics import scores
from coreloss.simulation.simulator import Simulator
from coreloss.simulation.whole_files import WITHOUT_FAULTS, WholeFile, whole_files
from coreloss.spectra.gain import change_of_gain
from coreloss.spectra.network_input import observable, preprocess
from coreloss.spectra.spectrum import Spectrum
from coreloss.spectra.usable import usable_part
from coreloss.spectra.window import (
    CORE_LOSS_EV,
    NAMED_FROM_EV,
    usable_window,
    without_faults,
)
from coreloss.study.results import Row, Writer

CORE_LOSSES = 4096
"""Simulated core losses without any change, in which changes are counted."""


@dataclass(frozen=True, eq=False)
class _Answers:
    """Probabilities (80,) in the right window, in the one that is found, and in the whole file."""

    given: np.ndarray
    found: np.ndarray
    uncut: np.ndarray
    counted: np.ndarray


def _probability(model: Model, spectrum: Spectrum) -> tuple[np.ndarray, np.ndarray]:
    inputs = preprocess(spectrum.counts, spectrum.energy_ev)
    seen = observable(inputs)[0]
    return np.where(seen, model.probability(inputs)[0], 0.0), seen


def _answers(model: Model, file: WholeFile) -> _Answers:
    right = file.core_loss.crop(CORE_LOSS_EV, np.inf)
    given, seen = _probability(model, without_faults(right))
    found, _ = _probability(model, without_faults(usable_part(file.spectrum)))
    uncut, _ = _probability(model, file.spectrum.crop(CORE_LOSS_EV, np.inf))
    return _Answers(given, found, uncut, file.counted & seen)


def scored(model: Model, files: Sequence[WholeFile]) -> list[dict[str, Any]]:
    """Rows of scores: kind of file, window, F1, EMR, share of files with a false element.

    What counts is what can be seen in the right window.
    """
    answers = [_answers(model, file) for file in files]
    present = np.array([file.present for file in files])
    counted = np.array([answer.counted for answer in answers])
    changed = np.array([file.gain != 1 for file in files])
    ragged = np.array([any(file.ragged) for file in files])
    kinds = {
        "all": np.ones(len(files), bool),
        "change of gain": changed,
        "ragged ends only": ragged & ~changed,
        "sound": ~ragged & ~changed,
    }
    rows = []
    for kind, chosen in kinds.items():
        for window in ("given", "found", "uncut"):
            p = np.array([getattr(answer, window) for answer in answers])[chosen]
            named = p >= model.present_threshold
            result = scores(
                *(present[chosen] & counted[chosen], p),
                threshold=model.present_threshold, subset=window, counted=counted[chosen],
            )  # fmt: skip
            rows.append(
                {
                    "files": kind,
                    "n": int(chosen.sum()),
                    "window": window,
                    "f1": result.f1,
                    "exact_match_ratio": result.exact_match_ratio,
                    "with_false": float((named & ~present[chosen]).any(1).mean()),
                }
            )
    return rows


def changes(files: Sequence[WholeFile]) -> dict[str, int]:
    """How many files have a change of gain, in how many the window holds both sides of it, and in
    how many of the steady ones a change is seen.

    ``high`` are those above `NAMED_FROM_EV`, below which all is cut off.
    """
    changed = [file for file in files if file.gain != 1]
    steady = [file for file in files if file.gain == 1]
    kept = []
    for file in changed:
        window = usable_window(file.spectrum)
        if window.lo_ev < file.start_ev - 1 and window.hi_ev >= file.start_ev:
            kept.append(file)
    seen = (reason for file in steady for reason in usable_window(file.spectrum).reasons)
    return {
        "changed": len(changed),
        "high": sum(bool(file.start_ev > NAMED_FROM_EV) for file in changed),
        "kept": len(kept),
        "steady": len(steady),
        "seen": sum("gain" in reason for reason in seen),
    }


def seen_in_core_losses(n: int, *, seed: int) -> tuple[int, int]:
    """Simulated core losses without changes of gain, and how many of them seem to have one."""
    simulator = Simulator.of_split("test", seed=seed, settings=WITHOUT_FAULTS)
    number = false = 0
    for batch in simulator.batches(n):
        for row in torch.nonzero(~batch.processed).squeeze(1).tolist():
            channel = torch.nonzero(batch.mask[row]).squeeze(1).numpy()
            energy_ev, counts = channel.astype(float), batch.counts[row].numpy()[channel]
            number += 1
            false += change_of_gain(energy_ev, counts.astype(float)) is not None
    return number, false


def scores_table(rows: Sequence[Row]) -> str:
    """Rows of `scored` as a Markdown table."""
    header = ("files", "n", "window", "F1", "EMR", "files with a false element")
    body = [
        (
            row["files"],
            row["n"],
            row["window"],
            f"{row['f1']:.3f}",
            f"{row['exact_match_ratio']:.3f}",
            f"{row['with_false']:.1%}",
        )
        for row in rows
    ]
    return table(header, body)


def draw_file(file: WholeFile, ax=None):
    """A file on a log scale, the part that is used, and what there is without the faults."""
    ax = axes_or_new(ax)
    used = usable_part(file.spectrum)
    plot_spectrum(file.spectrum.energy_ev, file.spectrum.counts[0], ax, scale="log")
    ax.plot(used.energy_ev, used.counts[0], color=RED, lw=1.4, label="used")
    ax.axvline(file.start_ev, color=BLUE, lw=0.8, ls="--", label="change of gain")
    ax.legend(frameon=False, fontsize="small")
    return ax


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=1000, help="files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    result: Writer = Writer("whole_files", args.out)
    files = list(whole_files(args.n, seed=args.seed))
    number, false = seen_in_core_losses(CORE_LOSSES, seed=args.seed)
    content: Mapping[str, Any] = {
        "changes": changes(files),
        "core_losses": {"n": number, "false": false},
        "scores": scored(load_model(), files),
    }
    result.write(content)
    print(scores_table(content["scores"]), content["changes"], content["core_losses"], sep="\n")


if __name__ == "__main__":
    main()
