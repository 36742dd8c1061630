"""A simulated spectrum image of a perovskite superlattice, with the truth of every pixel.

Layers of LaMnO3, BaTiO3 and SrTiO3 as in the case study of A. Annys, D. Jannis and J. Verbeeck,
Sci. Rep. 13 (2023) 13724, 26 x 301 pixels, or any other stack. Interfaces are mixed, the probe is
wide, columns of atoms are seen, the thickness varies, the axis is off, and everything is counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from scipy.special import ndtr

from coreloss.materials.formula import composition
from coreloss.simulation.sampling import generator_for, uniform
from coreloss.simulation.superlattice.settings import LIMITS, Superlattice
from coreloss.simulation.superlattice.signal import LOW_LOSS_EV, channels_ev, record, sources_of
from coreloss.spectra.spectrum import Spectrum

PRESENT_FRACTION = 0.005
"""An element is present in a pixel when it has more than this share of the atoms."""
ROUGHNESS_NM = 2.0
"""Standard deviation of the Gaussian that makes thickness variations smooth."""
COLUMN_NM = 0.04
"""Standard deviation of a column of atoms beside the probe: vibration and delocalisation."""
_A_SITE = "Na K Rb Cs Ca Sr Ba Y La Ce Pr Nd Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Pb Bi"
_ON_A_SITES = frozenset(_A_SITE.split())
_FWHM_PER_SIGMA = 2 * math.sqrt(2 * math.log(2))
_SHIFTS, _THICKNESS, _DRIFT, _EXPONENT = range(4)  # random blocks; the signal has those from 100 on


@dataclass(frozen=True, eq=False)
class SuperlatticeImage:
    """Two spectrum images of m pixels, row by row, and what they are made of.

    core_loss, low_loss : counts; ``metadata["exposure_ratio"]`` is the exposure of the core loss
        over that of the low loss
    areal_density (m, k) : atoms/nm^2 of the k elements as the probe excites them
    fraction (m, k) : their atomic fractions; present (m, k) : more than `PRESENT_FRACTION`
    layer (m,) : index into ``settings.layers`` at the centre of a pixel; distance_nm (m,) : from
        there to the nearest interface, infinite without one
    thickness_mfp (m,) : thickness over inelastic mean free path
    shifts_ev : of the onsets of each element in the core loss, mean over the map, against the table
    expected (m, n) : counts without noise, if asked for
    """

    settings: Superlattice
    core_loss: Spectrum
    low_loss: Spectrum
    elements: tuple[str, ...]
    areal_density: np.ndarray
    fraction: np.ndarray
    present: np.ndarray
    layer: np.ndarray
    distance_nm: np.ndarray
    thickness_mfp: np.ndarray
    shifts_ev: Mapping[str, float]
    expected: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.areal_density)


def simulate_superlattice(
    settings: Superlattice | None = None, *, seed: int = 0, keep_expected: bool = False
) -> SuperlatticeImage:
    """The spectrum image of ``settings`` and its truth; the same seed gives the same image."""
    s = settings or Superlattice()
    chemical = uniform(
        (len(s.elements),),
        (-s.chemical_shift_ev, s.chemical_shift_ev),
        generator=generator_for(seed, _SHIFTS),
    )
    shifts_ev = dict(zip(s.elements, (chemical + s.energy_offset_ev).tolist(), strict=True))
    amounts, thickness_nm = _amounts(s, seed)
    areal_density = np.stack(
        [sum(n for (e, _), n in amounts.items() if e == element) for element in s.elements], 1
    )
    fraction = areal_density / areal_density.sum(1, keepdims=True)
    layer, distance_nm = _places(s)
    reference = areal_density[:, s.elements.index(s.reference_edge[0])]
    sources = sources_of(
        tuple(amounts),
        s,
        shifts_ev=shifts_ev,
        seed=seed,
        reference_density=reference.mean() / thickness_nm.mean(),
    )
    table = _pixel_table(s, amounts, thickness_nm, seed)
    core_ev, low_ev = (
        channels_ev(*s.window_ev, s.dispersion_ev),
        channels_ev(*LOW_LOSS_EV, s.dispersion_ev),
    )
    counts, low, expected = record(
        table, sources, s, core_ev, low_ev, seed=seed, keep_expected=keep_expected
    )
    return SuperlatticeImage(
        settings=s,
        core_loss=_spectrum(s, core_ev, counts, seed, "core loss"),
        low_loss=_spectrum(s, low_ev, low, seed, "low loss"),
        elements=s.elements,
        areal_density=areal_density,
        fraction=fraction,
        present=fraction > PRESENT_FRACTION,
        layer=layer,
        distance_nm=distance_nm,
        thickness_mfp=thickness_nm / s.mean_free_path_nm,
        shifts_ev=shifts_ev,
        expected=expected,
    )


def layer_shares(settings: Superlattice) -> np.ndarray:
    """Share of each layer in what the probe hits, (layers, columns of the map); they add up to 1.

    A layer between a and b has ``Phi[(x - a) / s] - Phi[(x - b) / s]`` with the normal integral Phi
    and ``s^2 = intermixing^2 + probe^2``.
    """
    s = settings
    sigma = math.hypot(s.intermixing_nm, s.probe_fwhm_nm / _FWHM_PER_SIGMA)
    behind = ndtr((_x_nm(s) - _interfaces_nm(s)[:, None]) / max(sigma, 1e-6))
    ends = np.ones((1, s.map_shape[1]))
    return -np.diff(np.concatenate([ends, behind, 0 * ends]), axis=0)


def column_patterns(settings: Superlattice) -> dict[str, np.ndarray]:
    """Relative amounts on the sites A, B and X of a perovskite along [001], maps of mean 1.

    Columns of width s are a product of ``1 + 2 sum_n exp[-2 (pi n s / a)^2] cos(2 pi n x / a)`` in
    x and y. A lies at the corners of the cells, B in their centres, X between two A and on B.
    """
    s = settings
    sigma = math.hypot(COLUMN_NM, s.probe_fwhm_nm / _FWHM_PER_SIGMA)
    order = np.arange(1, 13)
    damping = 2 * np.exp(-2 * (math.pi * order * sigma / s.lattice_nm) ** 2)

    def planes(position_nm: np.ndarray) -> np.ndarray:
        cells = np.multiply.outer(position_nm / s.lattice_nm, order)
        return 1 + np.cos(2 * math.pi * cells) @ damping

    half = s.lattice_nm / 2
    x = _x_nm(s) - half / 2  # interfaces lie between an AX and a BX2 plane
    y = (np.arange(s.map_shape[0]) + 0.5) * s.pixel_nm
    on_x, off_x, on_y, off_y = planes(x), planes(x - half), planes(y)[:, None], planes(y - half)
    off_y = off_y[:, None]
    patterns = {"A": on_y * on_x, "B": off_y * off_x}
    patterns["X"] = (on_y * off_x + off_y * on_x + off_y * off_x) / 3
    return {site: 1 + s.column_contrast * (p - 1) for site, p in patterns.items()}


def sites(formula: str) -> dict[str, str]:
    """Site A, B or X of each element of a perovskite ABX3, also of mixed ones; else empty.

    >>> sites("Ba0.5Sr0.5TiO3")
    {'Ba': 'A', 'Sr': 'A', 'Ti': 'B', 'O': 'X'}
    >>> sites("MnO")
    {}
    """
    shares = composition(formula)
    anion = max(shares, key=shares.__getitem__)
    found = {e: "X" if e == anion else "A" if e in _ON_A_SITES else "B" for e in shares}
    amount = [sum(shares[e] for e in shares if found[e] == site) for site in "ABX"]
    return found if np.allclose(amount, (0.2, 0.2, 0.6), atol=1e-6) else {}


def _amounts(s: Superlattice, seed: int) -> tuple[dict[tuple[str, str], np.ndarray], np.ndarray]:
    """Atoms/nm^2 (m,) of each (element, compound), and the thickness (m,) in nm."""
    ramp = s.thickness_wedge * ((np.arange(s.map_shape[1]) + 0.5) / s.map_shape[1] - 0.5)
    rough = _smooth_field(s.map_shape, ROUGHNESS_NM / s.pixel_nm, seed, _THICKNESS)
    thickness_nm = s.thickness_nm * (1 + ramp + s.thickness_roughness * rough)
    shares, patterns = layer_shares(s), column_patterns(s)
    amounts = {}
    for formula in s.formulas:
        density = sum(
            share * layer.atoms_per_nm3
            for share, layer in zip(shares, s.layers, strict=True)
            if layer.formula == formula
        )
        for element, part in composition(formula).items():
            pattern = patterns.get(sites(formula).get(element, ""), 1.0)
            amounts[element, formula] = (density * part * pattern * thickness_nm).ravel()
    return amounts, thickness_nm.ravel()


def _pixel_table(s: Superlattice, amounts, thickness_nm: np.ndarray, seed: int) -> torch.Tensor:
    """Amounts of the pairs, thickness, drift and exponent of the background of every pixel."""
    scan_pixels = s.map_shape[1] / 2
    drift_ev = s.energy_drift_ev * _smooth_field((len(thickness_nm),), scan_pixels, seed, _DRIFT)
    vary = _smooth_field(s.map_shape, ROUGHNESS_NM / s.pixel_nm, seed, _EXPONENT).ravel()
    exponent = s.background_exponent + s.background_exponent_spread * vary
    return torch.from_numpy(np.stack([*amounts.values(), thickness_nm, drift_ev, exponent], 1))


def _places(s: Superlattice) -> tuple[np.ndarray, np.ndarray]:
    """Layer and distance to the nearest interface of every pixel, (m,) each."""
    x, interfaces = _x_nm(s), _interfaces_nm(s)
    layer = np.searchsorted(interfaces, x)
    distance = np.abs(x - interfaces[:, None]).min(0, initial=np.inf)
    return np.tile(layer, s.map_shape[0]), np.tile(distance, s.map_shape[0])


def _x_nm(s: Superlattice) -> np.ndarray:
    return (np.arange(s.map_shape[1]) + 0.5) * s.pixel_nm


def _interfaces_nm(s: Superlattice) -> np.ndarray:
    return np.cumsum([layer.thickness_nm for layer in s.layers])[:-1]


def _smooth_field(shape, sigma_pixels: float, seed: int, block: int) -> np.ndarray:
    """Random field with mean 0, standard deviation 1, and no value beyond 3."""
    noise = torch.randn(shape, generator=generator_for(seed, block), dtype=torch.float64).numpy()
    smooth = gaussian_filter(noise, sigma_pixels)
    smooth = smooth - smooth.mean()
    return (smooth / max(smooth.std(), 1e-12)).clip(-3, 3)


def _spectrum(s: Superlattice, energy_ev, counts, seed: int, kind: str) -> Spectrum:
    metadata: dict[str, Any] = {"exposure_ratio": s.exposure_ratio, "seed": seed, "simulated": True}
    metadata |= {name: getattr(s, name) for name in LIMITS}
    metadata["layers"] = [asdict(layer) for layer in s.layers]
    return Spectrum(
        energy_ev,
        counts,
        beam_energy_kev=s.beam_energy_kev,
        convergence_mrad=s.convergence_mrad,
        collection_mrad=s.collection_mrad,
        title=f"{'/'.join(s.formulas)} superlattice, {kind} (simulated)",
        map_shape=s.map_shape,
        metadata=metadata,
    )
