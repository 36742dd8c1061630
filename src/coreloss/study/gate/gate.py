"""The gate: could the simulator have made these measurements?

Every measured file is laid beside a pool of simulated spectra of the same elements in the same
window (`pools`). Their features (`features`) say where it lies in
the pool, and p-values (`p_values`) how unlikely that is. No network takes part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from coreloss.datasets.records import ExperimentalRecord
from coreloss.simulation.settings import SimulationSettings
from coreloss.study.gate.features import FEATURES, spectrum_features, stack_features
from coreloss.study.gate.p_values import (
    cauchy,
    distance_p_values,
    energy_test,
    fisher,
    median_p_value,
    percentiles,
    standardise,
)
from coreloss.study.gate.pools import MeasuredFile, simulate_pools

QUANTILES = (0.05, 0.95)
SIGNIFICANT = 0.05
N_NEAREST = 3
SHAPE_FLOOR = 0.02
"""Levels below this share of the mean count as this share where spectra are divided."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """A measured spectrum (n,) over the nearest simulated ones (k, n); `distance` of the first."""

    id: str
    material: str
    source: str
    energy_ev: np.ndarray
    measured: np.ndarray
    simulated: np.ndarray
    distance: float


@dataclass(frozen=True)
class FileResult:
    """One measured file in its pool of ``n_pool`` simulated spectra.

    distance : rms of ln(measured / nearest simulated), see `shape_distance`
    p : p-value of its sum; p_single : of its single spectra (twice the median), None without any
    percentile : place of each defined feature in the pool, 0..1
    """

    id: str
    source: str
    quality: str
    processed: bool
    material: str
    n_pool: int
    distance: float
    p: float
    p_single: float | None
    percentile: dict[str, float]

    @property
    def outside(self) -> dict[str, float]:
        """The features outside 5 to 95 % of the pool."""
        return {name: place for name, place in self.percentile.items() if not _inside(place)}


@dataclass(frozen=True)
class GroupResult:
    """Several files together; those of one source that show the same elements are one specimen.

    coverage : share of the files inside 5 to 95 % of their pools, per feature; 0.9 is expected
    rejected : share of the files with p <= 0.05; 0.05 is expected
    distance : median over the files
    p : by Cauchy's rule over the files of a specimen, by Fisher's over the specimens
    p_energy : by `p_values.energy_test`, with the first file of every specimen

    A few specimens of one laboratory prove little: a high p means that they do not disagree.
    """

    name: str
    n_files: int
    n_specimens: int
    coverage: dict[str, float]
    rejected: float
    distance: float
    p: float
    p_energy: float

    @property
    def mean_coverage(self) -> float:
        """Mean of the coverage over the features."""
        return float(np.mean(list(self.coverage.values())))


@dataclass(frozen=True, eq=False)
class GateReport:
    """Answer of the gate for one value of the settings."""

    n: int
    seed: int
    settings: dict[str, Any]
    files: tuple[FileResult, ...]
    sources: tuple[GroupResult, ...]
    qualities: tuple[GroupResult, ...]
    overall: GroupResult
    comparisons: tuple[Comparison, ...] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary for JSON files, without the spectra."""
        names = ("n", "seed", "settings")
        return {
            **{name: getattr(self, name) for name in names},
            "overall": _plain(self.overall),
            "sources": [_plain(group) for group in self.sources],
            "qualities": [_plain(group) for group in self.qualities],
            "files": [_plain(file) for file in self.files],
        }


def gate(
    measured: Sequence[MeasuredFile],
    settings: SimulationSettings | None = None,
    *,
    n: int = 512,
    seed: int = 0,
) -> GateReport:
    """Compare measured files with pools of at most ``n`` simulated spectra each.

    About a second per file and 512 spectra. The same seed gives the same report.

    Raises
    ------
    ValueError
        When there is no file, or the simulator hardly ever covers a window.
    """
    if not measured:
        raise ValueError("no measured file to compare; see evaluate_realism_pools.read_measured")
    settings = settings or SimulationSettings()
    looks: dict[int, _Look] = {}
    for position, pool in simulate_pools(measured, settings, n=n, seed=seed):
        looks[position] = _look(measured[position], pool)
    ordered = [looks[position] for position in range(len(measured))]
    return GateReport(
        n=n,
        seed=seed,
        settings=settings.as_dict(),
        files=tuple(look.result for look in ordered),
        sources=_groups(ordered, lambda file: file.source, seed),
        qualities=_groups(ordered, lambda file: f"quality {file.quality}", seed),
        overall=_group("all", ordered, seed),
        comparisons=tuple(look.comparison for look in ordered),
    )


def summary(report: dict[str, Any]) -> dict[str, float]:
    """The main numbers of one `GateReport.to_dict()`, to compare settings in one table.

    Mean coverage over the features, of all files and per quality; share of rejected files; median
    distance to the nearest simulated spectrum; energy test of all; p-value of every source.
    """
    groups = {"all": report["overall"]}
    groups |= {group["name"].removeprefix("quality "): group for group in report["qualities"]}
    row = {
        f"coverage {name}": float(np.mean(list(group["coverage"].values())))
        for name, group in groups.items()
    }
    row |= {name: report["overall"][name] for name in ("rejected", "distance", "p_energy")}
    return row | {f"p {group['name']}": group["p"] for group in report["sources"]}


def credit(record: ExperimentalRecord) -> str:
    """Where a measured spectrum comes from, short enough for a figure."""
    base = "EELS Data Base, via " if "EELS Data Base" in record.license else ""
    return base + record.source


