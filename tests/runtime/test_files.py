"""Files that replace others: whole or not at all, and never in the place of a device."""

import errno
import os
import stat
import subprocess
import sys

import pytest

from coreloss.runtime.files import replacing


def test_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "new" / "result.txt"
    with replacing(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert [entry.name for entry in path.parent.iterdir()] == ["result.txt"]


def test_error_leaves_the_old_file(tmp_path):
    path = tmp_path / "result.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text(f"half {1 / 0}")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_link_keeps_pointing_where_it_did(tmp_path):
    path, link = tmp_path / "result.txt", tmp_path / "link.txt"
    path.write_text("old")
    link.symlink_to(path)
    with replacing(link) as temporary:
        temporary.write_text("new")
    assert link.is_symlink()
    assert path.read_text() == "new"


def test_device_or_pipe_is_written_to_and_stays(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with replacing(pipe) as target:
        target.write_text("new")
    assert os.read(reader, 10) == b"new"
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_empty_name_is_refused():
    with pytest.raises(OSError, match="is empty"), replacing(""):
        raise AssertionError("the block must not begin")


def test_place_that_cannot_be_written_is_named_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "below.txt"):
        with pytest.raises(OSError, match=r"folder|written") as caught, replacing(path):
            raise AssertionError("the block must not begin")
        assert caught.value.filename == str(path)


def test_what_a_killed_process_left_goes_and_what_a_running_one_writes_stays(tmp_path):
    with replacing(tmp_path / "result.txt") as temporary:
        own = temporary.name
        temporary.write_text("")
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"],
                           capture_output=True, text=True, check=True).stdout.strip()  # fmt: skip
    left, others = own.replace(str(os.getpid()), ended), own.replace(str(os.getpid()), "1")
    elsewhere = own.replace("result", "another").replace(str(os.getpid()), ended)
    for name in (left, others, elsewhere):
        (tmp_path / name).write_text("half")
    with replacing(tmp_path / "result.txt"):
        assert not (tmp_path / left).exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([others, elsewhere, "result.txt"])


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError("Can't close file (file write failed: time = now\n, errno = 28, error message ="),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_told_in_one_line_whoever_finds_it(error, tmp_path):
    path = tmp_path / "result.txt"
    path.write_text("old")
    stumbled = RuntimeError("Slist already enabled?")  # over its own, afterwards
    stumbled.__context__ = error
    for raised in (error, stumbled):
        with pytest.raises(OSError, match="No space left") as caught, replacing(path):
            raise raised
        assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
        assert "\n" not in str(caught.value)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_other_errors_stay_what_they_are(tmp_path):
    with pytest.raises(OSError, match="disk") as caught, replacing(tmp_path / "result.txt"):
        raise OSError(errno.ENOENT, "errors of a disk", "input.txt")
    assert caught.value.filename == "input.txt"
