"""Specimens that several tests share."""

import os
from pathlib import Path

import numpy as np
import pytest

from coreloss.beam import Beam
from coreloss.datasets.records import ExperimentalRecord
from coreloss.edges import ELEMENT_INDEX, identifying_sets, observable_elements
from coreloss.identification.edge_fit import EdgeEvidence
from coreloss.identification.evidence import Findings
from coreloss.identification.identify import Identification
from coreloss.networks.mlp import MLPConfig
from coreloss.physics.cross_section import dsigma_de
from coreloss.physics.gos_table import read_gosh
from coreloss.spectra.spectrum import Spectrum
from coreloss.training.loop import TrainConfig

BLOCK = 32


def short_training(*, blocks, batch_size):
    """A training of a small network over so many blocks of `BLOCK` spectra, with a report each."""
    return TrainConfig(
        model=MLPConfig(width=0.02),
        spectra=blocks * BLOCK,
        report_every=BLOCK,
        block_size=BLOCK,
        batch_size=batch_size,
        validation_spectra=32,
    )


def handles(path):
    """How many times this process has a file open."""
    folder = Path("/proc/self/fd")
    if not folder.exists():
        pytest.skip("open files are not listed here")
    return sum(os.path.realpath(handle) == str(path) for handle in folder.iterdir())


def hyperspy_dictionary(data, axes, *, microscope=None, title="map"):
    """What RosettaSciIO's writers take, with (name, units, scale, offset, navigate) per axis."""
    names = ("name", "units", "scale", "offset", "navigate")
    listed = [
        dict(zip(names, axis, strict=True))
        | {"_type": "UniformDataAxis", "size": size, "index_in_array": i, "is_binned": False}
        for i, (axis, size) in enumerate(zip(axes, data.shape, strict=True))
    ]
    return {
        "data": data,
        "axes": listed,
        "metadata": {
            "General": {"title": title, "original_filename": ""},
            "Signal": {"signal_type": "EELS"},
            "Acquisition_instrument": {"TEM": microscope or {}},
        },
        "original_metadata": {},
        "learning_results": {},
        "models": {},
        "tmp_parameters": {},
        "attributes": {"_lazy": False, "ragged": False},
        "package_info": {"package": "hyperspy", "package_version": "2.5"},
    }


def record(number, **changes):
    values = {
        "id": f"record_{number}", "file": f"here/{number}.csv", "kind": "spectrum", "quality": "A",
        "material": "TiO2", "elements_nominal": ("Ti", "O"), "elements_trace_visible": (),
        "out_of_vocabulary": (), "energy_start_ev": 380.0, "energy_end_ev": 680.0,
        "usable_start_ev": 380.0, "usable_end_ev": 680.0, "energy_offset_ev": 0.0,
        "dispersion_ev": 0.5, "n_spectra": 1, "beam_energy_kev": None, "convergence_mrad": None,
        "collection_mrad": None, "source": "repository", "license": "CC0", "sha256": "",
        "notes": "",
    }  # fmt: skip
    return ExperimentalRecord(**{**values, **changes})


GRID = np.arange(3072.0)


BEAM = Beam(energy_kev=200.0, convergence_mrad=10.0, collection_mrad=20.0)


def edge(element, shell):
    return next(e for e in identifying_sets() if (e.element, e.shell) == (element, shell))


def cross_section(element, shell, shift_ev=0.0):
    """By the direct integral, not by the low-rank bank that the fit is made of."""
    known = edge(element, shell)
    table = read_gosh()[element, shell]
    return dsigma_de(
        table, GRID - shift_ev, beam=BEAM, offsets_ev=known.offsets_ev, ratios=known.ratios
    ).numpy()


def spectrum(*edges, lo=400, hi=700, counts=1e4, exponent=3.0, seed=0, shift_ev=0.0):
    """Power law with ``counts`` per channel at its start, edges (element, shell, jump ratio)."""
    window = (lo <= GRID) & (hi >= GRID)
    background = counts * (np.maximum(GRID, 1) / lo) ** -exponent
    total = background.copy()
    for element, shell, jump in edges:
        shape = cross_section(element, shell, shift_ev)
        onset = int(edge(element, shell).onset_ev + shift_ev)
        total += shape * jump * background[onset] / shape[onset + 5]
    rng = np.random.default_rng(seed)
    return np.where(window, rng.poisson(total), 0).astype(float), window, background


ENERGY_EV = np.arange(350.0, 750.0)


BELOW = 1e5 * (ENERGY_EV / 350) ** -3.0


COUNTS = BELOW + BELOW * (ENERGY_EV >= 457) + 0.1 * BELOW * (ENERGY_EV >= 530)


PROBABILITY = {"Ti": 0.97, "O": 0.99, "N": 0.4, "Sn": 0.05, "V": 0.3}


EVIDENCE = (
    EdgeEvidence("Ti", "Ti L23", 456.0, 457.0, 28.4),
    EdgeEvidence("O", "O K", 532.0, 530.0, 7.6),
    EdgeEvidence("N", "N K", 401.0, 402.0, 1.2),
)


def answer(*, evidence=EVIDENCE, m=1, window_ev=(350.0, 749.0)):
    """An `Identification` as `identify` makes it, without a network."""
    probability = np.full((m, 80), 0.001)
    for element, p in PROBABILITY.items():
        probability[:, ELEMENT_INDEX[element]] = p
    observable = observable_elements(*window_ev).numpy()
    below = np.full(3072, np.nan)
    below[350:750] = BELOW / COUNTS.mean()
    found = Findings(evidence, (-1.2, 1.0), {"O": ("Sb",)}, below)
    return Identification(
        probability=np.where(observable, probability, np.nan),
        observable=observable,
        threshold=0.7,
        absent_threshold=0.02,
        window_ev=window_ev,
        model="fake",
        spectrum=Spectrum(ENERGY_EV, np.tile(COUNTS, (m, 1)), title="made"),
        spectrum_warnings=((),) * m,
        cut_ev=(350.0, 749.0),
        findings=(found,) * m if evidence else (),
    )
