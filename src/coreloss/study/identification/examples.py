"""Labelled spectra one by one: the effect of an energy error, of the window, of edges nearby."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from coreloss.datasets.evaluation import observed_probability
from coreloss.datasets.manifest import read_manifest
from coreloss.datasets.measured import experimental_set, load_record
from coreloss.datasets.records import scored_elements
from coreloss.edges import ELEMENT_INDEX, ELEMENTS, EdgeShell, edge_shells, identifying_sets
from coreloss.identification.trained_model import Model
from coreloss.scoring.metrics import Scores, scores
from coreloss.simulation.settings import VISIBLE_SNR
from coreloss.spectra.network_input import NetworkInput, preprocess
from coreloss.spectra.reading import read_spectrum
from coreloss.spectra.spectrum import Spectrum


@dataclass(frozen=True, eq=False)
class Example:
    """A spectrum on the true energy axis, its file, and its labels.

    ``present`` and ``counted`` (80,) bool as in `records.scored_elements`; ``crop_ev`` on the axis
    of the file, which lies ``offset_ev`` above the true one; ``source`` and ``license`` for credit.
    """

    id: str
    material: str
    file: Path
    crop_ev: tuple[float, float]
    offset_ev: float
    spectrum: Spectrum
    present: np.ndarray
    counted: np.ndarray
    source: str
    license: str

    @property
    def elements(self) -> tuple[str, ...]:
        """The elements that are present and count."""
        return tuple(ELEMENTS[k] for k in np.flatnonzero(self.present))


@dataclass(frozen=True)
class Mistake:
    """An element that was missed or falsely found, and what lies near its edges.

    ``edge`` is the identifying edge inside the window that lies closest to any shell ``neighbour``
    of the elements present (others than its own), ``distance_ev`` the difference of their onsets.
    """

    id: str
    element: str
    kind: str
    probability: float
    edge: str
    neighbour: str
    distance_ev: float


def measured_examples(
    directory: str | Path, *, ids: Sequence[str] | None = None
) -> tuple[Example, ...]:
    """The records that `evaluation.score_experimental` scores, or those named, as sums."""
    if ids is None:
        records = experimental_set(directory, quality="A").records
    else:
        known = {record.id: record for record in read_manifest(directory)}
        if unknown := set(ids) - set(known):
            raise ValueError(f"the manifest has no record {', '.join(sorted(unknown))}")
        records = tuple(known[name] for name in ids)
    folder = Path(directory)
    folder = folder if (folder / "manifest.csv").is_file() else folder / "experimental"
    return tuple(_measured(record, folder) for record in records)


def _measured(record, folder: Path) -> Example:
    present, counted = scored_elements(record)
    return Example(
        id=record.id,
        material=record.material,
        file=folder / record.file,
        crop_ev=(record.usable_start_ev, record.usable_end_ev),
        offset_ev=record.energy_offset_ev,
        spectrum=load_record(record, folder).sum(),
        present=present.numpy(),
        counted=counted.numpy(),
        source=record.source,
        license=record.license,
    )


def simulated_examples(folder: str | Path, *, n: int, seed: int = 0) -> tuple[Example, ...]:
    """Test spectra with at least two visible elements, written to text files and read back.

    They take the place of measured ones where there are none; elements below visibility are
    neutral.
    """
    from coreloss.simulation.simulator import Simulator

    block = Simulator.of_split("test", seed=seed).block(0)
    visible = block.present & (block.snr >= VISIBLE_SNR)
    examples = []
    for row in torch.nonzero(visible.sum(1) >= 2).squeeze(1).tolist()[:n]:
        file, name = Path(folder) / f"simulated_{row}.csv", f"simulated {row}"
        channels = torch.nonzero(block.mask[row]).squeeze(1)
        counts = block.counts[row, channels]
        np.savetxt(file, np.column_stack([channels, counts]), delimiter=",", fmt="%.9g")
        counted = block.observable[row] & ~(block.present[row] & ~visible[row])
        spectrum, window = read_spectrum(file), (float(channels[0]), float(channels[-1]))
        labels = visible[row].numpy(), counted.numpy()
        examples.append(
            Example(name, name, file, window, 0.0, spectrum, *labels, "this package", "none needed")
        )
    return tuple(examples)


def probabilities(
    examples: Sequence[Example], *, model: Model, shift_ev: float = 0.0
) -> np.ndarray:
    """Probabilities (n, 80) of spectra whose energies are all wrong by ``shift_ev``."""
    parts = [preprocess(e.spectrum.counts, e.spectrum.energy_ev + shift_ev) for e in examples]
    inputs = NetworkInput(
        torch.cat([part.spectrum for part in parts]), torch.cat([part.mask for part in parts])
    )
    return observed_probability(model, inputs)


def scores_at_shift(examples: Sequence[Example], *, model: Model, shift_ev: float) -> Scores:
    """Scores when every axis is wrong by ``shift_ev``, with the labels of the true axis."""
    return scores(
        np.stack([e.present for e in examples]),
        probabilities(examples, model=model, shift_ev=shift_ev),
        threshold=model.present_threshold,
        subset=f"shifted by {shift_ev:g} eV",
        counted=np.stack([e.counted for e in examples]),
    )


def probability_by_window(
    spectrum: Spectrum, windows_ev: Sequence[tuple[float, float]], *, model: Model
) -> np.ndarray:
    """Probabilities (n_windows, 80) of one spectrum, NaN where an element is not observable."""
    from coreloss.identification.identify import identify

    results = [identify(spectrum, model=model, window_ev=window) for window in windows_ev]
    return np.concatenate([result.probability for result in results])


def mistakes(examples: Sequence[Example], *, model: Model) -> tuple[Mistake, ...]:
    """Every missed and every falsely found element that counts, with the nearest edge present."""
    found = []
    for example, probability in zip(examples, probabilities(examples, model=model), strict=True):
        predicted = probability >= model.present_threshold
        for k in np.flatnonzero((predicted != example.present) & example.counted):
            kind = "missed" if example.present[k] else "false"
            near = _nearest(ELEMENTS[k], example)
            found.append(Mistake(example.id, ELEMENTS[k], kind, float(probability[k]), *near))
    return tuple(found)


def _nearest(element: str, example: Example) -> tuple[str, str, float]:
    """Edge of ``element`` in the window, closest shell of the other elements, and the distance."""
    low, high = example.spectrum.energy_ev[[0, -1]]
    own = [e for e in identifying_sets() if e.element == element and low <= e.onset_ev <= high]
    others = [e for e in edge_shells() if example.present[ELEMENT_INDEX[e.element]]]
    pairs = [(a, b) for a in own for b in others if b.element != element]
    if not pairs:
        return _name(own[0]) if own else "", "", float("nan")
    edge, neighbour = min(pairs, key=lambda pair: abs(pair[0].onset_ev - pair[1].onset_ev))
    return _name(edge), _name(neighbour), neighbour.onset_ev - edge.onset_ev


def _name(edge: EdgeShell) -> str:
    return f"{edge.element} {edge.shell} {edge.onset_ev:.0f} eV"
