"""Network and fit on superlattices whose composition is known: doses, thicknesses, speed."""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from coreloss.edges import ELEMENT_INDEX, ELEMENTS
from coreloss.identification.identify import beam_of
from coreloss.mapping.amount_maps import AmountMaps, quantify_image
from coreloss.mapping.element_maps import ElementMaps, map_elements
from coreloss.mapping.rules import PAPER_SHARE, paper_rule
from coreloss.quantification.linear_model import quantifiable
from coreloss.quantification.low_loss import measured_low_loss
from coreloss.quantification.near_edge import FINE_STRUCTURE
from coreloss.simulation.superlattice.image import SuperlatticeImage, simulate_superlattice
from coreloss.simulation.superlattice.settings import Superlattice
from coreloss.spectra.spectrum import Spectrum
from coreloss.study.maps.peers import common_task, exspy_amounts, ours, pyeelsmodel_amounts

PEER_PIXELS = 64
"""Pixels that the peers fit for their time."""
FAR_NM = 1.0
"""Pixels at least so far from the next interface are away from interfaces."""
FIT_SIGMA = 3.0
"""The fit finds an element where its amount exceeds so many of its errors."""


def lattice_rows(settings: Superlattice, *, seed: int = 0) -> list[dict[str, Any]]:
    """Scores of network and fit on one superlattice: a row for each."""
    image = simulate_superlattice(settings, seed=seed)
    maps = map_elements(image.core_loss)
    seen = tuple(e for e in image.elements if maps.observable[ELEMENT_INDEX[e]])
    amounts = amounts_of(image, seen)
    about = {
        "electrons_per_pixel": settings.electrons_per_pixel,
        "counts": float(image.core_loss.counts.mean()),
        "thickness_mfp": float(np.mean(image.thickness_mfp)),
        "window_ev": list(settings.window_ev),
        "n": len(image.core_loss),
        "seed": seed,
        "true": list(seen),
    }
    network = {e: maps.decision[..., ELEMENT_INDEX[e]].ravel() for e in seen}
    fit = fit_calls(amounts)
    found = {
        "present": sorted(maps.present()),
        "paper_rule": sorted(paper_rule(maps.decision)),
        "exact": set(maps.present()) == set(seen),
        "exact_paper_rule": set(paper_rule(maps.decision)) == set(seen),
        "false_pixels": float(_others(maps, image.elements)),
    }
    amount_scores = {"coverage": coverage(image, amounts), "ratio": amount_ratios(image, amounts)}
    return [
        {"method": "network"} | about | pixel_scores(image, network) | found,
        {"method": "fit"} | about | pixel_scores(image, fit) | amount_scores,
    ]


def unnamed_rows(settings: Superlattice, *, seed: int = 0) -> list[dict[str, Any]]:
    """Scores of the fit of every element that has an edge in the window, one row for each mode."""
    image = simulate_superlattice(settings, seed=seed)
    window = (float(image.core_loss.energy_ev[0]), float(image.core_loss.energy_ev[-1]))
    names = tuple(e for e in ELEMENTS if quantifiable(e, window))
    rows = []
    for mode in FINE_STRUCTURE:
        amounts = amounts_of(image, names, fine_structure=mode)
        calls = fit_calls(amounts)
        true = {e: calls[e] for e in image.elements if e in names}
        shares = {e: float(x.mean()) for e, x in calls.items() if x.mean() >= PAPER_SHARE}
        about = {"fine_structure": mode, "n_elements": len(names), "n": len(image.core_loss)}
        rows.append(about | {"called": shares} | pixel_scores(image, true))
    return rows


def amounts_of(image: SuperlatticeImage, elements: Sequence[str], **options: Any) -> AmountMaps:
    """Amounts by the fit with the low loss of every pixel; the stack is known."""
    return quantify_image(
        image.core_loss,
        low_loss=image.low_loss,
        exposure_ratio=image.core_loss.metadata["exposure_ratio"],
        elements=elements,
        outer_elements=image.elements,
        **options,
    )


def fit_calls(amounts: AmountMaps) -> dict[str, np.ndarray]:
    """Where the fit finds each element, (m,) bool."""
    calls = (amounts.amount > FIT_SIGMA * amounts.error).reshape(-1, len(amounts.elements))
    return dict(zip(amounts.elements, calls.T, strict=True))


def pixel_scores(image: SuperlatticeImage, called: dict[str, np.ndarray]) -> dict[str, Any]:
    """F1 over all pixels away from interfaces, of each element and of all; La where there is none.

    ``called`` : where each element is called, (m,) bool.
    """
    far = image.distance_nm > FAR_NM
    counts = {}
    for element, calls in called.items():
        truth = image.present[:, image.elements.index(element)]
        counts[element] = [(calls & truth)[far].sum(), (calls ^ truth)[far].sum()]
    f1 = {e: float(2 * hit / max(2 * hit + wrong, 1)) for e, (hit, wrong) in counts.items()}
    hit, wrong = np.sum(list(counts.values()), 0)
    scores = {"f1": float(2 * hit / max(2 * hit + wrong, 1)), "f1_of": f1}
    if {"La", "Ba"} <= set(called):
        barium = image.present[:, image.elements.index("Ba")]
        empty = far & barium & ~image.present[:, image.elements.index("La")]
        scores["false_la"] = float(called["La"][empty].mean()) if empty.any() else None
    return scores


