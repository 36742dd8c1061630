"""The beam: its limits, numbers and arrays, and that it stays as it was made."""

import dataclasses

import numpy as np
import pytest
import torch

from coreloss.beam import Beam

GOOD = {"energy_kev": 200.0, "convergence_mrad": 10.0, "collection_mrad": 20.0}
NAN = float("nan")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"energy_kev": 5.0}, r"beam energy \[keV\] is 5, allowed 20 to 1000; such as 200"),
        ({"energy_kev": 200_000.0}, r"beam energy \[keV\] is 200000, allowed 20 to 1000"),
        ({"energy_kev": NAN}, "beam energy .* is nan"),
        ({"energy_kev": None}, "beam energy .* is nan"),
        ({"convergence_mrad": -1.0}, r"convergence semi-angle \[mrad\] is -1, allowed 0 to 200"),
        ({"convergence_mrad": 201.0}, "convergence .* is 201, .*; 0 = parallel"),
        ({"convergence_mrad": NAN}, "convergence .* is nan"),
        ({"collection_mrad": 0.0}, r"collection semi-angle \[mrad\] is 0, allowed 0.1 to 300"),
        ({"collection_mrad": 301.0}, "collection .* is 301, .*; such as 20"),
        ({"collection_mrad": NAN}, "collection .* is nan"),
        ({"energy_kev": [100.0, 5.0, 300.0]}, "beam energy .* is 5, allowed"),
        ({"collection_mrad": torch.tensor([20.0, 20.0, NAN])}, "collection .* is nan, allowed"),
        ({"energy_kev": 5.0, "collection_mrad": NAN}, "beam energy .* is 5"),
        ({"energy_kev": [60.0, 300.0], "collection_mrad": [1, 2, 3]}, r"\(2,\) and \(3,\)"),
        ({"energy_kev": [[60.0, 300.0]]}, r"shapes \(1, 2\); allowed: numbers and one \(batch,\)"),
    ],
)
def test_what_no_microscope_has_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Beam(**GOOD | change)


@pytest.mark.parametrize("edge", [(20.0, 0.0, 0.1), (1000.0, 200.0, 300.0)])
@pytest.mark.parametrize("of", [float, np.float32, lambda x: torch.tensor([x])])
def test_the_limits_themselves_are_allowed(edge, of):
    energy, convergence, collection = map(of, edge)
    Beam(energy_kev=energy, convergence_mrad=convergence, collection_mrad=collection)


def test_a_beam_stays_as_it_was_made():
    energies = np.array([100.0, 200.0])
    beam = Beam(energy_kev=energies, collection_mrad=20.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        beam.energy_kev = 300.0
    energies[:] = 5.0
    assert beam.energy_kev.tolist() == [100.0, 200.0]
    with pytest.raises(ValueError, match="beam energy"):
        dataclasses.replace(beam, energy_kev=energies)
    with pytest.raises(TypeError):
        Beam(200.0, 10.0, 20.0)  # which is which?


def test_numbers_make_a_single_beam_that_compares_by_value():
    beam = Beam(energy_kev=200, collection_mrad=np.float64(20))
    assert beam.single
    assert repr(beam) == "Beam(energy_kev=200.0, convergence_mrad=0.0, collection_mrad=20.0)"
    assert beam == Beam(energy_kev=torch.tensor(200), collection_mrad=20)
    assert beam != Beam(**GOOD)
    assert len({beam, Beam(energy_kev=200.0, collection_mrad=20.0), Beam(**GOOD)}) == 2
    assert beam.stacked().tolist() == [[200.0], [0.0], [20.0]]
    assert beam.select([3, 4]) == beam


def test_arrays_make_a_beam_for_each_spectrum():
    beam = Beam(energy_kev=torch.tensor([60.0, 80.0, 300.0]), collection_mrad=[1, 2, 3])
    assert not beam.single
    rows = beam.stacked()
    assert (rows.shape, rows.dtype) == ((3, 3), torch.float64)
    assert rows.tolist() == [[60.0, 80.0, 300.0], [0.0] * 3, [1.0, 2.0, 3.0]]
    assert beam.stacked(dtype=torch.float32).dtype == torch.float32
    some = beam.select(torch.tensor([True, False, True]))
    assert some.stacked().tolist() == [[60.0, 300.0], [0.0] * 2, [1.0, 3.0]]
    assert beam.select(1) == Beam(energy_kev=80, collection_mrad=2)
    assert beam.select([]).stacked().shape == (3, 0)


def test_outside_names_the_first_that_other_limits_do_not_hold():
    limits = ((60.0, 300.0), (0.0, 40.0), (2.0, 120.0))
    beam = Beam(energy_kev=[100, 300.0001], convergence_mrad=41, collection_mrad=1)
    assert beam.outside(limits) == ("beam energy [keV]", 300.0001, 60.0, 300.0)
    assert beam.outside(limits, tolerance=1e-6)[:2] == ("convergence semi-angle [mrad]", 41.0)
    assert Beam(**GOOD).outside(limits) is None
