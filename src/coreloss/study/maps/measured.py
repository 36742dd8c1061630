"""Measured spectra of known composition, quantified here and by eXSpy and pyEELSMODEL."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from coreloss.beam import Beam
from coreloss.mapping.amount_maps import quantify_image
from coreloss.mapping.element_maps import map_elements
from coreloss.mapping.rules import paper_rule
from coreloss.quantification.low_loss import LowLoss, measured_low_loss
from coreloss.quantification.near_edge import FINE_STRUCTURE
from coreloss.quantification.quantify import quantify
from coreloss.spectra.reading import read_spectrum
from coreloss.spectra.spectrum import Spectrum
from coreloss.study.maps.peers import common_task, exspy_amounts, ours, pyeelsmodel_amounts


@dataclass(frozen=True)
class Known:
    """A file with the ratio of its two elements, second over first.

    beam : by the notes of the files
    tolerance : relative error that cross-sections have: some per cent between two K edges, 10 to
        20 % with an L edge (Egerton 2011, section 4.5)
    """

    name: str
    file: str
    low_loss: str | None
    elements: tuple[str, str]
    beam: Beam
    window_ev: tuple[float, float]
    expected: float
    tolerance: float


_BN: dict[str, Any] = {"elements": ("B", "N"), "window_ev": (150.0, 599.0)}
_BN |= {"expected": 1.0, "tolerance": 0.1}
_TIO2: dict[str, Any] = {"elements": ("Ti", "O"), "window_ev": (400.0, 679.0)}
_TIO2 |= {"expected": 2.0, "tolerance": 0.2}
_STO = _TIO2 | {"window_ev": (400.0, 669.0), "expected": 3.0}
_EXAMPLE = Beam(energy_kev=300, convergence_mrad=0.1, collection_mrad=2.55)
_A3 = Beam(energy_kev=300, convergence_mrad=0.2, collection_mrad=4.12)
_B3R1 = Beam(energy_kev=300, convergence_mrad=1.1, collection_mrad=4.12)
_B3R2 = Beam(energy_kev=300, convergence_mrad=1.0, collection_mrad=4.12)
_D3 = Beam(energy_kev=300, convergence_mrad=1.1, collection_mrad=4.12)
KNOWN = (
    Known("h-BN, example", "BN_example_HL.dm3", "BN_example_LL.msa", beam=_EXAMPLE, **_BN),
    Known("h-BN, A3 region 1", "A3r1_HL.dm3", "A3r1_LL.dm3", beam=_A3, **_BN),
    Known("h-BN, A3 region 3", "A3r3_HL_cal.dm3", "A3r3_LL_cal.dm3", beam=_A3, **_BN),
    Known("TiO2, B3 region 1", "B3r1_HL.dm3", "B3r1_LL_cal.dm3", beam=_B3R1, **_TIO2),
    Known("TiO2, B3 region 2", "B3r2_HL.dm3", None, beam=_B3R2, **_TIO2),
    Known("SrTiO3, D3 region 1", "D3r1_HL.dm3", None, beam=_D3, **_STO),
    Known("SrTiO3, D3 region 2", "D3r2_HL.dm3", None, beam=_D3, **_STO),
)


def real_row(directory: Path, known: Known) -> dict[str, Any]:
    """Ratios by all methods, with errors where they give any; None where a peer is missing."""
    core = _read(directory, known.file).sum()
    low_loss = None
    if known.low_loss is not None:
        low_loss = measured_low_loss(_read(directory, known.low_loss).sum())
    row: dict[str, Any] = {
        "name": known.name,
        "ratio": f"{known.elements[1]}:{known.elements[0]}",
        "expected": known.expected,
        "tolerance": known.tolerance,
        "low_loss": known.low_loss is not None,
    }
    for mode in FINE_STRUCTURE:
        found = quantify(
            core,
            elements=known.elements,
            low_loss=low_loss,
            window_ev=known.window_ev,
            beam=known.beam,
            fine_structure=mode,
        )
        value, error = found.ratio(known.elements[1], known.elements[0])
        row[mode] = {"value": float(value[0]), "error": float(error[0])}
        if mode == "free":
            low_loss_used, shifts = found.plan.low_loss, dict(found.plan.model.shifts_ev)
            row["thickness_mfp"] = float(low_loss_used.thickness_mfp[0])
            row["shifts_ev"] = shifts
            row["goodness"] = float(found.goodness[0])
    row["common_model"] = same_model(core, known, low_loss_used, shifts)
    return row


def same_model(
    core: Spectrum, known: Known, low_loss: LowLoss, shifts_ev: dict[str, float]
) -> dict[str, float | None]:
    """The ratio by the model that all three have, see `peers.common_task`."""
    task = common_task(
        core,
        known.elements,
        low_loss,
        window_ev=known.window_ev,
        shifts_ev=shifts_ev,
        beam=known.beam,
    )
    by = {"coreloss": ours, "exspy": exspy_amounts, "pyeelsmodel": pyeelsmodel_amounts}
    found = {name: method(task) for name, method in by.items()}
    return {name: None if x is None else float(x[0, 1] / x[0, 0]) for name, x in found.items()}


def line_profile(directory: Path) -> dict[str, Any]:
    """LSMO on SrTiO3: probabilities and fractions along the line."""
    folder = directory / "experimental" / "hyperspy_demos"
    core = read_spectrum(folder / "hyperspy_LSMO_STO_linescan.hspy")
    low = read_spectrum(folder / "hyperspy_LSMO_STO_linescan_LL.hspy")
    maps, amounts = map_elements(core), quantify_image(core, low_loss=low)
    return {
        "elements": list(amounts.elements),
        "probability": {e: np.round(maps.of(e), 4).tolist() for e in amounts.elements},
        "fraction": {
            e: np.round(amounts.fraction[..., k], 4).tolist()
            for k, e in enumerate(amounts.elements)
        },
        "error": {
            e: np.round(amounts.fraction_error[..., k], 4).tolist()
            for k, e in enumerate(amounts.elements)
        },
    }


def coarse_map(directory: Path) -> dict[str, Any]:
    """Particles of copper and zinc oxide, 50 x 40 spectra in channels of 8 eV: what is detected."""
    maps = map_elements(directory / "experimental" / "hyperspy_demos" / "hyperspy_CuZn_map.hspy")
    return {
        "n": int(np.prod(maps.map_shape)),
        "true": ["Cu", "Zn"],
        "present": sorted(maps.present()),
        "paper_rule": sorted(paper_rule(maps.decision)),
        "detections": [asdict(found) for found in maps.detections()],
    }


def _read(directory: Path, file: str) -> Spectrum:
    return read_spectrum(directory / "experimental" / "eelsmodel" / f"eelsmodel_{file}")
