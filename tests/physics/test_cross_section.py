"""Cross-sections: hydrogenic closed form, brute-force quadrature, published numbers, the bank."""

import csv
import dataclasses
import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from coreloss.beam import Beam
from coreloss.edges import edge_shells
from coreloss.physics import bank as banks
from coreloss.physics import cross_section as cs
from coreloss.physics.bethe_integral import collected_fraction, cross_section_at_nodes, stack_tables
from coreloss.physics.gos_table import BUILTIN_GOSH, GosTable, read_gosh
from coreloss.physics.kinematics import (
    BOHR_RADIUS_ANGSTROM,
    RYDBERG_EV,
    effective_kinetic_energy_ev,
    squared_wavenumbers,
)

REFERENCE = Path(__file__).parents[1] / "reference" / "cross_section_partial.csv"
BEAM = Beam(energy_kev=200.0, collection_mrad=20.0)
SHELLS = {(s.element, s.shell): s for s in edge_shells()}


def hydrogenic_gos(excess, q2, charge):
    """df/dE [1/eV] of one 1s electron, q2 = (q a0)^2 (Inokuti, Rev. Mod. Phys. 43, 297, 1971)."""
    rydberg = RYDBERG_EV * charge**2
    e, q2 = 1 + excess / rydberg, q2 / charge**2
    k = np.sqrt(e - 1)
    phase = np.exp(-2 / k * np.arctan2(2 * k, q2 - k**2 + 1))
    bottom = (1 - np.exp(-2 * np.pi / k)) * ((q2 - k**2 + 1) ** 2 + 4 * k**2) ** 3
    return 256 * e * (q2 + e / 3) * phase / bottom / rydberg


def hydrogenic_table(charge):
    excess = np.concatenate([[0.01], np.geomspace(0.3, 4000, 79)])
    q = np.geomspace(0.005, 100, 113)
    gos = hydrogenic_gos(excess, (q[:, None] * BOHR_RADIUS_ANGSTROM) ** 2, charge)
    return GosTable("He", "K", RYDBERG_EV * charge**2, excess, q, gos)


def brute_force(charge, excess, *, beam, n=400):
    """Gauss-Legendre with 2 n nodes in ln q^2 of the closed form, with Kohl's F(theta)."""
    loss = RYDBERG_EV * charge**2 + excess
    before, after = squared_wavenumbers(loss, beam_energy_kev=beam.energy_kev)
    lowest, product = (before**0.5 - after**0.5) ** 2, 4 * (before * after) ** 0.5
    alpha, beta = beam.convergence_mrad * 1e-3, beam.collection_mrad * 1e-3
    ends = [
        np.log(lowest + product * np.sin(x / 2) ** 2) for x in (0, abs(alpha - beta), alpha + beta)
    ]
    node, weight = np.polynomial.legendre.leggauss(n)
    total = 0.0
    for low, high in pairwise(ends):
        q2 = np.exp(low + (high - low) / 2 * (1 + node))
        theta = 2 * np.arcsin(np.sqrt(np.clip((q2 - lowest) / product, 0, 1)))
        angles = (torch.tensor(x, dtype=torch.float64) for x in (alpha, beta))
        fraction = collected_fraction(torch.from_numpy(theta), *angles).numpy()
        total += (high - low) / 2 * np.sum(weight * hydrogenic_gos(excess, q2, charge) * fraction)
    area = 4 * np.pi * BOHR_RADIUS_ANGSTROM**2 * 1e8 * RYDBERG_EV**2
    return area / (loss * effective_kinetic_energy_ev(beam.energy_kev)) * total


ANGLES = [
    (0.0, 1.0),
    (0.0, 60.0),
    (10.0, 20.0),
    (30.0, 20.0),
    (20.0, 20.0),
    (20.0, 20.5),
    (40.0, 3.0),
]


@pytest.mark.parametrize("charge", [2.0, 6.0, 13.0])
def test_agrees_with_the_closed_form_of_hydrogen(charge):
    table = hydrogenic_table(charge)
    excess = [0.01, 5.5, 40.0, 130.0, 700.0]
    axis = torch.tensor(excess, dtype=torch.float64) + table.onset_ev
    for energy in (60.0, 300.0):
        for alpha, beta in ANGLES:
            beam = Beam(energy_kev=energy, convergence_mrad=alpha, collection_mrad=beta)
            expected = [brute_force(charge, e, beam=beam) for e in excess]
            found = cs.dsigma_de(table, axis, beam=beam)
            assert found.tolist() == pytest.approx(expected, rel=1e-3)


