"""How fast networks learn: over spectra, over time, and over operations of their training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from coreloss.axis import N_CHANNELS
from coreloss.networks.architectures import build, config_of
from coreloss.reports.markdown import table
from coreloss.study.comparison.costs import cost_of
from coreloss.study.comparison.figures import plot_training_curves
from coreloss.study.comparison.plan import REDUCED_SUFFIX
from coreloss.study.results import Row

PASSES = 3
"""Operations of a training step in those of a forward pass: the backward pass has two for one."""
Curve = Mapping[str, Sequence[float]]
AXES = {
    "spectra": "Spectra seen",
    "minutes": "Minutes of training",
    "tflop": "10¹² operations",
}
"""Columns of a curve that stand for effort."""
SCORE = "f1_visible"


def curves_of(rows: Sequence[Row], logs: Mapping[str, Curve]) -> dict[str, dict[str, np.ndarray]]:
    """Effort (`AXES`) and F1 of visible elements over the training of each network, by name.

    Minutes are of the processor where it was one. Left out are other recipes, networks that
    began with the weights of others, and those whose statistics were measured again after their
    training (their ``note``): what the log says of them is not what they can do.
    """
    found = {}
    for row in rows:
        name = row["model"]
        variant = "members" in row or "," in name.removesuffix(REDUCED_SUFFIX)
        if variant or row["started"] or "statistics" in row["note"] or name not in logs:
            continue
        log = logs[name]
        time = log["cpu_minutes" if row["device"].startswith("cpu") else "minutes"]
        spectra = np.asarray(log["spectra"], float)
        tflop = PASSES * gflop_of(row) * spectra / 1000
        found[name] = {"spectra": spectra, "minutes": np.asarray(time, float), "tflop": tflop}
        found[name][SCORE] = np.asarray(log[SCORE], float)
    return found


def gflop_of(row: Row) -> float:
    """10⁹ operations of a forward pass over one spectrum of 600 channels."""
    mask = torch.zeros(1, N_CHANNELS, dtype=torch.bool)
    mask[:, 300:900] = True
    network = build(config_of(row["architecture"], **row["config"]))
    return cost_of(network, mask * torch.linspace(2, 1, N_CHANNELS), mask).gflop


def plot_learning(curves: Mapping[str, Curve], axes):
    """F1 of visible validation elements over each of `AXES`, one of the three Axes each."""
    for ax, (x, label) in zip(axes, AXES.items(), strict=True):
        last = ax is axes[-1]
        y_label = "Validation F1, visible" if ax is axes[0] else ""
        plot_training_curves(curves, ax, column=SCORE, y_label=y_label, x=x, x_label=label)
        if not last:
            ax.legend_.remove()
    return axes


def at_equal_effort(curves: Mapping[str, Curve]) -> dict[str, tuple[float, dict[str, float]]]:
    """F1 of each network at the largest effort that all of them have spent, by the kind of effort.

    Between two validations it is interpolated; before the first it is not known, and NaN.

    >>> slow = {"spectra": [10, 20], "minutes": [4, 8], "tflop": [1, 2], "f1_visible": [0.1, 0.5]}
    >>> fast = {"spectra": [10, 40], "minutes": [1, 4], "tflop": [9, 36], "f1_visible": [0.2, 0.8]}
    >>> at_equal_effort({"slow": slow, "fast": fast})["minutes"]
    (4.0, {'slow': 0.1, 'fast': 0.8})
    """
    found = {}
    for x in AXES:
        most = float(min(curve[x][-1] for curve in curves.values()))
        scores = {
            name: float(np.interp(most, curve[x], curve[SCORE], left=np.nan))
            for name, curve in curves.items()
        }
        found[x] = most, scores
    return found


def effort_table(curves: Mapping[str, Curve]) -> str:
    """`at_equal_effort` as Markdown, the best of each column in bold."""
    if len(curves) < 2:
        return "There are not two trainings to compare."
    equal = at_equal_effort(curves)
    best = {x: np.nanmax(list(scores.values())) for x, (_, scores) in equal.items()}
    body = []
    for name in curves:
        cells = []
        for x, (_, scores) in equal.items():
            value = "not yet" if np.isnan(scores[name]) else f"{scores[name]:.3f}"
            cells.append(f"**{value}**" if scores[name] == best[x] else value)
        body.append((name, *cells))
    limits = {x: most for x, (most, _) in equal.items()}
    header = [f"after {limits['spectra']:,.0f} spectra", f"after {limits['minutes']:.1f} min"]
    header.append(f"after {limits['tflop']:,.0f} · 10¹² operations")
    return table(["F1, visible elements", *header], body)
