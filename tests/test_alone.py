"""The package by itself: no network unasked, and nothing but what identifying needs."""

import subprocess
import sys
import textwrap

import pytest

BLOCKED = """
import socket

def refused(*arguments, **options):
    raise AssertionError(f"the network was asked: {arguments[-1]}")

for name in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, name, refused)
for name in ("create_connection", "getaddrinfo", "gethostbyname"):
    setattr(socket, name, refused)
"""
MISSING = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
"""
WORK = """
import coreloss
from coreloss.mapping.amount_maps import quantify_image
from coreloss.networks.edgenet import EdgeNetConfig
from coreloss.simulation.superlattice.image import simulate_superlattice
from coreloss.simulation.superlattice.settings import Superlattice

image = simulate_superlattice(Superlattice(map_shape=(2, 12)), seed=0).core_loss
print(coreloss.identify(image).present)
print(coreloss.map_elements(image).map_shape)
print(quantify_image(image, elements=("O", "Ti")).elements)
print(len(coreloss.Simulator.of_split("test").block(0)))
sizes = {"spectra": 32, "block_size": 32, "batch_size": 32, "report_every": 32}
small = EdgeNetConfig(channels=8, blocks=1, dim=16, heads=2, layers=1)
config = coreloss.TrainConfig(model=small, validation_spectra=32, **sizes)
print(coreloss.train(config, out_dir="run").name)
from coreloss.study import certificate, results, scores
print(sorted(certificate.depends_on(("simulator", "network"))))
"""
IDENTIFY = """
import pathlib
from coreloss.cli.app import main

rows = [(e, 1e6 * (e / 400) ** -3 * (1 + (e > 532))) for e in range(400, 800)]
pathlib.Path("o.csv").write_text("\\n".join(f"{e},{c:.0f}" for e, c in rows))
main(["identify", "o.csv", "--json", "-"])
"""
NOT_NEEDED = {
    "IPython", "boto3", "distributed", "exspy", "hyperspy", "ipywidgets", "jupyter", "matplotlib",
    "mp_api", "numba", "pandas", "papermill", "periodictable", "pooch", "pyEELSMODEL", "pymatgen",
    "requests", "seaborn", "sklearn", "sparse", "xraydb",
}  # fmt: skip


def python(code, folder):
    run = [sys.executable, "-c", textwrap.dedent(code)]
    found = subprocess.run(run, cwd=folder, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    return found.stdout


def test_nothing_but_a_download_asks_the_network(tmp_path):
    said = python(BLOCKED + WORK, tmp_path).splitlines()
    assert "'O'" in said[0]
    assert {"(2, 12)", "('O', 'Ti')", "512", "run", "['network', 'simulator']"} <= set(said)


def test_the_network_would_be_noticed(tmp_path):
    with pytest.raises(AssertionError, match="the network was asked"):
        python(BLOCKED + "import urllib.request as u; u.urlopen('http://localhost:9')", tmp_path)


def test_identifying_needs_none_of_the_other_packages(tmp_path):
    said = python(MISSING.format(names=NOT_NEEDED) + IDENTIFY, tmp_path)
    assert '"O"' in said.split('"undetermined"')[0]


def test_a_missing_package_is_noticed(tmp_path):
    with pytest.raises(AssertionError, match="No module named 'numpy'"):
        python(MISSING.format(names={"numpy"}) + IDENTIFY, tmp_path)