def test_quadrature_is_converged_to_a_part_in_a_thousand():
    tables = [hydrogenic_table(z) for z in (2.0, 4.0, 7.0, 12.0)]
    tables += [read_gosh()[key] for key in (("Si", "L23"), ("Fe", "L23"), ("Gd", "M45"))]
    rng = np.random.default_rng(0)
    n = 60
    beta = np.exp(rng.uniform(np.log(2), np.log(120), n))
    alpha = rng.uniform(0, 40, n)
    alpha[:20] = np.minimum(beta[:20] * rng.uniform(0.95, 1.05, 20), 40)  # the hardest case
    energy = rng.uniform(60, 300, n)
    beam = Beam(energy_kev=energy, convergence_mrad=alpha, collection_mrad=beta)
    for table in tables:
        stack = stack_tables([table])
        error = cross_section_at_nodes(stack, beam=beam)
        error /= cross_section_at_nodes(stack, beam=beam, n_nodes=200)
        error = (error - 1).abs()
        assert float(error.max()) < 1e-3
        assert float(error.median()) < 1e-6


def test_collected_fraction_has_its_limits():
    alpha, beta = torch.tensor(10.0, dtype=torch.float64), torch.tensor(4.0, dtype=torch.float64)
    theta = torch.tensor([0.0, 5.9, 6.0, 10.0, 14.0, 20.0], dtype=torch.float64)
    fraction = collected_fraction(theta, alpha, beta)
    assert fraction[:3].tolist() == pytest.approx([0.16] * 3)
    assert fraction[4:].tolist() == pytest.approx([0.0] * 2, abs=1e-12)
    assert 0.0 < float(fraction[3]) < 0.16
    swapped = collected_fraction(theta, beta, alpha)  # the overlap is symmetric, its share is not
    assert (swapped * 16).tolist() == pytest.approx((fraction * 100).tolist())
    step = collected_fraction(theta, 0 * alpha, beta)
    assert step.tolist() == [1, 0, 0, 0, 0, 0]


def test_shells_alone_and_stacked_agree_whatever_their_grids():
    tables = [read_gosh()[key] for key in (("C", "K"), ("Cr", "L1"), ("Xe", "M45"))]
    assert len({len(t.free_energy_ev) for t in tables}) == 3
    together = cross_section_at_nodes(stack_tables(tables), beam=BEAM)
    for i, table in enumerate(tables):
        alone = cross_section_at_nodes(stack_tables([table]), beam=BEAM)[0, 0]
        torch.testing.assert_close(together[0, i, : len(alone)], alone, rtol=2e-4, atol=0)


def test_zero_below_the_onset_and_shapes():
    table = hydrogenic_table(6.0)
    axis = torch.arange(400, 700, 1.0)
    single = cs.dsigma_de(table, axis, beam=BEAM)
    assert single.shape == (300,)
    assert bool(((single > 0) == (axis >= table.onset_ev)).all())
    two = dataclasses.replace(BEAM, energy_kev=[100.0, 200.0])
    batch = cs.dsigma_de(table, axis, beam=two)
    assert batch.shape == (2, 300)
    torch.testing.assert_close(batch[1], single)
    split = cs.dsigma_de(table, axis, beam=BEAM, offsets_ev=(0.0, 20.0), ratios=(2 / 3, 1 / 3))
    first, second = (int(torch.argmax((axis >= table.onset_ev + d).int())) for d in (0.0, 20.0))
    assert float(split[first] / single[first]) == pytest.approx(2 / 3)
    assert float(split[second] - split[second - 1]) > 0.3 * float(single[first]) * 0.8


# -- shipped tables -----------------------------------------------------------------------------


def reference_rows():
    with REFERENCE.open() as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def partial(element, shell, *, beam, window_ev):
    known = SHELLS[element, shell]
    return cs.integrated_cross_section(
        read_gosh()[element, shell],
        beam=beam,
        window_ev=window_ev,
        offsets_ev=known.offsets_ev,
        ratios=known.ratios,
    )


@pytest.mark.parametrize("row", reference_rows(), ids=lambda r: "-".join(list(r.values())[:5]))
def test_partial_cross_sections(row):
    beam = Beam(
        energy_kev=float(row["beam_energy_kev"]), collection_mrad=float(row["collection_mrad"])
    )
    window_ev = float(row["window_ev"])
    found = float(partial(row["element"], row["shell"], beam=beam, window_ev=window_ev))
    assert found == pytest.approx(float(row["calculated"]), rel=0.02)
    if row["egerton"]:
        assert found == pytest.approx(float(row["egerton"]), rel=float(row["tolerance"]))


