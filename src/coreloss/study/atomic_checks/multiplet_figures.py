"""Figures of white lines and giant resonances.

As in `figures.spectrum`, every function draws into the Axes it is given and returns it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from coreloss.figures.spectrum import (
    BLACK,
    BLUE,
    COLOURS,
    GREEN,
    GREY,
    MARKERS,
    ORANGE,
    RED,
    set_scale,
)
from coreloss.study.atomic_checks.measured_lines import MeasuredLines
from coreloss.study.atomic_checks.multiplets import Resonance

ROW_HEIGHT = 1.3
"""Of a maximum in a stack, the distance of two rows being 1."""
_STICK = 0.9  # of the highest line, in heights of the curve
_FAINT = 0.002  # lines of less are not drawn


def plot_exchange(
    factors: Sequence[float],
    found: Sequence[tuple[np.ndarray, np.ndarray]],
    ax,
    *,
    names: Sequence[str],
    by_hand_ev: np.ndarray | None = None,
):
    """Lines over the share of the exchange integrals; areas of the marks are strengths.

    ``names`` : of the lines, ascending; ``by_hand_ev`` (n,) : what to compare the last one with
    """
    for factor, (energy_ev, strength) in zip(factors, found, strict=True):
        share = strength / strength.sum()
        x = np.full(len(share), factor)
        ax.scatter(x, energy_ev, s=10 + 250 * share, color=BLUE, alpha=0.75, lw=0)
    for i in range(len(found[0][0])):
        ax.plot(factors, [energy_ev[i] for energy_ev, _ in found], color=BLUE, lw=0.8)
    for name, energy in zip(names, found[-1][0], strict=True):
        ax.annotate(
            name, (factors[-1], energy), xytext=(12, 0), textcoords="offset points", va="center"
        )
    if by_hand_ev is not None:
        ax.plot(
            factors, by_hand_ev, "--", color=RED, lw=1.3, label="by hand: 2 G¹ on top of the mean"
        )
        ax.legend(frameon=False, fontsize="small", loc="upper left")
    ax.set_xlim(-0.04, 1.09)
    ax.set_xlabel("Share of the exchange integrals")
    ax.set_ylabel("Energy above the average (eV)")
    return ax


def plot_resonance(resonance: Resonance, ax):
    """Lines as sticks, what they make with the continuum, and the table that was there before."""
    r = resonance
    top = r.lines.max()
    drawn = r.ion.strength > _FAINT * r.ion.strength.max()
    sticks = _STICK * top * r.ion.strength / r.ion.strength.max()
    ax.vlines(r.line_ev[drawn], 0, sticks[drawn], color=ORANGE, lw=1.2, label="lines")
    ax.plot(r.loss_ev, r.lines + r.continuum, color=BLUE, lw=1.5, label="lines and continuum")
    name = "CXRO table" if r.tabulated else "independent electrons"
    ax.plot(r.loss_ev, r.before, "--", color=GREY, lw=1.3, label=name)
    ax.set_xlim(r.peak_ev - 30, r.peak_ev + 45)
    ax.set_ylim(0, 1.35 * top)
    ax.set_xlabel("Energy loss (eV)")
    ax.set_ylabel("df/dE (1/eV)")
    ax.set_title(f"{r.ion.element} N45", loc="left", fontsize="medium")
    ax.legend(frameon=False, fontsize="small", loc="upper left")
    return ax


def plot_stack(resonances: Sequence[Resonance], ax):
    """Resonances above each other, each to its maximum; the colour is the strength of the lines."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    strengths = np.array([r.ion.oscillator_strength for r in resonances])
    scale = ScalarMappable(Normalize(0, strengths.max()), "cividis")
    colours = scale.to_rgba(strengths)
    rows = list(enumerate(resonances))
    for row, r in rows[::-1]:
        curve, before = r.lines + r.continuum, r.before
        base, height = len(rows) - 1 - row, ROW_HEIGHT / curve.max()
        ax.fill_between(
            r.loss_ev, base, base + height * curve, facecolor=colours[row], zorder=row, lw=0
        )
        ax.plot(r.loss_ev, base + height * curve, color="white", lw=0.8, zorder=row)
        if r.tabulated:
            dotted = base + ROW_HEIGHT / before.max() * before
            ax.plot(r.loss_ev, dotted, ":", color=BLACK, lw=1, zorder=row)
    ax.set_yticks(np.arange(len(rows))[::-1], [r.ion.element for r in resonances])
    ax.set_xlim(90, 205)
    ax.set_ylim(-0.1, len(rows) - 1 + 1.1 * ROW_HEIGHT)
    ax.set_xlabel("Energy loss (eV)")
    ax.figure.colorbar(scale, ax=ax, label="Oscillator strength of the lines")
    return ax


