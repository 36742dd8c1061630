"""Files that are written piece by piece: killed, by two at once, into folders and onto devices."""

import multiprocessing
import os
import signal

import h5py
import numpy as np
import pytest

from coreloss.mapping import stream as module
from coreloss.mapping.stream import stream
from coreloss.spectra.image import open_image
from coreloss.spectra.spectrum import Spectrum

COUNTS = np.arange(6 * 4 * 50, dtype=float).reshape(24, 50)
SUMS = COUNTS.sum(1).reshape(6, 4)


@pytest.fixture
def image():
    return open_image(Spectrum(np.arange(400.0, 450.0), COUNTS, map_shape=(6, 4)))


class Sums:
    """Sums of spectra; remembers which it was asked for."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def __repr__(self) -> str:
        return "Sums()"

    def __call__(self, spectrum, start):
        self.seen.append(start)
        return {"total": spectrum.counts.sum(1)}


def killed(function):
    """Run a function in a process that kills itself."""
    process = multiprocessing.get_context("fork").Process(target=function)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL


def kill_self(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def totals(path):
    with h5py.File(path) as file:
        return file["total"][()]


def test_the_file_appears_with_all_of_its_attributes(image, tmp_path):
    """Attributes that the results tell are there before the file is, whenever a kill comes."""
    out = tmp_path / "sums.h5"
    killed(lambda: stream(image, Sums(), out, piece=4, conclude=kill_self))
    assert not out.exists()
    work = Sums()
    stream(image, work, out, piece=4, conclude=lambda values: {"largest": values["total"].max()})
    assert work.seen == []
    np.testing.assert_array_equal(totals(out), SUMS)
    with h5py.File(out) as file:
        assert file.attrs["largest"] == SUMS.max()
    assert [path.name for path in tmp_path.iterdir()] == ["sums.h5"]


@pytest.mark.parametrize("at", range(9))
def test_a_piece_counts_as_done_only_when_it_is_there(image, tmp_path, monkeypatch, at):
    """Killed at every moment at which the file is brought to the disk."""
    out, flush, calls = tmp_path / "sums.h5", h5py.File.flush, []

    def deadly(self):
        if len(calls) == at:
            kill_self()
        calls.append(self)
        flush(self)

    with monkeypatch.context() as patch:
        patch.setattr(h5py.File, "flush", deadly)
        killed(lambda: stream(image, Sums(), out, piece=4))
    work = Sums()
    stream(image, work, out, piece=4)
    assert len(work.seen) <= 6 - (at - 1) // 2
    np.testing.assert_array_equal(totals(out), SUMS)


@pytest.mark.parametrize("attributes", [{}, {"other": 1}])
def test_a_second_writer_is_refused_and_harms_nothing(image, tmp_path, attributes):
    out, fork = tmp_path / "sums.h5", multiprocessing.get_context("fork")
    begun, on = fork.Event(), fork.Event()

    class Waiting(Sums):
        def __call__(self, spectrum, start):
            if start == 12:
                begun.set()
                assert on.wait(60)
            return super().__call__(spectrum, start)

    first = fork.Process(target=lambda: stream(image, Waiting(), out, piece=4))
    first.start()
    assert begun.wait(60)
    with pytest.raises(ValueError, match="another process is writing") as caught:
        stream(image, Sums(), out, piece=4, attributes=attributes)
    assert str(caught.value).startswith(str(out))
    on.set()
    first.join(60)
    assert first.exitcode == 0
    np.testing.assert_array_equal(totals(out), SUMS)


def test_a_damaged_part_is_begun_anew(image, tmp_path):
    out, work = tmp_path / "sums.h5", Sums()
    (tmp_path / ".sums.h5.part").write_bytes(b"\x89HDF\r\n\x1a\nnothing")
    stream(image, work, out, piece=4)
    assert len(work.seen) == 6
    np.testing.assert_array_equal(totals(out), SUMS)


@pytest.mark.parametrize(
    ("name", "words"), [("folder", "folder"), ("pipe", "not a file"), ("file/x.h5", "written")]
)
def test_targets_that_are_no_files_are_refused_before_the_work(image, tmp_path, name, words):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_text("")
    work = Sums()
    with pytest.raises(OSError, match=words) as caught:
        stream(image, work, tmp_path / name, piece=4)
    assert caught.value.filename == str(tmp_path / name)
    assert work.seen == []


def test_a_full_disk_is_told_in_one_line(image, tmp_path, monkeypatch):
    def full(*_):
        raise OSError("Can't write data (file write failed: time = now\n, errno = 28, error = ...")

    monkeypatch.setattr(module, "_write", full)
    with pytest.raises(OSError, match="No space left") as caught:
        stream(image, Sums(), tmp_path / "sums.h5", piece=4)
    assert caught.value.filename == str(tmp_path / "sums.h5")
