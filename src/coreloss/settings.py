"""Every random parameter of the simulator and its distribution, each with its reason or source."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

Range = tuple[float, float]
_LOG_UNIFORM = (
    *("window_width_ev", "collection_mrad", "contamination_amount", "fine_structure_height"),
    *("thickness_mfp", "plasmon_width_ev", "zero_loss_fwhm_ev", "background_offset", "jump_ratio"),
    *("mean_counts", "gain_variation", "readout_noise"),
)

VISIBLE_SNR = 3.0
"""Signal-to-noise ratio above which a present element must be found (Rose criterion: 3 to 5)."""


@dataclass(frozen=True)
class SimulationSettings:
    """Distributions of the simulated spectra.

    `(low, high)` pairs are limits, the comment behind them names the law.

    The defaults are wider than the procedure of Annys et al. (Sci. Rep. 13, 13724, 2023): they
    cover the instruments whose spectra are published. `SimulationSettings.paper()` switches the
    additions off. Unknown names raise `TypeError`, impossible limits `ValueError`.
    """

    # Window. Core-loss spectra begin above the plasmons; the grid ends at 3071 eV.
    window_start_min_ev: float = 25.0
    window_width_ev: Range = (80.0, 3047.0)  # log-uniform: 0.05..4 eV times 512..4096 channels
    wide_window_probability: float = 0.25  # uniform widths above 1000 eV instead

    # Microscope: common instruments from 60 to 300 kV, STEM probes and spectrometer entrances.
    beam_energy_kev: Range = (60.0, 300.0)  # uniform
    convergence_mrad: Range = (0.0, 35.0)  # uniform
    collection_mrad: Range = (3.0, 100.0)  # log-uniform: from small apertures to open ones

    # Specimen. A second phase stands for overlap, precipitates and layers; carbon and oxygen for
    # support film, contamination and oxidised surfaces. Amounts are relative to the first phase.
    second_phase_probability: float = 0.15
    carbon_probability: float = 0.15
    oxygen_probability: float = 0.10
    contamination_amount: Range = (0.03, 1.0)  # log-uniform
    cross_section_error: float = 0.10  # log-normal sigma: spread between GOS models near an edge

    # Edge positions: chemical shifts are 1-2 eV for most edges (Egerton, EELS in the EM, 3rd ed.),
    # tabulated onsets differ by about 1 eV between compilations.
    chemical_shift_ev: float = 1.3  # standard deviation, the same for all shells of an element
    shell_shift_ev: float = 0.7  # standard deviation, per shell

    # Near-edge structure: mean free path a in nm (Seah and Dench 1979, as used by Annys et al.),
    # generic peaks over a random region, their height relative to the edge.
    monolayer_nm: Range = (0.025, 0.25)  # uniform
    fine_structure_region_ev: Range = (10.0, 60.0)  # uniform
    fine_structure_height: Range = (0.02, 1.5)  # log-uniform scale of the peaks, edge height = 1
    strong_peak_probability: float = 0.03  # one peak of 1..10 edge heights (Annys et al.)
    resonance_probability: float = 0.75  # pi* and sigma* of B, C, N, O, F K
    white_line_factor: Range = (0.15, 1.5)  # uniform, times the vacancy-weighted bound strength

    # Low loss: single-scattering plasmons between those of alkali metals and diamond; thickness up
    # to where core-loss spectra are still recorded.
    thickness_mfp: Range = (0.05, 1.6)  # log-uniform, t / lambda
    plasmon_energy_ev: Range = (6.0, 35.0)  # uniform
    plasmon_width_ev: Range = (1.5, 20.0)  # log-uniform
    second_plasmon_probability: float = 0.4
    zero_loss_fwhm_ev: Range = (0.4, 3.0)  # log-uniform: monochromated coarse axis to old guns

    # Background and signal: A (E/E0)^-r plus a slow change of r; the jump ratio is enforced on one
    # randomly chosen edge of the window.
    background_exponent: Range = (2.0, 5.2)  # uniform; textbooks give 2 to 6, 3 is common
    background_curvature: float = 0.12  # standard deviation of dr / d ln E
    background_offset: Range = (1e-3, 0.3)  # log-uniform share of the mean background
    background_offset_probability: float = 0.25  # stray electrons, afterglow, dark-level error
    # Annys et al. have jump ratios of 0.2..1.5; thin samples of light elements reach several, and
    # edges far above strong ones stay below 0.1.
    jump_ratio: Range = (0.07, 6.0)  # log-uniform
    mean_counts: Range = (50.0, 1e7)  # log-uniform, electrons per channel: one frame to many sums

    # Detector and axis.
    axis_shift_ev: float = 1.2  # standard deviation of the energy offset
    bad_axis_probability: float = 0.15  # uniform offset instead, within the next limits
    bad_axis_shift_ev: Range = (-8.0, 8.0)
    gain_variation_probability: float = 0.5
    gain_variation: Range = (1e-4, 5e-3)  # log-uniform, channel-to-channel residual after gain
    readout_noise_probability: float = 0.3
    readout_noise: Range = (0.3, 10.0)  # log-uniform, electrons
    coarse_axis_probability: float = 0.12  # recorded at 2 or 4 eV per channel

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
        return cls(
            second_phase_probability=0.0,
            carbon_probability=0.0,
            oxygen_probability=0.0,
            cross_section_error=0.0,
            shell_shift_ev=0.0,
            fine_structure_height=(0.05, 2.0),
            resonance_probability=0.0,
            white_line_factor=(0.0, 0.0),
            second_plasmon_probability=0.0,
            background_curvature=0.0,
            background_offset_probability=0.0,
            jump_ratio=(0.2, 1.5),
            bad_axis_probability=0.0,
            gain_variation_probability=0.0,
            readout_noise_probability=0.0,
            coarse_axis_probability=0.0,
        )

    def as_dict(self) -> dict:
        """Plain dictionary for the provenance record of a data set or checkpoint."""
        return asdict(self)
