"""Quantification beside eXSpy and pyEELSMODEL: same pixels, model and cross-sections.

The model that all three can have: power laws of fixed exponents and convolved cross-sections,
linear least squares with the same weights, no near-edge structure.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from coreloss.beam import Beam
from coreloss.edges import edge_shells
from coreloss.physics.gos_table import BUILTIN_GOSH
from coreloss.quantification.low_loss import FIRST_EV, LowLoss
from coreloss.quantification.plan import Plan, counts_inside, make_plan
from coreloss.quantification.quantify import apply_plan
from coreloss.spectra.spectrum import Spectrum

TRIED_EXPONENTS = (1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0)
"""Tried for the one power law of the common model: of several, some would be held at zero here
and become negative in a peer."""


@dataclass(frozen=True, eq=False)
class Task:
    """Counts (m, n) on channels of 1 eV from ``plan.window_ev[0]`` on, and the common model."""

    plan: Plan
    counts: np.ndarray
    low_loss: LowLoss

    @property
    def energy_ev(self) -> np.ndarray:
        return np.arange(self.plan.model.first, self.plan.model.last + 1.0)


def common_task(
    data: Spectrum,
    elements: Sequence[str],
    low_loss: LowLoss,
    *,
    window_ev: tuple[float, float],
    shifts_ev: Mapping[str, float],
    beam: Beam,
) -> Task:
    """What all of them can do with ``data``; ``low_loss`` is one for all."""
    low, high = (int(np.ceil(x)) for x in window_ev)
    high -= (high - low + 1) % 2  # pyEELSMODEL asks for an even number of channels
    total, low_loss = data.sum(), replace(low_loss, electrons=None)

    def task(exponent: float, spectra: Spectrum) -> Task:
        plan = make_plan(
            total,
            total,
            elements=elements,
            low_loss=low_loss,
            window_ev=(low, high),
            shifts_ev=shifts_ev,
            beam=beam,
            fine_structure="none",
            exponents=(exponent,),
            outer_elements=(),
        )
        return Task(
            replace(plan, noise=(1.0, 0.0)), counts_inside(plan.window_ev, spectra), low_loss
        )

    def misfit(exponent: float) -> float:
        found = task(exponent, total)
        return float(apply_plan(found.plan, Spectrum(found.energy_ev, found.counts)).goodness[0])

    return task(min(TRIED_EXPONENTS, key=misfit), data)


def ours(task: Task) -> np.ndarray:
    """Relative amounts (m, k)."""
    return apply_plan(task.plan, Spectrum(task.energy_ev, task.counts)).amount


def exspy_amounts(task: Task) -> np.ndarray | None:
    """The same by eXSpy's ``multifit(optimizer="lstsq")``; None where it is missing."""
    if importlib.util.find_spec("exspy") is None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, edges = exspy_model(task)
        model.multifit(optimizer="lstsq", show_progressbar=False)
        return np.stack([np.ravel(edge.intensity.map["values"]) for edge in edges], 1)


def exspy_model(task: Task):
    """eXSpy's model of the task, and the component that holds the amount of each element."""
    from exspy.components import EELSCLEdge
    from exspy.signals import EELSSpectrum
    from hyperspy.components1d import PowerLaw

    signal = _exspy_signal(EELSSpectrum, task.counts, task.energy_ev[0])
    loss = np.repeat(task.low_loss.probability.numpy(), len(task.counts), 0)  # one for each pixel
    low = _exspy_signal(EELSSpectrum, loss, float(FIRST_EV))
    beam = task.plan.beam
    signal.set_microscope_parameters(beam.energy_kev, beam.convergence_mrad, beam.collection_mrad)
    model = signal.create_model(low_loss=low, auto_background=False, auto_add_edges=False)
    power = PowerLaw(A=1.0)
    power.r.free = power.origin.free = False
    model.append(power)
    power.convolved = False
    leading = []
    for element in task.plan.elements:
        shift = task.plan.model.shifts_ev[element]
        first = None
        for shell in edge_shells():
            inside = task.plan.model.first < shell.onset_ev + shift < task.plan.model.last
            if shell.element != element or not inside:
                continue
            for name, offset in zip(shell.subshells, shell.offsets_ev, strict=True):
                edge = EELSCLEdge(f"{element}_{name}", gos_file_path=str(BUILTIN_GOSH))
                model.append(edge)
                edge.onset_energy.value = shell.onset_ev + offset + shift
                edge.onset_energy.free = False
                if first is None:
                    first = edge
                else:
                    edge.intensity.twin = first.intensity
        leading.append(first)
    power.r.value = task.plan.model.exponents[0]  # every edge that is appended estimates it anew
    for component in model:
        for parameter in component.parameters:
            if not parameter.free and parameter.twin is None:
                parameter.assign_current_value_to_all()
    return model, leading


def pyeelsmodel_amounts(task: Task) -> np.ndarray | None:
    """The same by pyEELSMODEL's LinearFitter; None where it is missing.

    It reads other files than ours, so its components are given our cross-sections.
    """
    if importlib.util.find_spec("pyEELSMODEL") is None:
        return None
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        fitter, first = pyeelsmodel_fitter(task)
        fitter.multi_fit()
        values = fitter.coeff_matrix.reshape(len(task.counts), -1)
    return values[:, first:]


def pyeelsmodel_fitter(task: Task):
    """pyEELSMODEL's fitter of the task, and the number of the first amount."""
    import pyEELSMODEL.api as em
    from pyEELSMODEL.core.component import Component
    from pyEELSMODEL.core.parameter import Parameter

    class Fixed(Component):
        """A given form with a free amplitude."""

        def __init__(self, shape, values, convolute):
            super().__init__(shape)
            amplitude = Parameter("A", 1.0)
            amplitude.setlinear(True)
            amplitude.setboundaries(-np.inf, np.inf)
            amplitude.sethasgradient(True)
            self._addparameter(amplitude)
            self.values = values
            self._setcanconvolute(convolute)

        def calculate(self):
            self.data = self.parameters[0].getvalue() * self.values

        def getgradient(self, parameter):
            return self.values

    energy = task.energy_ev
    shape = em.MultiSpectrumshape(1.0, energy[0], len(energy), 1, len(task.counts))
    spectra = em.MultiSpectrum(shape, data=task.counts[None])
    single = shape.getspectrumshape()
    first, last = task.plan.model.first, task.plan.model.last
    middle = (first + last) / 2
    parts = [Fixed(single, (energy / middle) ** -r, False) for r in task.plan.model.exponents]
    parts += [Fixed(single, s[first : last + 1].numpy(), True) for s in task.plan.model.sharp]
    loss = task.low_loss.probability[0].numpy()
    low = em.Spectrum(em.Spectrumshape(1.0, float(FIRST_EV), len(loss)), data=loss)
    model = em.Model(single, [*parts, em.MscatterFFT(single, low)])
    return em.LinearFitter(spectra, model, method="nnls"), 1


def _exspy_signal(kind, values: np.ndarray, first_ev: float):
    signal = kind(values if len(values) > 1 else values[0])
    axis = signal.axes_manager[-1]
    axis.offset, axis.scale, axis.units, axis.name = first_ev, 1.0, "eV", "Energy loss"
    return signal
