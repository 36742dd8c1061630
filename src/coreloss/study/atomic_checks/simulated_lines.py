"""What the simulator makes of an edge with and without the lines of ions."""

from __future__ import annotations

import numpy as np
import torch

from coreloss.axis import N_CHANNELS, energy_ev
from coreloss.materials.formula import composition
from coreloss.materials.split import query_table
from coreloss.materials.table import make_materials, parse_formulas
from coreloss.simulation import near_edge
from coreloss.simulation.sampling import generator_for
from coreloss.simulation.settings import SimulationSettings
from coreloss.simulation.simulator import Simulator
from coreloss.study.atomic_checks.multiplets import edge_of

ONLY_EDGES = {
    "window_start_min_ev": 80.0, "window_width_ev": (180.0, 260.0), "wide_window_probability": 0.0,
    "recorded_window_probability": 0.0, "free_window_probability": 0.0,
    "nuisance_window_probability": 0.0, "second_phase_probability": 0.0, "carbon_probability": 0.0,
    "oxygen_probability": 0.0, "stray_probability": 0.0, "hydrocarbon_probability": 0.0,
    "damage_probability": 0.0, "thickness_mfp": (0.3, 0.3), "plasmon_energy_ev": (22.0, 22.0),
    "plasmon_width_ev": (10.0, 10.0), "second_plasmon_probability": 0.0,
    "surface_plasmon_probability": 0.0, "zero_loss_fwhm_ev": (1.0, 1.0),
    "background_exponent": (3.0, 3.0), "background_drift": 0.0,
    "background_offset_probability": 0.0, "afterglow_probability": 0.0,
    "plasmon_tail_probability": 0.0, "jump_ratio": (1.0, 1.0), "mean_counts": (1e4, 1e4),
    "axis_error_ev": (0.3, 0.3), "axis_understated_probability": 0.0,
    "subtracted_probability": 0.0, "deconvolved_probability": 0.0,
}  # fmt: skip
"""Settings of a simulator that leave only what belongs to the edges at random."""
SHOWN_EV = (-45, 80)
"""Around the onset of a giant resonance."""
DOUBLET_EV = (-5, 40)


def simulated(
    formula: str, settings: SimulationSettings, *, n: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Energies (c,) and at most ``n`` spectra (n, c) of mean 1 around N45 of the first element.

    Of one block, those whose windows hold the resonance. The same seed draws the same windows and
    compounds, whatever the settings say of the edges.
    """
    only = make_materials(parse_formulas([formula], origin="here"), source="here")
    block = Simulator(only, query_table(only, np.arange(1)), settings=settings, seed=seed).block(0)
    onset = round(edge_of(next(iter(composition(formula))), "N45").onset_ev)
    shown = slice(onset + SHOWN_EV[0], onset + SHOWN_EV[1])
    rows = block.mask[:, shown].all(1).nonzero().squeeze(1)[:n]
    spectra = block.counts[rows][:, shown].numpy()
    return energy_ev()[shown].numpy(), spectra / spectra.mean(1, keepdims=True)


def simulated_doublets(
    element: str, shell: str, *, n: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Energies (c,) behind the onset, and ``n`` white lines (n, c) as drawn without ions."""
    edge = edge_of(element, shell)
    drawn = near_edge.white_lines(
        torch.full((n,), edge.onset_ev),
        torch.ones(n),
        torch.tensor([edge.offsets_ev] * n),
        torch.tensor([edge.ratios] * n),
        torch.tensor([edge.widths_ev] * n),
        SimulationSettings(),
        generator=generator_for(seed, 0),
    )
    spectra = torch.zeros(n, N_CHANNELS)
    for row, first, values in zip(drawn.edge, *near_edge.strips(drawn), strict=True):
        spectra[row, first : first + len(values)] += values
    shown = slice(int(edge.onset_ev) + DOUBLET_EV[0], int(edge.onset_ev) + DOUBLET_EV[1])
    return energy_ev()[shown].numpy() - edge.onset_ev, spectra[:, shown].numpy()