def test_convergence_of_the_probe():
    beams = Beam(energy_kev=300, convergence_mrad=[0, 10, 20, 30], collection_mrad=20)
    found = partial("C", "K", beam=beams, window_ev=100)
    assert found.tolist() == pytest.approx([4985.67, 4886.73, 4282.04, 2267.79], rel=1e-3)


@pytest.mark.parametrize("name", ["C_K", "O_K", "Ti_L3", "Fe_L3", "Sr_L3", "La_M5", "Au_M5"])
def test_exspy_reads_the_shipped_tables_and_agrees(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        components = pytest.importorskip("exspy.components")
        edge = components.EELSCLEdge(name, gos_file_path=str(BUILTIN_GOSH))
        edge.set_microscope_parameters(E0=200, alpha=0, beta=20, energy_scale=1)
        element, subshell = name.split("_")
        shell = next(s for s in SHELLS.values() if s.element == element and subshell in s.subshells)
        table = read_gosh()[element, shell.shell]
        onset = edge.GOS.onset_energy
        axis = np.append(onset + table.free_energy_ev[1:60:4] - table.free_energy_ev[0], onset + 50)
        theirs = edge.function(axis)
    moved = dataclasses.replace(table, onset_ev=onset - table.free_energy_ev[0])
    ours = cs.dsigma_de(moved, axis, beam=BEAM) * shell.ratios[shell.subshells.index(subshell)]
    assert ours.tolist() == pytest.approx(theirs.tolist(), rel=5e-4)


def test_measured_variant_replaces_the_calculated_shape():
    table = read_gosh()["La", "N45"]
    axis = torch.arange(90.0, 200.0)
    measured = cs.dsigma_de(table, axis, beam=BEAM, variant="measured")
    assert 112 < float(axis[measured.argmax()]) < 125  # the giant resonance 4d -> 4f
    calculated = cs.dsigma_de(table, axis, beam=BEAM)
    assert float(measured.max()) > 2 * float(calculated.max())
    with pytest.raises(ValueError, match="no measured variant"):
        cs.dsigma_de(read_gosh()["C", "K"], axis, beam=BEAM, variant="measured")
    with pytest.raises(ValueError, match="GOS variant"):
        cs.dsigma_de(table, axis, beam=BEAM, variant="best")


def test_every_offset_has_its_ratio():
    axis = torch.arange(500.0, 510.0)
    with pytest.raises(ValueError, match="2 offsets but 1 ratios"):
        cs.dsigma_de(hydrogenic_table(6.0), axis, beam=BEAM, offsets_ev=(0.0, 5.0))


def test_bad_axes_and_windows_are_refused():
    table = hydrogenic_table(6.0)
    with pytest.raises(ValueError, match="energy loss"):
        cs.dsigma_de(table, [[1.0]], beam=BEAM)
    with pytest.raises(ValueError, match="energy loss"):
        cs.dsigma_de(table, [float("nan")], beam=BEAM)
    with pytest.raises(ValueError, match="window"):
        cs.integrated_cross_section(table, beam=BEAM, window_ev=0.0)
    deep = dataclasses.replace(table, onset_ev=30_000.0)
    with pytest.raises(ValueError, match="exceed the beam energy"):
        cs.dsigma_de(deep, [30_100.0], beam=dataclasses.replace(BEAM, energy_kev=30.0))
    with pytest.raises(ValueError, match="at least one"):
        stack_tables([])


# -- the bank -----------------------------------------------------------------------------------

SAMPLE = [
    ("C", "K"), ("O", "K"), ("Si", "L23"), ("Ti", "L23"), ("Fe", "L23"), ("Sr", "L23"),
    ("Ag", "M45"), ("Gd", "M45"), ("Au", "M45"), ("La", "N45"), ("Cr", "L1"), ("Pb", "N45"),
]  # fmt: skip


@pytest.fixture(scope="module")
def bank():
    return banks.build_bank(shells=[SHELLS[key] for key in SAMPLE])


def random_beams(n, seed=0):
    rng = np.random.default_rng(seed)
    return Beam(
        energy_kev=rng.uniform(60, 300, n),
        convergence_mrad=rng.uniform(0, 40, n) * (rng.random(n) > 0.2),
        collection_mrad=np.exp(rng.uniform(np.log(2), np.log(120), n)),
    )


def exact(key, axis, beam):
    shell, table = SHELLS[key], read_gosh()[key]
    if table.measured is not None:
        how = {"variant": "measured"}
    else:
        how = {"offsets_ev": shell.offsets_ev, "ratios": shell.ratios}
    return cs.dsigma_de(table, axis, beam=beam, **how)


def test_bank_reconstructs_the_cross_section(bank, record_property):
    """Error over the largest value of each edge, first 500 eV, 100 random beams."""
    beams = random_beams(100)
    coefficients = bank.coefficients(beam=beams).double()
    errors = []
    for i, key in enumerate(SAMPLE):
        first = int(SHELLS[key].onset_ev + max(SHELLS[key].offsets_ev)) + 2
        channel = torch.arange(first, min(first + 500, banks.BANK_CHANNELS), 7)
        expected = exact(key, channel.double(), beams)
        found = coefficients[:, i] @ bank.rows[i][:, channel].double()
        errors.append(((found - expected).abs() / expected.amax(1, keepdim=True)).flatten())
    errors = torch.cat(errors)
    for name, value in (("median", errors.median()), ("worst", errors.max())):
        record_property(name, float(value))
        print(name, float(value))
    assert float(errors.median()) < 0.005
    assert float(errors.quantile(0.95)) < 0.02
    assert float(errors.max()) < 0.04


def test_bank_rows_average_over_channels_at_the_onset(bank):
    index = SAMPLE.index(("Ti", "L23"))
    shell = SHELLS["Ti", "L23"]
    coefficients = bank.coefficients(beam=BEAM)[0, index].double()
    found = coefficients @ bank.rows[index].double()
    fine = torch.arange(4400, 4800) / 10 + 0.05  # tenths of the channels 440 to 479
    expected = exact(("Ti", "L23"), fine.double() - 0.5, BEAM)
    expected = expected.reshape(-1, 10).mean(1)
    assert bool((found[: int(shell.onset_ev)] == 0).all())
    scale = float(expected.max())
    assert found[440:480].tolist() == pytest.approx(expected.tolist(), abs=0.02 * scale)
    assert 0.4 < float(found[456] / found[457]) < 0.6  # an onset in the middle of its channel


def test_bank_coefficients_for_pairs_equal_those_for_all(bank):
    beams = random_beams(20, seed=3)
    shell = torch.arange(20) % len(SAMPLE)
    everything = bank.coefficients(beam=beams)
    assert everything.shape == (20, len(SAMPLE), banks.RANK)
    pairs = bank.coefficients(beam=beams, shell=shell)
    torch.testing.assert_close(pairs, everything[torch.arange(20), shell])
    one = bank.coefficients(beam=beams.select([0]))
    torch.testing.assert_close(one[0], everything[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"energy_kev": 50.0}, r"beam energy \[keV\] is 50, the bank holds 60 to 300"),
        ({"convergence_mrad": [0.0, 41.0]}, "convergence .* is 41, the bank holds 0 to 40"),
        ({"collection_mrad": 1.0}, "collection .* is 1, the bank holds 2 to 120"),
    ],
)
def test_bank_refuses_beams_outside_its_grid(bank, change, message):
    with pytest.raises(ValueError, match=message):
        bank.coefficients(beam=dataclasses.replace(BEAM, **change))


