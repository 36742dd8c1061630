"""What a stored result depends on, and whether that is still what the checkout holds.

A certificate names the simulator (`stream.simulator_fingerprint`), the shipped network
(`identify.Model.fingerprint`) and the measured files (`measured.measured_fingerprint`) that a
result was made with. Results files, cards of networks and executed notebooks carry one.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from coreloss.datasets.measured import data_dir, measured_fingerprint
from coreloss.identification.trained_model import load_model
from coreloss.runtime.provenance import digest_of
from coreloss.simulation.stream import simulator_fingerprint

CERTIFICATE = "certificate"
SIMULATOR, NETWORK, MEASURED = "simulator", "network", "measured"
EVERYTHING = (SIMULATOR, NETWORK, MEASURED)


@cache
def fingerprint_of(part: str) -> str | None:
    """What the checkout holds of one part; None for measured files where there are none."""
    if part == SIMULATOR:
        return simulator_fingerprint()
    if part == NETWORK:
        return load_model().fingerprint
    folder = data_dir()
    return None if folder is None else measured_fingerprint(folder)


def depends_on(needs: Collection[str]) -> dict[str, str | None]:
    """Fingerprints of the parts that a result needs, as they are now."""
    return {part: fingerprint_of(part) for part in EVERYTHING if part in needs}


def changed(depends: Mapping[str, str | None]) -> list[str]:
    """Parts that are no longer those of a certificate, in words.

    Measured files count only where they are at hand.
    """
    found = []
    for part, then in depends.items():
        now = fingerprint_of(part)
        if now != then and (part != MEASURED or now is not None):
            found.append(f"{part} was {then or 'not at hand'}, is {now}")
    return found


def certificate_of_notebook(results: Mapping[str, Path]) -> dict[str, Any]:
    """What an executed notebook depends on: everything, and the results files that it shows."""
    contents = {name: file_digest(path) for name, path in sorted(results.items())}
    return {"depends": depends_on(EVERYTHING), "results": contents}


def file_digest(path: Path) -> str:
    """Sixteen letters for the contents of a file, whatever is said of how it was made."""
    content = json.loads(path.read_text(encoding="utf-8"))
    content.pop(CERTIFICATE, None)
    return digest_of(json.dumps(content, sort_keys=True))