def plot_shares(
    elements: Sequence[str],
    shares: Mapping[str, Mapping[str, float]],
    ax,
    *,
    statistical: float,
    spread: tuple[float, float],
    y_label: str,
):
    """Shares by element; a line for the statistical one, a band for what was drawn around it."""
    ax.axhspan(*spread, color="#e8e8e8", lw=0, label="smooth doublets, ± one deviation")
    ax.axhline(statistical, color=GREY, lw=1, ls="--", label="statistical")
    for i, (name, by_element) in enumerate(shares.items()):
        x = [k for k, element in enumerate(elements) if element in by_element]
        y = [by_element[elements[k]] for k in x]
        line = "-" if len(x) > len(elements) / 2 else ""
        face = "none" if i == len(shares) - 1 else COLOURS[i]
        ax.plot(
            x, y, MARKERS[i] + line, color=COLOURS[i], mfc=face, ms=5 + 3 * (face == "none"),
            lw=1.2, label=name,
        )  # fmt: skip
    ax.set_xticks(np.arange(len(elements)), elements)
    ax.set_ylim(0, 1.05)
    ax.set_ylabel(y_label)
    ax.legend(frameon=False, fontsize="small", loc="lower right", ncols=2)
    return ax


def plot_fields(
    at_ev: np.ndarray,
    curves: Mapping[str, np.ndarray],
    doublets: tuple[np.ndarray, np.ndarray],
    ax,
    *,
    title: str,
):
    """Shapes (n,) of one ion in several fields above each other, smooth doublets below them.

    All to their maxima; ``doublets`` : energies (c,) and shapes (m, c).
    """
    doublet_ev, smooth = doublets
    for shape in smooth:
        ax.plot(doublet_ev, shape / shape.max(), color=GREY, lw=0.8)
    ax.annotate("doublets", (at_ev[-1], 0.45), ha="right", fontsize="small", color=GREY)
    for i, (name, curve) in enumerate(curves.items(), start=1):
        ax.plot(at_ev, 1.15 * i + curve / curve.max(), color=COLOURS[i - 1], lw=1.3)
        ax.annotate(
            name, (at_ev[-1], 1.15 * i + 0.45), ha="right", fontsize="small", color=COLOURS[i - 1]
        )
    ax.set_xlim(at_ev[0], at_ev[-1])
    ax.set_yticks([])
    ax.set_xlabel("Energy behind the onset (eV)")
    ax.set_title(title, loc="left", fontsize="medium")
    return ax


def plot_measured_lines(measured: MeasuredLines, ax):
    """Counts above the background as points, with the fits of ions and of smooth doublets."""
    m = measured
    ax.plot(m.energy_ev, m.counts, ".", color=BLACK, ms=2.5, label="measured")
    ax.plot(m.energy_ev, m.multiplets.curve, color=BLUE, lw=1.5, label="multiplets")
    ax.plot(m.energy_ev, m.doublet.curve, "--", color=ORANGE, lw=1.3, label="free doublet")
    edges = ", ".join(f"{element}{charge}+" for element, _, charge in m.case.edges)
    ax.set_title(f"{m.case.name}: {edges}", loc="left", fontsize="medium")
    ax.set_yticks([])
    ax.set_xlim(m.energy_ev[0], m.energy_ev[-1])
    return ax


def plot_hartree_fock(ratios: Mapping[tuple[str, str], np.ndarray], ax):
    """Ratios to published integrals by shell and quantity: all as points, the mean as a line."""
    names = [f"{shell} {quantity}" for shell, quantity in ratios]
    for row, values in enumerate(ratios.values()):
        place = len(names) - 1 - row
        ax.plot(values, np.full(len(values), place), "o", color=BLUE, ms=4, alpha=0.5, mew=0)
        ax.plot([values.mean()] * 2, [place - 0.35, place + 0.35], color=GREEN, lw=1.8)
    ax.axvline(1, color=GREY, lw=1)
    ax.set_yticks(np.arange(len(names))[::-1], names, fontsize=8)
    ax.set_xlabel("Our integral / Hartree-Fock")
    return ax


def plot_draws(energy_ev, spectra, ax, *, title: str):
    """Several spectra (m, n) over each other, on a square-root scale."""
    for i, spectrum in enumerate(spectra):
        ax.plot(energy_ev, spectrum, color=COLOURS[i % len(COLOURS)], lw=1)
    set_scale(ax, "sqrt", np.asarray(spectra))
    ax.set_xlim(energy_ev[0], energy_ev[-1])
    ax.set_xlabel("Energy loss (eV)")
    ax.set_ylabel("Counts / mean")
    ax.set_title(title, loc="left", fontsize="medium")
    return ax
