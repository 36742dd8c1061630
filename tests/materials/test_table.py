"""Formulas, the three sources of materials, splits without leakage, the embedded list."""

import gzip
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from coreloss.edges import ELEMENT_INDEX, ELEMENTS
from coreloss.materials import table as mt
from coreloss.materials.formula import composition, read_composition, reduce_formula
from coreloss.materials.split import (
    PAPER_COUNTS,
    SPLIT_FRACTIONS,
    SPLITS,
    _uniform_hash,
    query_table,
    split_materials,
)
from coreloss.materials.table import are_common
from coreloss.study.materials import compare_materials

DATA = Path(os.environ.get("CORELOSS_DATA_DIR", Path(__file__).parents[2] / "../shared/data"))
PROJECT_LIST = DATA / "materials" / "materials_project_formulas.csv.gz"
NOBLE_GASES = ("Ne", "Ar", "Kr", "Xe")


@pytest.fixture(scope="module")
def embedded():
    return mt.load_materials()


@pytest.fixture(scope="module")
def small():
    rows = [
        ("BaTiO3", "Ba1 Ti1 O3", "test"),
        ("LiF", "Li1 F1", "test"),
        ("TiO2", "Ti1 O2", "test"),
        ("CH4", "H4 C1", "test"),
    ]
    return mt.make_materials(rows, source="test")


# --- formulas -----------------------------------------------------------------------------------


def test_composition_gives_atomic_fractions_of_every_element():
    assert composition("Ca(OH)2") == pytest.approx({"Ca": 0.2, "O": 0.4, "H": 0.4})
    assert composition("Ba0.6Sr0.4TiO3") == pytest.approx(
        {"Ba": 0.12, "Sr": 0.08, "Ti": 0.2, "O": 0.6}
    )


@pytest.mark.parametrize(
    ("formula", "reduced"),
    [("Ac16S24", "Ac2S3"), ("O6Ti2Ba2", "BaTiO3"), ("Ba0.5Sr0.5O1", "BaSrO2"), ("Fe4", "Fe")],
)
def test_equal_materials_have_equal_reduced_formulas(formula, reduced):
    assert reduce_formula(formula)[0] == reduced
    assert reduce_formula(formula) == reduce_formula(reduced)


@pytest.mark.parametrize("formula", ["", "Xx2O", "12", "Ti-1O2", "TiO2 and more", "Uuo"])
def test_bad_formulas_are_refused_in_one_line(formula):
    with pytest.raises(ValueError, match="is not a chemical formula") as caught:
        composition(formula)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "BaTiO3", "Ba1 Ti", "Ba0", "Ba1,Ti1", "Ti1e999", "Ti-1"])
def test_bad_composition_texts_are_refused(text):
    with pytest.raises(ValueError, match="composition"):
        read_composition(text)


# --- Materials ----------------------------------------------------------------------------------


def fractions_of(materials, row):
    part = slice(materials.offsets[row], materials.offsets[row + 1])
    names = [ELEMENTS[label] for label in materials.labels[part]]
    return dict(zip(names, materials.fractions[part].tolist(), strict=True))


def test_unlabelled_elements_keep_their_share(small):
    assert fractions_of(small, 0) == pytest.approx({"Ba": 0.2, "Ti": 0.2, "O": 0.6})
    assert fractions_of(small, 1) == pytest.approx({"F": 0.5})
    assert fractions_of(small, 3) == pytest.approx({"C": 0.2})


def test_padded_and_contains_hold_the_same_materials(small):
    labels, fractions = small.padded()
    assert labels.shape == fractions.shape == (4, 3)
    for row in range(4):
        listed = {
            ELEMENTS[i]: f for i, f in zip(labels[row], fractions[row], strict=True) if i >= 0
        }
        assert listed == pytest.approx(fractions_of(small, row))
        assert set(np.flatnonzero(small.contains()[row])) == {ELEMENT_INDEX[e] for e in listed}
    assert (fractions[labels < 0] == 0).all()


def test_materials_without_a_labelled_element_are_left_out_and_duplicates_are_one():
    rows = [("LiH", "Li1 H1", "a"), ("TiO2", "Ti1 O2", "a"), ("TiO2", "Ti1 O2", "b")]
    assert mt.make_materials(rows, source="x").formulas == ("TiO2",)
    with pytest.raises(ValueError, match="no material"):
        mt.make_materials(rows[:1], source="x")


