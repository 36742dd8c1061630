"""The command line: JSON as documented, one line and exit code 2 for everything that is wrong."""

import csv
import json
import subprocess
import sys

import h5py
import matplotlib
import numpy as np
import pytest
import torch

from coreloss.datasets.measured import data_dir
from coreloss.edges import ELEMENTS
from coreloss.identification.trained_model import Model, shipped_models
from coreloss.networks.unet import UNetConfig
from coreloss.spectra.reading import read_spectrum

matplotlib.use("Agg")

PROBABILITY = {"Ti": 0.97, "O": 0.99, "N": 0.4}


class Constant(torch.nn.Module):
    def forward(self, spectrum, mask, axis_error_ev=None):
        p = torch.tensor([PROBABILITY.get(e, 0.001) for e in ELEMENTS])
        return torch.logit(p).expand(len(spectrum), -1)


@pytest.fixture
def fake_model(monkeypatch):
    model = Model("fake", Constant(), {}, 0.7, 0.1, 1.0)
    monkeypatch.setattr("coreloss.identification.trained_model.load_model", lambda name: model)


def table(energy, *columns, header="energy (eV),counts"):
    rows = zip(energy, *columns, strict=True)
    return header + "\n" + "\n".join(",".join(f"{v:.6g}" for v in row) for row in rows) + "\n"


ENERGY_EV = np.arange(350.0, 750.0, 0.5)
COUNTS = np.rint(1e5 * (ENERGY_EV / 350) ** -3.0)


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "good.csv"
    path.write_text(table(ENERGY_EV, COUNTS))
    return path


def one_line(err):
    return err.startswith("coreloss: ") and err.count("\n") == 1 and "Traceback" not in err


def test_json_of_one_file_is_an_object_as_documented(run, good, fake_model):
    code, out, err = run("identify", good, "--json", "-")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert list(found) == [
        *("file", "model", "fingerprint", "threshold", "absent_threshold", "group_threshold"),
        "too_short",
        *("range_ev", "window_ev"),
        *("offset_ev", "offset_error_ev", "spectra"),
    ]
    assert (found["model"], found["threshold"]) == ("fake", 0.7)
    (spectrum,) = found["spectra"]
    assert list(spectrum) == [
        *("present", "undetermined", "not_observable", "probabilities", "evidence"),
        *("alternatives", "groups", "contamination", "warnings"),
    ]
    assert spectrum["present"] == ["O", "Ti"]
    assert spectrum["undetermined"] == ["N"]
    assert "Al" in spectrum["not_observable"]
    assert spectrum["probabilities"]["O"] == 0.99


def test_json_of_several_files_is_a_list(run, good, tmp_path, fake_model):
    second = tmp_path / "second.csv"
    second.write_text(good.read_text())
    code, out, _ = run("identify", good, second, "--json", "-")
    assert code == 0
    assert [entry["file"] for entry in json.loads(out)] == [str(good), str(second)]


def test_json_file_and_table(run, good, tmp_path, fake_model):
    code, out, _ = run("identify", good, "--json", tmp_path / "new" / "found.json")
    assert code == 0
    assert "good.csv" in out
    assert "456 eV" in out
    assert "undetermined" in out
    assert json.loads((tmp_path / "new" / "found.json").read_text())["model"] == "fake"
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["found.json"]


def test_window_and_shift(run, good, fake_model):
    arguments = ("--window", 400, 600, "--shift-ev", "-10", "--json", "-")
    code, out, _ = run("identify", good, *arguments)
    assert code == 0
    low, high = json.loads(out)["window_ev"]
    assert 400 <= low <= 401
    assert 599 <= high <= 600


def test_each_spectrum_of_a_file(run, tmp_path, fake_model):
    path = tmp_path / "three.csv"
    path.write_text(table(ENERGY_EV, COUNTS, COUNTS + 1, COUNTS, header="energy (eV),a,b,c"))
    for options, n in ((["--each"], 3), ([], 1)):
        code, out, _ = run("identify", path, *options, "--json", "-")
        assert code == 0
        assert len(json.loads(out)["spectra"]) == n
    code, out, _ = run("identify", path, "--each")
    assert code == 0
    assert out.count("O 0.99") == 3


