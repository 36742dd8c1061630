"""Learning rates compared by short runs of their own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from coreloss.runtime.files import replacing
from coreloss.training.log import read_log
from coreloss.training.loop import LOG, TrainConfig, train

SEARCHED = "learning_rates.json"


def search_learning_rate(
    config: TrainConfig, rates: Sequence[float], *, spectra: int, out_dir: str | Path
) -> float:
    """The learning rate whose run over `spectra` spectra ends with the best average precision.

    Each run has a schedule of its own that ends with it. All results are kept in
    ``learning_rates.json`` of `out_dir`, and finished runs are not repeated.

    Raises
    ------
    ValueError
        When a rate is not positive or none is given.
    """
    if not rates:
        raise ValueError("no learning rate to compare; give at least one, such as 1e-3")
    rows = []
    for rate in sorted(set(rates)):
        short = replace(
            config, learning_rate=rate, spectra=spectra, report_every=spectra,
            minutes=None, cpu_minutes=None, patience=None,
        )  # fmt: skip
        folder = train(short, out_dir=Path(out_dir) / f"rate-{rate:g}")
        rows.append(read_log(folder / LOG)[-1] | {"learning_rate": rate})
    with replacing(Path(out_dir) / SEARCHED) as path:
        path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return max(rows, key=lambda row: row["average_precision"])["learning_rate"]
