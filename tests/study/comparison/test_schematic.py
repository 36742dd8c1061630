"""Layers are found in working networks, and schematics show them without collisions."""

import matplotlib

matplotlib.use("Agg")

import functools
from itertools import combinations

import pytest
import torch
from matplotlib import pyplot as plt

from coreloss.axis import N_CHANNELS
from coreloss.edges import edge_shells, inside_window
from coreloss.networks import cnn, mlp, resnet
from coreloss.networks.architectures import build, config_of
from coreloss.networks.heads import scaled
from coreloss.study.comparison.layers import layers_of
from coreloss.study.comparison.plan import REDUCED
from coreloss.study.comparison.schematic import FONT, boxes_of, plot_schematics, shape_of

LOW, HIGH = 300, 1323


@functools.cache
def seen(name, **changed):
    """Layers of a reduced network, with changes to its configuration."""
    mask = torch.zeros(2, N_CHANNELS, dtype=torch.bool)
    mask[0, LOW : HIGH + 1] = True
    mask[1] = True
    spectrum = (torch.rand(2, N_CHANNELS, generator=torch.Generator().manual_seed(0)) + 0.5) * mask
    network = build(config_of(name, **REDUCED[name] | changed))
    layers = layers_of(network, spectrum, mask)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())
    return layers


def of_kind(layers, kind):
    return [layer for layer in layers if layer.kind == kind]


def texts(box):
    return [cell.text for cell in box.cells]


