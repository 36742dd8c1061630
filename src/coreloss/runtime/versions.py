"""Versions of the formats that this package writes and reads again."""

from __future__ import annotations

from typing import Any

from coreloss.runtime.provenance import __version__

FORMAT_VERSION = "format_version"
"""Name under which a file says its version; a file without one is of version 1."""


def check_version(found: Any, known: int, *, what: str) -> None:
    """Refuse what a later version of this package wrote, before anything of it is misread.

    >>> check_version(3, 2, what="card.json")
    Traceback (most recent call last):
    ...
    ValueError: card.json: its format has version 3; coreloss ... reads ... up to 2; update coreloss
    """
    try:
        version = 1 if found is None else int(found)
    except (TypeError, ValueError):
        raise ValueError(f"{what}: its format has version {found!r}; allowed: a number") from None
    if version > known:
        raise ValueError(
            f"{what}: its format has version {version}; coreloss {__version__} reads versions up to"
            f" {known}; update coreloss"
        )
