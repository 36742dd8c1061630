"""Files that replace others: whole or not at all, and never in the place of a device."""

import os
import stat

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
