"""How many spectra a CPU second gives: this simulator beside eXSpy and pyEELSMODEL.

All of them make the same kind of spectrum: 3072 channels of 1 eV, the edges C K, N K, O K and Ti L
with cross-sections for angles that are new in every spectrum, plasmon scattering, a power-law
background and Poisson noise. Times are those of the processor (`time.process_time`) on one thread,
and of several repetitions the fastest counts, so that other work on the machine matters little.
"""

from __future__ import annotations

import contextlib
import cProfile
import importlib.util
import io
import pstats
import resource
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import scipy.fft
import torch

from coreloss.axis import N_CHANNELS
from coreloss.physics.gos_table import BUILTIN_GOSH
from coreloss.simulation.simulator import BLOCK, Simulator

EXSPY_EDGES = ("C_K", "N_K", "O_K", "Ti_L3", "Ti_L2")
PYEELSMODEL_EDGES = (("C", "K"), ("N", "K"), ("O", "K"), ("Ti", "L"))
_FIRST_EV = 100.0
SIMULATOR_STEPS = {
    "window, specimen, cross-sections": ("draw_window", "draw_specimen", "draw_pairs"),
    "continuum of all edges": ("continuum",),
    "near-edge structure": ("strips", "oscillations", "generic_peaks", "resonances", "white_lines"),
    "low loss and plural scattering": ("low_loss_transfer", "convolve"),
    "background": ("background_shape",),
    "axis errors and gain": ("on_recorded_axis", "apply_gain"),
    "counting noise": ("count",),
    "point spread, spikes": ("spread_points", "add_spikes"),
    "labels": ("_snr", "observable_elements", "amount_per_element"),
}
"""Functions of the simulator by step."""


def cpu_seconds(work: Callable[[], object], *, repeats: int = 3) -> float:
    """Processor time of the fastest of several runs, in seconds.

    >>> cpu_seconds(lambda: None) < 0.01
    True
    """
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch on one thread for the time of the block."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _simulator(seed: int) -> Simulator:
    return Simulator.of_split("train", seed=seed)


def stage_shares(*, seed: int = 0) -> dict[str, float]:
    """Where the time of `Simulator.block` goes: share of each of `SIMULATOR_STEPS`, and the rest.

    From the profiler of the standard library, which adds little to steps of milliseconds.
    """
    with one_thread():
        simulator = _simulator(seed)
        simulator.block(0)
        profile = cProfile.Profile(time.process_time)
        profile.runcall(lambda: [simulator.block(number) for number in range(4)])
    stats = pstats.Stats(profile).get_stats_profile().func_profiles
    total = stats["block"].cumtime
    shares = {
        label: sum(stats[name].cumtime for name in names if name in stats) / total
        for label, names in SIMULATOR_STEPS.items()
    }
    return shares | {"everything else": 1 - sum(shares.values())}


