"""What one measured file shows, where it can be trusted, and which elements count in a score."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from coreloss.axis import N_CHANNELS
from coreloss.edges import ELEMENT_INDEX, ELEMENTS, EdgeShell, identifying_sets

SCORED_BEFORE_EV = 5.0
"""A measured spectrum shows an edge when it starts this far before the onset ..."""
SCORED_AFTER_EV = 20.0
"""... and ends this far behind it."""
NEUTRAL_ELEMENTS = ("C",)
"""Support films and contamination put carbon into most measurements: never scored."""
QUALITIES = ("A", "B", "C")
KINDS = ("spectrum", "linescan", "spectrum_image", "low_loss")


@dataclass(frozen=True)
class ExperimentalRecord:
    """One row of the manifest: a measured file, what it shows, and where it can be trusted.

    ``usable_start_ev`` and ``usable_end_ev`` are on the file's own axis, which lies
    ``energy_offset_ev`` above the true energy. ``quality`` is A (raw counts, at least 150 eV),
    B (raw but narrow, noisy or off by more than about 5 eV) or C (processed or very narrow).
    ``elements_nominal`` is what the specimen contains and the window shows,
    ``elements_trace_visible`` film, contamination or oxide.
    """

    id: str
    file: str
    kind: str
    quality: str
    material: str
    elements_nominal: tuple[str, ...]
    elements_trace_visible: tuple[str, ...]
    out_of_vocabulary: tuple[str, ...]
    energy_start_ev: float
    energy_end_ev: float
    usable_start_ev: float
    usable_end_ev: float
    energy_offset_ev: float
    dispersion_ev: float
    n_spectra: int
    beam_energy_kev: float | None
    convergence_mrad: float | None
    collection_mrad: float | None
    source: str
    license: str
    sha256: str
    notes: str
    author: str = ""
    citation: str = ""

    def __post_init__(self) -> None:
        for name, allowed in (("kind", KINDS), ("quality", QUALITIES)):
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{self.id}: {name} is {getattr(self, name)!r}; allowed: {', '.join(allowed)}"
                )
        unknown = set(self.elements_nominal + self.elements_trace_visible) - set(ELEMENTS)
        if unknown:
            raise ValueError(
                f"{self.id}: elements {', '.join(sorted(unknown))} are not among the 80; "
                "list them in out_of_vocabulary"
            )
        if not self.usable_start_ev < self.usable_end_ev:
            raise ValueError(
                f"{self.id}: usable window is {self.usable_start_ev:g}..{self.usable_end_ev:g} eV; "
                "its start must be below its end"
            )

    @property
    def window_ev(self) -> tuple[float, float]:
        """The usable window on the true energy axis."""
        offset = self.energy_offset_ev
        return self.usable_start_ev - offset, self.usable_end_ev - offset


def edges_that_count(window_ev: tuple[float, float]) -> tuple[EdgeShell, ...]:
    """The identifying edge sets inside a window: 5 eV after its start, 20 eV before its end."""
    start, end = window_ev
    lowest, highest = start + SCORED_BEFORE_EV, min(end, N_CHANNELS - 1) - SCORED_AFTER_EV
    return tuple(edge for edge in identifying_sets() if lowest <= edge.onset_ev <= highest)


def scored_elements(record: ExperimentalRecord) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels of a record: ``present`` (80,) bool and ``counted`` (80,) bool.

    An element counts where one of its identifying edge sets lies inside the usable window (onset
    at least 5 eV after its start and 20 eV before its end). Carbon and the visible traces count
    on neither side. Present are the nominal elements that count; the others that count are absent.
    """
    counted = torch.zeros(len(ELEMENTS), dtype=torch.bool)
    for edge in edges_that_count(record.window_ev):
        counted[edge.label] = True
    traces = set(record.elements_trace_visible) - set(record.elements_nominal)
    for element in (*NEUTRAL_ELEMENTS, *traces):
        counted[ELEMENT_INDEX[element]] = False
    present = torch.zeros_like(counted)
    for element in record.elements_nominal:
        present[ELEMENT_INDEX[element]] = counted[ELEMENT_INDEX[element]]
    return present, counted


def absent_elements(record: ExperimentalRecord) -> torch.Tensor:
    """Elements that are false wherever they are named: neither listed nor neutral, (80,) bool."""
    known = (*record.elements_nominal, *record.elements_trace_visible, *NEUTRAL_ELEMENTS)
    return torch.tensor([element not in known for element in ELEMENTS])
