"""Which elements does a spectrum contain? Probabilities, decisions, and what cannot be seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from coreloss.axis import TYPICAL_AXIS_ERROR_EV, window_of
from coreloss.beam import Beam
from coreloss.edges import (
    ELEMENTS,
    EdgeShell,
    begin_too_late,
    neighbours,
    observable_elements,
    rivals,
)
from coreloss.identification.doubts import warnings_of
from coreloss.identification.edge_fit import (
    FIT_CHANNELS,
    TYPICAL_BEAM,
    EdgeEvidence,
    edge_evidence,
)
from coreloss.identification.evidence import KNOWN_FROM, Findings, best_z, contamination, findings
from coreloss.identification.few_counts import borne_out
from coreloss.identification.trained_model import DEFAULT_MODEL, Model, model_of
from coreloss.physics.bank import BEAM_LIMITS
from coreloss.scoring.groups import groups_of
from coreloss.spectra.hyperspy import as_spectrum
from coreloss.spectra.network_input import MEAN_FLOOR, NetworkInput, preprocess
from coreloss.spectra.spectrum import Spectrum
from coreloss.spectra.usable import usable_part
from coreloss.spectra.window import without_faults

MOST_WITH_EVIDENCE = 32
"""Spectra of one call whose edges are fitted unless told otherwise, a twentieth second each."""


@dataclass(frozen=True)
class Elements:
    """What one spectrum says; ``present`` and ``undetermined`` begin with the likeliest element.

    ``probabilities`` has all 80 elements; it is NaN for those in ``not_observable``, which have no
    identifying edge inside the window: the spectrum says nothing about them. ``evidence`` lists the
    edges of all elements that are not absent, each element's strongest first; ``alternatives``
    what a present element could be taken for; ``contamination`` those that may come from the
    support or the surface.

    ``groups`` names the present elements that are the likeliest of several neighbours: certain is
    that one of them is there, such as Nd or Pr. The others are its ``alternatives``, and no longer
    among the undetermined.
    """

    present: tuple[str, ...]
    undetermined: tuple[str, ...]
    not_observable: tuple[str, ...]
    probabilities: dict[str, float]
    warnings: tuple[str, ...]
    evidence: tuple[EdgeEvidence, ...] = ()
    alternatives: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    contamination: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    def label(self, element: str) -> str:
        """The name of an element, with those of its group: "Nd (or Pr)"."""
        others = self.alternatives[element] if element in self.groups else ()
        return f"{element} (or {' or '.join(others)})" if others else element

    def to_dict(self) -> dict:
        """Plain dictionary for JSON; ``probabilities`` lists the observable elements only."""
        return {
            "present": list(self.present),
            "undetermined": list(self.undetermined),
            "not_observable": list(self.not_observable),
            "probabilities": {
                e: round(p, 4) for e, p in self.probabilities.items() if not np.isnan(p)
            },
            "evidence": [asdict(edge) for edge in self.evidence],
            "alternatives": {e: list(others) for e, others in self.alternatives.items()},
            "groups": list(self.groups),
            "contamination": list(self.contamination),
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True, eq=False)
class Identification:
    """Elements in one spectrum, or in several on the same axis.

    ``probability`` (m, 80) in the order of `edges.ELEMENTS`, NaN where not observable. With one
    spectrum, ``present`` and the other results are attributes; with several they are those of
    ``spectra[i]``. ``cut_ev`` is the range of the data, ``window_ev`` the part of it that was used;
    ``findings`` what supports the answer, one entry per spectrum or none. ``too_short`` are edges
    that begin in the window and cannot be judged there, see `edges.begin_too_late`.
    """

    probability: np.ndarray
    observable: np.ndarray
    threshold: float
    absent_threshold: float
    window_ev: tuple[float, float]
    model: str
    spectrum: Spectrum
    spectrum_warnings: tuple[tuple[str, ...], ...]
    cut_ev: tuple[float, float]
    findings: tuple[Findings, ...] = ()
    group_threshold: float | None = None
    too_short: tuple[EdgeShell, ...] = ()
    fingerprint: str = ""

    def __len__(self) -> int:
        return len(self.probability)

    @property
    def name(self) -> str:
        """Name of the file without its folder, else the title of the spectrum."""
        file, title = self.spectrum.file, self.spectrum.title
        return Path(file).name if file else title or "Spectrum"

    @cached_property
    def spectra(self) -> tuple[Elements, ...]:
        """The result of each spectrum."""
        return tuple(self._elements(row) for row in range(len(self)))

    @property
    def present(self) -> tuple[str, ...]:
        """Elements at or above the threshold, or the first of a group; the likeliest first."""
        return self._only().present

    @property
    def undetermined(self) -> tuple[str, ...]:
        """Elements between the two thresholds, neither safe nor in a group with a present one."""
        return self._only().undetermined

    @property
    def not_observable(self) -> tuple[str, ...]:
        """Elements without an identifying edge inside the window, in order of atomic number."""
        return tuple(e for e, seen in zip(ELEMENTS, self.observable, strict=True) if not seen)

    @property
    def probabilities(self) -> dict[str, float]:
        """Probability of each of the 80 elements, NaN where not observable."""
        return self._only().probabilities

    @property
    def warnings(self) -> tuple[str, ...]:
        """What makes this answer less certain than it looks."""
        return self._only().warnings

    @property
    def offset_ev(self) -> float | None:
        """Calibration error of the axis by the edges of present elements; None without any."""
        return self._offset(0)

    @property
    def offset_error_ev(self) -> float | None:
        """Standard deviation of ``offset_ev``: chemical shifts look like calibration errors."""
        return self._offset(1)

    @cached_property
    def background(self) -> np.ndarray | None:
        """Counts below all edges, (m, n) on the axis of ``spectrum``; NaN outside the window."""
        if not self.findings:
            return None
        energy = self.spectrum.energy_ev
        inside = (energy >= self.window_ev[0]) & (energy <= self.window_ev[1])
        rows = np.full(self.spectrum.counts.shape, np.nan)
        for row, counts, found in zip(rows, self.spectrum.counts, self.findings, strict=True):
            if found.background is None:
                continue
            known = np.flatnonzero(np.isfinite(found.background))
            if not len(known):
                continue
            below = np.interp(energy[inside], known, found.background[known])
            mean, size = counts[inside].mean(), np.abs(counts[inside]).mean()
            row[inside] = below * (mean if mean > MEAN_FLOOR * size else size)
        return rows

    def to_dict(self) -> dict:
        """Plain dictionary for JSON files."""
        return {
            "file": self.spectrum.file,
            "model": self.model,
            "fingerprint": self.fingerprint,
            "threshold": self.threshold,
            "absent_threshold": self.absent_threshold,
            "group_threshold": self.group_threshold,
            "too_short": [f"{edge.element} {edge.shell}" for edge in self.too_short],
            "range_ev": list(self.cut_ev),
            "window_ev": list(self.window_ev),
            "offset_ev": self.offset_ev,
            "offset_error_ev": self.offset_error_ev,
            "spectra": [elements.to_dict() for elements in self.spectra],
        }

    def plot(self, ax=None, *, row: int = 0, scale: str = "log"):
        """Draw spectrum ``row`` with the onsets of its elements; returns the matplotlib Axes."""
        from coreloss.figures.spectrum import plot_identification

        return plot_identification(self, ax=ax, row=row, scale=scale)

    def _only(self) -> Elements:
        if len(self) != 1:
            raise ValueError(
                f"this result holds {len(self)} spectra; ask one of them: result.spectra[i]"
            )
        return self._elements(0)

    def _offset(self, which: int) -> float | None:
        known = [found.offset for found in self.findings if found.offset is not None]
        if not known:
            return None
        return float(np.median([offset[which] for offset in known]))

    def _elements(self, row: int) -> Elements:
        p = self.probability[row]
        order = sorted(np.flatnonzero(self.observable), key=lambda k: -p[k])
        groups = self._groups(row)
        beside = {e for others in groups.values() for e in others}
        known = [ELEMENTS[k] for k in order if p[k] >= self.absent_threshold]
        present = tuple(
            ELEMENTS[k] for k in order if p[k] >= self.threshold or ELEMENTS[k] in groups
        )
        open_ones = tuple(e for e in known if e not in present and e not in beside)
        found = self.findings[row] if self.findings else Findings()
        return Elements(
            present=present,
            undetermined=open_ones,
            not_observable=self.not_observable,
            probabilities=dict(zip(ELEMENTS, p.tolist(), strict=True)),
            warnings=self.spectrum_warnings[row],
            evidence=tuple(e for e in found.evidence if e.element in known),
            alternatives=self._with_short({**found.alternatives, **groups}, (*present, *open_ones)),
            contamination=contamination((*present, *open_ones), present),
            groups=tuple(e for e in present if e in groups),
        )

    def _with_short(
        self, alternatives: Mapping[str, tuple[str, ...]], named: tuple[str, ...]
    ) -> dict[str, tuple[str, ...]]:
        """Beside each named element those whose edges begin near one of its, too short to judge."""
        result = dict(alternatives)
        onsets = {edge.element: edge.onset_ev for edge in self.too_short}
        for element in named:
            near = neighbours(element, onsets, self.window_ev)
            if near:
                result[element] = tuple(dict.fromkeys((*result.get(element, ()), *near)))
        return result

    @cached_property
    def _rivals(self) -> np.ndarray:
        return rivals(*self.window_ev)

    def _groups(self, row: int) -> dict[str, tuple[str, ...]]:
        """The first of each group of neighbours, and the others, the likeliest first."""
        if self.group_threshold is None:
            return {}
        limits = {"present": self.threshold, "absent": self.absent_threshold}
        limits["least"] = self.group_threshold
        p = np.nan_to_num(self.probability[row])
        named = (names for _, names in groups_of(p, self._rivals, **limits))
        return {ELEMENTS[first]: tuple(ELEMENTS[i] for i in others) for first, *others in named}


def identify(
    spectrum,
    *,
    model: str | Path | Model = DEFAULT_MODEL,
    window_ev: tuple[float, float] | None = None,
    shift_ev: float = 0.0,
    each: bool = False,
    evidence: bool | None = None,
    axis_error_ev: float = TYPICAL_AXIS_ERROR_EV,
) -> Identification:
    """Elements in a spectrum.

    Parameters
    ----------
    spectrum
        A `Spectrum`, one or several on one axis; a path; or a HyperSpy or eXSpy signal.
    model
        Name of a shipped network, path as for `load_model`, or a loaded `Model`.
    window_ev
        Lowest and highest true energy to use, applied after the shift; without it the usable part
        is found, see `window.usable_window`.
    shift_ev
        Added to every energy: the correction of a known calibration error.
    each
        One result per spectrum; otherwise all spectra are summed first.
    evidence
        Fit the edges of the candidates, and let the fits join the decision; by default for up to
        `MOST_WITH_EVIDENCE` spectra.
    axis_error_ev
        Standard deviation of the energies after the shift, 0.1 to 20 eV. The network hedges between
        edges that such an error could confuse; `axis.UNCALIBRATED_AXIS_ERROR_EV` fits an axis that
        nobody calibrated.

    Raises
    ------
    ValueError
        When the window holds no data or too many missing values, the error of the axis is out of
        its limits, or the model is unknown.
    """
    loaded = model_of(model)
    used, cut_ev = _prepared(as_spectrum(spectrum), window_ev, shift_ev, each)
    inputs = preprocess(used.counts, used.energy_ev, axis_error_ev=axis_error_ev)
    low, high = window_of(inputs.mask[:1])
    window = (float(low[0]), float(high[0]))
    observable = observable_elements(*window).numpy()
    probability = np.where(observable, loaded.probability(inputs), np.nan)
    found: tuple[Findings, ...] = ()
    if len(used) <= MOST_WITH_EVIDENCE if evidence is None else evidence:
        probability, found = with_evidence(loaded, inputs, probability, beam=beam_of(used))
    joined, present, absent = probability, loaded.present_threshold, loaded.absent_threshold
    probability = borne_out(joined, inputs, used.counts, present=present, absent=absent)
    too_short = begin_too_late(*window)
    return Identification(
        probability=probability,
        observable=observable,
        threshold=present,
        absent_threshold=absent,
        window_ev=window,
        model=loaded.name,
        spectrum=used,
        spectrum_warnings=warnings_of(
            used, window, observable=observable, doubted=probability < joined, too_short=too_short
        ),
        too_short=too_short,
        cut_ev=cut_ev,
        findings=found,
        group_threshold=loaded.group_threshold,
        fingerprint=loaded.fingerprint,
    )


def with_evidence(
    model: Model, inputs: NetworkInput, probability: np.ndarray, *, beam: Beam = TYPICAL_BEAM
) -> tuple[np.ndarray, tuple[Findings, ...]]:
    """Probabilities (n, 80) of network and fit together, and what supports them.

    ``probability`` (n, 80) is the network's, NaN where not observable. Fitted are the elements that
    it does not call absent, each beside those that it thinks likelier present than not.
    """
    joined, found = probability.copy(), []
    for row, p in enumerate(probability):
        spectrum, mask = inputs.spectrum[row].numpy(), inputs.mask[row].numpy()
        if mask.sum() < FIT_CHANNELS:
            found.append(Findings())
            continue
        order = [k for k in np.argsort(-np.nan_to_num(p)) if p[k] >= model.absent_threshold]
        names, known = ([ELEMENTS[k] for k in order if p[k] >= low] for low in (0.0, KNOWN_FROM))
        evidence = edge_evidence(spectrum, mask, names, known=known, beam=beam)
        joined[row, order] = model.combination.probability(p[order], best_z(evidence)[order])
        present = [ELEMENTS[k] for k in order if joined[row, k] >= model.present_threshold]
        found.append(findings(spectrum, mask, evidence, present, beam=beam))
    return joined, tuple(found)


def _prepared(
    spectrum: Spectrum, window_ev: tuple[float, float] | None, shift_ev: float, each: bool
) -> tuple[Spectrum, tuple[float, float]]:
    """The shifted, cropped, mended spectra, summed or each, and the energies before the cut."""
    used = spectrum.shift(shift_ev) if shift_ev else spectrum
    cut_ev = (float(used.energy_ev[0]), float(used.energy_ev[-1]))
    used = usable_part(used, window_ev)
    return without_faults(used if each else used.sum()), cut_ev


def beam_of(spectrum: Spectrum) -> Beam:
    """The beam of a file, typical where the file names none, within the limits of the bank."""
    known = (spectrum.beam_energy_kev, spectrum.convergence_mrad, spectrum.collection_mrad)
    energy, convergence, collection = (
        typical if value is None else float(np.clip(value, low, high))
        for value, typical, (low, high) in zip(
            known, astuple(TYPICAL_BEAM), BEAM_LIMITS, strict=True
        )
    )
    return Beam(energy_kev=energy, convergence_mrad=convergence, collection_mrad=collection)