def coverage(simulated: dict[str, np.ndarray], measured: dict[str, np.ndarray]) -> dict[str, float]:
    """Share of the measured values (m,) between the `QUANTILES` of the simulated (n,), per feature.

    Both from spectra in the same window. Values that are undefined do not count; a feature without
    any is left out.

    >>> coverage({"slope": np.arange(101.0)}, {"slope": np.array([50.0, 99.0])})
    {'slope': 0.5}
    """
    low, high = QUANTILES
    places = {name: percentiles(simulated[name], measured[name]) for name in measured}
    places = {name: place[np.isfinite(place)] for name, place in places.items()}
    return {
        name: float(((place >= low) & (place <= high)).mean())
        for name, place in places.items()
        if len(place)
    }


def shape_distance(measured: np.ndarray, simulated: np.ndarray) -> np.ndarray:
    """Root mean square of ln(measured / simulated) after its mean is taken off, (m,).

    Both with mean 1 over the same channels, (n,) and (m, n); 0.1 is a deviation of 10 %. Values
    below `SHAPE_FLOOR` count as `SHAPE_FLOOR`.

    >>> shape_distance(np.array([0.5, 1.0, 2.0]), np.array([[1.5, 3.0, 6.0]])).round(6)
    array([0.])
    """
    ratio = np.log(np.maximum(measured, SHAPE_FLOOR)) - np.log(np.maximum(simulated, SHAPE_FLOOR))
    return ratio.std(1)


def smooth(spectra: np.ndarray) -> np.ndarray:
    """Means over three neighbouring channels, (m, n) -> (m, n - 2): noise counts less."""
    return np.lib.stride_tricks.sliding_window_view(spectra, 3, axis=1).mean(-1)


@dataclass(frozen=True, eq=False)
class _Look:
    """What one file and its pool leave behind: a result, a picture, standardised features."""

    result: FileResult
    comparison: Comparison
    elements: tuple[str, ...]
    measured_z: np.ndarray  # (k,), of the sum
    pool_z: np.ndarray  # (n, k)


def _look(file: MeasuredFile, pool: np.ndarray) -> _Look:
    record, mask = file.record, file.mask
    seen = spectrum_features(file.inputs.spectrum, file.inputs.mask)
    made = spectrum_features(pool, np.broadcast_to(mask, pool.shape))
    pool_z, measured_z = standardise(stack_features(made), stack_features(seen))
    p_values = distance_p_values(pool_z, measured_z)
    places = {name: percentiles(made[name], seen[name][:1])[0] for name in FEATURES}
    comparison = _nearest(file, pool[:, mask])
    result = FileResult(
        id=record.id,
        source=file.source,
        quality=record.quality,
        processed=file.processed,
        material=record.material,
        n_pool=len(pool),
        distance=comparison.distance,
        p=float(p_values[0]),
        p_single=median_p_value(p_values[1:]) if len(p_values) > 1 else None,
        percentile={name: float(place) for name, place in places.items() if np.isfinite(place)},
    )
    return _Look(result, comparison, record.elements_nominal, measured_z[0], pool_z)


def _nearest(file: MeasuredFile, pool: np.ndarray) -> Comparison:
    measured = file.inputs.spectrum[0].numpy()[file.mask]
    distance = shape_distance(smooth(measured[None])[0], smooth(pool))
    nearest = np.argsort(distance)[:N_NEAREST]
    return Comparison(
        id=file.record.id,
        material=file.record.material,
        source=credit(file.record),
        energy_ev=np.flatnonzero(file.mask).astype(float),
        measured=measured,
        simulated=pool[nearest],
        distance=float(distance[nearest[0]]),
    )


def _groups(looks: Sequence[_Look], key, seed: int) -> tuple[GroupResult, ...]:
    """One result for each value of ``key(file result)``, in alphabetical order."""
    members: dict[str, list[_Look]] = {}
    for look in looks:
        members.setdefault(key(look.result), []).append(look)
    return tuple(_group(name, part, seed) for name, part in sorted(members.items()))


def _group(name: str, looks: Sequence[_Look], seed: int) -> GroupResult:
    files = [look.result for look in looks]
    specimens: dict[tuple, list[_Look]] = {}
    for look in looks:
        specimens.setdefault((look.result.source, look.elements), []).append(look)
    first = [part[0] for part in specimens.values()]
    return GroupResult(
        name=name,
        n_files=len(files),
        n_specimens=len(specimens),
        coverage=_share_inside(files),
        rejected=float(np.mean([file.p <= SIGNIFICANT for file in files])),
        distance=float(np.median([file.distance for file in files])),
        p=fisher([cauchy([look.result.p for look in part]) for part in specimens.values()]),
        p_energy=energy_test(
            np.stack([look.measured_z for look in first]),
            [look.pool_z for look in first],
            rng=np.random.default_rng((seed, len(files))),
        ),
    )


def _share_inside(files: Sequence[FileResult]) -> dict[str, float]:
    """Share of the files inside 5 to 95 % of their pools, for features that are defined in any."""
    found = {}
    for feature in FEATURES:
        places = [file.percentile[feature] for file in files if feature in file.percentile]
        if places:
            found[feature] = float(np.mean([_inside(place) for place in places]))
    return found


def _inside(place: float) -> bool:
    return QUANTILES[0] <= place <= QUANTILES[1]


def _plain(result: FileResult | GroupResult) -> dict[str, Any]:
    """Dictionary with rounded numbers; of the percentiles only what lies outside."""
    values = asdict(result)
    if isinstance(result, FileResult):
        del values["percentile"]
        values["outside"] = result.outside
    for key, value in values.items():
        if isinstance(value, dict):
            values[key] = {k: round(v, 4) for k, v in value.items()}
        elif isinstance(value, float):
            values[key] = float(f"{value:.4g}")
    return values
