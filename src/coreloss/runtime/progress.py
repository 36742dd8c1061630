"""How far long work has come, on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def _one(item: object) -> int:
    return 1


def told(
    items: Iterable[Item],
    unit: str,
    every: int,
    total: int | None = None,
    *,
    size: Callable[[Item], int] = _one,
) -> Iterator[Item]:
    """The items, with a bar on a terminal, else with a line after ``every`` units or somewhat more.

    ``size`` says how many units an item is, one if not given; it counts when the next item is asked
    for. With a known ``total`` of units there is a line after the last one too.
    """
    if sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm(total=total, unit=f" {unit}") as bar:
            for item in items:
                yield item
                bar.update(size(item))
        return
    done, of = 0, "" if total is None else f" of {total}"
    for item in items:
        yield item
        before, done = done, done + size(item)
        if done // every > before // every or done == total:
            print(f"{done}{of} {unit}", file=sys.stderr, flush=True)
