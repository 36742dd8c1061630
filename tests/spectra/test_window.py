"""The usable part of a spectrum, and faults of detectors: made up, simulated and real."""

import numpy as np
import pytest
import torch
from scipy.special import erf

from coreloss.datasets.manifest import read_manifest
from coreloss.datasets.measured import NO_DATA, data_dir
from coreloss.edges import MARGIN_AFTER_EV, MARGIN_BEFORE_EV, identifying_sets
from coreloss.materials.split import query_table, split_materials
from coreloss.materials.table import load_materials
from coreloss.simulation.settings import SimulationSettings
from coreloss.simulation.simulator import Simulator
from coreloss.spectra.reading import read_spectrum
from coreloss.spectra.spectrum import Spectrum
from coreloss.spectra.window import NAMED_FROM_EV, usable_window, without_faults

FAULTLESS = {f"{name}_probability": 0.0 for name in ("spike", "splice", "saturation")}


def oxide(first=400.0, last=800.0, step=1.0, counts=1e4, seed=0):
    energy = np.arange(first, last, step)
    y = counts * (energy / 400) ** -3 + 0.3 * counts * (energy > 532) * (energy / 532) ** -3
    y += 2 * counts * np.exp(-(((energy - 460) / 1.2) ** 2))  # a white line
    return energy, np.random.default_rng(seed).poisson(y * step).astype(float)


def test_a_plain_spectrum_stays_whole():
    energy, y = oxide()
    found = usable_window(Spectrum(energy, y))
    assert (found.lo_ev, found.hi_ev, found.reasons) == (400, 799, ())


def test_zero_loss_and_plasmons_go():
    energy = np.arange(-20.0, 800.0)
    y = 1e7 * np.exp(-(energy**2) / 2) + 3e5 / (1 + ((energy - 24) / 5) ** 2) * (energy > 0)
    y += 1e3 * (np.maximum(energy, 30) / 100) ** -3
    y = np.random.default_rng(0).poisson(y + 50).astype(float)
    found = usable_window(Spectrum(energy, y))
    assert found.lo_ev == NAMED_FROM_EV == 74
    assert found.hi_ev == 799
    assert "zero-loss" in found.reasons[0]
    valence = usable_window(Spectrum(energy[30:], y[30:]))
    assert valence.lo_ev == 74
    assert "valence" in valence.reasons[0]
    quantified = usable_window(Spectrum(energy, y), from_ev=30)
    assert 35 <= quantified.lo_ev <= 45


def test_padding_goes():
    energy, y = oxide()
    y[:20], y[-50:] = 0, 7
    found = usable_window(Spectrum(energy, y))
    assert (found.lo_ev, found.hi_ev) == (420, 749)
    assert "padding" in found.reasons[0]


def test_the_end_of_the_detector_goes():
    energy, y = oxide()
    y[-4:] *= [0.4, 0.3, 0.2, 0.05]
    y[:2] *= 0.1
    found = usable_window(Spectrum(energy, y))
    assert (found.lo_ev, found.hi_ev) == (402, 795)


@pytest.mark.parametrize("factor", [0.1, 30.0])
def test_a_change_of_gain_is_a_border(factor):
    energy, y = oxide()
    y[energy >= 500] *= factor
    found = usable_window(Spectrum(energy, y))
    assert (found.lo_ev, found.hi_ev) == (500, 799)
    assert "gain" in found.reasons[0]
    energy, y = oxide()
    y[energy >= 750] *= factor
    assert usable_window(Spectrum(energy, y)).hi_ev == 749


def test_an_edge_is_no_change_of_gain():
    energy, y = oxide()
    rise = 0.5 * (1 + erf((energy - 600) / 0.72))  # over 1.2 eV
    peak = 1 + 0.6 * np.exp(-0.5 * ((energy - 605) / 3) ** 2)
    y += 2e4 * rise * peak * (energy / 600) ** -3  # a jump by a factor of five
    assert usable_window(Spectrum(energy, y)).reasons == ()


