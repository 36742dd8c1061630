"""One look for all figures of the book."""

from __future__ import annotations

from coreloss.figures.spectrum import COLOURS

DPI = 110
"""A figure of 7.5 inches is as wide as the text of a page on a screen of 1280 pixels."""


def use() -> None:
    """Set seaborn's ticks, letters that stay readable on a page, and the colours of the package."""
    import seaborn

    layout = {"figure.dpi": DPI, "figure.constrained_layout.use": True}
    seaborn.set_theme(
        context="paper",
        style="ticks",
        palette=COLOURS,
        font="DejaVu Sans",
        font_scale=1.15,
        rc=layout,
    )
