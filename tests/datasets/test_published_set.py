"""The set in the published layout: files, labels, streams, and how an interrupted set goes on."""

import copy
import json
from collections import namedtuple
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch

from coreloss.axis import N_CHANNELS
from coreloss.cli import app as cli
from coreloss.datasets.published_set import prepare, write
from coreloss.datasets.published_streams import PARTS, SetPlan, stream_seed
from coreloss.datasets.simulated_set import COLUMNS, read_set
from coreloss.edges import ELEMENT_INDEX, ELEMENTS
from coreloss.materials.split import QueryIndex, query_table, split_materials
from coreloss.materials.table import load_materials
from coreloss.simulation.sampling import generator_for
from coreloss.simulation.settings import SimulationSettings
from coreloss.simulation.simulator import Simulator

HERE = ("Be", "O", "Ti", "Fe", "Ba", "Lu", "Pt", "Bi")
Usage = namedtuple("Usage", "total used free")
PUBLISHED = {  # folder: prefix and spectra per element
    "trainingset": ("TRAIN", 7000),
    "validationset": ("VALIDATION", 600),
    "testset": ("TEST", 1500),
    "single_element_spectra": ("CONFMAT", 100),
}


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """Eight elements at 1/100 of the size, from oxides and fluorides: a list that loads at once."""
    table = tmp_path_factory.mktemp("materials") / "list.csv"
    rows = [
        f"{e}{i}{a},{e}{i} {a}1" for e in ELEMENTS for a in "OF" for i in range(2, 32) if e != a
    ]
    table.write_text("\n".join(["formula,composition", *rows]))
    return SetPlan(scale=0.01, materials=str(table), elements=HERE)


@pytest.fixture(scope="module")
def some(plan):
    """Two of the eight elements."""
    return replace(plan, elements=("O", "Ti"))


@pytest.fixture(scope="module")
def job(tmp_path_factory, plan):
    """The set of `plan`, written: 736 spectra in 32 files."""
    job = prepare(tmp_path_factory.mktemp("published"), plan)
    write(job)
    return job


def hashes(folder):
    files = json.loads((folder / "manifest.json").read_text())["files"]
    return {name: entry["sha256"] for name, entry in files.items()}


