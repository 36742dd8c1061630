"""Time to map a spectrum image, ours beside the paper's ensemble, to book/results/inference.json.

    python -m coreloss.study.comparison.inference [--threads 2] [--spectra 7826]

Ours is timed on all spectra, from counts on the energy axis of the file to probabilities. The
networks of published size (untrained: weights do not change the time) are timed on a few batches
of the same spectra, after preprocessing, and scaled up.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from coreloss.identification.identify import identify
from coreloss.identification.trained_model import load_model
from coreloss.networks.architectures import build, config_of
from coreloss.networks.ensemble import Ensemble
from coreloss.simulation.simulator import Simulator
from coreloss.spectra.network_input import preprocess
from coreloss.spectra.spectrum import Spectrum
from coreloss.study.results import Writer

WINDOW_EV = (390, 1190)  # Ti, O, Mn, Ba, La inside, Sr outside: the superlattice of the paper


def spectrum_image(n: int) -> Spectrum:
    """Simulated spectra, cut to one window of 0.5 eV channels as a camera records them."""
    counts = Simulator.of_split("test", seed=1).batch(0, 256)
    energy = np.arange(*WINDOW_EV, 0.5)
    rows = [np.interp(energy, np.arange(counts.counts.shape[1]), c) for c in counts.counts.numpy()]
    wide = np.array(rows) / 2 + (energy / energy[0]) ** -3.0
    return Spectrum(energy, wide[np.arange(n) % len(wide)])


def seconds(task, repeats: int) -> float:
    """Shortest of several runs, after one that warms up."""
    task()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        task()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--spectra", type=int, default=7826)
    parser.add_argument("--sample", type=int, default=32, help="spectra for the large networks")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    result = Writer("inference", args.out)
    image, model = spectrum_image(args.spectra), load_model()
    own = seconds(lambda: identify(image, model=model, each=True), repeats=3)
    found = {"spectra": args.spectra, "window_ev": WINDOW_EV, "threads": args.threads}
    found["seconds"] = {model.name: own}
    print(f"{model.name}: {own:.2f} s for {args.spectra} spectra", flush=True)
    inputs = preprocess(image.counts[: args.sample], image.energy_ev)
    members = {name: build(config_of(name)).eval() for name in ("unet", "vit")}
    networks = members | {"ensemble": Ensemble([members["unet"]] * 3 + [members["vit"]] * 2)}
    for name, network in networks.items():
        with torch.inference_mode():
            spent = seconds(lambda net=network: net(inputs.spectrum, inputs.mask), repeats=2)
        found["seconds"][name] = spent * args.spectra / args.sample
        print(f"{name}: {found['seconds'][name]:.0f} s, {found['seconds'][name] / own:.0f} x")
    found["ratio"] = found["seconds"]["ensemble"] / own
    result.write(found)


if __name__ == "__main__":
    main()
