"""How long commands take as a whole: wall and processor seconds, and peak memory.

python -m coreloss.study.throughput.start [--repeats N] [--beside SRC] [--only NAME ...]

Every command is a process of its own, in turn; of the repeats the median counts. With ``--beside``,
the folder ``src`` of another version, both versions are measured in turn.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median

import coreloss

WINDOW_EV = (400.0, 1199.0)
FIVE = "O,Ti,Mn,Ba,La"
HERE = Path(coreloss.__file__).parents[1]
FIGURES = ("wall s", "CPU s", "peak MiB")
IMAGE, TEXT = "image.hspy", "sum.csv"


def write_files(folder: str) -> None:
    """An image of 7826 spectra of 800 channels, and its sum as text.

    In a process of its own: the memory of one that starts others counts as theirs.
    """
    import hyperspy.api as hs
    import numpy as np

    from coreloss.simulation.superlattice.image import simulate_superlattice
    from coreloss.simulation.superlattice.settings import Superlattice

    image = simulate_superlattice(Superlattice(window_ev=WINDOW_EV), seed=0).core_loss
    table = np.stack([image.energy_ev, image.counts.sum(0)], 1)
    np.savetxt(Path(folder) / TEXT, table, "%.8g", ",")
    signal = hs.signals.Signal1D(image.counts.reshape(*image.map_shape, -1).astype("float32"))
    axis = signal.axes_manager[-1]
    axis.offset, axis.scale = image.energy_ev[0], image.dispersion_ev
    axis.units, axis.name = "eV", "Energy loss"
    signal.save(Path(folder) / IMAGE)


def commands(folder: str) -> dict[str, list[str]]:
    """What is measured, as arguments of Python."""
    run, image, spectrum = ["-m", "coreloss.cli"], Path(folder) / IMAGE, Path(folder) / TEXT
    return {
        "import": ["-c", "import coreloss"],
        "help": [*run, "--help"],
        "identify": [*run, "identify", str(spectrum)],
        "quantify": [*run, "quantify", str(spectrum), "--elements", FIVE],
        "map": [*run, "map", str(image)],
    }


def measured(arguments: Sequence[str], source: Path) -> tuple[float, float, float]:
    """Wall seconds, processor seconds and peak MiB of one process of the code in ``source``."""
    environment = os.environ | {"PYTHONPATH": str(source)}
    begun = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, *arguments], env=environment, stdout=said, stderr=said
        )
        _, status, used = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise RuntimeError(f"{' '.join(arguments)}: {said.read().decode()}")
    return wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def rows(
    what: Mapping[str, Sequence[str]], sources: Sequence[Path], *, repeats: int
) -> Iterator[str]:
    """A line for each command: medians of each version, beside each other."""
    for name, arguments in what.items():
        runs = [[measured(arguments, source) for source in sources] for _ in range(repeats)]
        medians = [
            [median(run[version][figure] for run in runs) for version in range(len(sources))]
            for figure in range(len(FIGURES))
        ]
        columns = (
            f"{figure} " + " / ".join(f"{value:.4g}" for value in values)
            for figure, values in zip(FIGURES, medians, strict=True)
        )
        yield f"{name:9}" + "   ".join(f"{column:24}" for column in columns).rstrip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--beside", type=Path, help="folder src of another version")
    parser.add_argument("--only", nargs="+", help="of import, help, identify, quantify, map")
    args = parser.parse_args()
    sources = [source for source in (args.beside, HERE) if source is not None]
    with tempfile.TemporaryDirectory() as folder:
        make = f"from coreloss.study.throughput.start import write_files; write_files({folder!r})"
        measured(["-c", make], HERE)
        what = commands(folder)
        chosen = {name: what[name] for name in args.only or what}
        for row in rows(chosen, sources, repeats=args.repeats):
            print(row, flush=True)


if __name__ == "__main__":
    main()
