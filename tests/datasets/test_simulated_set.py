"""Files of simulated spectra: what is in them, their hash, and what is refused."""

import json
from dataclasses import fields, replace

import h5py
import numpy as np
import pytest
import torch

from coreloss.axis import N_CHANNELS
from coreloss.datasets.simulated_set import (
    COLUMNS,
    FORMAT,
    FORMAT_VERSION,
    read_header,
    read_set,
    stored_bytes,
    write_set,
)
from coreloss.edges import ELEMENTS
from coreloss.simulation.batch import Batch, concatenate

NAMES = [field.name for field in fields(Batch)]


def toy_batches(sizes=(70, 30), seed=1):
    rng = np.random.default_rng(seed)
    for size in sizes:
        first, width = rng.integers(30, 500, size), rng.integers(50, 2000, size)
        channel = np.arange(N_CHANNELS)
        mask = (channel >= first[:, None]) & (channel < (first + width)[:, None])
        present = rng.random((size, len(ELEMENTS))) < 0.05
        counts = (rng.poisson(1000, mask.shape) - 5.0 * rng.poisson(1, mask.shape)) * mask
        yield Batch(
            counts=torch.from_numpy(counts).float(),
            mask=torch.from_numpy(mask),
            present=torch.from_numpy(present),
            observable=torch.from_numpy(present | (rng.random(present.shape) < 0.3)),
            snr=torch.from_numpy(rng.random(present.shape) * present).float(),
            amount=torch.from_numpy(rng.random(present.shape) * present).float(),
            processed=torch.from_numpy(rng.random(size) < 0.1),
            axis_error_ev=torch.from_numpy(rng.uniform(0.3, 8.0, size)).float(),
        )


@pytest.fixture
def path(tmp_path):
    """A set of 100 spectra in two batches."""
    write_set(tmp_path / "set.h5", toy_batches(), config={"size": 100}, seed=7)
    return tmp_path / "set.h5"


def test_what_is_written_is_read(tmp_path):
    path, written = tmp_path / "set.h5", concatenate(toy_batches())
    digest = write_set(path, toy_batches(), config={"size": 100}, seed=7)
    assert [entry.name for entry in tmp_path.iterdir()] == ["set.h5"]
    stored, header = read_set(path), read_header(path)
    for name in NAMES:
        one, other = getattr(stored.batch, name), getattr(written, name)
        assert one.dtype == other.dtype
        assert torch.equal(one, other), name
    assert len(stored) == header.n == 100
    for found in (stored, header):
        assert (found.sha256, found.seed, found.config) == (digest, 7, {"size": 100})
        assert found.provenance["torch"] == torch.__version__


def test_nothing_of_float32_counts_is_lost(tmp_path):
    (batch,) = toy_batches((4,))
    inside = batch.mask.float()
    for value in (0.5, 1e-3, 123456.789, -3.25, 2.0**31, 1e12):
        counts = value * inside
        write_set(tmp_path / "set.h5", [replace(batch, counts=counts)], config={}, seed=0)
        assert torch.equal(read_set(tmp_path / "set.h5").batch.counts, counts)


def test_a_file_is_read_with_plain_h5py(path):
    batch = concatenate(toy_batches())
    with h5py.File(path) as file:
        assert set(file) == set(COLUMNS)
        for name in ("spectra", "labels_quantification", "snr", "amount"):
            assert file[name].dtype == np.float32
        for name in ("labels_identification", "observable", "processed"):
            assert file[name].dtype == np.uint8
        assert file["spectra"].shape == (100, N_CHANNELS)
        assert file["spectra"].chunks == (64, N_CHANNELS)
        assert (file["spectra"].compression, file["spectra"].shuffle) == ("gzip", True)
        assert (file["window"].shape, file["processed"].shape) == ((100, 2), (100,))
        assert file.attrs["elements"].split() == list(ELEMENTS)
        assert (file.attrs["format"], file.attrs["format_version"]) == (FORMAT, FORMAT_VERSION)
        assert json.loads(file.attrs["config"]) == {"size": 100}
        shares, first, last = file["labels_quantification"][:], *file["window"][:].T
    np.testing.assert_array_equal(shares > 0, (batch.amount * batch.present).numpy() > 0)
    labelled = batch.present.any(1).numpy()
    np.testing.assert_allclose(shares.sum(1), labelled, rtol=1e-5)
    np.testing.assert_array_equal(last - first + 1, batch.mask.sum(1))


