"""Many small pieces of work at once: a thread for each, rather than all threads for one after the
other, which small tensors do not keep busy."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Piece = TypeVar("Piece")
Answer = TypeVar("Answer")


def at_once(work: Callable[[Piece], Answer], pieces: Iterable[Piece]) -> list[Answer]:
    """Results of ``work`` for each of ``pieces``, in their order, on as many threads as torch has.

    >>> at_once(len, ["a", "bc"])
    [1, 2]
    """
    pieces, n_threads = list(pieces), torch.get_num_threads()
    if n_threads == 1 or len(pieces) < 2:
        return [work(piece) for piece in pieces]
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(n_threads) as pool:
            return list(pool.map(work, pieces))
    finally:
        torch.set_num_threads(n_threads)