@pytest.mark.parametrize(("suffix", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_figure(run, good, tmp_path, fake_model, suffix, magic):
    target = tmp_path / f"figure.{suffix}"
    assert run("identify", good, "--plot", target)[0] == 0
    assert target.read_bytes().startswith(magic)


def test_unknown_figure_format_is_one_line(run, good, tmp_path, fake_model):
    code, _, err = run("identify", good, "--plot", tmp_path / "figure.xyz")
    assert code == 2
    assert one_line(err)
    assert not list(tmp_path.glob("*figure*"))


def bad_inputs(tmp_path):
    nan = COUNTS.copy()
    nan[100:600] = np.nan
    texts = {
        "empty.csv": "",
        "empty.dm3": "",
        "header.csv": "energy,counts\n",
        "words.txt": "this is not a spectrum\nat all\n",
        "nan.csv": table(ENERGY_EV, nan),
        "short.csv": table(ENERGY_EV[:5], COUNTS[:5]),
        "keV.csv": table(ENERGY_EV / 1000, COUNTS, header="energy (keV),counts"),
        "nm.csv": table(1239.84 / ENERGY_EV[::-1], COUNTS, header="wavelength (nm),counts"),
        "one_column.csv": "counts\n" + "\n".join(f"{c:g}" for c in COUNTS),
        "constant.csv": table(ENERGY_EV, 0 * COUNTS),
        "truncated.msa": "#FORMAT : EMSA/MAS Spectral Data File\n#VERSION : 1.0\n#NPOINTS :",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    noise = np.random.default_rng(0).bytes(5000)
    for suffix in ("csv", "txt", "dm3", "dm4", "msa", "hspy", "emd", "xyz"):
        (tmp_path / f"binary.{suffix}").write_bytes(noise)
    (tmp_path / "folder.csv").mkdir()
    return [tmp_path / "missing.dm3", *sorted(tmp_path.iterdir())]


def test_bad_input_is_one_line_and_exit_code_2(run, tmp_path, fake_model):
    for path in bad_inputs(tmp_path):
        if path.name == "keV.csv":
            continue  # converted to eV, or refused: see below
        code, out, err = run("identify", path, "--json", "-")
        assert (code, out) == (2, ""), path
        assert one_line(err), (path, err)
        assert path.name in err, (path, err)


def test_axis_in_kev_is_converted_or_refused(run, tmp_path, fake_model):
    path = tmp_path / "keV.csv"
    path.write_text(table(ENERGY_EV / 1000, COUNTS, header="energy (keV),counts"))
    code, out, err = run("identify", path, "--json", "-")
    if code == 0:
        assert json.loads(out)["window_ev"] == pytest.approx([351, 749], abs=1)
    else:
        assert code == 2
        assert one_line(err)


def test_unlabelled_axis_in_kev_is_refused(run, tmp_path, fake_model):
    path = tmp_path / "unlabelled.csv"
    path.write_text(table(ENERGY_EV / 1000, COUNTS, header="x,y"))
    code, _, err = run("identify", path)
    assert code == 2
    assert one_line(err)


@pytest.mark.parametrize("suffix", ["dm3", "msa"])
def test_truncated_measured_files(run, tmp_path, fake_model, suffix):
    folder = data_dir()
    if folder is None:
        pytest.skip("no measured spectra: set CORELOSS_DATA_DIR to the folder that holds them")
    source = sorted(folder.glob(f"experimental/**/*.{suffix}"))[0].read_bytes()
    path = tmp_path / f"truncated.{suffix}"
    for share in (0.02, 0.4):
        path.write_bytes(source[: int(share * len(source))])
        code, _, err = run("identify", path)
        assert code == 2, share
        assert one_line(err)


def test_missing_values_are_cut_off_at_the_ends_and_refused_inside(run, tmp_path, fake_model):
    path = tmp_path / "holes.csv"
    path.write_text(table(ENERGY_EV, np.where(ENERGY_EV < 370, np.nan, COUNTS)))
    code, out, err = run("identify", path, "--json", "-")
    assert (code, err) == (0, "")
    (spectrum,) = json.loads(out)["spectra"]
    assert "below 370" in spectrum["warnings"][0]
    inside = (ENERGY_EV >= 500) & (ENERGY_EV < 520)
    path.write_text(table(ENERGY_EV, np.where(inside, np.nan, COUNTS)))
    code, out, err = run("identify", path, "--json", "-")
    assert (code, out) == (2, "")
    assert one_line(err)
    assert "for instance 520..749.5 eV" in err
    code, out, err = run("identify", path, "--window", 520, 750, "--json", "-")
    assert (code, err) == (0, "")
    assert json.loads(out)["spectra"][0]["warnings"] == []


@pytest.mark.parametrize("option", ["--json", "--plot"])
def test_target_that_cannot_be_written_is_one_line(run, good, tmp_path, fake_model, option):
    (tmp_path / "folder.png").mkdir()
    for target in (tmp_path / "folder.png", good / "below.png"):
        code, out, err = run("identify", good, option, target)
        assert (code, out) == (2, "")
        assert one_line(err)
        assert f"{target}: " in err


def test_a_bad_file_does_not_stop_the_good_ones(run, good, tmp_path, fake_model):
    code, out, err = run("identify", tmp_path / "missing.csv", good, "--json", "-")
    assert code == 2
    assert one_line(err)
    assert [entry["file"] for entry in json.loads(out)] == [str(good)]


@pytest.mark.parametrize(
    "options",
    [
        ("--window", "2000", "2500"),
        ("--window", "600", "400"),
        ("--window", "400"),
        ("--shift-ev", "much"),
        ("--shift-ev", "nan"),
        ("--no-such-option",),
    ],
)
def test_bad_options_are_one_line(run, good, fake_model, options):
    code, out, err = run("identify", good, *options)
    assert (code, out) == (2, "")
    assert one_line(err), err


def test_folders_hold_no_spectra_in_files_of_other_programs(run, good, tmp_path, fake_model):
    with h5py.File(tmp_path / "maps.h5", "w") as file:
        file["maps"] = COUNTS
    code, out, err = run("identify", tmp_path, "--json", "-")
    assert (code, err) == (0, "")
    assert len(json.loads(out)) == 1


def test_unknown_model_is_one_line(run, good):
    code, _, err = run("identify", good, "--model", "nonsense")
    assert code == 2
    assert one_line(err)
    assert "nonsense" in err


def test_interrupt_is_exit_code_130(run, good, monkeypatch):
    def interrupted(name):
        raise KeyboardInterrupt

    monkeypatch.setattr("coreloss.identification.trained_model.load_model", interrupted)
    code, _, err = run("identify", good)
    assert code == 130
    assert "Traceback" not in err


def test_what_libraries_print_stays_out_of_the_json(run, good, fake_model, monkeypatch):
    from coreloss.spectra import reading

    read = read_spectrum

    def chatty(path, **options):
        print("reading ...")
        return read(path, **options)

    monkeypatch.setattr(reading, "read_spectrum", chatty)
    code, out, err = run("identify", good, "--json", "-")
    assert code == 0
    assert json.loads(out)["model"] == "fake"
    assert "reading ..." in err


def test_version_and_help(run):
    from importlib.metadata import version

    assert run("--version")[:2] == (0, f"coreloss {version('coreloss')}\n")
    for command in ([], ["identify"], ["evaluate"], ["train"], ["gos", "build"], ["materials"]):
        code, out, _ = run(*command, "--help")
        assert code == 0
        assert "Usage: coreloss" in out or "Usage:" in out


def test_materials_table(run, tmp_path):
    source, target = tmp_path / "list.csv", tmp_path / "table.csv"
    source.write_text("formula\nTiO2\nTi2O4\nSrTiO3\n")
    code, out, _ = run("materials", source, target)
    assert (code, out) == (0, f"{target}: 2 materials\n")
    with target.open() as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    assert {row["formula"] for row in rows} == {"TiO2", "SrTiO3"}
    more, merged = tmp_path / "more.csv", tmp_path / "merged.csv.gz"
    more.write_text("formula\nFe2O3\nTiO2\n")
    code, out, _ = run("materials", target, more, merged)
    assert (code, out) == (0, f"{merged}: 3 materials\n")
    code, _, err = run("materials", tmp_path / "no.csv", target)
    assert code == 2
    assert one_line(err)


def test_evaluate_on_measured_files(run, fake_model, tmp_path):
    if data_dir() is None:
        pytest.skip("no measured spectra: set CORELOSS_DATA_DIR to the folder that holds them")
    code, out, err = run("evaluate", "--json", "-")
    assert (code, err) == (0, "")
    (found,) = json.loads(out)
    (score,) = found["scores"]
    assert score["subset"] == "measured, quality A"
    assert score["n"] == len(found["spectra"]) > 10
    hits = sum(len(set(r["present"]) & {"O", "Ti"}) for r in found["spectra"])
    misses = sum(len(set(r["present"]) - {"O", "Ti"}) for r in found["spectra"])
    assert score["micro_recall"] == pytest.approx(hits / (hits + misses))
    assert not any("C" in row["present"] for row in found["spectra"])


def test_evaluate_without_data_is_one_line(run, fake_model, monkeypatch, tmp_path):
    monkeypatch.setenv("CORELOSS_DATA_DIR", str(tmp_path))
    for options in ((), ("--experimental", tmp_path)):
        code, _, err = run("evaluate", *options)
        assert code == 2
        assert one_line(err)


def test_one_file_of_spectra_is_made_and_scored(run, fake_model, tmp_path):
    target = tmp_path / "set.h5"
    code, out, err = run("dataset", target, "--n", 20, "--seed", 3)
    assert (code, err) == (0, "20 of 20 spectra\n")
    assert out.startswith(f"{target}: 20 spectra, sha256 ")
    code, out, _ = run("evaluate", "--benchmark", target)
    assert code == 0
    assert "simulated, all" in out
    assert "SNR 10..30" in out
    assert "…" not in out
    code, out, _ = run("evaluate", "--benchmark", target, "--json", "-")
    (found,) = json.loads(out)
    assert found["scores"][0]["n"] == 20
    code, _, err = run("evaluate", "--benchmark", tmp_path / "nothing.h5")
    assert code == 2
    assert one_line(err)


def test_summary_of_the_shipped_gos_tables(run):
    code, out, _ = run("gos", "info", "--json", "-")
    assert code == 0
    assert len(json.loads(out)["elements"]) == 80
    code, out, _ = run("gos", "info")
    assert code == 0
    assert "whole-shell" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ("gos", "info", "nothing.gosh"),
        ("gos", "fetch", "nonsense"),
        ("train", "run", "--spectra", 3),
        ("train", "run", "--materials", "nothing.csv"),
        ("train", "run", "--architecture", "lenet"),
        ("train", "run", "--recipe", "best"),
        ("train", "run", "--architecture", "unet", "--width", -1),
        ("simulate", "set.h5", "--n", 5),
        ("dataset", "set.h5", "--n", 0),
        ("dataset", "set.h5", "--n", 5, "--split", "all"),
        ("dataset", "set.h5", "--n", 5, "--settings", "own"),
        ("dataset", "set.h5", "--n", 5, "--scale", 1),
        ("dataset", "set.h5", "--n", 5, "--dry-run"),
        ("dataset", "set", "--split", "test"),
        ("materials", "nothing.csv", "out.csv"),
    ],
)
def test_bad_arguments_of_the_other_commands(run, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert one_line(err), err


def test_train_hands_its_options_over(run, tmp_path, monkeypatch):
    seen = {}

    def train(config, *, out_dir, resume, pause_after_s):
        seen.update(config=config, out_dir=out_dir, resume=resume, pause=pause_after_s)
        return out_dir

    monkeypatch.setattr("coreloss.training.loop.train", train)
    options = ("--spectra", 2048, "--minutes", 5, "--seed", 7, "--learning-rate", 1e-3, "--fresh")
    options += ("--architecture", "unet", "--width", 0.25, "--recipe", "paper", "--pause-after", 2)
    code, out, _ = run("train", tmp_path / "run", *options)
    assert (code, out) == (0, f"{tmp_path / 'run'}\n")
    config = seen["config"]
    assert (config.spectra, config.minutes, config.seed) == (2048, 5, 7)
    assert config.learning_rate == 1e-3
    assert (config.model, config.loss) == (UNetConfig(width=0.25), "bce_soft_f1")
    assert (config.batch_size, config.schedule, seen["pause"]) == (32, "plateau", 120)
    assert (seen["out_dir"], seen["resume"]) == (tmp_path / "run", False)


def test_installed_command_in_a_process_of_its_own(tmp_path):
    command = [sys.executable, "-m", "coreloss.cli.app"]
    for arguments in (["identify", str(tmp_path / "missing.dm3")], ["nonsense"]):
        ended = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
        assert ended.returncode == 2
        assert ended.stdout == ""
        assert one_line(ended.stderr)


def test_shipped_network_answers_titanium_and_oxygen():
    if not shipped_models():
        pytest.skip("no trained network is in src/coreloss/weights yet")
    folder = data_dir()
    files = sorted(folder.glob("experimental/pyTEMlib/*.dm3")) if folder else []
    if not files:
        pytest.skip("no measured spectra: set CORELOSS_DATA_DIR to the folder that holds them")
    command = [sys.executable, "-m", "coreloss.cli.app", "identify", *files, "--json", "-"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(ended.stdout)
    for result in found if isinstance(found, list) else [found]:
        assert {"Ti", "O"} <= set(result["spectra"][0]["present"])
