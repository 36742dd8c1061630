"""Choices compared by short runs of their own, such as learning rates."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from coreloss.runtime.files import replacing
from coreloss.training.log import read_log
from coreloss.training.loop import LOG, TrainConfig, train

LEARNING_RATE = "learning_rate"


def search_learning_rate(
    config: TrainConfig, rates: Sequence[float], *, spectra: int, out_dir: str | Path
) -> float:
    """The learning rate whose run over `spectra` spectra ends with the best average precision.

    Runs and their results are kept in `out_dir` as `short_runs` does.

    Raises
    ------
    ValueError
        When a rate is not positive or none is given.
    """
    if not rates:
        raise ValueError("no learning rate to compare; give at least one, such as 1e-3")
    configs = {rate: replace(config, learning_rate=rate) for rate in sorted(set(rates))}
    rows = short_runs(configs, LEARNING_RATE, spectra=spectra, out_dir=out_dir)
    return max(rows, key=lambda row: row["average_precision"])[LEARNING_RATE]


def short_runs(
    configs: Mapping[Any, TrainConfig], choice: str, *, spectra: int, out_dir: str | Path
) -> list[dict[str, Any]]:
    """One run of `spectra` spectra for each value of a choice: the ends of their logs.

    Each run has a schedule of its own that ends with it. All rows, each with its value of `choice`,
    are kept in the file `choices_file` of `out_dir`, and finished runs are not repeated.
    """
    rows = []
    for value, config in configs.items():
        short = replace(
            config, spectra=spectra, report_every=spectra,
            minutes=None, cpu_minutes=None, patience=None,
        )  # fmt: skip
        folder = train(short, out_dir=Path(out_dir) / f"{choice}-{value}")
        rows.append(read_log(folder / LOG)[-1] | {choice: value})
    with replacing(Path(out_dir) / choices_file(choice)) as path:
        path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return rows


def choices_file(choice: str) -> str:
    """Name of the file that `short_runs` writes.

    >>> choices_file("learning_rate")
    'learning_rates.json'
    """
    return f"{choice}s.json"
