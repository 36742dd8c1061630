"""What a later version of the package wrote is refused with a word by all that read it."""

import json
from dataclasses import asdict

import h5py
import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from coreloss.identification.trained_model import load_model
from coreloss.mapping.amount_maps import AmountMaps, load_amounts
from coreloss.mapping.element_maps import ElementMaps, load_maps
from coreloss.networks.architectures import CARD_VERSION, build, config_of, weights_fingerprint
from coreloss.runtime.versions import FORMAT_VERSION, check_version
from coreloss.study import results
from coreloss.training import checkpoint
from coreloss.training.loop import TrainConfig, new_state

ONE = np.ones((2, 3, 1), np.float32)


def maps(folder):
    found = ElementMaps(np.full((2, 3, 80), 0.5), 0.7, 0.1, (400.0, 800.0), "m", fingerprint="f")
    found.save(folder / "maps.h5")
    assert load_maps(folder / "maps.h5").fingerprint == "f"
    return folder / "maps.h5", load_maps


def amounts(folder):
    about = {"absolute": True, "window_ev": (400.0, 800.0), "shifts_ev": {}, "overall": {}}
    names = {"model": "m", "fingerprint": "f"}
    found = AmountMaps(("O",), ONE, ONE, ONE, ONE, ONE[..., 0], ONE[..., 0], **about, **names)
    found.save(folder / "amounts.h5")
    assert load_amounts(folder / "amounts.h5").fingerprint == "f"
    return folder / "amounts.h5", load_amounts


def card(folder):
    config = config_of("mlp", width=0.01)
    network = build(config)
    about = {"architecture": "mlp", "config": asdict(config), "present_threshold": 0.6}
    about |= {"absent_threshold": 0.2, "temperature": 1.0, FORMAT_VERSION: CARD_VERSION}
    about["certificate"] = {"weights": weights_fingerprint(network)}
    save_file(network.state_dict(), folder / "mine.safetensors")
    (folder / "mine.json").write_text(json.dumps(about))
    return folder / "mine.json", lambda path: load_model.__wrapped__(
        str(path.with_suffix(".safetensors"))
    )


def training(folder):
    state = new_state(TrainConfig(model=config_of("mlp", width=0.01)))
    checkpoint.save(folder / "checkpoint.safetensors", "of this run", state)
    return folder / "checkpoint.safetensors", lambda path: checkpoint.restore(
        path, "of this run", state
    )


def result(folder):
    (folder / "gate.json").write_text(json.dumps({"certificate": {FORMAT_VERSION: 1}}))
    return folder / "gate.json", lambda path: results.read("gate", path.parent)


def with_version(path, version):
    """The same file with another version, or without one."""
    if path.suffix == ".h5":
        with h5py.File(path, "r+") as file:
            del file.attrs[FORMAT_VERSION]
            if version is not None:
                file.attrs[FORMAT_VERSION] = version
    elif path.suffix == ".json":
        content = json.loads(path.read_text())
        about = content if FORMAT_VERSION in content else content["certificate"]
        del about[FORMAT_VERSION]
        about |= {} if version is None else {FORMAT_VERSION: version}
        path.write_text(json.dumps(content))
    else:
        with checkpoint.safe_open(path, "pt") as file:
            about = file.metadata()
        del about[FORMAT_VERSION]
        about |= {} if version is None else {FORMAT_VERSION: str(version)}
        save_file(load_file(path), path, metadata=about)


@pytest.mark.parametrize("kind", [maps, amounts, card, training, result])
def test_later_versions_are_refused_and_those_without_one_read(kind, tmp_path):
    path, read = kind(tmp_path)
    read(path)
    with_version(path, 2)
    with pytest.raises(ValueError, match=r"version 2; coreloss .* up to 1; update") as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: its format")
    with_version(path, 1)
    with_version(path, None)
    read(path)


@pytest.mark.parametrize("found", ["new", [1], float("nan")])
def test_what_is_no_version_is_refused(found):
    with pytest.raises(ValueError, match="allowed: a number"):
        check_version(found, 1, what="a file")


def test_weights_of_another_network_are_told_from_those_of_the_card(tmp_path):
    path, read = card(tmp_path)
    weights = load_file(tmp_path / "mine.safetensors")
    name = next(name for name, value in weights.items() if value.is_floating_point())
    weights[name].view(-1)[0] += 1e-3
    save_file(weights, tmp_path / "mine.safetensors")
    with pytest.raises(ValueError, match=r"are not the weights of mine\.json"):
        read(path)


@pytest.mark.parametrize("content", [b"", b"nothing", b"\x08\0\0\0\0\0\0\0{}      "])
def test_a_damaged_checkpoint_is_one_line(content, tmp_path):
    path, read = training(tmp_path)
    path.write_bytes(content or path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"not a readable checkpoint|another configuration"):
        read(path)