# --- sources ------------------------------------------------------------------------------------


def test_merged_tables_hold_every_formula_once_and_the_first_row_of_each(small):
    other = mt.make_materials(
        [("TiO2", "Ti1 O2", "other"), ("SrTiO3", "Sr1 Ti1 O3", "other")], source="other"
    )
    merged = mt.merge_materials(small, other)
    assert merged.formulas == (*small.formulas, "SrTiO3")
    assert merged.origins == (*small.origins, "other")
    assert fractions_of(merged, len(small)) == pytest.approx({"Sr": 0.2, "Ti": 0.2, "O": 0.6})
    assert mt.merge_materials(other, small).origins[:2] == ("other", "other")
    with pytest.raises(ValueError, match="at least one table"):
        mt.merge_materials()


def test_formula_list_and_parsed_table_are_the_same_materials(tmp_path):
    raw = tmp_path / "list.csv"
    raw.write_text("# comment\nformula,n\nTi2O4,1\nTiO2,3\nLi2H2,1\nCaCO3,1\n")
    first = mt.load_materials(raw)
    assert first.formulas == ("TiO2", "CaCO3")
    first.write(tmp_path / "parsed.csv.gz")
    second = mt.load_materials(tmp_path / "parsed.csv.gz")
    assert second.formulas == first.formulas
    np.testing.assert_array_equal(second.fractions, first.fractions)
    np.testing.assert_array_equal(second.labels, first.labels)


def test_files_that_are_not_formula_lists_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("name\nTiO2\n")
    (tmp_path / "b.csv.gz").write_bytes(b"not gzip")
    (tmp_path / "c.csv").write_text("formula\nTiO2\nnonsense!\n")
    (tmp_path / "d.csv.gz").write_bytes(gzip.compress(b"formula\nTiO2\n" * 50)[:30])
    (tmp_path / "e.csv").write_bytes(b"\xff\xfe\x00formula")
    (tmp_path / "f.csv").write_text("formula,composition\nTiO2\n")
    for name in ("a.csv", "b.csv.gz", "c.csv", "d.csv.gz", "e.csv", "f.csv", "missing.csv"):
        with pytest.raises(
            ValueError, match=r"column|not a readable|not a chemical|no atoms|no file"
        ):
            mt.load_materials(tmp_path / name)


def test_the_embedded_list_needs_no_pymatgen():
    code = (
        "import sys; from coreloss.materials.table import load_materials as l;"
        "from coreloss.materials.split import split_materials as s;"
        "m = l(); s(m, seed=0); assert len(m) > 20000; bad = {'pymatgen', 'pandas', 'monty'};"
        "assert not bad & set(sys.modules), bad & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_materials_project_needs_a_key(monkeypatch):
    monkeypatch.delenv("MP_API_KEY", raising=False)
    with pytest.raises(ValueError, match="no API key"):
        mt.load_materials("mp")


def test_materials_project_needs_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "mp_api", None)
    monkeypatch.setitem(sys.modules, "mp_api.client", None)
    with pytest.raises(ValueError, match="mp-api is not installed"):
        mt.fetch_materials_project(api_key="key")


def test_materials_project_with_a_stand_in_client():
    asked = {}

    def search(**arguments):
        asked.update(arguments)
        return [SimpleNamespace(formula_pretty=f) for f in ("TiO2", "GaN", "TiO2")]

    client = SimpleNamespace(materials=SimpleNamespace(summary=SimpleNamespace(search=search)))
    found = mt.fetch_materials_project(client=client, energy_above_hull_ev=0.05)
    assert found == ["GaN", "TiO2"]
    assert asked == {"energy_above_hull": (0, 0.05), "fields": ["formula_pretty"]}


# --- splits -------------------------------------------------------------------------------------


def test_splits_are_disjoint_complete_and_of_the_asked_size(embedded):
    split = split_materials(embedded, seed=3)
    assert tuple(split) == SPLITS
    rows = np.concatenate(list(split.values()))
    np.testing.assert_array_equal(np.sort(rows), np.arange(len(embedded)))
    shares = [len(split[name]) / len(embedded) for name in SPLITS]
    np.testing.assert_allclose(shares, SPLIT_FRACTIONS, atol=0.01)