def files_in(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.*"))


def test_folders_names_and_sizes_are_the_published_ones(job):
    names = [f"{f}/{p}_{e}.hdf5" for f, (p, _) in PUBLISHED.items() for e in HERE]
    assert files_in(job.out) == sorted([*names, "manifest.json"])
    assert 80 * sum(n for _, n in PUBLISHED.values()) == 736_000
    assert [SetPlan().n(part) for part in PARTS] == [n for _, n in PUBLISHED.values()]
    manifest = json.loads((job.out / "manifest.json").read_text())
    assert manifest["n"] == sum(entry["n"] for entry in manifest["files"].values()) == 736


def test_every_file_is_read_with_plain_h5py(job):
    for folder, (prefix, n) in PUBLISHED.items():
        for element in HERE:
            with h5py.File(job.out / folder / f"{prefix}_{element}.hdf5") as file:
                assert set(file) == set(COLUMNS)
                spectra = file["spectra"][:]
                present = file["labels_identification"][:]
                amount = file["labels_quantification"][:]
                assert file.attrs["elements"].split() == list(ELEMENTS)
            rows = n // 100
            assert (spectra.shape, spectra.dtype) == ((rows, N_CHANNELS), np.float32)
            assert (present.shape, present.dtype) == ((rows, 80), np.uint8)
            assert (amount.shape, amount.dtype) == ((rows, 80), np.float32)
            assert set(np.unique(present)) <= {0, 1}
            assert present[:, ELEMENT_INDEX[element]].all()
            np.testing.assert_allclose(amount.sum(1), 1, rtol=1e-5)
            assert (amount[present == 0] == 0).all()
            assert (amount[present == 1] > 0).all()
            assert (spectra.sum(1) > 0).all()
            if folder == "single_element_spectra":
                assert (present.sum(1) == 1).all()


def test_spectra_and_shares_are_those_of_a_simulator_of_the_element(tmp_path, plan):
    job = prepare(tmp_path, replace(plan, scale=0.4, seed=3, elements=("Ba",)))
    (file,) = [(part, element) for part, element in job.missing if part.split == "test"]
    write(replace(job, missing=(file,)))
    materials = load_materials(plan.materials)
    rows = split_materials(materials, seed=0)["test"]
    rows = query_table(materials, rows, per_element=300, seed=3).rows_of("Ba")
    past = np.arange(81) > ELEMENT_INDEX["Ba"]
    queries = QueryIndex(offsets=300 * past, rows=rows, available=np.diff(past) * 300)
    settings = SimulationSettings.paper()
    simulator = Simulator(materials, queries, settings=settings, block_size=300)
    batch = simulator.asking_in_turn(queries, seed=stream_seed(3, *file)).batch(0, 600)
    amount = (batch.amount * batch.present).numpy()
    with h5py.File(tmp_path / "testset" / "TEST_Ba.hdf5") as file:
        np.testing.assert_array_equal(file["spectra"][:], batch.counts.numpy())
        np.testing.assert_array_equal(file["labels_identification"][:], batch.present.numpy())
        shares = file["labels_quantification"][:]
    np.testing.assert_allclose(shares, amount / amount.sum(1, keepdims=True), rtol=1e-5)
    assert np.abs(shares - batch.amount.numpy()).max() > 0.1


def test_bare_elements_have_no_contamination_with_any_settings(tmp_path, some):
    job = prepare(tmp_path, replace(some, scale=1.0, settings="default"))
    assert job.sources["train"].simulator.settings.carbon_probability > 0
    write(replace(job, missing=[file for file in job.missing if file[0].split == "single"]))
    for element in some.elements:
        with h5py.File(tmp_path / "single_element_spectra" / f"CONFMAT_{element}.hdf5") as file:
            present = file["labels_identification"][:]
            assert json.loads(file.attrs["config"])["settings"]["carbon_probability"] == 0
        assert present.shape == (100, 80)
        assert present.sum() == present[:, ELEMENT_INDEX[element]].sum() > 80  # free windows


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A plan for Ti with more materials than are asked for, known by their shares of oxygen."""
    table = tmp_path_factory.mktemp("materials") / "many.csv"
    rows = [f"O1Ti{i},O1 Ti{i}" for i in range(1, 2301)]
    table.write_text("\n".join(["formula,composition", *rows]))
    return SetPlan(materials=str(table), elements=("Ti",))


def spectra_per_material(folder, part):
    """Number of spectra of each material in a file of the plan `many`."""
    with h5py.File(folder / part.path("Ti")) as file:
        amount = file["amount"][:].astype(float)
    shares = amount[:, ELEMENT_INDEX["Ti"]] / amount[:, ELEMENT_INDEX["O"]]
    np.testing.assert_allclose(shares, np.rint(shares), rtol=1e-3)
    return np.unique(np.rint(shares), return_counts=True)[1]


@pytest.mark.parametrize(
    ("split", "scale", "number", "times"),
    [
        ("validation", 1.0, 300, {2}),
        ("test", 1.0, 300, {5}),
        ("train", 1.0, 1400, {5}),
        ("test", 0.3, 300, {1, 2}),
        ("train", 0.1, 700, {1}),
    ],
)
def test_every_material_of_a_file_has_the_same_number_of_spectra(
    tmp_path, many, split, scale, number, times
):
    job = prepare(tmp_path, replace(many, scale=scale))
    assert not job.sources[split].queries.drawn_with_replacement().get("Ti")
    (file,) = [file for file in job.missing if file[0].split == split]
    write(replace(job, missing=(file,)))
    found = spectra_per_material(tmp_path, file[0])
    assert (len(found), set(found.tolist())) == (number, times)
    assert found.sum() == job.plan.n(file[0])


def test_materials_that_were_drawn_twice_have_twice_the_spectra(job):
    """Sixty materials of an element are fewer than asked for: each keeps its place in the queue."""
    source, titanium = job.sources["test"], ELEMENT_INDEX["Ti"]
    rows = source.queries.rows_of("Ti")
    assert len(set(rows.tolist())) <= source.queries.drawn_with_replacement()["Ti"] < len(rows)
    materials = source.simulator.materials
    share = materials.amounts[rows][materials.elements[rows] == titanium].tolist()
    batch = source.stream("Ti", seed=4).batch(0, len(rows) + 15)
    assert batch.amount[:, titanium].tolist() == pytest.approx([*share, *share[:15]])


def test_turns_change_nothing_but_the_material(job):
    """With a single material the stream is the one that draws: scores on bare elements stay."""
    source = job.sources["single"]
    turns = source.stream("Ti", seed=8)
    draws = copy.copy(turns)
    draws.in_turn = False
    assert turns.in_turn
    assert torch.equal(turns.batch(0, 8).counts, draws.batch(0, 8).counts)


def test_files_of_materials_in_no_turn_belong_to_another_set(job, tmp_path, some):
    source, path = job.out / "testset" / "TEST_O.hdf5", tmp_path / "testset" / "TEST_O.hdf5"
    path.parent.mkdir()
    path.write_bytes(source.read_bytes())
    with h5py.File(path, "a") as file:
        config = json.loads(file.attrs["config"])
        del config["materials_of_a_file"]
        file.attrs["config"] = json.dumps(config)
    with pytest.raises(ValueError, match="materials_of_a_file is None, this run has in turn"):
        prepare(tmp_path, some)


def test_no_compound_is_in_two_parts(job):
    formulas = np.array(load_materials(job.plan.materials).formulas)
    drawn = {
        name: set(formulas[source.simulator.materials.asked.rows.numpy()])
        for name, source in job.sources.items()
        if name != "single"
    }
    assert list(drawn) == ["train", "validation", "test"]
    assert all(drawn.values())
    assert sum(map(len, drawn.values())) == len(set.union(*drawn.values()))


def test_no_spectrum_is_there_twice_and_no_stream_is_used_twice(job):
    seen = set()
    for path in job.out.rglob("*.hdf5"):
        with h5py.File(path) as file:
            seen |= {row.tobytes() for row in file["spectra"][:]}
    assert len(seen) == 736
    streams = [
        generator_for(stream_seed(seed, part, element), block).initial_seed()
        for seed in (0, 1, 2, 2**32 - 1)
        for part in PARTS
        for element in ELEMENTS
        for block in range(14)
    ]
    assert len(set(streams)) == len(streams)


def test_same_seed_same_files_whatever_else_is_made(job, tmp_path, some):
    write(prepare(tmp_path, some))
    assert len(hashes(tmp_path)) == 8
    assert hashes(tmp_path).items() <= hashes(job.out).items()
    write(prepare(tmp_path, replace(some, elements=("Fe",))))
    assert len(hashes(tmp_path)) == 12  # of both runs
    other = prepare(tmp_path / "other", replace(some, seed=1))
    write(other)
    assert not set(hashes(other.out).values()) & set(hashes(job.out).values())


def test_deleted_file_comes_back_and_the_others_stay(job, plan):
    before, path = hashes(job.out), job.out / "testset" / "TEST_Ti.hdf5"
    times = {p: p.stat().st_mtime_ns for p in job.out.rglob("*.hdf5")}
    content = read_set(path).sha256
    path.unlink()
    again = prepare(job.out, plan)
    assert again.n_spectra == 15
    write(again)
    assert read_set(path).sha256 == content
    assert hashes(job.out) == before
    changed = [p for p, old in times.items() if p.stat().st_mtime_ns != old]
    assert changed == [path]
    assert prepare(job.out, plan).n_spectra == 0


def test_interrupted_set_has_whole_files_only_and_goes_on(job, tmp_path, monkeypatch, some):
    block, calls = Simulator.block, []

    def interrupted(self, number):
        calls.append(number)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return block(self, number)

    prepared = prepare(tmp_path, some)
    monkeypatch.setattr(Simulator, "block", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(prepared)
    whole = files_in(tmp_path)
    assert whole == ["trainingset/TRAIN_O.hdf5", "trainingset/TRAIN_Ti.hdf5"]
    for name in whole:
        assert read_set(tmp_path / name).sha256 == hashes(job.out)[name]
    write(prepare(tmp_path, some))
    assert hashes(tmp_path).items() <= hashes(job.out).items()
    assert len(files_in(tmp_path)) == 9


def test_file_that_could_not_be_filled_is_not_there(tmp_path, monkeypatch, some):
    def full(file, batches):
        raise OSError(28, "No space left on device")

    job = prepare(tmp_path, some)
    monkeypatch.setattr("coreloss.datasets.simulated_set._write_rows", full)
    with pytest.raises(OSError, match="No space"):
        write(job)
    assert files_in(tmp_path) == []
    assert not list(tmp_path.rglob(".*.part"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 1}, "seed is 0, this run has 1"),
        ({"scale": 0.02}, "n is 70, this run has 140"),
        ({"settings": "default"}, r"settings\.\w+ is .*, this run has"),
        ({"elements": ("Ag",), "seed": 1}, "TRAIN_Be.*use another folder"),
    ],
)
def test_another_run_into_the_same_folder_is_refused(job, changes, message, plan):
    before = files_in(job.out)
    with pytest.raises(ValueError, match=message):
        prepare(job.out, replace(plan, **changes))
    assert files_in(job.out) == before


def test_another_simulator_is_noticed(job, monkeypatch, plan):
    block = Simulator.block

    def brighter(self, number):
        batch = block(self, number)
        return replace(batch, counts=batch.counts * 2)

    monkeypatch.setattr(Simulator, "block", brighter)
    with pytest.raises(ValueError, match="simulator_sha256 is"):
        prepare(job.out, plan)


def test_damaged_files_and_those_of_other_sizes_are_refused(job, tmp_path, some):
    path, source = tmp_path / "testset" / "TEST_O.hdf5", job.out / "testset" / "TEST_O.hdf5"
    path.parent.mkdir()
    path.write_bytes(source.read_bytes()[:3000])
    with pytest.raises(ValueError, match=r"TEST_O.hdf5: not readable .* delete it"):
        prepare(tmp_path, some)
    path.write_bytes(source.read_bytes())
    with h5py.File(path, "a") as file:
        for name in file:
            file[name].resize(14, axis=0)
    with pytest.raises(ValueError, match="holds 14 spectra instead of 15; delete it"):
        prepare(tmp_path, some)
    with h5py.File(path, "a") as file:
        file.attrs["format"] = "coreloss published layout"
    with pytest.raises(ValueError, match="format is 'coreloss published layout'"):
        prepare(tmp_path, some)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scale": 0.0}, "above 0"),
        ({"scale": float("nan")}, "above 0"),
        ({"scale": 11.0}, "at most 10"),
        ({"seed": -1}, "0 to"),
        ({"settings": "own"}, "default, paper"),
        ({"elements": ("O", "U")}, "Be to Bi"),
        ({"elements": ()}, "Be to Bi"),
    ],
)
def test_impossible_plans_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        SetPlan(**changes)


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path, some):
    (tmp_path / "set").write_text("")
    for out in (tmp_path / "set", tmp_path / "set" / "below"):
        with pytest.raises(ValueError, match=r"set is a file; give the name of a folder"):
            prepare(out, some)


def test_too_small_a_disk_is_said_before_anything_is_written(tmp_path, monkeypatch, some):
    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage(10**9, 10**9 - 10**5, 10**5))
    with pytest.raises(ValueError, match=r"0.0001 GB free; use another disk"):
        prepare(tmp_path / "new", some)
    assert not list(tmp_path.iterdir())


def test_element_without_material_is_named(tmp_path, some):
    table = tmp_path / "list.csv"
    rows = [f"O1Ti{i},O1 Ti{i}" for i in range(1, 60)]
    table.write_text("\n".join(["formula,composition", *rows]))
    few = replace(some, materials=str(table))
    assert prepare(tmp_path / "set", few).n_spectra == 2 * (70 + 6 + 15 + 1)
    with pytest.raises(ValueError, match="none with Fe among the train materials"):
        prepare(tmp_path / "set", replace(few, elements=("Fe", "O")))


def test_estimates_are_near_what_is_written(tmp_path, some):
    job = prepare(tmp_path, some)
    write(job)
    written = sum(path.stat().st_size for path in tmp_path.rglob("*.hdf5"))
    assert written / 2 < job.n_bytes < 2 * written


def test_command(tmp_path, capsys):
    def command(*options):
        with pytest.raises(SystemExit) as ended:
            cli.main(["dataset", str(tmp_path / "set"), "--scale", "0.01", *options])
        return (ended.value.code, *capsys.readouterr())

    code, out, err = command("--dry-run")
    assert (code, err) == (0, "")
    assert "7360 spectra to simulate, 320 files" in out
    assert "GB free" in out
    assert not list(tmp_path.iterdir())
    code, out, err = command("--elements", "Ti")
    assert code == 0
    assert out.endswith(f"{tmp_path / 'set' / 'manifest.json'}\n")
    assert err.startswith("92 of 92 spectra")
    code, out, _ = command("--elements", "Ti")
    assert (code, "0 spectra to simulate" in out) == (0, True)
    for options in (("--seed", "1"), ("--settings", "own"), ("--elements", "")):
        code, _, err = command(*options)
        assert code == 2
        assert err.startswith("coreloss: ")
        assert err.count("\n") == 1
