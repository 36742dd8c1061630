"""What stands behind each name: edges that a fit finds, elements that look alike, contamination.

The fit also has a say in the decision: `Combination` turns the probability of the network and the
significance of the best edge into one calibrated probability.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
from scipy.optimize import minimize

from coreloss.beam import Beam
from coreloss.edges import CONFUSABLE_EV, ELEMENT_INDEX, ELEMENTS, identifying_sets
from coreloss.identification.edge_fit import (
    TYPICAL_BEAM,
    EdgeEvidence,
    background_below,
    best_edges,
    edge_evidence,
    energy_offset,
)

KNOWN_FROM = 0.5
"""Elements that the network thinks so likely are part of the fit in which others are tested."""
AS_GOOD = 0.8
"""Another element is an alternative when its edge explains this share of the significance."""
FROM_SUPPORT = {"C": "support film or hydrocarbons", "O": "oxidised surface"}


@dataclass(frozen=True)
class Combination:
    """One probability from the network's, p, and from the significance z of the best edge.

    ``logit = intercept + network * logit(p) + fit * ln(1 + z) + fit_squared * ln(1 + z)^2``
    """

    intercept: float = 0.0
    network: float = 1.0
    fit: float = 0.0
    fit_squared: float = 0.0

    def probability(self, network: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Elementwise.

        >>> Combination().probability(np.array([0.25]), np.array([7.0]))
        array([0.25])
        """
        weights = np.array([self.intercept, self.network, self.fit, self.fit_squared])
        return _sigmoid(_features(network, z) @ weights)

    def to_dict(self) -> dict[str, float]:
        """Plain dictionary for the card of a network."""
        return asdict(self)


def fit_combination(network, z, present) -> Combination:
    """Weights with the least log loss on labelled decisions, all of shape (n,).

    >>> Combination.to_dict(fit_combination([0.5] * 4, [0, 0, 9, 9], [0, 1, 1, 1]))["fit"] > 0
    True
    """
    features, truth = _features(np.asarray(network), np.asarray(z)), np.asarray(present, float)
    if not 0 < truth.mean() < 1:
        raise ValueError(f"{truth.mean():.0%} of the decisions are 'present'; both are needed")

    def loss(weights):
        logit, small = features @ weights, weights * [0, 1, 1, 1]
        value = np.logaddexp(0, logit).sum() - truth @ logit + 0.5 * small @ small
        return value, features.T @ (_sigmoid(logit) - truth) + small

    start = np.array([0.0, 1.0, 0.0, 0.0])
    return Combination(*minimize(loss, start, jac=True, method="BFGS").x.tolist())


@dataclass(frozen=True, eq=False)
class Findings:
    """What supports the answer for one spectrum.

    evidence : of every identifying edge of the elements that are not absent
    offset : calibration error of the axis and its standard deviation in eV, None without safe edges
    alternatives : by element, see `alternatives`
    background : (3072,), below all edges of the present elements, NaN outside the window
    """

    evidence: tuple[EdgeEvidence, ...] = ()
    offset: tuple[float, float] | None = None
    alternatives: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    background: np.ndarray | None = None


def findings(
    spectrum, mask, evidence: Sequence[EdgeEvidence], present: Sequence[str], *, beam: Beam
) -> Findings:
    """Offset, alternatives and background that go with the evidence for one spectrum (3072,)."""
    safe = [edge for edge in evidence if edge.element in present]
    rivals = {edge.element for edge in evidence} - set(present)
    return Findings(
        evidence=tuple(evidence),
        offset=energy_offset(safe),
        alternatives=alternatives(spectrum, mask, safe, rivals, beam=beam),
        background=background_below(spectrum, mask, present, beam=beam),
    )


def best_z(evidence: Sequence[EdgeEvidence]) -> np.ndarray:
    """Significance of the best edge of each element, (80,), 0 for those without evidence."""
    z = np.zeros(len(ELEMENTS))
    for element, edge in best_edges(evidence).items():
        z[ELEMENT_INDEX[element]] = edge.z
    return z


def alternatives(
    spectrum,
    mask,
    evidence: Sequence[EdgeEvidence],
    rivals: Iterable[str],
    *,
    beam: Beam = TYPICAL_BEAM,
) -> dict[str, tuple[str, ...]]:
    """Which ``rivals`` would explain the best edge of a present element nearly as well.

    ``evidence`` is that of the present elements; ``rivals`` are others that cannot be excluded.
    ``spectrum`` and ``mask`` (3072,).
    """
    best = best_edges(evidence)
    result: dict[str, tuple[str, ...]] = {}
    for element, edge in best.items():
        near = sorted(
            other.element
            for other in identifying_sets()
            if other.element in rivals and abs(other.onset_ev - edge.onset_ev) < CONFUSABLE_EV
        )
        others = [e for e in best if e != element]
        rows = edge_evidence(spectrum, mask, near, known=others, beam=beam) if near else ()
        as_good = [row for row in rows if row.z > max(AS_GOOD * edge.z, 1.0)]
        if as_good:
            names = sorted(as_good, key=lambda x: -x.z)
            result[element] = tuple(dict.fromkeys(row.element for row in names))
    return result


def contamination(elements: Iterable[str], others: Iterable[str]) -> tuple[str, ...]:
    """Those of ``elements`` that may come from the support or the surface of the specimen.

    Carbon always; oxygen beside ``others``, other elements that are present.

    >>> contamination(["Ti", "O", "C"], ["Ti", "O"]), contamination(["O"], ["O"])
    (('O', 'C'), ())
    """
    beside = set(others) - set(FROM_SUPPORT)
    return tuple(e for e in elements if e == "C" or (e == "O" and beside))


def _features(network: np.ndarray, z: np.ndarray) -> np.ndarray:
    p = np.clip(np.asarray(network, float), 1e-6, 1 - 1e-6)
    size = np.log1p(np.maximum(z, 0.0))
    return np.stack([np.ones_like(p), np.log(p / (1 - p)), size, size**2], -1)


def _sigmoid(x):
    return 1 / (1 + np.exp(-np.clip(x, -700, 700)))
