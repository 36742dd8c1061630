"""Quick from the first second: what the commands load, read and hold, not how fast a machine is."""

import subprocess
import sys

import numpy as np
import pytest
from helpers import hyperspy_dictionary

from coreloss.mapping.element_maps import map_elements
from coreloss.spectra import image as images
from coreloss.spectra.image import open_image
from coreloss.training.loop import KERNELS_KEPT

COMMAND = """
import sys
from coreloss.cli.app import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    assert not end.code, end.code
print("LOADED", *{name.split(".")[0] for name in sys.modules})
"""
NEVER = {"dask", "distributed", "hyperspy", "matplotlib", "numba", "pandas", "pymatgen", "sklearn"}
ENERGY = np.arange(400.0, 700.0)
COUNTS = np.rint(1e5 * (ENERGY / 400) ** -3 + 3e4 * (ENERGY > 532) * (ENERGY / 532) ** -3)


def run(code, *arguments) -> str:
    out = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert out.returncode == 0, out.stderr
    return out.stdout


def loaded(*arguments) -> set[str]:
    """Libraries that a command has loaded at its end."""
    return set(run(COMMAND, *arguments).rpartition("LOADED")[2].split())


@pytest.fixture
def image(tmp_path):
    rsciio_hspy = pytest.importorskip("rsciio.hspy")
    axes = [("x", "nm", 1, 0, True), ("Energy loss", "eV", 1, 400, False)]
    counts = np.random.default_rng(0).poisson(COUNTS, (6, len(COUNTS))).astype(np.float32)
    path = tmp_path / "line.hspy"
    rsciio_hspy.file_writer(str(path), hyperspy_dictionary(counts, axes))
    return path


def written(path):
    rows = [f"{e:g}, {c:g}" for e, c in zip(ENERGY, COUNTS, strict=True)]
    header = ["#FORMAT : EMSA/MAS Spectral Data File", "#XUNITS : eV", "#SPECTRUM : "]
    head, end = (header, ["#ENDOFDATA :"]) if path.suffix == ".msa" else ([], [])
    path.write_text("\n".join([*head, *rows, *end]))
    return path


def test_import_loads_neither_torch_nor_numpy():
    found = set(run("import coreloss, sys; print(*{m.split('.')[0] for m in sys.modules})").split())
    assert "coreloss" in found
    assert not found & {"torch", "numpy", "scipy", *NEVER}


def test_help_loads_neither_torch_nor_numpy():
    found = loaded("--help")
    assert "typer" in found
    assert not found & {"torch", "numpy", "scipy", "rsciio", *NEVER}


@pytest.mark.parametrize("suffix", [".msa", ".csv"])
def test_identify_loads_what_the_file_needs(suffix, tmp_path):
    found = loaded("identify", written(tmp_path / f"a{suffix}"))
    assert "torch" in found
    assert not found & {"rsciio", *NEVER}


def test_maps_of_small_images_load_nothing_for_large_ones(image):
    found = loaded("map", image)
    assert {"torch", "rsciio"} <= found
    assert not found & NEVER


def test_small_images_are_read_once(image):
    opened = open_image(image)
    image.unlink()
    assert not opened.lazy
    assert map_elements(opened).of("O").min() > 0.9


def test_large_images_are_not_read_whole(image, monkeypatch):
    whole = open_image(image).counts
    monkeypatch.setattr(images, "READ_WHOLE", whole.nbytes - 1)
    opened = open_image(image)
    assert opened.lazy
    np.testing.assert_array_equal(opened.read(0, 6).counts, whole)
    monkeypatch.setattr(images, "READ_WHOLE", whole.nbytes + 100_000)  # with its metadata
    assert not open_image(image).lazy


TRAINING = """
import os, sys
from coreloss.training.loop import TrainConfig, train
train(TrainConfig(spectra=512, report_every=512, validation_spectra=64), out_dir=sys.argv[1])
with open("/proc/self/status") as status:  # what getrusage says may be of the parent
    peak_gb = next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1e6
print("PEAK", peak_gb, os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is told in other units")
def test_training_stays_below_one_and_a_half_gigabytes(tmp_path, monkeypatch):
    monkeypatch.delenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    peak_gb, kernels = run(TRAINING, tmp_path).rpartition("PEAK")[2].split()
    assert float(peak_gb) < 1.5
    assert int(kernels) == KERNELS_KEPT  # 60 MB would be added in every step