def test_hash_depends_on_contents_only(tmp_path):
    def digest(name, toys=1, **options):
        options = {"config": {"size": 100}, "seed": 7} | options
        return write_set(tmp_path / name, toy_batches((100,), toys), **options)

    one = digest("a.h5")
    assert digest("b.h5", provenance={"device": "cuda"}) == one
    assert read_set(tmp_path / "b.h5").provenance == {"device": "cuda"}
    others = [digest("c.h5", config={"size": 99}), digest("d.h5", toys=2), digest("e.h5", seed=8)]
    assert len({one, *others}) == 4
    (whole,) = toy_batches((100,))
    parts = [whole[:33], whole[33:]]
    assert write_set(tmp_path / "f.h5", parts, config={"size": 100}, seed=7) == one


@pytest.mark.parametrize("name", COLUMNS)
def test_changed_contents_are_noticed(name, path):
    with h5py.File(path, "r+") as file:
        file[name][3] = file[name][3] + 1
    with pytest.raises(ValueError, match="contents differ from their SHA-256; delete it and make"):
        read_set(path)
    assert len(read_set(path, verify=False)) == 100


@pytest.mark.parametrize(("name", "value"), [("config", "{}"), ("seed", 8)])
def test_changed_attributes_are_noticed(name, value, path):
    with h5py.File(path, "r+") as file:
        file.attrs[name] = value
    with pytest.raises(ValueError, match="contents differ from their SHA-256"):
        read_set(path)


def test_interrupted_writing_leaves_nothing(tmp_path):
    def broken():
        yield from toy_batches((5,))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_set(tmp_path / "set.h5", broken(), config={}, seed=7)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"counts": torch.full((5, N_CHANNELS), torch.inf)}, "NaN or infinity; allowed: finite"),
        ({"counts": torch.full((5, N_CHANNELS), torch.nan)}, "NaN or infinity; allowed: finite"),
        ({"mask": torch.arange(N_CHANNELS).remainder(2).bool().expand(5, -1)}, "without gaps"),
        ({"mask": torch.zeros(5, N_CHANNELS, dtype=torch.bool)}, "marks 0 channels"),
        ({"snr": torch.zeros(3, 80)}, r"snr has shape \(3, 80\); allowed: \(5, 80\)"),
        ({"processed": torch.zeros(5, 1)}, r"processed has shape \(5, 1\); allowed: \(5,\)"),
    ],
)
def test_bad_batches_are_refused(changes, message, tmp_path):
    (batch,) = toy_batches((5,))
    with pytest.raises(ValueError, match=message):
        write_set(tmp_path / "set.h5", [replace(batch, **changes)], config={}, seed=7)
    assert not list(tmp_path.iterdir())


def test_a_set_without_spectra_is_refused(tmp_path):
    with pytest.raises(ValueError, match="0 spectra; allowed: at least 1"):
        write_set(tmp_path / "set.h5", [], config={}, seed=7)


@pytest.mark.parametrize("read", [read_set, read_header])
@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"format_version": FORMAT_VERSION + 1}, r"version 5; allowed: .* version 4; update"),
        ({"format_version": 3}, r"version 3; allowed: .* version 4; make it anew"),
        ({"format_version": "new"}, r"version new; allowed: .* version 4; make it anew"),
        ({"format": "coreloss benchmark"}, "'coreloss benchmark' version 4; allowed: .*; make it"),
        ({"elements": "H He"}, "elements are not the 80 of this version"),
        ({"config": "{"}, "not readable"),
    ],
)
def test_other_formats_are_refused_in_words(read, attributes, message, path):
    with h5py.File(path, "r+") as file:
        file.attrs.update(attributes)
    with pytest.raises(ValueError, match=message):
        read(path)


@pytest.mark.parametrize("read", [read_set, read_header])
def test_files_that_are_no_sets_are_refused(read, path):
    with pytest.raises(ValueError, match="no such file; make it anew with `coreloss dataset`"):
        read(path.with_name("nothing.h5"))
    with h5py.File(path, "r+") as file:
        del file["snr"]
        file["snr"] = np.zeros((99, 80))
    with pytest.raises(ValueError, match=r"snr has shape \(99, 80\); allowed: \(100, 80\)"):
        read(path)
    with h5py.File(path, "r+") as file:
        del file["snr"]
    with pytest.raises(ValueError, match="not readable"):
        read(path)
    with h5py.File(path, "w") as file:
        file["spectra"] = np.zeros(3)
    with pytest.raises(ValueError, match="format is None version None"):
        read(path)
    path.write_text("not HDF5")
    with pytest.raises(ValueError, match="not readable"):
        read(path)


def test_stored_bytes_are_those_of_a_file(path):
    assert stored_bytes(concatenate(toy_batches())) == pytest.approx(path.stat().st_size, rel=0.1)
