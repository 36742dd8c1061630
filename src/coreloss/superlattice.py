"""A simulated spectrum image of a perovskite superlattice, with the truth of every pixel.

Layers of LaMnO3, BaTiO3 and SrTiO3 as in the case study of D. Annys, D. Jannis and J. Verbeeck,
Sci. Rep. 13 (2023) 13724, 26 x 301 pixels, or any other stack. Interfaces are mixed, the probe is
wide, columns of atoms are seen, the thickness varies, the axis is off, and everything is counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from scipy.special import ndtr

from coreloss.cross_section_bank import BEAM_LIMITS
from coreloss.edges import ELEMENT_INDEX, edge_shells, inside_window
from coreloss.formulas import composition
from coreloss.sampling import generator_for, uniform
from coreloss.spectra_data import Spectrum
from coreloss.superlattice_signal import LOW_LOSS_EV, channels_ev, record, sources_of

PEROVSKITE_ATOMS_PER_NM3 = 5 / 0.39**3
"""Five atoms in a pseudo-cubic cell of 0.39 nm."""
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


@dataclass(frozen=True)
class Layer:
    """A compound, how thick it is in growth direction, and its density in atoms/nm^3."""

    formula: str
    thickness_nm: float
    atoms_per_nm3: float = PEROVSKITE_ATOMS_PER_NM3

    def __post_init__(self) -> None:
        unknown = sorted(set(composition(self.formula)) - set(ELEMENT_INDEX))
        if unknown:
            raise ValueError(f"{self.formula}: {unknown} have no edges; allowed: the 80, Be..Bi")
        _check_range("layer thickness_nm", self.thickness_nm, (0.01, 1e4))
        _check_range("atoms_per_nm3", self.atoms_per_nm3, (0.1, 500.0))


def default_layers() -> tuple[Layer, ...]:
    """SrTiO3, then LaMnO3, BaTiO3 and SrTiO3 three times, 6 to 18 cells of 0.39 nm each."""
    cells = ((16, 12, 8), (12, 8, 12), (8, 16, 6))
    repeats = [zip(("LaMnO3", "BaTiO3", "SrTiO3"), n, strict=True) for n in cells]
    stack = [("SrTiO3", 18), *(pair for repeat in repeats for pair in repeat)]
    return tuple(Layer(formula, 0.39 * n) for formula, n in stack)


_LIMITS = {
    "pixel_nm": (0.01, 50.0),
    "probe_fwhm_nm": (0.0, 50.0),
    "intermixing_nm": (0.0, 50.0),
    "lattice_nm": (0.2, 2.0),
    "column_contrast": (0.0, 1.0),
    "thickness_nm": (0.1, 500.0),
    "thickness_wedge": (-1.5, 1.5),
    "thickness_roughness": (0.0, 0.3),
    "mean_free_path_nm": (10.0, 1000.0),
    "plasmon_energy_ev": (5.0, 40.0),
    "plasmon_width_ev": (1.0, 30.0),
    **dict(
        zip(("beam_energy_kev", "convergence_mrad", "collection_mrad"), BEAM_LIMITS, strict=True)
    ),
    "dispersion_ev": (0.5, 4.0),
    "electrons_per_pixel": (1.0, 1e12),
    "low_loss_share": (1e-6, 0.999999),
    "jump_ratio": (1e-3, 1e6),
    "background_exponent": (1.0, 6.0),
    "background_exponent_spread": (0.0, 0.5),
    "energy_offset_ev": (-10.0, 10.0),
    "energy_drift_ev": (0.0, 3.0),
    "chemical_shift_ev": (0.0, 10.0),
    "zero_loss_fwhm_ev": (0.1, 5.0),
    "fine_structure": (0.0, 3.0),
    "outer_shells": (0.0, 1.0),
    "point_spread": (0.0, 0.35),
    "gain": (1e-3, 1e4),
    "readout_noise": (0.0, 1e4),
}


@dataclass(frozen=True)
class Superlattice:
    """Specimen, microscope and detector of a spectrum image.

    Layers are stacked along the second axis of the map; the last one goes on to its end.

    Parameters
    ----------
    probe_fwhm_nm : Gaussian, with the spread of the beam in the specimen
    intermixing_nm : standard deviation of the error function across an interface
    column_contrast : 0 for none, 1 for what the probe resolves of columns of atoms along [001]
    thickness_wedge : relative change over the map; ``thickness_roughness`` : relative standard
        deviation of a smooth variation
    electrons_per_pixel : electrons that enter the spectrometer in the dwell time of a pixel, with
        any energy loss; ``low_loss_share`` of them in the low loss, the others in the core loss
    reference_edge, jump_ratio : mean cross-section 4..40 eV behind the onset, with the mean amount
        of the map, over the power law there; tails of shells in front of the window come on top
    background_exponent_spread : standard deviation of a smooth variation
    energy_offset_ev : error of the core-loss axis; ``energy_drift_ev`` : standard deviation of what
        drifts during the scan, in both spectra
    chemical_shift_ev : every element is off its tabulated onset by up to so much
    fine_structure : 1 for near-edge structure and core-hole lifetimes, 0 for bare cross-sections
    outer_shells : 1 for the tails of shells that begin in front of the window, 0 for none: then all
        but the edges in the window is a power law
    point_spread : share of a channel in each of its neighbours; ``gain`` : counts per electron;
        ``readout_noise`` : counts
    """

    layers: tuple[Layer, ...] = field(default_factory=default_layers)
    map_shape: tuple[int, int] = (26, 301)
    pixel_nm: float = 0.15
    probe_fwhm_nm: float = 0.25
    intermixing_nm: float = 0.4
    lattice_nm: float = 0.39
    column_contrast: float = 0.5
    thickness_nm: float = 35.0
    thickness_wedge: float = 0.2
    thickness_roughness: float = 0.05
    mean_free_path_nm: float = 110.0
    plasmon_energy_ev: float = 23.0
    plasmon_width_ev: float = 12.0
    beam_energy_kev: float = 300.0
    convergence_mrad: float = 20.0
    collection_mrad: float = 50.0
    window_ev: tuple[float, float] = (400.0, 1000.0)
    dispersion_ev: float = 1.0
    electrons_per_pixel: float = 2e7
    low_loss_share: float = 0.01
    reference_edge: tuple[str, str] = ("O", "K")
    jump_ratio: float = 1.5
    background_exponent: float = 3.0
    background_exponent_spread: float = 0.02
    energy_offset_ev: float = 0.5
    energy_drift_ev: float = 0.1
    chemical_shift_ev: float = 1.5
    zero_loss_fwhm_ev: float = 1.0
    fine_structure: float = 1.0
    outer_shells: float = 1.0
    point_spread: float = 0.05
    gain: float = 1.0
    readout_noise: float = 0.5

    def __post_init__(self) -> None:
        for name, limits in _LIMITS.items():
            _check_range(name, getattr(self, name), limits)
        if not self.layers or not all(isinstance(layer, Layer) for layer in self.layers):
            raise ValueError(f"layers = {self.layers!r}; allowed: one or more `Layer`")
        if len(self.map_shape) != 2 or min(self.map_shape) < 1:
            raise ValueError(f"map_shape = {self.map_shape}; allowed: two numbers of 1 or more")
        lo, hi = self.window_ev
        if not 50.0 <= lo < hi <= 3000.0 or hi - lo < 60.0:
            raise ValueError(f"window_ev = {self.window_ev}; allowed: 60 eV or more in 50..3000 eV")
        _check_range("|thickness_wedge| / 2 + 3 thickness_roughness", self._variation, (0.0, 0.9))
        edge = {(s.element, s.shell): s for s in edge_shells()}.get(tuple(self.reference_edge))
        if edge is None or edge.element not in self.elements:
            raise ValueError(
                f"reference_edge = {self.reference_edge}; allowed: an edge of {self.elements}"
            )
        if not inside_window(torch.tensor([edge.onset_ev]), lo, hi):
            raise ValueError(
                f"reference_edge = {self.reference_edge} lies at {edge.onset_ev:g} eV; allowed: 10"
                f" eV behind the start of the window {lo:g}..{hi:g} eV to 25 eV before its end"
            )

    @property
    def _variation(self) -> float:
        return abs(self.thickness_wedge) / 2 + 3 * self.thickness_roughness

    @classmethod
    def wide(cls, **changes) -> Superlattice:
        """With a window of 380..2300 eV, which holds the L edge of strontium at 1940 eV."""
        return cls(**{"window_ev": (380.0, 2300.0), **changes})

    @property
    def elements(self) -> tuple[str, ...]:
        """All elements of the stack, by atomic number."""
        found = {element for layer in self.layers for element in composition(layer.formula)}
        return tuple(sorted(found, key=ELEMENT_INDEX.get))

    @property
    def formulas(self) -> tuple[str, ...]:
        """The compounds of the stack, each once."""
        return tuple(dict.fromkeys(layer.formula for layer in self.layers))

    @property
    def exposure_ratio(self) -> float:
        """Exposure of the core loss over that of the low loss."""
        return (1 - self.low_loss_share) / self.low_loss_share


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
    anion = max(shares, key=shares.get)
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
            pattern = patterns.get(sites(formula).get(element), 1.0)
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
    return tuple(np.tile(values, s.map_shape[0]) for values in (layer, distance))


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
    metadata = {"exposure_ratio": s.exposure_ratio, "seed": seed, "simulated": True}
    metadata |= {name: getattr(s, name) for name in _LIMITS}
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


def _check_range(name: str, value: float, limits: tuple[float, float]) -> None:
    low, high = limits
    if not low <= value <= high:
        raise ValueError(f"{name} = {value}; allowed: {low:g} to {high:g}")
