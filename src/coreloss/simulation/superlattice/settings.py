"""Parameters of a simulated superlattice: layers, specimen, microscope, detector."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from coreloss.edges import ELEMENT_INDEX, EdgeShell, edge_shells, inside_window
from coreloss.materials.formula import composition
from coreloss.physics.bank import BEAM_LIMITS
from coreloss.spectra.signals import INSTRUMENT

PEROVSKITE_ATOMS_PER_NM3 = 5 / 0.39**3
"""Five atoms in a pseudo-cubic cell of 0.39 nm."""


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


LIMITS: dict[str, tuple[float, float]] = {
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
    **dict(zip(INSTRUMENT, BEAM_LIMITS, strict=True)),
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
        for name, limits in LIMITS.items():
            _check_range(name, getattr(self, name), limits)
        if not self.layers or not all(isinstance(layer, Layer) for layer in self.layers):
            raise ValueError(f"layers = {self.layers!r}; allowed: one or more `Layer`")
        if len(self.map_shape) != 2 or min(self.map_shape) < 1:
            raise ValueError(f"map_shape = {self.map_shape}; allowed: two numbers of 1 or more")
        lo, hi = self.window_ev
        if not 50.0 <= lo < hi <= 3000.0 or hi - lo < 60.0:
            raise ValueError(f"window_ev = {self.window_ev}; allowed: 60 eV or more in 50..3000 eV")
        _check_range("|thickness_wedge| / 2 + 3 thickness_roughness", self._variation, (0.0, 0.9))
        known: dict[tuple[str, ...], EdgeShell] = {(s.element, s.shell): s for s in edge_shells()}
        edge = known.get(tuple(self.reference_edge))
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
        return tuple(sorted(found, key=ELEMENT_INDEX.__getitem__))

    @property
    def formulas(self) -> tuple[str, ...]:
        """The compounds of the stack, each once."""
        return tuple(dict.fromkeys(layer.formula for layer in self.layers))

    @property
    def exposure_ratio(self) -> float:
        """Exposure of the core loss over that of the low loss."""
        return (1 - self.low_loss_share) / self.low_loss_share


def _check_range(name: str, value: float, limits: tuple[float, float]) -> None:
    low, high = limits
    if not low <= value <= high:
        raise ValueError(f"{name} = {value}; allowed: {low:g} to {high:g}")
