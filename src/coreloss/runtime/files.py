"""Files that are either whole or not there."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Temporary path beside `path` that takes its place when the block ends without an error.

    Missing folders are made. A link keeps pointing where it did; what is neither file nor folder
    (``/dev/null``, a pipe) is written to directly.

    Raises
    ------
    OSError
        With the name of `path`, before the block begins, when it cannot be written.
    """
    if not str(path):
        raise FileNotFoundError(errno.ENOENT, "the name of the file to write is empty")
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, "is a folder; give the name of a file", str(path))
    if os.path.exists(path) and not os.path.isfile(path):
        yield Path(path)
        return
    target = Path(path).resolve()
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
    except OSError as error:
        raise type(error)(error.errno, f"cannot be written ({error.strerror})", str(path)) from None
    try:
        yield temporary
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
