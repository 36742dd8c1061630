"""Velox files with energy losses beside X-rays: the layout of the format, own counts."""

import json

import h5py
import numpy as np
import pytest

from coreloss.spectra.image import open_image
from coreloss.spectra.reading import read_spectrum
from coreloss.spectra.velox import counts_of

ROWS, COLUMNS, N = 3, 4, 300
LEVEL = 100
RNG = np.random.default_rng(0)
CORE = RNG.poisson(1e4 * ((300 + np.arange(N)) / 300) ** -3.0, (ROWS, COLUMNS, N))
LOW = RNG.poisson(1e4 * np.exp(-0.5 * ((np.arange(N) - 100) / 3) ** 2), (ROWS, COLUMNS, N))


def described(content, *, lines=1):
    """JSON as Velox stores it: bytes along the first axis, one document per column."""
    text = np.frombuffer(json.dumps(content).encode(), np.uint8)
    return np.repeat(np.pad(text, (0, 4000 - len(text)))[:, None], lines, axis=1)


def string(content):
    return np.array([json.dumps(content).encode()], dtype=h5py.special_dtype(vlen=bytes))


METADATA = {
    "BinaryResult": {
        "PixelSize": {"width": "1e-9", "height": "1e-9"},
        "Offset": {"x": "0", "y": "0"},
        "PixelUnitX": "m",
        "PixelUnitY": "m",
        "DetectorIndex": "0",
        "Detector": "SuperXG21",
    },
    "Detectors": {
        "Detector-0": {"DetectorName": "SuperXG21", "Dispersion": "10", "OffsetEnergy": "-250"}
    },
    "Acquisition": {"AcquisitionStartDatetime": {"DateTime": "1500000000"}},
    "Optics": {"AccelerationVoltage": "200000"},
    "Scan": {"FrameTime": "1"},
    "CustomProperties": {},
}


@pytest.fixture
def velox(tmp_path):
    with h5py.File(tmp_path / "a.emd", "w") as file:
        file["Version"] = string({"version": "13", "format": "Velox"})
        file["Displays/ImageDisplay/a"] = string({"id": "HAADF"})
        image = np.ones((ROWS, COLUMNS, 1), np.uint16)
        file.create_dataset("Data/Image/a/Data", data=image, chunks=True)
        file["Data/SpectrumImage/a/SpectrumImageSettings"] = string({"endFramePosition": "1"})
        file["Data/SpectrumStream/a/Data"] = np.tile([99, 65535], ROWS * COLUMNS)[:, None].astype(
            np.uint16
        )
        file["Data/SpectrumStream/a/AcquisitionSettings"] = string(
            {"bincount": "4096", "StreamEncoding": "uint16"}
        )
        for name in ("Image/a", "SpectrumImage/a", "SpectrumStream/a"):
            file[f"Data/{name}/Metadata"] = described(METADATA)
        for name, first_ev, counts in (("a", 300.0, CORE), ("b", -100.0, LOW)):
            group = file.create_group(f"Data/EelsSpectrumImage/{name}")
            group["Data"] = (counts + LEVEL).astype(np.uint16).transpose(1, 2, 0)
            group["Metadata"] = described(METADATA)
            acquisition = {"offset": first_ev, "dispersion": 1.0}
            acquisition |= {"intensityOffset": LEVEL, "intensityScale": 1.0}
            group["AcquisitionMetadata"] = described({"Data": acquisition}, lines=ROWS)
    return tmp_path / "a.emd"


def test_energy_losses_beside_x_rays_lose_their_level(velox):
    pytest.importorskip("sparse")
    found = read_spectrum(velox)
    np.testing.assert_array_equal(found.counts, CORE.reshape(-1, N))
    np.testing.assert_allclose(found.energy_ev, 300 + np.arange(N))
    assert (found.map_shape, found.beam_energy_kev) == ((ROWS, COLUMNS), 200)
    assert found.warnings[1:] == (
        "the file states an intensity offset of 100 and a scale of 1: applied to the counts",
    )
    low = read_spectrum(velox, zero_loss=True)
    np.testing.assert_array_equal(low.counts, LOW.reshape(-1, N))
    np.testing.assert_array_equal(open_image(velox).read(0, 2).counts, found.counts[:2])
    with pytest.raises(ValueError, match=r"0 '\w+' \(image\), 1 'EELS' \(EELS, 300..599 eV\), 2"):
        read_spectrum(velox, signal=9)


@pytest.mark.parametrize(
    ("offset", "scale", "expected"),
    [(100, 1, [5, 1]), (-100, 1, [5, 1]), (100, 0.5, [2.5, 0.5]), (0, 2, [210, 202])],
)
def test_intensities_are_applied(offset, scale, expected):
    counts, notes = counts_of(np.array([[105, 101]], np.uint16), offset=offset, scale=scale)
    assert counts.tolist() == [expected]
    assert "applied to the counts" in notes[0]


def test_intensities_that_cannot_be_are_not_applied():
    stored = np.array([[105, 101]], np.uint16)
    assert counts_of(stored, offset=0, scale=1) == (stored, ())
    counts, notes = counts_of(stored, offset=500, scale=1)
    assert counts is stored
    assert "not applied, counts would be negative" in notes[0]


def test_noise_about_zero_is_no_wrong_level():
    noise = np.random.default_rng(1).normal(LEVEL, 3, (50, 200)).round().astype(np.uint16)
    noise[:, 100] = 5000
    counts, notes = counts_of(noise, offset=LEVEL, scale=1)
    np.testing.assert_array_equal(counts, noise.astype(float) - LEVEL)
    assert "applied to the counts" in notes[0]
