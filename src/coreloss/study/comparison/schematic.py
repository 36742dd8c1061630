"""Schematics of networks: boxes from left to right, as their layers follow each other.

What is drawn comes from `layers.layers_of`, that is from a network while it works.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby
from textwrap import fill

from coreloss.figures.spectrum import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, RED, YELLOW
from coreloss.study.comparison.layers import NetworkLayer

LEGEND = {
    "convolution (kernel)": (("conv",), BLUE),
    "pooling, upsampling (factor)": (("pool", "up"), GREEN),
    "dense layer (units)": (("dense",), ORANGE),
    "attention": (("attention",), PURPLE),
    "recurrent layer (units)": (("lstm",), RED),
    "head": (("head",), YELLOW),
    "front end; to edges and from them": (("front", "edges"), GREY),
    "input; joined to a skip": (("input", "join"), "#ffffff"),
}
COLOURS = {kind: colour for kinds, colour in LEGEND.values() for kind in kinds}
PLACES = {"dense": "tokens", "attention": "tokens", "edges": "tokens", "lstm": "steps"}
TINT = 0.45
FONT = 7
"""Points; everything else here is in inches."""
LINE = 0.125
PAD = 0.04
TITLE = 0.25
HEADER = 0.16
BRACKET = 0.13
ARC = 0.16
GAPS = (0.07, 0.4)
"""Least and largest distance of two boxes."""
MORE = 0.08
"""Of which a box is wider where there is room."""
NARROW = 7
"""Characters in a line where a row is too wide otherwise."""


@dataclass(frozen=True)
class Cell:
    """A layer, or several equal ones in a row."""

    kind: str
    text: str


@dataclass(frozen=True)
class Box:
    """What stands in one column, cells in their order from top to bottom.

    times : how many such blocks follow each other
    shape : of the output
    skips : first and last cell of those that a skip goes around
    sources : the boxes, by number, that it reads from
    """

    cells: tuple[Cell, ...]
    times: int
    shape: str
    skips: tuple[tuple[int, int], ...]
    sources: tuple[int, ...]


def boxes_of(layers: Sequence[NetworkLayer]) -> tuple[Box, ...]:
    """Layers, equal ones in a row and equal blocks in a row taken together.

    A pooling stands in one box with the convolutions that follow it.
    """
    runs = _with_pooling(layers, _runs(layers))
    box_of = {i: n for n, run in enumerate(runs) for unit in run for i in unit}
    boxes = []
    for n, run in enumerate(runs):
        repeated = bool(layers[run[0][0]].block)
        times = len(run) if repeated else 1
        every = [i for unit in run for i in unit]
        cells, skips = _cells(layers, run[0] if repeated else every, times)
        last = next(layers[i] for i in reversed(every) if layers[i].kind != "add")
        shape = shape_of(last) if n + 1 < len(runs) else f"{last.channels} logits"
        sources = {box_of[source] for i in every for source in layers[i].sources} - {n}
        boxes.append(Box(cells, times, shape, skips, tuple(sorted(sources))))
    return tuple(boxes)


def shape_of(layer: NetworkLayer) -> str:
    """Channels × places after a convolution, tokens × width where there are tokens.

    >>> shape_of(NetworkLayer("conv", "conv 32", channels=64, length=3072))
    '64 × 3072'
    >>> shape_of(NetworkLayer("dense", "dense 96", channels=96, length=40))
    '40 tokens × 96'
    """
    if layer.kind == "input":
        return f"{layer.length}"
    if layer.length == 1:
        return f"{layer.channels}"
    if layer.kind in PLACES:
        return f"{layer.length} {PLACES[layer.kind]} × {layer.channels}"
    return f"{layer.channels} × {layer.length}"


def _runs(layers: Sequence[NetworkLayer]) -> list[list[list[int]]]:
    """Numbers of the layers, in units (blocks or single layers), in runs of equal units."""
    runs: list[list[list[int]]] = []
    for _, group in groupby(range(len(layers)), key=lambda i: layers[i].block or i):
        unit = list(group)
        before = runs[-1][-1] if runs else []
        equal = [_alike(layers[i]) for i in unit] == [_alike(layers[i]) for i in before]
        if equal and layers[unit[0]].sources == (before[-1],):
            runs[-1].append(unit)
        else:
            runs.append([unit])
    return runs


def _alike(layer: NetworkLayer) -> NetworkLayer:
    """What equal layers share; a stride may be that of the first one only."""
    return replace(layer, stride=1, block="", sources=())


def _with_pooling(layers: Sequence[NetworkLayer], runs):
    joined: list[list[list[int]]] = []
    for run in runs:
        first = layers[run[0][0]]
        after_pooling = joined and layers[joined[-1][-1][-1]].kind == "pool"
        if after_pooling and first.kind == "conv" and not first.block:
            joined[-1] += run
        else:
            joined.append(list(run))
    return joined


def _cells(layers: Sequence[NetworkLayer], unit: Sequence[int], times: int):
    """Cells of a unit, and the first and last cell of those that each of its skips goes around."""
    cells: list[Cell] = []
    cell_of: dict[int, int] = {}
    shown = [i for i in unit if layers[i].kind != "add"]
    for layer, group in groupby(shown, key=lambda i: _alike(layers[i])):
        same = list(group)
        text = f"{len(same)} × {layer.text}" if len(same) > 1 else layer.text
        if (stride := layers[same[0]].stride) > 1:
            text += f"\n{'first ' if len(same) * times > 1 else ''}stride {stride}"
        cell_of |= dict.fromkeys(same, len(cells))
        cells.append(Cell(layer.kind, text))
    skips = []
    for add in (layers[i] for i in unit if layers[i].kind == "add"):
        *skipped, last = add.sources
        first = next(i for i in shown if i > skipped[-1])
        skips.append((cell_of[first], cell_of[last]))
    return tuple(cells), tuple(skips)


def plot_schematics(networks: Mapping[str, Sequence[NetworkLayer]], *, width: float = 10.0):
    """A figure with one row for each network, by name, at this width in inches.

    The figure is as high as its rows. ValueError where a network does not fit into the width.
    """
    from matplotlib import pyplot as plt
    from matplotlib.patches import Patch

    rows = {name: _fitted(name, boxes_of(layers), width) for name, layers in networks.items()}
    heights = [_row_height(boxes) for boxes in rows.values()]
    legend = 0.5
    height = sum(heights) + legend
    figure = plt.figure(figsize=(width, height), layout="none")
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, width), ylim=(0, height))
    ax.set_axis_off()
    top = height
    for (name, boxes), row_height in zip(rows.items(), heights, strict=True):
        ax.text(PAD, top - LINE, name, fontsize=FONT + 2, va="center", weight="bold")
        _draw_row(boxes, ax, bottom=top - row_height, width=width)
        top -= row_height
    kinds = {cell.kind for boxes in rows.values() for box in boxes for cell in box.cells}
    patches = [
        Patch(facecolor=_tint(colour), edgecolor=GREY, lw=0.6, label=label)
        for label, (own, colour) in LEGEND.items()
        if kinds & set(own)
    ]
    ax.legend(handles=patches, ncols=4, loc="lower center", frameon=False, fontsize=FONT)
    return figure


def _fitted(name: str, boxes: tuple[Box, ...], width: float) -> tuple[Box, ...]:
    """The boxes of a row, their texts in short lines if there is no room for longer ones."""
    if _gap(boxes, width) >= GAPS[0]:
        return boxes
    narrow = tuple(
        replace(
            box,
            cells=tuple(replace(cell, text=_broken(cell.text)) for cell in box.cells),
            shape=_broken(box.shape.replace(" × ", " ×\n")),
        )
        for box in boxes
    )
    if (gap := _gap(narrow, width)) < GAPS[0]:
        needed = width + (GAPS[0] - gap) * (len(boxes) - 1)
        raise ValueError(f"width = {width:g} inches; {name} needs at least {needed:.1f}")
    return narrow


def _broken(text: str) -> str:
    return "\n".join(fill(line, NARROW, break_long_words=False) for line in text.split("\n"))


def _gap(boxes: Sequence[Box], width: float) -> float:
    return (width - 2 * PAD - sum(map(_width, boxes))) / max(len(boxes) - 1, 1)


def _row_height(boxes: Sequence[Box]) -> float:
    arcs = max(_levels(boxes).values(), default=0) * ARC
    below = max(box.shape.count("\n") + 1 for box in boxes) * LINE
    return TITLE + arcs + max(map(_height, boxes)) + below + TITLE / 2


def _draw_row(boxes: Sequence[Box], ax, *, bottom: float, width: float) -> None:
    gap, gaps = _gap(boxes, width), max(len(boxes) - 1, 1)
    roomier = min((gap - GAPS[0]) * gaps / len(boxes), MORE)
    widths = [_width(box) + roomier for box in boxes]
    gap = min(gap - roomier * len(boxes) / gaps, GAPS[1])
    tallest = max(map(_height, boxes))
    below = max(box.shape.count("\n") + 1 for box in boxes) * LINE
    middle = bottom + TITLE / 2 + below + tallest / 2
    left = PAD
    places = []
    for box, box_width in zip(boxes, widths, strict=True):
        _draw_box(box, ax, left=left, middle=middle, width=box_width)
        places.append((left, box_width, middle + _height(box) / 2))
        left += box_width + gap
    arrow = {"arrowstyle": "-|>", "color": BLACK, "lw": 0.7, "shrinkA": 0, "shrinkB": 0}
    for i, box in enumerate(boxes):
        if i - 1 in box.sources:
            start = sum(places[i - 1][:2])
            at = (places[i][0], middle), (start, middle)
            ax.annotate("", *at, arrowprops=arrow | {"mutation_scale": 5})
    for (a, b), level in _levels(boxes).items():
        out_of = places[a][0] + 0.6 * places[a][1], places[a][2]
        into = places[b][0] + 0.4 * places[b][1], places[b][2]
        _draw_arc(ax, out_of, into, height=middle + tallest / 2 + level * ARC)


def _levels(boxes: Sequence[Box]) -> dict[tuple[int, int], int]:
    """Connections of boxes that are not neighbours, each with its level above the boxes."""
    far = [(a, b) for b, box in enumerate(boxes) for a in box.sources if b - a > 1]
    levels: dict[tuple[int, int], int] = {}
    for a, b in sorted(far, key=lambda pair: pair[1] - pair[0]):
        below = [level for (c, d), level in levels.items() if c < b and a < d]
        levels[a, b] = 1 + max(below, default=0)
    return levels


def _draw_box(box: Box, ax, *, left: float, middle: float, width: float) -> None:
    from matplotlib.patches import FancyArrowPatch, Rectangle

    top = y = middle + _height(box) / 2
    inner = width - BRACKET * bool(box.skips)
    if box.times > 1:
        frame = Rectangle((left, top), width, -_height(box), fc="none", ec=GREY, lw=0.6)
        ax.add_patch(frame)
        at = left + width / 2, top - HEADER / 2
        ax.text(*at, f"{box.times} ×", fontsize=FONT, ha="center", va="center", weight="bold")
        y -= HEADER
    edges = [y]
    for cell in box.cells:
        y -= _cell_height(cell)
        colour = _tint(COLOURS[cell.kind])
        ax.add_patch(Rectangle((left, y), inner, _cell_height(cell), fc=colour, ec=GREY, lw=0.6))
        at = left + inner / 2, y + _cell_height(cell) / 2
        ax.text(*at, cell.text, fontsize=FONT, ha="center", va="center", linespacing=1.05)
        edges.append(y)
    for first, last in box.skips:
        ends = (left + inner, edges[first] - PAD / 2), (left + inner, edges[last + 1] + PAD / 2)
        bend = -1.2 * BRACKET / (ends[0][1] - ends[1][1])
        arc = FancyArrowPatch(
            *ends, connectionstyle=f"arc3,rad={bend}", arrowstyle="-|>", mutation_scale=5,
            color=BLACK, lw=0.7, shrinkA=0, shrinkB=0,
        )  # fmt: skip
        ax.add_patch(arc)
    at = left + width / 2, middle - _height(box) / 2 - PAD / 2
    ax.text(*at, box.shape, fontsize=FONT, ha="center", va="top", linespacing=1.05)


def _draw_arc(ax, start, end, *, height: float) -> None:
    """Up, along at this height, and down again, with round corners."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    x0, x1 = start[0], end[0]
    r = min(ARC / 2, (x1 - x0) / 2)
    points = [start, (x0, height - r), (x0, height), (x0 + r, height), (x1 - r, height),
              (x1, height), (x1, height - r), end]  # fmt: skip
    path = Path(points, [1, 2, 3, 3, 2, 3, 3, 2])
    patch = FancyArrowPatch(path=path, arrowstyle="-|>", mutation_scale=5, color=BLACK, lw=0.7)
    ax.add_patch(patch)


def _height(box: Box) -> float:
    return HEADER * (box.times > 1) + sum(map(_cell_height, box.cells))


def _cell_height(cell: Cell) -> float:
    return (cell.text.count("\n") + 1) * LINE + PAD


def _width(box: Box) -> float:
    text = max(_text_width(cell.text) for cell in box.cells)
    return max(text + 2 * PAD + BRACKET * bool(box.skips), _text_width(box.shape))


@cache
def _text_width(text: str) -> float:
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=FONT)
    sizes = [
        text_to_path.get_text_width_height_descent(line, font, ismath=False)
        for line in text.split("\n")
    ]
    return max(width for width, _, _ in sizes) / 72


def _tint(colour: str):
    from matplotlib.colors import to_rgb

    return tuple(1 - TINT * (1 - part) for part in to_rgb(colour))
