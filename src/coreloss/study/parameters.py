"""A notebook that notices a parameter which it does not have.

papermill warns of one, and runs the notebook with its defaults.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

INJECTED = "# Parameters"
"""First line of the cell that papermill puts behind the one tagged `parameters`."""


def check(cells: Sequence[str] | None = None) -> None:
    """ValueError where papermill set what no cell before had; in a notebook, below its parameters.

    ``cells`` are the code cells that ran so far, by default those of this notebook.

    >>> check(["seed = 0", "# Parameters\\nseed = 1"])
    >>> check(["seed = 0", "# Parameters\\nsed = 1"])
    Traceback (most recent call last):
        ...
    ValueError: parameter sed is unknown; this notebook has: seed
    """
    history = _history() if cells is None else list(cells)
    injected = [i for i, cell in enumerate(history) if cell.lstrip().startswith(INJECTED)]
    if not injected:
        return
    known = [name for cell in history[: injected[0]] for name in _assigned(cell)]
    unknown = [name for name in _assigned(history[injected[0]]) if name not in known]
    if unknown:
        raise ValueError(
            f"parameter {', '.join(unknown)} is unknown; this notebook has: {', '.join(known)}"
        )


def _history() -> list[str]:
    from IPython import get_ipython

    shell = get_ipython()
    return [] if shell is None else list(shell.user_ns["In"])


def _assigned(cell: str) -> list[str]:
    """Names that the statements of a cell set."""
    names = []
    for node in ast.parse(cell).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names += [target.id for target in targets if isinstance(target, ast.Name)]
    return names