def memory_growth_mb(n: int, *, seed: int = 0) -> tuple[float, float]:
    """Peak memory of the process in MB after 2048 spectra, and how much more after `n`."""
    with one_thread():
        simulator = _simulator(seed)
        peaks = []
        for first, last in ((0, 2048), (2048, n)):
            for number in range(first // BLOCK, last // BLOCK):
                simulator.block(number)
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return peaks[0], peaks[1] - peaks[0]


def simulator_rate(n: int = 2048, *, seed: int = 0, repeats: int = 3) -> float:
    """Spectra per CPU second of `Simulator.block`, from at least `n` spectra per run."""
    blocks = max(1, round(n / BLOCK))
    with one_thread():
        simulator = _simulator(seed)
        simulator.block(0)  # memory is claimed once
        seconds = cpu_seconds(
            lambda: [simulator.block(number) for number in range(blocks)], repeats=repeats
        )
    return blocks * BLOCK / seconds


def exspy_rate(gos: str, *, n: int = 12, seed: int = 0, repeats: int = 3) -> float | None:
    """Spectra per CPU second with eXSpy's edges, None where eXSpy is missing.

    `gos` is 'hydrogenic' or 'tables' (those of this package, read by eXSpy). The components are
    made once; every spectrum sets new microscope parameters and sums the edges. Low loss,
    background and noise are NumPy and cost a few per cent.
    """
    if importlib.util.find_spec("exspy") is None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from exspy.components import EELSCLEdge

        sources: dict[str, dict[str, Any]] = {
            "hydrogenic": {"GOS": "hydrogenic"},
            "tables": {"gos_file_path": BUILTIN_GOSH},
        }
        if gos not in sources:
            raise ValueError(f"gos is {gos!r}; choose one of {tuple(sources)}")
        edges = [EELSCLEdge(name, **sources[gos]) for name in EXSPY_EDGES]
        generator = np.random.default_rng(seed)
        exspy_spectrum(edges, generator)
        seconds = cpu_seconds(
            lambda: [exspy_spectrum(edges, generator) for _ in range(n)], repeats=repeats
        )
    return n / seconds


def exspy_spectrum(edges, generator: np.random.Generator) -> np.ndarray:
    """Counts (3072,) with eXSpy edge components for random beam, thickness and background."""
    energy = _FIRST_EV + np.arange(N_CHANNELS)
    e0, alpha, beta = generator.uniform((60, 1, 5), (300, 30, 60))
    total = np.zeros(N_CHANNELS)
    for edge in edges:
        edge.set_microscope_parameters(E0=e0, alpha=alpha, beta=beta, energy_scale=1.0)
        total += generator.uniform(0.1, 1) * edge.function(energy)
    total = scattered(total, generator)
    background = (energy / 400) ** -generator.uniform(2, 4) * total.max()
    expected = total + background
    return generator.poisson(expected * (1e4 / expected.mean()))


def scattered(spectrum: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Plural scattering by a random Drude plasmon and a zero-loss width, one product per channel.

    The same formula as `scattering.low_loss_transfer`, in NumPy.
    """
    n_fft = 4096
    plasmon_ev, width_ev, thickness = generator.uniform((10, 2, 0.1), (30, 15, 1.2))
    loss = np.arange(512.0)
    single = loss / ((loss**2 - plasmon_ev**2) ** 2 + (loss * width_ev) ** 2)
    omega = np.arange(n_fft // 2 + 1) * (2 * np.pi / n_fft)
    exponent = thickness * (scipy.fft.rfft(single / single.sum(), n_fft) - 1) - omega / 2
    product = scipy.fft.rfft(spectrum, n_fft) * np.exp(exponent)
    return np.maximum(scipy.fft.irfft(product, n_fft)[: len(spectrum)], 0)


def pyeelsmodel_rates(*, n: int = 2, seed: int = 0, repeats: int = 2) -> dict[str, float] | None:
    """Spectra per CPU second of pyEELSMODEL's CoreLossSimulator, None where it is missing.

    'new angles' makes every spectrum as a map of one pixel with its own beam; 'fixed angles' makes
    one map of 16 n pixels, with one cross-section per edge for all of them. Cross-sections are its
    hydrogenic ones, which need no download, on its simulator's own momentum grid.
    """
    if importlib.util.find_spec("pyEELSMODEL") is None:
        return None
    generator = np.random.default_rng(seed)
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        pyeelsmodel_map(1, generator)
        fresh = cpu_seconds(
            lambda: [pyeelsmodel_map(1, generator) for _ in range(n)], repeats=repeats
        )
        fixed = cpu_seconds(lambda: pyeelsmodel_map(16 * n, generator), repeats=1)
    return {"new angles": n / fresh, "fixed angles": 16 * n / fixed}


def pyeelsmodel_map(n_pixels: int, generator: np.random.Generator) -> np.ndarray:
    """Counts (1, n_pixels, 3072) of one CoreLossSimulator with a random beam (keV, mrad)."""
    from pyEELSMODEL.components.CLedge.hydrogen_coreloss_edge import HydrogenicCoreLossEdge
    from pyEELSMODEL.core.multispectrum import MultiSpectrumshape
    from pyEELSMODEL.operators.simulator.coreloss_simulator import CoreLossSimulator

    e0, alpha, beta = generator.uniform((60e3, 1e-3, 5e-3), (300e3, 30e-3, 60e-3))
    shape = MultiSpectrumshape(1.0, _FIRST_EV, N_CHANNELS, 1, n_pixels)
    elements, edges = zip(*PYEELSMODEL_EDGES, strict=True)
    maps = generator.uniform(0.1, 1, (len(edges), 1, n_pixels))
    thickness = generator.uniform(0.1, 1.2, (1, n_pixels))
    simulator = CoreLossSimulator(shape, elements, edges, maps, thickness, (e0, alpha, beta))
    simulator.make_lowloss()
    simulator.element_components = [
        HydrogenicCoreLossEdge(
            shape.getspectrumshape(), 1, e0, alpha, beta, *pair, q_steps=simulator.qsteps
        )
        for pair in PYEELSMODEL_EDGES
    ]
    simulator.make_coreloss()
    return simulator.multispectrum.multidata


def throughput(*, n: int = 2048, n_peers: int = 12, repeats: int = 3, seed: int = 0) -> dict:
    """All rates of one run and the ratio to the fastest peer with new angles per spectrum.

    Keys: `rates` (name -> spectra per CPU second), `ratio`, `fastest_peer` (both None without any
    peer), `n`, `n_peers`, `repeats`.
    """
    rates = {"coreloss": simulator_rate(n, seed=seed, repeats=repeats)}
    for gos in ("hydrogenic", "tables"):
        if rate := exspy_rate(gos, n=n_peers, seed=seed, repeats=repeats):
            rates[f"eXSpy, {gos}"] = rate
    slow = {
        "n": max(1, n_peers // 6),
        "seed": seed,
        "repeats": min(repeats, 2),
    }  # seconds a spectrum
    for name, rate in (pyeelsmodel_rates(**slow) or {}).items():
        rates[f"pyEELSMODEL, {name}"] = rate
    peers = {k: v for k, v in rates.items() if k != "coreloss" and "fixed" not in k}
    fastest = max(peers, key=peers.__getitem__, default=None)
    return {
        "rates": rates,
        "fastest_peer": fastest,
        "ratio": None if fastest is None else rates["coreloss"] / peers[fastest],
        "n": n,
        "n_peers": n_peers,
        "repeats": repeats,
    }
