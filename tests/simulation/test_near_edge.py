"""Templates of ions: the right area at the right place, at any fraction of a channel."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from coreloss.edges import edge_shells
from coreloss.physics.gos_table import read_gosh
from coreloss.physics.multiplets import multiplets_of
from coreloss.simulation.near_edge import (
    PHASES,
    TEMPLATE_CHANNELS,
    Templates,
    multiplet_strips,
    optical_heights_per_ev,
)
from coreloss.simulation.sampling import generator_for
from coreloss.simulation.settings import SimulationSettings

SHELLS = tuple(
    edge
    for edge in edge_shells()
    if (edge.element, edge.shell) in {("O", "K"), ("Ti", "L23"), ("Er", "N45"), ("Yb", "M45")}
)
FIXED = SimulationSettings(
    multiplet_factor=(1.0, 1.0), multiplet_shift_ev=0.0, branching_spread=0.0
)


@pytest.fixture(scope="module")
def templates():
    return Templates.build(SHELLS, np.full(len(SHELLS), 2.0))


def test_templates_belong_to_their_shells(templates):
    for i, edge in enumerate(SHELLS):
        ions = multiplets_of(edge.element, edge.shell)
        assert templates.count[i] == 3 * len(ions)
        if not ions:
            continue
        rows = slice(int(templates.first[i]), int(templates.first[i] + templates.count[i]))
        strength = np.repeat([ion.oscillator_strength for ion in ions], 3)
        area = templates.values[rows].sum(-1).numpy()
        assert area == pytest.approx(np.tile(strength[:, None] / 2.0, PHASES), rel=0.15)
        assert float(templates.area_ev[i]) == pytest.approx(strength.mean() / 2.0, rel=1e-5)
    assert templates.values.shape[1:] == (PHASES, TEMPLATE_CHANNELS)


def test_strips_move_with_their_onsets(templates):
    yb = next(i for i, edge in enumerate(SHELLS) if edge.element == "Yb")
    onset_ev = 1528.0 + torch.arange(0, 4, 0.25)
    shell = torch.full(onset_ev.shape, yb)
    first, values = multiplet_strips(
        onset_ev, shell, templates, FIXED, generator=generator_for(0, 0)
    )
    channel = first[:, None] + torch.arange(TEMPLATE_CHANNELS)
    near = (channel - onset_ev[:, None]).abs() < 12
    weight = values * near
    centre = (channel * weight).sum(1) / weight.sum(1)
    (ion,) = multiplets_of("Yb", "M45")
    assert (centre - onset_ev).numpy() == pytest.approx(ion.energy_ev[0], abs=0.15)


def test_positions_and_strengths_vary_as_they_are_told(templates):
    yb = next(i for i, edge in enumerate(SHELLS) if edge.element == "Yb")
    n = 4000
    s = replace(FIXED, multiplet_factor=(0.5, 1.5), multiplet_shift_ev=2.0)
    first, values = multiplet_strips(
        torch.full((n,), 1528.0), torch.full((n,), yb), templates, s, generator=generator_for(1, 0)
    )
    area = values.sum(1) / values.sum(1).mean()
    assert float(area.min()) == pytest.approx(0.5, abs=0.05)
    assert float(area.max()) == pytest.approx(1.5, abs=0.05)
    place = first + values.argmax(1)
    assert float(place.float().std()) == pytest.approx(2.0, abs=0.15)


def test_the_ratio_of_white_lines_varies_but_not_that_of_giant_resonances(templates):
    s, ratios = replace(FIXED, branching_spread=0.6), {}
    for element, split in (("Ti", 3), ("Er", 3)):
        shell = next(i for i, edge in enumerate(SHELLS) if edge.element == element)
        one = replace(templates, first=templates.first + 1, count=torch.ones_like(templates.count))
        where = (torch.full((2000,), 456.0), torch.full((2000,), shell))
        first, values = multiplet_strips(*where, one, s, generator=generator_for(2, 0))
        middle = 456 - int(first[0]) + split
        ratio = values[:, :middle].sum(1) / values[:, middle:].sum(1)
        ratios[element] = float(ratio.log().std())
    assert ratios["Ti"] == pytest.approx(0.3, abs=0.06)
    assert ratios["Er"] == pytest.approx(0.0, abs=1e-6)


def test_heights_count_no_giant_resonance_that_is_drawn_as_lines():
    shells, past_ev = edge_shells(), np.arange(4, 41)
    heights = optical_heights_per_ev(shells, multiplets=True)
    for edge, height in zip(shells, heights, strict=True):
        if edge.shell == "N45" and edge.element in ("La", "Gd"):
            table = read_gosh()[edge.element, edge.shell].measured
            free_ev = edge.onset_ev + past_ev - table.onset_ev
            whole = np.interp(free_ev, table.free_energy_ev, table.gos_per_ev[0]).mean()
            assert 0 < height < 0.6 * whole
    without = optical_heights_per_ev(shells, multiplets=False)
    others = [not multiplets_of(edge.element, edge.shell) for edge in shells]
    assert (heights == without)[others].all()
