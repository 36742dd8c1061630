"""Files that are either whole or not there."""

from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Temporary path beside `path` that takes its place when the block ends without an error.

    Missing folders are made. A link keeps pointing where it did; what is neither file nor folder
    (``/dev/null``, a pipe) is written to directly. The contents are on the disk before they take
    the place. What a killed process of this machine has left beside `path` goes.

    Raises
    ------
    OSError
        With the name of `path`, before the block begins, when it cannot be written; or later, when
        the disk is full.
    """
    if str(path) and os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        yield Path(path)
        return
    target = target_of(path)
    temporary = target.with_name(f".{target.name}.{_MACHINE}-{os.getpid()}.part")
    with naming(path):
        temporary.touch()
    try:
        _remove_left_behind(target)
        with telling_full_disk(path):
            yield temporary
            put_in_place(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def target_of(path: str | Path) -> Path:
    """Where `path` leads, past links, when a file may take its place; missing folders are made.

    Raises
    ------
    OSError
        With the name of `path`, when it is empty, a folder or a device, or its folder is no place.
    """
    if not str(path):
        raise FileNotFoundError(errno.ENOENT, "the name of the file to write is empty")
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, "is a folder; give the name of a file", str(path))
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError(errno.EINVAL, "is not a file; give the name of one", str(path))
    with naming(path):
        target = Path(path).resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
    return target


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """An error in opening a file tells the one that was asked for, not a hidden one beside it."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise type(error)(error.errno, f"cannot be written ({reason})", str(path)) from None


@contextmanager
def telling_full_disk(path: str | Path) -> Iterator[None]:
    """What libraries say in many ways becomes one OSError with the name of the file to write."""
    try:
        yield
    except Exception as error:
        number = _full_disk(error)
        if number is None:
            raise
        raise OSError(number, os.strerror(number), str(path)) from None


def _full_disk(error: BaseException | None) -> int | None:
    """The system's number of the error, if this or one that it came after is of a full disk."""
    while error is not None:
        said = re.findall(r"(?:errno = |os error )(\d+)", str(error))
        for number in (getattr(error, "errno", None), *map(int, said)):
            if number in _FULL:
                return number
        error = error.__cause__ or error.__context__
    return None


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def put_in_place(part: Path, target: Path) -> None:
    """Rename a complete file once the disk has it: a power cut leaves the new or the old one."""
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(part, target)


_MACHINE = re.sub(r"[^\w-]", "_", socket.gethostname())


def _remove_left_behind(target: Path) -> None:
    """Delete the temporary files of `target` whose process is no longer there."""
    if os.name != "posix":
        return
    pattern = re.compile(rf"{re.escape(f'.{target.name}.{_MACHINE}-')}(\d+)\.part")
    for name in os.listdir(target.parent):
        found = pattern.fullmatch(name)
        if found and not _runs(int(found[1])):
            (target.parent / name).unlink(missing_ok=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is somebody else's
        return True
    return True
