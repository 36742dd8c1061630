"""Every random parameter of the simulator and its distribution, each with its reason or source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace

Range = tuple[float, float]
_LOG_UNIFORM = (
    *("window_width_ev", "collection_mrad", "contamination_amount", "hydrocarbon_amount"),
    *("stray_amount", "damage", "fine_structure_height", "exelfs_amplitude", "thickness_mfp"),
    *("plasmon_width_ev", "surface_plasmon", "zero_loss_fwhm_ev", "background_offset", "afterglow"),
    *("plasmon_tail", "jump_ratio", "mean_counts", "frames", "noise_excess", "gain_variation"),
    *("gain_ripple", "readout_noise", "axis_error_ev"),
)

VISIBLE_SNR = 3.0
"""Signal-to-noise ratio above which a present element must be found (Rose criterion: 3 to 5)."""

DISPERSIONS_EV = (0.05, 0.1, 0.2, 0.25, 0.3, 0.5, 0.7, 0.8, 1.0, 2.0, 3.0, 4.0, 8.0)
"""Dispersions that spectrometers offer and users bin to, eV per channel."""
RECORDED_CHANNELS = (512, 1024, 1340, 2048, 3710, 4096)
"""Channels of serial scans, photodiode arrays, CCDs and direct detectors."""

INGREDIENTS: dict[str, dict] = {
    "common compounds": {"common_share": 0.0},
    "mixed specimens": {
        "second_phase_probability": 0.0,
        "carbon_probability": 0.0,
        "oxygen_probability": 0.0,
        "hydrocarbon_probability": 0.0,
        "stray_probability": 0.0,
        "damage_probability": 0.0,
    },
    "cross-section spread": {"cross_section_error": 0.0},
    "bonded shifts": {"bonded_shift_probability": 0.0},
    "shell shifts": {"shell_shift_ev": 0.0, "split_shift_ev": 0.0, "branching_spread": 0.0},
    "core-hole lifetime": {"core_hole_lifetime": False},
    "resonances": {"resonance_probability": 0.0},
    "white lines": {"white_line_factor": (0.0, 0.0), "multiplets": False},
    "multiplets": {"multiplets": False},
    "extended oscillations": {"exelfs_probability": 0.0},
    "several plasmons": {"second_plasmon_probability": 0.0, "surface_plasmon_probability": 0.0},
    "real backgrounds": {
        "background_drift": 0.0,
        "background_thickness": False,
        "background_offset_probability": 0.0,
        "afterglow_probability": 0.0,
        "plasmon_tail_probability": 0.0,
    },
    "wide jump ratios": {"jump_ratio": (0.2, 1.5)},
    "axis errors": {
        "axis_error_ev": (1.2, 1.2),
        "axis_understated_probability": 0.0,
        "dispersion_error_probability": 0.0,
    },
    "detector": {
        "frames": (1.0, 1.0),
        "noise_excess": (1.0, 1.0),
        "gain_variation_probability": 0.0,
        "gain_ripple_probability": 0.0,
        "readout_noise_probability": 0.0,
        "point_spread_probability": 0.0,
        "spike_probability": 0.0,
        "saturation_probability": 0.0,
        "splice_probability": 0.0,
    },
    "dispersions": {
        "dispersion_weights": tuple(float(d == 1.0) for d in DISPERSIONS_EV),
        "off_grid_probability": 0.0,
    },
    "recorded windows": {
        "recorded_window_probability": 0.0,
        "free_window_probability": 0.0,
        "nuisance_window_probability": 0.0,
    },
    "processed spectra": {"subtracted_probability": 0.0, "deconvolved_probability": 0.0},
}
"""What the defaults add to the published procedure, and the values that switch each part off."""


@dataclass(frozen=True)
class SimulationSettings:
    """Distributions of the simulated spectra.

    `(low, high)` pairs are limits, the comment behind them names the law.

    The defaults are wider than the procedure of Annys et al. (Sci. Rep. 13, 13724, 2023): they
    cover the instruments whose spectra are published. `SimulationSettings.paper()` switches all
    additions off, `without(name)` one of `INGREDIENTS`. Unknown names raise `TypeError`, impossible
    limits `ValueError`.
    """

    # Window. A recorded one is channels times dispersion, at times cropped by its user; the others
    # have log-uniform widths, or are as wide as spliced spectra. The grid ends at 3071 eV.
    window_start_min_ev: float = 25.0
    window_width_ev: Range = (50.0, 3047.0)  # log-uniform
    recorded_window_probability: float = 0.6
    recorded_channel_weights: tuple[float, ...] = (1.0, 3.0, 1.0, 4.0, 1.0, 1.0)
    dispersion_weights: tuple[float, ...] = (
        *(0.3, 1.0, 1.0, 1.0, 2.0, 3.0, 0.7, 0.7),  # finer than 1 eV
        *(4.0, 0.7, 0.15, 0.5, 0.1),
    )
    cropped_window_probability: float = 0.35
    wide_window_probability: float = 0.15  # uniform widths above 1000 eV instead
    free_window_probability: float = 0.04  # anywhere, also where no edge is
    nuisance_window_probability: float = 0.06  # around an edge that identifies nothing

    # Microscope: common instruments from 60 to 300 kV, STEM probes and spectrometer entrances.
    beam_energy_kev: Range = (60.0, 300.0)  # uniform
    convergence_mrad: Range = (0.0, 35.0)  # uniform
    collection_mrad: Range = (3.0, 100.0)  # log-uniform: from small apertures to open ones
    gos_tables: tuple[str, ...] = ("builtin",)  # one for every block; also "dft", "dirac"

    # Specimen. A second phase stands for overlap, precipitates and layers; carbon and oxygen for
    # support film, contamination and oxidised surfaces; hydrocarbon for what the beam collects;
    # stray elements for grid, holder and ion milling. Amounts are relative to the first phase.
    # Damage leaves that share of the volatile elements.
    common_share: float = 0.3  # of the compounds that ask for an element: well-known ones
    second_phase_probability: float = 0.15
    carbon_probability: float = 0.15
    oxygen_probability: float = 0.10
    contamination_amount: Range = (0.03, 1.0)  # log-uniform
    hydrocarbon_probability: float = 0.03
    hydrocarbon_amount: Range = (1.0, 30.0)  # log-uniform, carbon atoms per atom
    stray_probability: float = 0.05
    stray_amount: Range = (0.01, 0.3)  # log-uniform
    damage_probability: float = 0.05
    damage: Range = (0.02, 0.8)  # log-uniform
    cross_section_error: float = 0.10  # log-normal sigma: spread between GOS models near an edge

    # Edge positions: chemical shifts are 1-2 eV for most edges (Egerton, EELS in the EM, 3rd ed.),
    # tabulated onsets differ by about 1 eV between compilations.
    chemical_shift_ev: float = 1.3  # standard deviation, the same for all shells of an element
    shell_shift_ev: float = 0.7  # standard deviation, per shell
    # In bonds, light elements begin later than the tabulated onset: B K of boron nitride 3.8 eV,
    # of borates 6 eV, C K of carbonates 6 eV, Al and Si L23 of oxides 4 to 6 eV, S L23 of sulfates
    # 6 eV, O K of silica and magnesia 5 eV (Egerton 2011; EELS Atlas).
    bonded_shift_ev: Range = (0.0, 8.0)  # uniform, added to the elements that have resonances
    bonded_shift_probability: float = 0.5
    bonded_shift_others: float = 0.4  # of it, for the cations of oxides and halides
    split_shift_ev: float = 0.3  # standard deviation, of the second white line against the first
    core_hole_lifetime: bool = True  # natural widths of Krause and Oliver (1979)

    # Near-edge structure: mean free path a in nm (Seah and Dench 1979, as used by Annys et al.),
    # generic peaks over a random region, their height relative to the edge.
    monolayer_nm: Range = (0.025, 0.25)  # uniform
    fine_structure_region_ev: Range = (10.0, 60.0)  # uniform
    fine_structure_height: Range = (0.02, 1.5)  # log-uniform scale of the peaks, edge height = 1
    strong_peak_probability: float = 0.05  # one peak of 1..10 edge heights (Annys et al.)
    resonance_probability: float = 0.85  # pi* and sigma* of light K edges, L23 of Mg to Cl
    white_line_factor: Range = (0.15, 2.2)  # uniform, times the vacancy-weighted bound strength
    # Lines of ions in the place of smooth doublets, see `physics.multiplets`: of all rare earths,
    # of transition metals in this share (the bands of metals are smooth). Their positions are known
    # to an electronvolt or so.
    multiplets: bool = True
    multiplet_share: float = 0.7
    multiplet_factor: Range = (0.4, 1.8)  # uniform, times the strength of the free ion
    multiplet_shift_ev: float = 1.2  # standard deviation, beside the shift of the edge
    # L3/L2 and M5/M4 depart from 2 and 1.5 by factors of two (Leapman and Grunes, Phys. Rev. Lett.
    # 45 (1980) 397; Thole and van der Laan, Phys. Rev. B 38 (1988) 3158).
    branching_spread: float = 0.4  # log-normal sigma of that ratio, half as much for ions
    # Extended oscillations of one neighbour shell, A sin(2 k R + phase) exp(-2 sigma^2 k^2)
    exelfs_probability: float = 0.7
    exelfs_amplitude: Range = (0.02, 0.25)  # log-uniform, of the edge at k = 3 / Angstrom

    # Low loss: single-scattering plasmons between those of alkali metals and diamond; thickness up
    # to where core-loss spectra are still recorded; surface plasmons at Ep / sqrt(2), whose
    # probability does not grow with thickness (Egerton 2011, section 3.3).
    thickness_mfp: Range = (0.05, 1.6)  # log-uniform, t / lambda
    plasmon_energy_ev: Range = (6.0, 35.0)  # uniform
    plasmon_width_ev: Range = (1.5, 20.0)  # log-uniform
    second_plasmon_probability: float = 0.4
    surface_plasmon_probability: float = 0.3
    surface_plasmon: Range = (0.01, 0.2)  # log-uniform, scattering probability
    zero_loss_fwhm_ev: Range = (0.4, 3.0)  # log-uniform: monochromated coarse axis to old guns

    # Background and signal: A (E/E0)^-r whose exponent changes over the window, with the plural
    # scattering that the thickness asks for; the jump ratio is enforced on one edge of the window.
    background_exponent: Range = (1.5, 5.2)  # uniform; textbooks give 2 to 6, 3 is common
    background_drift: float = 0.35  # standard deviation of the change of r over the window
    background_thickness: bool = True
    background_offset: Range = (1e-2, 5.0)  # log-uniform, over the background at the window's end
    background_offset_probability: float = 0.4  # stray electrons, dark-level error
    afterglow: Range = (1e-3, 0.2)  # log-uniform, over the mean background; decays in 50..500 eV
    afterglow_probability: float = 0.1
    plasmon_tail: Range = (0.1, 10.0)  # log-uniform, low loss over power law at the window's start
    plasmon_tail_probability: float = 0.6  # of windows that begin below 150 eV
    # Annys et al. have jump ratios of 0.2..1.5; thin samples of light elements reach several, and
    # edges far above strong ones stay below 0.1.
    jump_ratio: Range = (0.07, 6.0)  # log-uniform
    mean_counts: Range = (20.0, 1e7)  # log-uniform, electrons per channel: one frame to many sums

    # Detector. Noise of n frames is that of one times sqrt(n), the gain pattern is the same in all.
    frames: Range = (1.0, 1e5)  # log-uniform, at most one frame per ten electrons in a channel
    noise_excess: Range = (0.7, 2.0)  # log-uniform, variance over that of counting: Fano, gain
    gain_variation_probability: float = 0.5
    gain_variation: Range = (1e-4, 5e-3)  # log-uniform, channel-to-channel residual after gain
    gain_ripple_probability: float = 0.15
    gain_ripple: Range = (3e-4, 1e-2)  # log-uniform, slow waves of 15..300 channels
    readout_noise_probability: float = 0.3
    readout_noise: Range = (0.3, 10.0)  # log-uniform, electrons per frame
    point_spread_probability: float = 0.75
    point_spread: Range = (0.0, 0.27)  # uniform share of each neighbouring channel
    spike_probability: float = 0.02
    saturation_probability: float = 0.005
    splice_probability: float = 0.02
    splice_step: float = 0.03  # standard deviation of the gain between two spliced windows

    # Axis. Networks are told how far the energies may be off: from spectrometers that were just
    # calibrated to zero losses that nobody recorded. Some are wrong about it.
    axis_error_ev: Range = (0.3, 8.0)  # log-uniform, stated standard deviation of the energy offset
    axis_understated_probability: float = 0.05  # the offset is three times the stated error
    off_grid_probability: float = 0.5  # channels of 1 eV that do not lie at whole eV
    dispersion_error_probability: float = 0.4
    dispersion_error: float = 3e-3  # standard deviation, cut off at 8e-3

    # Spectra that somebody processed: a power law fitted before an edge and subtracted, perhaps the
    # plural scattering deconvolved too. A declared minority, see `Batch.processed`.
    subtracted_probability: float = 0.04
    background_fit_ev: Range = (15.0, 60.0)  # uniform, start of the fitted window before an edge
    deconvolved_probability: float = 0.01

    # Visibility: Egerton's SNR = I_k / sqrt(I_k + h I_b) over `signal_width_ev`, h = 10, limited by
    # how well a background is known (a fraction of I_b).
    signal_width_ev: float = 40.0
    background_knowledge: float = 3e-3

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type == "Range" and not value[0] <= value[1]:
                raise ValueError(
                    f"{field.name} = {value}: the lower limit must not exceed the upper one"
                )
            if field.name.endswith("_probability") and not 0 <= value <= 1:
                raise ValueError(f"{field.name} = {value} must lie in 0..1")
        for name in _LOG_UNIFORM:
            if getattr(self, name)[0] <= 0:
                raise ValueError(f"{name} = {getattr(self, name)}: limits must be above 0")
        for name, wanted in (
            ("recorded_channel_weights", len(RECORDED_CHANNELS)),
            ("dispersion_weights", len(DISPERSIONS_EV)),
        ):
            weights = getattr(self, name)
            if len(weights) != wanted or min(weights) < 0 or not sum(weights) > 0:
                raise ValueError(
                    f"{name} = {weights}: needs {wanted} weights, none negative, not all 0"
                )
        if self.wide_window_probability > 0 and self.window_width_ev[1] < 1000:
            raise ValueError(
                f"window_width_ev = {self.window_width_ev}: wide windows have 1000 eV or more; "
                "raise the upper limit or set wide_window_probability = 0"
            )
        if not 0 <= self.window_start_min_ev < 2000:
            raise ValueError(
                f"window_start_min_ev = {self.window_start_min_ev} eV must lie in 0..2000"
            )

    @classmethod
    def paper(cls) -> SimulationSettings:
        """The published procedure: generic fine structure, plain power law, counting noise only."""
        return cls(fine_structure_height=(0.05, 2.0)).without(*INGREDIENTS)

    @classmethod
    def named(cls, name: str) -> SimulationSettings:
        """The "default" settings, or those of the "paper"."""
        known: dict[str, Callable[[], SimulationSettings]] = {"default": cls, "paper": cls.paper}
        if name not in known:
            raise ValueError(f"settings are {name!r}; allowed: {', '.join(known)}")
        return known[name]()

    def without(self, *ingredients: str) -> SimulationSettings:
        """The same settings with some of `INGREDIENTS` switched off.

        >>> SimulationSettings().without("white lines").white_line_factor
        (0.0, 0.0)
        """
        unknown = set(ingredients) - set(INGREDIENTS)
        if unknown:
            raise ValueError(
                f"ingredients {sorted(unknown)} are unknown; allowed: {', '.join(INGREDIENTS)}"
            )
        changes = {k: v for name in ingredients for k, v in INGREDIENTS[name].items()}
        return replace(self, **changes)

    def as_dict(self) -> dict:
        """Plain dictionary for the provenance record of a data set or checkpoint."""
        return asdict(self)