def test_the_split_of_a_formula_does_not_depend_on_the_list(embedded):
    part = embedded.formulas[::-7]
    rows = [(f, "Ti1", "x") for f in part]
    fewer = mt.make_materials(rows, source="part")
    whole, other = (split_materials(m, seed=1) for m in (embedded, fewer))
    for name in SPLITS:
        inside = {embedded.formulas[i] for i in whole[name]}
        assert {fewer.formulas[i] for i in other[name]} <= inside
    again = split_materials(embedded, seed=2)
    assert not np.array_equal(again["test"], whole["test"])


def test_the_split_hash_is_the_same_on_every_machine():
    assert _uniform_hash("TiO2", 0) == pytest.approx(0.0356030, abs=1e-7)


def test_queries_hold_the_element_and_stay_in_the_split(embedded):
    split = split_materials(embedded, seed=0)
    present = embedded.contains()
    for name, count in PAPER_COUNTS.items():
        index = query_table(embedded, split[name], per_element=count, seed=5)
        np.testing.assert_array_equal(np.diff(index.offsets), count)
        assert np.isin(index.rows, split[name]).all()
        for label, element in enumerate(ELEMENTS):
            assert present[index.rows_of(element), label].all()
        for element in ELEMENTS:  # with replacement only where there are too few
            distinct = len(np.unique(index.rows_of(element)))
            if element not in index.drawn_with_replacement():
                assert distinct == count
    everything = query_table(embedded, split["train"])
    np.testing.assert_array_equal(np.diff(everything.offsets), everything.available)
    assert everything.drawn_with_replacement() == {}


def test_elements_without_materials_have_an_empty_range(small):
    index = query_table(small, np.array([0, 2]), per_element=3)
    assert len(index.rows_of("Ti")) == 3
    assert len(index.rows_of("F")) == 0
    assert index.drawn_with_replacement()["Ti"] == 2
    with pytest.raises(ValueError, match="per_element"):
        query_table(small, np.array([0]), per_element=0)


def test_comparison_of_two_lists_by_hand():
    a = mt.make_materials([("TiO2", "Ti1 O2", ""), ("Fe", "Fe1", "")], source="a")
    b = mt.make_materials([("TiO2", "Ti1 O2", ""), ("FeO", "Fe1 O1", "")], source="b")
    result = compare_materials(a, b)
    oxygen, iron = ELEMENT_INDEX["O"], ELEMENT_INDEX["Fe"]
    np.testing.assert_allclose(result["element_share"][:, oxygen], [0.5, 1.0])
    np.testing.assert_allclose(result["cooccurrence"][:, oxygen, iron], [0.0, 0.5])
    np.testing.assert_allclose(result["oxide_share"], [0.5, 1.0])
    np.testing.assert_allclose(result["n_elements"][:, :2], [[0.5, 0.5], [0.0, 1.0]])
    assert result["pairs"][0] == ("O", "Fe", 0.0, 0.5)
    assert compare_materials(a, a)["cooccurrence_cosine"] == pytest.approx(1)


# --- the embedded list --------------------------------------------------------------------------


def test_the_embedded_list_is_large_and_covers_every_element(embedded):
    assert len(embedded) >= 20_000
    assert len(set(embedded.formulas)) == len(embedded)
    counts = dict(zip(ELEMENTS, embedded.contains().sum(axis=0), strict=True))
    assert min(counts.values()) >= 300
    assert set(ELEMENTS) <= {f.removesuffix("2") for f in embedded.formulas}  # N2, O2, F2, Cl2
    gases = embedded.contains()[:, [ELEMENT_INDEX[g] for g in NOBLE_GASES]].any(axis=1)
    origins = {embedded.origins[i] for i in np.flatnonzero(gases)}
    assert origins == {"element", "gas in solid", "well known"}


COMMON = """
    TiO2 SrTiO3 BaTiO3 CeO2 LiFePO4 LiCoO2 GaN SiC Si3N4 MgAl2O4 Y3Al5O12 CaCO3 FeS2 MoS2 GaAs
    Al2O3 NaCl CaF2 Fe3O4 Ni3Al TiC BN YBa2Cu3O7 La2CuO4 Nd2Fe14B LaB6 CsPbBr3 Bi2Te3 XeF2 KrF2
    CaSO4 KNbO3 Mg2SiO4
"""


@pytest.mark.parametrize("formula", COMMON.split())
def test_common_materials_are_in_the_embedded_list(embedded, formula):
    assert reduce_formula(formula)[0] in embedded.formulas


