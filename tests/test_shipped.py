"""Shipped tables and networks are those that were shipped, whoever reads them."""

import re
import shutil
import time

import pytest

from coreloss import edges, shipped
from coreloss.identification import trained_model
from coreloss.materials import table
from coreloss.physics import bank, gos_table, multiplets, white_lines
from coreloss.simulation import stream

READERS = {
    "data/compounds.csv.gz": table._embedded_table,
    "data/edges.csv": edges.read_edge_table,
    "data/gos.gosh": gos_table._shipped_tables.__wrapped__,
    "data/multiplets.csv.gz": multiplets.multiplets.__wrapped__,
    "data/stream.json": stream.recorded,
    "data/white_lines.csv": white_lines.bound_oscillator_strengths.__wrapped__,
    "weights/edgenet-medium.json": lambda: trained_model.load_model.__wrapped__("edgenet-medium"),
    "weights/edgenet-small.json": lambda: trained_model.load_model.__wrapped__("edgenet-small"),
    "weights/edgenet-small.safetensors": lambda: trained_model.load_model.__wrapped__(),
}


def test_checksums_are_up_to_date():
    assert shipped.CHECKSUMS.read_text() == shipped.checksums(), "run: python -m coreloss.shipped"


def test_every_shipped_file_has_a_checksum_and_a_test_here():
    names = set(shipped._known(shipped.CHECKSUMS))
    unread = {name for name in names if name.startswith("weights/") and name.endswith(".csv")}
    networks = {f"weights/{name}.safetensors" for name in trained_model.shipped_models()}
    assert networks <= names
    assert names - unread == READERS.keys() | networks


@pytest.mark.parametrize("name", READERS)
def test_damage_is_told_with_the_name_of_the_file(name, monkeypatch):
    known = dict(shipped._known(shipped.CHECKSUMS))
    READERS[name]()
    monkeypatch.setattr(shipped, "_known", lambda path: known | {name: "0" * 64})
    with pytest.raises(ValueError, match=re.escape(name) + ".*install coreloss anew"):
        READERS[name]()


def test_hash_of_the_bank_is_of_a_table_that_is_not_damaged(monkeypatch):
    monkeypatch.setattr(shipped, "_known", lambda path: {})
    with pytest.raises(ValueError, match=r"gos\.gosh is damaged"):
        bank.bank_key()


@pytest.mark.parametrize("harm", ["flip", "cut", "empty", "gone", "no list"])
def test_every_kind_of_damage_is_seen(harm, tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    for name in ("edges.csv", "checksums.txt"):
        shutil.copy(shipped.PACKAGE / "data" / name, tmp_path / "data")
    monkeypatch.setattr(shipped, "PACKAGE", tmp_path)
    monkeypatch.setattr(shipped, "CHECKSUMS", tmp_path / "data" / "checksums.txt")
    path = tmp_path / "data" / "edges.csv"
    whole = path.read_bytes()
    assert shipped.contents("data/edges.csv") == whole
    assert shipped.verified(path) == path
    if harm == "no list":
        shipped._known.cache_clear()
        shipped.CHECKSUMS.unlink()
    elif harm == "gone":
        path.unlink()
    else:
        flipped = bytes([whole[0] ^ 1]) + whole[1:]
        path.write_bytes({"flip": flipped, "cut": whole[:-1], "empty": b""}[harm])
    with pytest.raises(ValueError, match=r"(damaged|cannot be read).*install coreloss anew"):
        shipped.verified(path)


def test_files_of_users_are_not_compared(tmp_path):
    assert shipped.verified(tmp_path / "mine.safetensors") == tmp_path / "mine.safetensors"


def test_the_largest_file_is_compared_in_no_time():
    """9 ms; the limit is for machines that are busy."""
    durations = []
    for _ in range(5):
        begun = time.process_time()
        shipped.contents("data/gos.gosh")
        durations.append(time.process_time() - begun)
    assert min(durations) < 0.1
