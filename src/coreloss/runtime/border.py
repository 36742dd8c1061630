"""The border that every file from outside passes: what it may be, claim, and fail with.

A file is a regular file, holds what it claims to hold, and needs no more memory than `MOST_BYTES`;
all three are looked at before anything is allocated. Whatever goes wrong then is one ValueError
that begins with the name of the file.
"""

from __future__ import annotations

import re
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MOST_BYTES = 8 * 2**30
"""Memory for the numbers of a file that is read at once: 512 x 512 spectra of 4000 channels."""
MOST_PACKED = 1100
"""Bytes that a stored byte may stand for; deflate, which all such files may use, reaches 1032."""
UNPROVEN = 2**24
"""A claim of so many bytes costs nothing and is not compared with what is stored."""
REFUSED = {
    BlockingIOError: "another program has it open for writing; close it there",
    PermissionError: "permission denied; ask its owner",
}
"""What HDF5 files are refused with, without their names."""
REMEDY = "the file is truncated, damaged or of another format; try to export it anew"
PACKAGES = {
    "box": "python-box",
    "dateutil": "python-dateutil",
    "rsciio": "rosettasciio",
    "yaml": "pyyaml",
}
"""What installs the modules of readers that are not called like their package."""


@contextmanager
def border(path: str | Path, *, what: str = "") -> Iterator[None]:
    """Whatever reading a file raises becomes one ValueError: the file, what is wrong, what to try.

    ``what`` the file should be, its suffix if not given. Errors of the operating system that name
    the file stay what they are. Warnings of libraries are silenced: what matters is raised or
    noted.

    >>> with border("a.npz"):
    ...     {}["energy"]
    Traceback (most recent call last):
    ValueError: a.npz: cannot be read as npz: the file is truncated, damaged or of another format;
    try to export it anew (KeyError: 'energy')
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ValueError as error:
        text = one_line(error)
        raise ValueError(text if text.startswith(f"{path}: ") else f"{path}: {text}") from None
    except ImportError as error:
        raise ValueError(f"{path}: {_needed(error)}") from None
    except MemoryError as error:
        raise ValueError(
            f"{path}: needs more memory than there is ({one_line(error)}); crop or bin it, or read "
            "it piece by piece with open_image"
        ) from None
    except Exception as error:
        if isinstance(error, OSError) and error.filename is not None and error.strerror:
            raise
        for kind, why in REFUSED.items():
            if isinstance(error, kind):
                raise ValueError(f"{path}: cannot be opened: {why}") from None
        raise ValueError(f"{path}: {_damaged(path, what, error)}") from error


@contextmanager
def library(path: str | Path, *, what: str = "") -> Iterator[None]:
    """For calls of others inside the border: their ValueErrors do not say what to try."""
    try:
        yield
    except ValueError as error:
        raise ValueError(_damaged(path, what, error)) from error


def regular_file(path: str | Path) -> int:
    """Bytes of a file; ValueError when it is none, or something that reading may wait for ever on.

    >>> regular_file("/dev/null")
    Traceback (most recent call last):
    ValueError: is not a file but a device; give the path of one file
    """
    try:
        found = Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError("no such file; check the path") from None
    except OSError as error:
        raise ValueError(f"cannot be opened ({error.strerror})") from None
    if stat.S_ISREG(found.st_mode):
        return found.st_size
    kinds = {stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}
    kind = kinds.get(stat.S_IFMT(found.st_mode), "device")
    raise ValueError(f"is not a file but a {kind}; give the path of one file")


def check_claim(claimed: int, held: int, what: str) -> None:
    """ValueError when ``what`` claims more bytes than the ``held`` ones can stand for."""
    if claimed > max(held, 0):
        raise ValueError(
            f"{what} claims {size(claimed)}, the file has {size(max(held, 0))} for it: it is "
            "truncated or damaged; export it anew"
        )


def check_memory(needed: int) -> None:
    """ValueError when numbers need more memory than may be asked for at once."""
    if needed > MOST_BYTES:
        raise ValueError(
            f"needs {size(needed)} of memory at once; allowed: {size(MOST_BYTES)}; crop or bin it, "
            "or take open_image or `coreloss map`, which read hspy, dm3, dm4 and emd piece by piece"
        )


def size(n_bytes: int) -> str:
    """Bytes as people say them.

    >>> size(745_000_000_000), size(12)
    ('745 GB', '12 bytes')
    """
    for unit, factor in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if n_bytes >= factor:
            return f"{n_bytes / factor:.3g} {unit}"
    return f"{n_bytes} bytes"


def one_line(error: BaseException) -> str:
    """What an error says, in a line that people read to its end."""
    return " ".join(str(error).split())[:600]


def _needed(error: ImportError) -> str:
    name = error.name or "".join(re.findall(r"'([\w.-]+)'", str(error))[:1])
    if not name:
        return f"needs a library that is damaged; install it anew ({one_line(error)})"
    module = name.partition(".")[0]
    package = PACKAGES.get(module, module)
    return f"needs the package {package}, which is not installed: pip install {package}"


def _damaged(path: str | Path, what: str, error: Exception) -> str:
    name = what or Path(path).suffix[1:] or "text"
    return f"cannot be read as {name}: {REMEDY} ({type(error).__name__}: {one_line(error)})"
