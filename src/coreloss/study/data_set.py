"""The chapter on the published set: what is in its files, and the figures of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch

from coreloss.axis import energy_ev
from coreloss.datasets.manifest import manifest_path
from coreloss.datasets.measured import ExperimentalSet, load_record
from coreloss.datasets.published_streams import Part, Source
from coreloss.datasets.records import ExperimentalRecord
from coreloss.edges import ELEMENTS
from coreloss.figures.spectrum import BLACK, BLUE, GREEN, GREY, ORANGE, plot_spectrum
from coreloss.networks.heads import paper_input
from coreloss.simulation.batch import Batch
from coreloss.simulation.instrument import draw_axis, draw_background, draw_low_loss
from coreloss.simulation.sampling import generator_for, log_uniform
from coreloss.simulation.settings import SimulationSettings
from coreloss.simulation.simulator import Simulator
from coreloss.simulation.specimen import Specimen, draw_beam, draw_window
from coreloss.spectra.network_input import NetworkInput, preprocess, resample
from coreloss.spectra.reading import read_spectrum
from coreloss.spectra.spectrum import Spectrum

ROWS_OF_ELEMENTS = 2
"""Rows of bars that the 80 elements take, so that their symbols can be read at page width."""
SHARE_TICKS = (1, 2, 5, 10, 20, 40, 60, 100)
PARAMETERS: dict[str, tuple[str | None, bool]] = {  # limits in the settings, logarithmic axis
    "Window start (eV)": (None, True),
    "Window width (eV)": ("window_width_ev", True),
    "Dispersion (eV per channel)": (None, True),
    "Electrons per channel": ("mean_counts", True),
    "Beam energy (keV)": ("beam_energy_kev", False),
    "Convergence (mrad)": ("convergence_mrad", False),
    "Collection (mrad)": ("collection_mrad", True),
    "Thickness (mean free paths)": ("thickness_mfp", True),
    "Plasmon energy (eV)": ("plasmon_energy_ev", False),
    "Background exponent": ("background_exponent", False),
    "Jump ratio": ("jump_ratio", True),
    "Energy offset (eV)": (None, False),
}
"""What `drawn_parameters` draws."""
_BINS = 40


# -- what is in the files -------------------------------------------------------------------------


def spectra_per_material(path: str | Path, source: Source, element: str) -> np.ndarray:
    """How many spectra each material of an element has in its file, per place in the list of those.

    The materials are told by their amounts, bit for bit, so the specimens must be pure: those of
    the published settings. Materials with equal amounts count together; one that was drawn twice
    has two places.

    Raises
    ------
    ValueError
        When a spectrum is of no material of the list.
    """
    rows, tables = source.queries.rows_of(element), source.simulator.materials
    listed = Specimen(tables.elements[rows], tables.amounts[rows]).amount_per_element()
    known, places = np.unique(listed.numpy(), axis=0, return_counts=True)
    with h5py.File(path) as file:
        found, spectra = np.unique(file["amount"][:], axis=0, return_counts=True)
    place_of = {amounts.tobytes(): i for i, amounts in enumerate(known)}
    of = np.array([place_of.get(amounts.tobytes(), -1) for amounts in found])
    if (of < 0).any():
        raise ValueError(
            f"{path}: {(of < 0).sum()} specimens are none of the {len(rows)} materials with "
            f"{element}; allowed: pure ones out of this list; take the source of the file"
        )
    total = np.zeros(len(known))
    total[of] = spectra
    return total / places


def shares_of_elements(out: str | Path, part: Part) -> np.ndarray:
    """Share of the spectra of a part, in all its files, that show each element, (80,)."""
    shown, n = np.zeros(len(ELEMENTS)), 0
    for element in ELEMENTS:
        with h5py.File(Path(out) / part.path(element)) as file:
            labels = file["labels_identification"][:]
        shown += labels.sum(0, dtype=float)
        n += len(labels)
    return shown / n


def shares_of_measured(measured: ExperimentalSet) -> np.ndarray:
    """Share of measured spectra that show each element which counts in a score, (80,)."""
    return measured.present.double().mean(0).numpy()


# -- pre-processing -------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Steps:
    """A spectrum on its way into a network.

    recorded, used : as in the file, and the part that is core loss, on true energies
    per_ev : (3072,), counts per channel of 1 eV, 0 where nothing was measured
    seen, published : mean 1 with its mask, and the maximum 1 of the published networks (3072,)
    """

    recorded: Spectrum
    used: Spectrum
    per_ev: np.ndarray
    seen: NetworkInput
    published: np.ndarray


def steps_of(recorded: Spectrum, used: Spectrum) -> Steps:
    """The steps from the sum of all recorded spectra to the input of a network."""
    recorded, used = recorded.sum(), used.sum()
    per_ev, _ = resample(used.counts, used.energy_ev)
    seen = preprocess(used.counts, used.energy_ev)
    published = paper_input(seen.spectrum, seen.mask)[0, 0].numpy()
    return Steps(recorded, used, per_ev[0], seen, published)


def steps_of_record(record: ExperimentalRecord, directory: str | Path) -> Steps:
    """The steps of a measured file, read anew."""
    recorded = read_spectrum(manifest_path(directory).parent / record.file)
    return steps_of(recorded, load_record(record, directory))


def steps_of_simulated(batch: Batch, row: int) -> Steps:
    """The steps of a simulated spectrum, recorded in its window and in channels of 1 eV."""
    mask = batch.mask[row]
    spectrum = Spectrum(energy_ev()[mask].numpy(), batch.counts[row][mask].numpy())
    return steps_of(spectrum, spectrum)


def plot_preprocessing(steps: Steps, axes: Sequence, *, zoom_ev: tuple[float, float]):
    """Five Axes: as recorded, what is used, ``zoom_ev`` of it in 1 eV channels, padded, divided."""
    recorded, used, zoom, padded, divided = axes
    file, part = steps.recorded, steps.used
    for ax, spectrum, colour in ((recorded, file, GREY), (used, part, BLUE)):
        plot_spectrum(spectrum.energy_ev, spectrum.counts[0], ax, scale="linear", colour=colour)
    recorded.set_title("1  as recorded", loc="left")
    used.set_title("2  the part that is used, true energies", loc="left")
    used.sharex(recorded)
    _plot_zoom(steps, zoom, zoom_ev)
    energy = energy_ev().numpy()
    padded.plot(energy, steps.per_ev, color=BLUE, lw=0.9)
    padded.set(xlabel="Energy loss (eV)", ylabel="Counts per eV")
    padded.set_title("4  zeros to the ends of the axis", loc="left")
    inside = energy[steps.seen.mask[0].numpy()]
    divided.axvspan(inside[0], inside[-1], color=BLUE, alpha=0.08, lw=0, label="mask")
    divided.plot(energy, steps.seen.spectrum[0], color=BLUE, lw=0.9)
    divided.set(xlabel="Energy loss (eV)", ylabel="Mean 1")
    divided.legend(frameon=False, loc="upper right")
    divided.set_title("5  divided by the mean, with the mask of measured channels", loc="left")
    top = float(steps.seen.spectrum.max()) / float(steps.published.max())
    right = divided.secondary_yaxis("right", functions=(lambda y: y / top, lambda y: y * top))
    right.set_ylabel("Maximum 1")
    for ax in (padded, divided):
        ax.set_xlim(energy[0], energy[-1])
    ends_ev = np.concatenate([file.energy_ev, part.energy_ev])
    recorded.set_xlim(ends_ev.min(), ends_ev.max())
    return axes


def _plot_zoom(steps: Steps, ax, zoom_ev: tuple[float, float]) -> None:
    """Counts per eV as measured, and in channels of 1 eV."""
    low, high = zoom_ev
    part, energy = steps.used, energy_ev().numpy()
    near = (part.energy_ev >= low) & (part.energy_ev <= high)
    density = part.counts[0, near] / part.dispersion_ev
    style = {"ms": 2.5, "color": GREY, "label": f"channels of {part.dispersion_ev:.3g} eV"}
    ax.plot(part.energy_ev[near], density, ".", **style)
    near = (energy >= low) & (energy <= high)
    ax.stairs(
        steps.per_ev[near], np.append(energy[near] - 0.5, energy[near][-1] + 0.5), baseline=None,
        color=BLUE, label="channels of 1 eV",
    )  # fmt: skip
    ax.set(xlabel="Energy loss (eV)", ylabel="Counts per eV", xlim=zoom_ev)
    ax.legend(frameon=False, fontsize="small")
    ax.set_title("3  channels of 1 eV", loc="left")


# -- occurrence of the elements -------------------------------------------------------------------


def plot_occurrence(
    bars: Mapping[str, np.ndarray], axes: Sequence, *, marks: Mapping[str, np.ndarray] | None = None
):
    """Shares (80,) as bars beside each other, ``marks`` as points; one of the Axes per half.

    The scale is that of square roots: oxygen is everywhere, and rare elements are to be seen.
    """
    marks = marks or {}
    half = -(-len(ELEMENTS) // ROWS_OF_ELEMENTS)
    top = 100 * max(float(np.max(shares)) for shares in (*bars.values(), *marks.values()))
    width = 0.8 / len(bars)
    for i, ax in enumerate(axes):
        part = slice(i * half, (i + 1) * half)
        names = ELEMENTS[part]
        place = np.arange(len(names))
        for k, (name, shares) in enumerate(bars.items()):
            at = place + (k - (len(bars) - 1) / 2) * width
            ax.bar(at, 100 * shares[part], width, color=(BLUE, ORANGE, GREEN)[k], label=name)
        for (name, shares), mark in zip(marks.items(), "ox", strict=False):
            ax.plot(place, 100 * shares[part], mark, ms=3, mfc="none", color=BLACK, label=name)
        ax.set_xticks(place, names)
        ax.tick_params("x", length=0)
        ax.set_xlim(-0.7, half - 0.3)
        ax.set_yscale("function", functions=(lambda y: np.sqrt(np.maximum(y, 0)), np.square))
        ax.set_ylim(0, 1.1 * top)
        ax.set_yticks([tick for tick in SHARE_TICKS if tick <= top])
        ax.set_ylabel("Spectra (%)")
    axes[0].legend(frameon=False, ncols=4, loc="upper right")
    return axes


# -- microscope and specimen ----------------------------------------------------------------------


def drawn_parameters(
    simulator: Simulator, n: int, *, seed: int, settings: SimulationSettings | None = None
) -> dict[str, np.ndarray]:
    """`PARAMETERS` of n spectra, by the functions that the simulator draws them with, (n,) each.

    With other ``settings`` than its own, where they are given.
    """
    s, generator = settings or simulator.settings, generator_for(seed, 0)
    materials, shells = simulator.materials, simulator.shells[0]
    window = draw_window(n, shells, materials, s, generator=generator)
    beam = draw_beam(n, s, generator=generator)
    low_loss = draw_low_loss(window, s, generator=generator)
    background = draw_background(window, low_loss, s, generator=generator)
    axis = draw_axis(window, s, generator=generator)
    values: tuple[torch.Tensor, ...] = (
        *(window.lo_ev, window.hi_ev - window.lo_ev, axis.dispersion_ev),
        log_uniform((n,), s.mean_counts, generator=generator),
        *(beam.energy_kev, beam.convergence_mrad, beam.collection_mrad),
        *(low_loss.thickness_mfp, low_loss.plasmon_energy_ev[:, 0]),
        *(background.exponent, background.jump_ratio, axis.offset_ev),
    )
    return {name: value.numpy() for name, value in zip(PARAMETERS, values, strict=True)}


def plot_parameters(
    drawn: Mapping[str, Mapping[str, np.ndarray]], axes: Sequence, *, limits: SimulationSettings
):
    """Histograms of the parameters of several settings, an Axes per parameter, with ``limits``.

    A parameter that is the same in all spectra is a line.
    """
    import seaborn

    for ax, (name, (setting, log)) in zip(axes, PARAMETERS.items(), strict=True):
        everything = np.concatenate([of[name] for of in drawn.values()])
        kept = everything[everything > 0] if log else everything
        scale = np.geomspace if log else np.linspace
        bins = scale(kept.min(), kept.max(), _BINS + 1)
        for k, (label, of) in enumerate(drawn.items()):
            colour = (BLUE, ORANGE)[k]
            if np.ptp(of[name]) == 0:
                ax.axvline(of[name][0], color=colour, lw=2, label=label)
                continue
            seaborn.histplot(
                x=of[name], bins=bins.tolist(), stat="percent", element="step", color=colour,
                fill=k == 0, alpha=0.35 if k == 0 else 1.0, ax=ax, label=label,
            )  # fmt: skip
        for limit in getattr(limits, setting) if setting else ():
            ax.axvline(limit, color=BLACK, ls=":", lw=1)
        ax.set_xscale("log" if log else "linear")
        ax.set_xlabel(name)
        ax.set_ylabel("")
    return axes