def test_cross_sections_of_the_bank_are_those_of_one_beam(bank):
    rows = bank.cross_sections(beam=BEAM)
    together = bank.coefficients(beam=random_beams(3))
    assert rows.shape == (len(SAMPLE), banks.BANK_CHANNELS)
    assert together.shape == (3, len(SAMPLE), banks.RANK)
    with pytest.raises(ValueError, match="beam holds arrays"):
        bank.cross_sections(beam=random_beams(3))


def test_bank_is_saved_and_refused_when_stale(bank, tmp_path):
    path = tmp_path / "folder" / "bank.safetensors"
    bank.save(path, key="one")
    loaded = banks.CrossSectionBank.load(path, key="one")
    torch.testing.assert_close(loaded.rows, bank.rows)
    torch.testing.assert_close(loaded.shape, bank.shape)
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    with pytest.raises(ValueError, match="other tables"):
        banks.CrossSectionBank.load(path, key="two")
    path.write_bytes(b"broken")
    with pytest.raises(ValueError, match="not a cross-section bank"):
        banks.CrossSectionBank.load(path)


def test_default_bank_is_built_once(bank, tmp_path, monkeypatch):
    calls = []
    monkeypatch.setenv("CORELOSS_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(banks, "build_bank", lambda tables: calls.append(1) or bank)
    uncached = banks.bank_of.__wrapped__
    uncached()
    again = uncached()
    assert calls == [1]
    torch.testing.assert_close(again.log_scale, bank.log_scale)
    next(tmp_path.glob("bank-*.safetensors")).write_bytes(b"")
    uncached()
    assert calls == [1, 1]


def test_missing_tables_are_named():
    with pytest.raises(ValueError, match="no GOS table for C K"):
        banks.build_bank({}, [SHELLS["C", "K"]])
