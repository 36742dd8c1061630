"""How far long work has come, on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def told(items: Iterable[Item], unit: str, every: int, total: int | None = None) -> Iterator[Item]:
    """The items, with a bar on a terminal, else with a line after ``every`` of them.

    With a known ``total`` there is a line after the last one too.
    """
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, total=total, unit=f" {unit}")
        return
    for number, item in enumerate(items, start=1):
        yield item
        if number % every == 0 or number == total:
            of = "" if total is None else f" of {total}"
            print(f"{number}{of} {unit}", file=sys.stderr, flush=True)
