"""Files that come with the package, compared with their checksums before they are used.

``data/checksums.txt`` holds the SHA-256 of all of them, as ``sha256sum -c`` reads it from the
folder of the package. After a table or a network was made anew on purpose:

    python -m coreloss.shipped
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
CHECKSUMS = PACKAGE / "data" / "checksums.txt"
FOLDERS = ("data", "weights")


def contents(name: str) -> bytes:
    """A file of the package, such as ``data/edges.csv``.

    Raises
    ------
    ValueError
        When it is missing or its contents are not those that it was shipped with.
    """
    try:
        found = (PACKAGE / name).read_bytes()
        known = _known(CHECKSUMS).get(name)
    except OSError as error:
        raise ValueError(f"{error.filename} cannot be read ({error.strerror}); {_ANEW}") from None
    if hashlib.sha256(found).hexdigest() != known:
        raise ValueError(
            f"{PACKAGE / name} is damaged: its SHA-256 is not the shipped one; {_ANEW}"
        )
    return found


def verified(path: str | Path) -> Path:
    """The same path; ValueError when it is a file of the package that is damaged."""
    path = Path(path)
    if path.resolve().parent in [PACKAGE / folder for folder in FOLDERS]:
        contents(path.resolve().relative_to(PACKAGE).as_posix())
    return path


def checksums() -> str:
    """What `CHECKSUMS` should hold: a line for each file that is there now."""
    files = (path for folder in FOLDERS for path in sorted((PACKAGE / folder).iterdir()))
    return "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(PACKAGE).as_posix()}\n"
        for path in files
        if path != CHECKSUMS and path.is_file() and not path.name.startswith(".")
    )


_ANEW = (
    "install coreloss anew, or, where it was changed on purpose, run: python -m coreloss.shipped"
)


@cache
def _known(path: Path) -> dict[str, str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return {name: digest for digest, name in (line.split("  ", 1) for line in lines)}


if __name__ == "__main__":
    CHECKSUMS.write_text(checksums(), encoding="utf-8", newline="\n")