def test_cnn_has_the_eight_convolutions_and_five_poolings_of_vgg_11():
    layers = seen("cnn")
    width = REDUCED["cnn"]["width"]
    convolutions = of_kind(layers, "conv")
    assert len(convolutions) == 8
    expected = [scaled(size, width) for stage in cnn.STAGES for size in stage]
    assert [layer.channels for layer in convolutions] == expected
    lengths = [N_CHANNELS // 2**k for k, stage in enumerate(cnn.STAGES) for _ in stage]
    assert [layer.length for layer in convolutions] == lengths
    assert len(of_kind(layers, "pool")) == len(cnn.STAGES)
    dense = scaled(cnn.DENSE, width)
    assert [layer.channels for layer in of_kind(layers, "dense")] == [dense, dense, 80]
    boxes = boxes_of(layers)
    assert texts(boxes[3]) == ["pool 2", "2 × conv 32"]
    assert (texts(boxes[-1]), boxes[-1].shape) == (["dense 80"], "80 logits")


@pytest.mark.parametrize("width", [0.02, 0.25])
def test_dense_layers_of_the_mlp_are_those_of_its_configuration(width):
    layers = seen("mlp", width=width)
    sizes = [scaled(size, width, 8) for size in mlp.HIDDEN]
    assert [layer.channels for layer in of_kind(layers, "dense")] == [*sizes, 80]
    assert {layer.length for layer in of_kind(layers, "dense")} == {1}
    assert texts(boxes_of(layers)[2]) == [f"2 × dense {sizes[1]}"]


@pytest.mark.parametrize(("depth", "heads"), [(3, 2), (5, 4)])
@pytest.mark.parametrize("name", ["vit", "cct"])
def test_equal_layers_of_a_transformer_are_one_box(name, depth, heads):
    layers = seen(name, layers=depth, heads=heads)
    (box,) = [box for box in boxes_of(layers) if box.times > 1]
    width = of_kind(layers, "attention")[0].channels
    expected = [f"attention\n{heads} heads", f"dense {2 * width}", f"dense {width}"]
    assert (box.times, texts(box)) == (depth, expected)
    assert box.skips == ((0, 0), (1, 2))
    tokens = of_kind(layers, "attention")[0].length
    assert box.shape == f"{tokens} tokens × {width}"
    assert tokens == {"vit": 383, "cct": 356}[name]


def test_unet_skips_join_features_of_equal_length():
    layers = seen("unet")
    joins = of_kind(layers, "join")
    assert len(joins) == 4
    for join in joins:
        down, up = (layers[i] for i in join.sources)
        assert down.length == up.length == join.length
        assert down.channels + up.channels == join.channels
    far = [(a, b) for b, box in enumerate(boxes_of(layers)) for a in box.sources if a < b - 1]
    assert far == [(4, 6), (3, 8), (2, 10), (1, 12)]


def test_resnet_shows_its_blocks_with_their_skips():
    layers = seen("resnet")
    assert len(of_kind(layers, "conv")) == 33
    assert len(of_kind(layers, "add")) == 16
    blocks = [box for box in boxes_of(layers) if box.skips]
    assert [box.times for box in blocks] == [n for _, n in resnet.STAGES]
    assert {box.skips for box in blocks} == {((0, 0),)}
    assert texts(blocks[0]) == ["2 × conv 32"]
    assert {text for box in blocks[1:] for text in texts(box)} == {"2 × conv 32\nfirst stride 2"}
    lengths = [N_CHANNELS // 2**k for k in range(6)]
    assert [int(box.shape.split(" × ")[1]) for box in blocks] == lengths


def test_edgenet_has_a_token_for_each_edge_and_one_for_the_window():
    layers, config = seen("edgenet"), config_of("edgenet")
    onsets = torch.tensor([shell.onset_ev for shell in edge_shells()])
    n_edges = int(inside_window(onsets, torch.tensor([LOW]), torch.tensor([HIGH])).sum())
    assert n_edges > 10
    look, own, total = of_kind(layers, "edges")
    assert (look.length, own.length) == (n_edges, n_edges)
    assert look.channels == config.channels * len(config.offsets_ev)
    assert (total.channels, layers[-1]) == (80, total)
    assert {layer.length for layer in of_kind(layers, "attention")} == {n_edges + 1}
    assert len(of_kind(layers, "conv")) == 1 + 2 * config.blocks
    boxes = {texts(box)[0].split("\n")[0]: (n, box) for n, box in enumerate(boxes_of(layers))}
    assert boxes["context"][1].sources == (boxes["front end"][0],)
    before = tuple(boxes[name][0] for name in ("look", "mix", "context"))
    assert boxes["attention"][1].sources == before
    after = tuple(boxes[name][0] for name in ("evidence", "shared evidence"))
    assert boxes["sum over"][1].sources == after


@pytest.mark.parametrize(
    ("name", "changed", "text"),
    [
        ("unet", {"head": "average"}, "mean"),
        ("unet", {"front": "contrast"}, "front end"),
        ("vit", {"head": "token"}, "class token"),
        ("resnet", {"head": "flatten"}, "flatten"),
        ("cnn_bilstm", {"width": 0.25}, "BiLSTM 32"),
        ("edgenet", {"offsets_ev": (-8, 0, 8)}, "3 places\nat each edge"),
        ("edgenet", {"kernel": 3}, "2 × conv 3"),
    ],
)
def test_another_configuration_is_another_drawing(name, changed, text):
    usual, other = boxes_of(seen(name)), boxes_of(seen(name, **changed))
    assert text in [each for box in other for each in texts(box)]
    assert text not in [each for box in usual for each in texts(box)]


def test_nothing_collides_in_a_drawing():
    networks = {name: seen(name) for name in REDUCED}
    networks["published"] = seen("unet", width=1.0)
    figure = plot_schematics(networks)
    figure.canvas.draw()
    (ax,) = figure.axes
    shown = [text for text in ax.texts if text.get_text()]
    boxes = [box for layers in networks.values() for box in boxes_of(layers)]
    assert len(shown) >= sum(1 + len(box.cells) for box in boxes)
    assert min(text.get_size() for text in shown) >= FONT >= 7
    extents = [text.get_window_extent() for text in shown]
    for (a, one), (b, other) in combinations(zip(shown, extents, strict=True), 2):
        assert not one.overlaps(other), f"{a.get_text()!r} and {b.get_text()!r} overlap"
    for text, extent in zip(shown, extents, strict=True):
        inside = figure.bbox.x0 <= extent.x0 and extent.x1 <= figure.bbox.x1
        assert inside, f"{text.get_text()!r} leaves the page"
    for patch in ax.patches:  # boxes; some are wider than their texts
        assert patch.get_window_extent().x1 <= figure.bbox.x1
    legend = {text.get_text() for text in ax.get_legend().get_texts()}
    assert len(legend) == 8
    plt.close(figure)


def test_a_row_that_does_not_fit_says_how_wide_it_is():
    with pytest.raises(ValueError, match=r"width = 4 inches; unet needs at least 9\.\d"):
        plot_schematics({"unet": seen("unet")}, width=4)


def test_shapes_say_what_they_count():
    layers = seen("cnn_bilstm")
    (lstm,) = of_kind(layers, "lstm")
    assert shape_of(lstm) == "48 steps × 128"
    assert shape_of(layers[0]) == str(N_CHANNELS)