def deviations(image: SuperlatticeImage, amounts: AmountMaps) -> dict[str, np.ndarray]:
    """(found - true) / error of each element where there is much of it, away from interfaces."""
    far, found = image.distance_nm > FAR_NM, {}
    for element in amounts.elements:
        truth = image.areal_density[:, image.elements.index(element)]
        value, error = (x.ravel() for x in amounts.of(element))
        rich = far & (truth > 0.3 * truth.max())
        found[element] = ((value - truth) / error)[rich]
    return found


def coverage(image: SuperlatticeImage, amounts: AmountMaps) -> dict[str, float]:
    """Share of these pixels whose error bar holds the truth."""
    found = deviations(image, amounts)
    return {e: float(np.mean(np.abs(z) < 1)) for e, z in found.items()}


def amount_ratios(image: SuperlatticeImage, amounts: AmountMaps) -> dict[str, float]:
    """Sum of the amounts found over the true ones, in the same pixels."""
    far, found = image.distance_nm > FAR_NM, {}
    for element in amounts.elements:
        truth = image.areal_density[:, image.elements.index(element)]
        rich = far & (truth > 0.3 * truth.max())
        found[element] = float(amounts.of(element)[0].ravel()[rich].sum() / truth[rich].sum())
    return found


def speeds(*, seed: int = 0) -> dict[str, Any]:
    """Seconds for 7826 spectra: network, fit, and the common model beside the peers.

    The peers fit the first `PEER_PIXELS`; their times are scaled.
    """
    image = simulate_superlattice(seed=seed)
    core, low = image.core_loss, image.low_loss
    elements = tuple(e for e in image.elements if e != "Sr")
    ratio = core.metadata["exposure_ratio"]
    mean_low = measured_low_loss(low, exposure_ratio=ratio).mean()
    options = {"elements": elements, "exposure_ratio": ratio}
    found: dict[str, Any] = {"n": len(core), "elements": list(elements), "n_peers": PEER_PIXELS}
    found["network_s"] = _best(lambda: map_elements(core))
    common = Spectrum(low.energy_ev, low.counts.mean(0))
    found["fit_common_low_loss_s"] = _best(lambda: quantify_image(core, low_loss=common, **options))
    found["fit_own_low_loss_s"] = _best(lambda: quantify_image(core, low_loss=low, **options))
    shifts = {e: image.shifts_ev[e] for e in elements}
    same: dict[str, Any] = {"window_ev": (400.0, 999.0), "shifts_ev": shifts, "beam": beam_of(core)}
    whole = common_task(core, elements, mean_low, **same)
    part = common_task(
        Spectrum(core.energy_ev, core.counts[:PEER_PIXELS]), elements, mean_low, **same
    )
    found["common_model_s"] = _best(lambda: ours(whole))
    for name, peer in (("exspy", exspy_amounts), ("pyeelsmodel", pyeelsmodel_amounts)):
        if peer(part) is None:
            continue
        seconds = _best(lambda peer=peer: peer(part), repeats=2) * len(core) / PEER_PIXELS
        found[f"{name}_s"] = seconds
        found[f"{name}_ratio"] = seconds / found["common_model_s"]
    return found | {"peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def streamed(*, seed: int = 0) -> dict[str, Any]:
    """A map of 1000 x 1000 spectra in a file: seconds, and the memory that it took."""
    settings = Superlattice(map_shape=(10, 1000))
    tile = simulate_superlattice(settings, seed=seed).core_loss
    shape = (1000, 1000, tile.counts.shape[1])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.hspy"
        _write_image(path, tile, shape)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        start = time.perf_counter()
        maps = map_elements(path, out=Path(folder) / "maps.h5", progress=True)
        return {
            "n": shape[0] * shape[1],
            "file_mib": path.stat().st_size / 2**20,
            "seconds": time.perf_counter() - start,
            "rss_before_mib": before,
            "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "result_mib": maps.probability.nbytes / 2**20,
            "present": sorted(maps.present()),
        }


def _write_image(path: Path, tile: Spectrum, shape: tuple[int, int, int]) -> None:
    """A file for HyperSpy whose rows repeat those of ``tile``, written row by row."""
    import dask.array as da
    import hyperspy.api as hs

    counts = da.from_array(
        tile.counts.reshape(-1, *shape[1:]).astype("float32"), chunks=(1, -1, -1)
    )
    repeated = da.tile(counts, (-(-shape[0] // len(counts)), 1, 1))[: shape[0]]
    signal = hs.signals.Signal1D(repeated).as_lazy()
    axis = signal.axes_manager[-1]
    axis.offset, axis.scale = tile.energy_ev[0], tile.energy_ev[1] - tile.energy_ev[0]
    axis.units, axis.name = "eV", "Energy loss"
    signal.save(path, chunks=(1, *shape[1:]), compression=None)


def _others(maps: ElementMaps, elements: Sequence[str]) -> float:
    """Calls of other elements per pixel."""
    own = [ELEMENT_INDEX[e] for e in elements]
    return float(np.delete(maps.decision, own, axis=-1).sum() / np.prod(maps.map_shape))


def _best(work, *, repeats: int = 3) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)