def test_cuts_that_leave_nothing_are_not_made():
    energy = np.arange(-20.0, 60.0)
    y = np.random.default_rng(0).poisson(1e5 * np.exp(-(energy**2)) + 1000)
    found = usable_window(Spectrum(energy, y))
    assert (found.lo_ev, found.hi_ev) == (-20, 59)


def test_spikes_on_a_fine_axis_are_mended_and_told():
    energy, y = oxide(step=0.25)
    clean = y.copy()
    y[700] += 8e3
    mended = without_faults(Spectrum(energy, y))
    assert abs(mended.counts[0, 700] - clean[700]) < 6 * clean[700] ** 0.5
    np.testing.assert_array_equal(np.delete(mended.counts[0], 700), np.delete(clean, 700))
    assert "575 eV" in mended.warnings[0]
    assert without_faults(Spectrum(energy, clean)).warnings == ()


@pytest.mark.parametrize("height", [1e5, 600.0])
def test_spikes_on_a_coarse_axis_are_mended_and_told(height):
    energy, clean = oxide()
    y = clean.copy()
    y[300] += height
    mended = without_faults(Spectrum(energy, y))
    assert abs(mended.counts[0, 300] - clean[300]) < 6 * clean[300] ** 0.5
    np.testing.assert_array_equal(np.delete(mended.counts[0], 300), np.delete(clean, 300))
    assert "the first at 700 eV" in mended.warnings[0]


@pytest.mark.parametrize("at", [532, 403])
def test_spikes_on_a_coarse_axis_are_only_told_where_they_may_be_lines(at):
    """At the onset of an edge, and so near to the end of the window that there might be one."""
    energy, y = oxide()
    y[energy == at] += 1e5
    kept = without_faults(Spectrum(energy, y))
    np.testing.assert_array_equal(kept.counts[0], y)
    assert f"{at} eV" in kept.warnings[0]
    assert "kept" in kept.warnings[0]


def test_saturation_is_told():
    energy, y = oxide()
    assert without_faults(Spectrum(energy, y)).warnings == ()
    told = without_faults(Spectrum(energy, np.minimum(y, 1.8e4)))
    assert told.warnings == () or "saturated" in told.warnings[0]
    clipped = np.where(np.abs(energy - 460) < 3, 2e4, y)
    assert "from 458 eV" in without_faults(Spectrum(energy, clipped)).warnings[0]


def test_simulated_spectra_lose_next_to_nothing():
    materials = load_materials("embedded")
    queries = query_table(materials, split_materials(materials, seed=0)["test"])
    settings = SimulationSettings(**FAULTLESS)
    batch = Simulator(materials, queries, settings=settings, seed=31).block(0)
    cut = spikes = n = 0
    for row in torch.nonzero(~batch.processed).squeeze(1).tolist():
        energy = torch.nonzero(batch.mask[row]).squeeze(1).numpy().astype(float)
        if len(energy) < 60 or energy[0] < NAMED_FROM_EV:
            continue
        spectrum = Spectrum(energy, batch.counts[row].numpy()[energy.astype(int)])
        found = usable_window(spectrum)
        cut += found.hi_ev - found.lo_ev < 0.95 * (energy[-1] - energy[0])
        spikes += any("single" in note for note in without_faults(spectrum).warnings)
        n += 1
    assert n > 350
    assert cut <= 0.01 * n
    assert spikes <= 0.01 * n


@pytest.mark.skipif(data_dir() is None, reason=NO_DATA)
def test_no_edge_of_a_real_file_is_cut_off():
    folder, files, lost = data_dir(), 0, []
    for record in read_manifest(folder):
        if record.quality not in "AB" or record.kind == "low_loss":
            continue
        files += 1
        path = folder / "experimental" / record.file
        found = usable_window(read_spectrum(path).sum())
        for edge in identifying_sets():
            low, high = edge.onset_ev - MARGIN_BEFORE_EV, edge.onset_ev + MARGIN_AFTER_EV
            wanted = record.usable_start_ev <= low and high <= record.usable_end_ev
            if wanted and not (found.lo_ev <= low and high <= found.hi_ev):
                lost.append((record.id, edge.element, edge.shell))
    assert files > 20
    assert lost == []