def test_compositions_are_the_formulas(embedded):
    rows = np.random.default_rng(0).choice(len(embedded), 300, replace=False)
    for row in rows:
        formula, text = reduce_formula(embedded.formulas[row])
        assert (formula, text) == (embedded.formulas[row], embedded.compositions[row])
        labelled = {e: f for e, f in composition(formula).items() if e in ELEMENT_INDEX}
        assert fractions_of(embedded, row) == pytest.approx(labelled, rel=1e-6)


def test_equal_seeds_make_equal_lists():
    from coreloss.materials.compounds.generate import generate_compounds

    lists = [generate_compounds(s, scale=0.02, least_per_element=0) for s in (1, 1, 2)]
    assert list(lists[0].items()) == list(lists[1].items())
    assert set(lists[0]) != set(lists[2])


@pytest.mark.parametrize(
    ("family", "pattern", "anion"),
    [("perovskite", "A:1 B:1", "F-1"), ("ternary", "cation:1:2:3 B:1:2", "S-2")],
)
def test_ionic_families_are_neutral(family, pattern, anion):
    from coreloss.materials.compounds.families import ionic_drawer
    from coreloss.materials.compounds.ions import common_cations

    charges = {}
    for ion in common_cations():
        charges.setdefault(ion.symbol, []).append(ion.charge)
    draw = ionic_drawer(np.random.default_rng(0), family, pattern, anion, None)
    made = [m for m in (draw() for _ in range(3000)) if m]
    assert len(made) > 100
    for (a, n_a), (b, n_b), (_, n_anion) in made:
        sums = {p * n_a + q * n_b for p in charges[a] for q in charges[b]}
        assert n_anion * int(anion[-1]) in sums


def test_charges_are_guessed_as_chemists_do():
    from coreloss.materials.compounds.ions import guess_charges, reduced_key

    known = {
        (("Ca", 1), ("C", 1), ("O", 3)): {"Ca": 2, "C": 4, "O": -2},
        (("Na", 1), ("Cl", 1)): {"Na": 1, "Cl": -1},
        (("Y", 3), ("Al", 5), ("O", 12)): {"Y": 3, "Al": 3, "O": -2},
    }
    for atoms, charges in known.items():
        assert guess_charges(reduced_key(atoms)) == charges
    assert guess_charges(reduced_key([("Ni", 3), ("Al", 1)])) is None


@pytest.mark.skipif(
    "CORELOSS_SLOW_TESTS" not in os.environ, reason="half a minute: set CORELOSS_SLOW_TESTS=1"
)
def test_the_shipped_list_is_reproducible(embedded):
    from coreloss.materials.compounds.generate import compound_rows

    made = compound_rows(seed=0)
    assert [row[0] for row in made] == list(embedded.formulas)
    assert [row[1] for row in made] == list(embedded.compositions)


@pytest.mark.skipif(
    not PROJECT_LIST.is_file(),
    reason="no Materials Project list: set CORELOSS_DATA_DIR to the folder with materials/",
)
def test_the_embedded_list_resembles_the_materials_project(embedded, tmp_path):
    with gzip.open(PROJECT_LIST, "rt") as file:
        lines = file.read().splitlines()
    assert len(lines) > 100_000
    (tmp_path / "tenth.csv").write_text("\n".join([lines[0], *lines[1::10]]))
    result = compare_materials(embedded, mt.load_materials(tmp_path / "tenth.csv"))
    assert result["element_cosine"] > 0.97
    assert result["cooccurrence_cosine"] > 0.90
    assert np.abs(np.diff(result["oxide_share"])) < 0.06
    assert result["share_in_other"][1] > 0.10


def test_common_materials_are_their_share_of_each_element(embedded):
    split = split_materials(embedded, seed=0)["train"]
    common = are_common(embedded)
    names = {embedded.formulas[row] for row in np.flatnonzero(common)}
    assert {"BN", "TiO2", "SrTiO3", "CaMg(CO3)2", "Fe", "NaAlSi3O8"} <= names
    assert len(names) < 350
    plain = query_table(embedded, split)
    table = query_table(embedded, split, common=common, common_share=0.3)
    for element in ("O", "N", "La", "Cl", "Tc"):
        rows = table.rows_of(element)
        assert set(rows) == set(plain.rows_of(element))
        assert common[rows].mean() == pytest.approx(0.3, abs=0.01)
        assert common[plain.rows_of(element)].mean() < 0.1
    with pytest.raises(ValueError, match="common_share 1"):
        query_table(embedded, split, common=common, common_share=1.0)
