"""The commands ``coreloss data`` and ``coreloss evaluate`` on a folder of one's own."""

import json

import numpy as np
import pytest
import torch

from coreloss.edges import ELEMENTS
from coreloss.identification.trained_model import Model


class Constant(torch.nn.Module):
    def forward(self, spectrum, mask, axis_error_ev=None):
        p = torch.tensor([{"Ti": 0.97, "O": 0.99}.get(e, 0.001) for e in ELEMENTS])
        return torch.logit(p).expand(len(spectrum), -1)


@pytest.fixture
def folder(tmp_path):
    energy = np.arange(380.0, 700.0)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        rows = "\n".join(f"{e:g},{1e9 * e**-3:.0f}" for e in energy)
        (tmp_path / name / f"{name}.csv").write_text(f"energy (eV),counts\n{rows}\n")
    return tmp_path


def test_from_a_folder_of_files_to_scores(run, folder, monkeypatch):
    model = Model("fake", Constant(), {}, 0.5, 0.1, 1.0)
    monkeypatch.setattr("coreloss.identification.trained_model.load_model", lambda name: model)
    (folder / "readme.txt").write_text("words")
    code, out, err = run("data", "manifest", folder)
    assert code == 0
    assert "fill in elements_nominal" in out
    assert err.startswith("left out readme.txt: ")
    code, out, _ = run("data", "check", folder)
    assert code == 2
    assert out.count("\n") == out.count("elements_nominal is empty") == 2
    path = folder / "manifest.csv"
    head, *rows = path.read_text().splitlines()
    place = head.split(",").index("elements_nominal")
    cells = [row.split(",") for row in rows]
    filled = [",".join([*row[:place], "Ti O", *row[place + 1 :]]) for row in cells]
    path.write_text("\n".join([head, *filled]) + "\n")
    assert run("data", "check", folder) == (0, "", "")
    code, out, _ = run("evaluate", "--experimental", folder, "--json", "-")
    assert code == 0
    (found,) = json.loads(out)
    assert (found["scores"][0]["f1"], found["scores"][0]["n"]) == (1.0, 2)
    assert [g["scores"]["subset"] for g in found["breakdown"]][:2] == ["one", "two"]
    names = []
    for split in ("validation", "test"):
        code, out, _ = run("evaluate", "--experimental", folder, "--split", split, "--json", "-")
        names += [row["id"] for row in json.loads(out)[0]["spectra"]]
    assert sorted(names) == ["one", "two"]
    code, out, _ = run("evaluate", "--experimental", folder)
    assert code == 0
    assert "window start" in out
    code, _, err = run("evaluate", "--experimental", folder, "--split", "half")
    assert code == 2
    assert err == "coreloss: split is 'half'; allowed: validation, test, all\n"


@pytest.mark.parametrize("command", ["check", "manifest"])
def test_folders_without_anything_are_one_line(run, tmp_path, command):
    code, out, err = run("data", command, tmp_path)
    assert (code, out, err.count("\n")) == (2, "", 1)


def test_wrong_columns_are_one_line(run, folder):
    (folder / "manifest.csv").write_text("file,elements\none/one.csv,O\n")
    code, out, err = run("data", "check", folder)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "row 1: column 'elements_nominal' is missing" in err
