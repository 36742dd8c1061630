"""Scores by group equal those of scikit-learn on the rows and decisions of the group."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import record
from rich.console import Console
from sklearn.metrics import f1_score, precision_score, recall_score

from coreloss.beam import Beam
from coreloss.datasets.breakdown import binned, breakdown, edge_families
from coreloss.datasets.evaluation import score_experimental
from coreloss.datasets.measured import ExperimentalSet
from coreloss.datasets.records import scored_elements
from coreloss.edges import ELEMENT_INDEX, ELEMENTS, identifying_sets
from coreloss.identification.trained_model import Model
from coreloss.physics.cross_section import integrated_cross_section
from coreloss.physics.gos_table import read_gosh
from coreloss.reports.terminal import evaluation_table
from coreloss.scoring.metrics import bootstrap_intervals
from coreloss.spectra.network_input import NetworkInput

THRESHOLD = 0.6
WINDOWS_EV = ((60.0, 2600.0), (298.0, 900.0), (350.0, 1900.0), (1100.0, 2600.0))
DOSES = (500.0, 2e4, 3e7, np.nan)


def measured_set(n=60):
    """Random labels, windows, sources and doses; probabilities that are right more often."""
    rng = np.random.default_rng(0)
    records, labels = [], []
    for i in range(n):
        low, high = WINDOWS_EV[rng.integers(4)]
        made = record(
            i,
            usable_start_ev=low + 3,
            usable_end_ev=high + 3,
            energy_offset_ev=3.0,
            elements_nominal=tuple(rng.choice(ELEMENTS, 12, replace=False)),
            source=f"lab {rng.integers(3)}",
        )
        records.append(made)
        labels.append(scored_elements(made))
    present, counted = (torch.stack(part) for part in zip(*labels, strict=True))
    probability = np.clip(present.numpy() * 0.4 + rng.random(present.shape) * 0.8, 0, 1)
    measured = ExperimentalSet(
        inputs=NetworkInput(torch.zeros(0), torch.zeros(0, dtype=torch.bool)),
        present=present,
        counted=counted,
        records=tuple(records),
        sources=tuple(r.source for r in records),
        dose=rng.choice(DOSES, n),
    )
    return measured, probability


def expected(measured, probability, rows, columns=None):
    """Weighted F1, precision, recall and EMR, with what is not counted set to absent."""
    counted = measured.counted.numpy() & (True if columns is None else columns)
    present = (measured.present.numpy() & counted)[rows]
    predicted = ((probability >= THRESHOLD) & counted)[rows]
    options = {"average": "weighted", "zero_division": 0}
    metrics = [m(present, predicted, **options) for m in (f1_score, precision_score, recall_score)]
    return [*metrics, (present == predicted).all(axis=1).mean()], len(present)


def numbers(group):
    part = group.scores
    return [part.f1, part.precision, part.recall, part.exact_match_ratio], part.n


def test_groups_equal_scikit_learn():
    measured, probability = measured_set()
    found = breakdown(measured, probability, threshold=THRESHOLD, seed=4)
    groups = {(group.by, group.scores.subset): group for group in found}
    starts = np.array([r.usable_start_ev - 3 for r in measured.records])
    family = family_by_hand(measured)
    cases = {("source", f"lab {i}"): (np.array(measured.sources) == f"lab {i}",) for i in range(3)}
    cases |= {
        ("window start", "below 300 eV"): (starts < 300,),
        ("window start", "300..1000 eV"): ((starts >= 300) & (starts < 1000),),
        ("window start", "from 1000 eV"): (starts >= 1000,),
        ("counts per channel", "below 10 k"): (measured.dose == 500,),
        ("counts per channel", "10..1000 k"): (measured.dose == 2e4,),
        ("counts per channel", "from 1000 k"): (measured.dose == 3e7,),
        ("counts per channel", "unknown"): (np.isnan(measured.dose),),
    }
    for name in ("K", "L23", "M45", "N45"):
        inside = family == name
        cases["edge family", name] = ((inside & measured.counted.numpy()).any(axis=1), inside)
    assert set(groups) == set(cases)
    for key, case in cases.items():
        values, n = numbers(groups[key])
        wanted, n_wanted = expected(measured, probability, *case)
        assert n == n_wanted > 0, key
        np.testing.assert_allclose(values, wanted, atol=1e-12, err_msg=str(key))
        low, high = groups[key].intervals["f1"]
        assert low <= values[0] <= high, key
    rows = cases["source", "lab 1"][0]
    assert groups["source", "lab 1"].intervals == bootstrap_intervals(
        measured.present[rows],
        probability[rows],
        threshold=THRESHOLD,
        generator=np.random.default_rng(4),
        counted=measured.counted[rows],
    )


def family_by_hand(measured):
    """Of the identifying sets inside each window, the one with the largest cross-section."""
    tables = read_gosh()
    beam = Beam(energy_kev=200.0, convergence_mrad=10.0, collection_mrad=20.0)
    strength = {
        (edge.element, edge.shell): float(
            integrated_cross_section(
                tables[edge.element, edge.shell],
                beam=beam,
                window_ev=50.0,
                offsets_ev=edge.offsets_ev,
                ratios=edge.ratios,
            )
        )
        for edge in identifying_sets()
    }
    family = np.full((len(measured.records), len(ELEMENTS)), "   ")
    for row, made in zip(family, measured.records, strict=True):
        low, high = made.window_ev
        inside = [e for e in identifying_sets() if low + 5 <= e.onset_ev <= high - 20]
        for edge in sorted(inside, key=lambda e: strength[e.element, e.shell]):
            row[ELEMENT_INDEX[edge.element]] = edge.shell
    return family


def test_every_decision_belongs_to_one_family():
    measured, probability = measured_set()
    for made, counted in zip(measured.records, measured.counted.numpy(), strict=True):
        families = np.array(edge_families(made.window_ev))
        assert (families[counted] != "").all()
    found = breakdown(measured, probability, threshold=THRESHOLD)
    total = sum(group.scores.n_positive for group in found if group.by == "edge family")
    assert total == int(measured.present.sum())
    for by in ("source", "window start", "counts per channel"):
        assert sum(g.scores.n for g in found if g.by == by) == len(measured.records)


def test_bins_and_sources_are_in_order():
    names, order = binned([0.0, 10.0, 99.9, 100.0, np.nan], (10.0, 100.0))
    assert names == ["below 10", "10..100", "10..100", "from 100", "unknown"]
    assert order == ["below 10", "10..100", "from 100", "unknown"]
    measured, probability = measured_set()
    found = breakdown(measured, probability, threshold=THRESHOLD)
    sizes = [group.scores.n for group in found if group.by == "source"]
    assert sizes == sorted(sizes, reverse=True)


class Constant(torch.nn.Module):
    def forward(self, spectrum, mask, axis_error_ev=None):
        p = torch.tensor([{"Ti": 0.97, "O": 0.99}.get(e, 0.001) for e in ELEMENTS])
        return torch.logit(p).expand(len(spectrum), -1)


def folder_of(tmp_path, n_sources=12):
    energy = np.arange(380.0, 700.0)
    counts = np.rint(1e7 * (energy / 380) ** -3.0)
    rows = "\n".join(f"{e:g},{c:g}" for e, c in zip(energy, counts, strict=True))
    (tmp_path / "oxide.csv").write_text(f"energy (eV),counts\n{rows}\n")
    lines = [f"oxide_{i},oxide.csv,{'Ti O' if i else 'O'},lab {i}" for i in range(n_sources)]
    text = "id,file,elements_nominal,author\n" + "\n".join(lines) + "\n"
    (tmp_path / "manifest.csv").write_text(text)
    return tmp_path


def test_an_evaluation_carries_and_shows_its_groups(tmp_path):
    model = Model("constant", Constant(), {}, 0.5, 0.1, 1.0)
    result = score_experimental(folder_of(tmp_path), model=model)
    assert {row["source"] for row in result.spectra} == {f"lab {i}" for i in range(12)}
    groups = result.to_dict()["breakdown"]
    assert [group["by"] for group in groups].count("source") == 12
    dose = next(group for group in groups if group["by"] == "counts per channel")
    assert (dose["scores"]["subset"], dose["scores"]["n"]) == ("from 1000 k", 12)
    assert dose["scores"]["f1"] == result.scores[0].f1
    assert dose["intervals"]["f1"] == list(result.intervals["f1"])
    console = Console(width=80)
    with console.capture() as shown:
        console.print(evaluation_table(result))
    text = shown.get()
    for name in ("source", "lab 11", "window start", "300..1000 eV", "edge family", "L23"):
        assert name in text
    assert "lab 9 " not in text.split("File")[0]
    assert "…" not in text


def test_the_halves_of_a_folder_are_scored(tmp_path):
    model = Model("constant", Constant(), {}, 0.5, 0.1, 1.0)
    folder = folder_of(tmp_path)
    halves = [score_experimental(folder, model=model, split=s) for s in ("validation", "test")]
    ids = [{row["id"] for row in half.spectra} for half in halves]
    assert [len(part) for part in ids] == [6, 6]
    assert not ids[0] & ids[1]
    assert halves[1].scores[0].subset == "measured, quality A, test"


def test_groups_without_a_positive_show_no_ratio(tmp_path):
    model = Model("constant", Constant(), {}, 0.5, 0.1, 1.0)
    result = score_experimental(folder_of(tmp_path), model=model)
    (titanium,) = [g for g in result.breakdown if g.scores.subset == "L23"]
    nothing = replace(titanium, scores=replace(titanium.scores, n_positive=0, subset="nothing"))
    console = Console(width=80)
    with console.capture() as shown:
        console.print(evaluation_table(replace(result, breakdown=(nothing,))))
    (line,) = [line for line in shown.get().splitlines() if "nothing" in line]
    assert line.split()[3:8] == ["-"] * 5


@pytest.mark.parametrize("window_ev", [(0.0, 30.0), (5000.0, 6000.0)])
def test_windows_without_an_edge_have_no_family(window_ev):
    assert not any(edge_families(window_ev))
