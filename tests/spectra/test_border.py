"""Files that claim, point and hang: each is refused in one line, before anything is allocated."""

import os
import re
import struct
import sys
import time
import zipfile
from contextlib import nullcontext

import fuzz
import h5py
import numpy as np
import pytest
from made_files import (
    COUNTS,
    ENERGY,
    MAP,
    dm_tags,
    signal,
    write,
    write_all,
    write_dm,
    write_npz,
    write_ser,
    write_velox,
)

from coreloss.runtime import border, hdf5
from coreloss.spectra import image, reading
from coreloss.spectra.image import open_image
from coreloss.spectra.reading import read_spectrum
from coreloss.spectra.repair import check_extent

N_MUTATED = 17 * 16
HDF5 = ("hspy", "nxs", "emd")


def refused(path, message, read=read_spectrum):
    """One line that begins with the file and says what is wrong."""
    with pytest.raises(ValueError, match=message) as failure:
        read(path)
    text = str(failure.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    assert "more memory than there is" not in text


def refused_by_both(path, message):
    refused(path, message)
    refused(path, message, lambda path: open_image(path).sum())


def test_every_good_file_is_read_whole_and_piece_by_piece(tmp_path):
    made = write_all(tmp_path)
    assert len(made) == 17
    assert {fuzz.outcome(path) for path in made} == {"read"}


# -- files that are none ---------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["csv", "npz", "hspy", "dm4", "ser", "h5"])
def test_what_is_no_file_is_not_waited_for(suffix, tmp_path):
    pipe = tmp_path / f"pipe.{suffix}"
    os.mkfifo(pipe)
    refused_by_both(pipe, "is not a file but a pipe; give the path of one file")
    device = tmp_path / f"device.{suffix}"
    device.symlink_to("/dev/zero")
    refused_by_both(device, "is not a file but a device")
    loop = tmp_path / f"loop.{suffix}"
    loop.symlink_to(loop)
    refused_by_both(loop, "cannot be opened|no such file")


# -- the border ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (KeyError("size"), "cannot be read as hspy: .* try to export it anew .KeyError: 'size'"),
        (OSError("filter returned failure"), "damaged .*OSError: filter returned failure"),
        (RecursionError("too deep"), "damaged .*RecursionError: too deep"),
        (RuntimeError("two\nlines"), "RuntimeError: two lines"),
        (MemoryError("745 GB"), r"needs more memory than there is \(745 GB\); crop or bin it"),
        (ValueError("is far; allowed: near"), "^a.hspy: is far; allowed: near$"),
        (ImportError("x", name="sparse"), "needs the package sparse"),
        (ModuleNotFoundError("x", name="dateutil"), "pip install python-dateutil$"),
        (ModuleNotFoundError("x", name="rsciio.emd"), "pip install rosettasciio$"),
        (ImportError("no x in 'dask.array'", name="dask.array"), "pip install dask$"),
        (ImportError("libx.so:\nno file"), "needs a library .* anew .libx.so: no file.$"),
    ],
)
def test_whatever_is_raised_becomes_one_line(error, message):
    with pytest.raises(ValueError, match=message) as failure, border.border("a.hspy"):
        raise error
    assert str(failure.value).startswith("a.hspy: ")


def test_errors_of_the_system_that_name_the_file_stay_what_they_are():
    with pytest.raises(PermissionError), border.border("a.hspy"):
        raise PermissionError(13, "Permission denied", "a.hspy")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (BlockingIOError(11, "unable to lock file"), "open for writing; close it there"),
        (PermissionError("Unable to open file"), "permission denied"),
    ],
)
def test_a_file_that_may_not_be_opened_is_not_called_damaged(error, message):
    wanted = f"^a.hspy: cannot be opened: .*{message}"
    with pytest.raises(ValueError, match=wanted), border.border("a.hspy"):
        raise error


def test_errors_are_not_named_twice():
    with pytest.raises(ValueError, match=r"^a.hspy: is empty$"), border.border("a.hspy"):
        raise ValueError("a.hspy: is empty")


@pytest.mark.parametrize("error", [KeyError("size"), RecursionError("deep"), MemoryError("1 TB")])
def test_whatever_a_reader_raises_is_refused(error, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise error

    path = write(tmp_path / "a.hspy", signal(MAP))
    monkeypatch.setattr(reading, "choose", fail)
    for read in (read_spectrum, open_image):
        with pytest.raises(ValueError, match=r"a.hspy: (cannot be read|needs more memory)"):
            read(path)


@pytest.fixture
def piecewise(monkeypatch):
    """Images are not read whole, however small."""
    monkeypatch.setattr(image, "READ_WHOLE", 0)


def test_pieces_of_an_image_pass_the_border(tmp_path, piecewise):
    path = write(tmp_path / "a.hspy", signal(MAP))
    with h5py.File(path) as file:
        data = file["Experiments/core/data"].id
        at, n = data.get_chunk_info(0).byte_offset, data.get_chunk_info(0).size
    content = bytearray(path.read_bytes())
    content[at + 10 : at + n // 2] = bytes(n // 2 - 10)
    path.write_bytes(content)
    pieces = open_image(path)
    refused(path, "cannot be read as hspy: .*filter", lambda _: pieces.read(0, 2))


def test_an_image_longer_than_its_file_is_refused(tmp_path, piecewise):
    path = write_dm(tmp_path / "a.dm4", dm_tags(MAP))
    pieces = open_image(path)
    path.write_bytes(path.read_bytes()[:3000])
    refused(path, "cannot be read as dm4: .*mmap length", lambda _: pieces.read(0, 2))


# -- claims ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(10**6, 10**6), (10**10,), (10**9, 240)])
@pytest.mark.parametrize("packed", [{"compression": "gzip"}, {}], ids=["packed", "plain"])
@pytest.mark.parametrize("suffix", HDF5)
def test_data_sets_larger_than_what_is_stored(suffix, packed, shape, tmp_path):
    path = write(tmp_path / f"a.{suffix}", signal(MAP))
    with h5py.File(path, "r+") as file:
        names = []
        file.visit(lambda name: names.append(name) if name.endswith("/data") else None)
        del file[names[0]]
        file.create_dataset(names[0], shape, "f8", chunks=(16,) * len(shape), **packed)
    refused_by_both(path, r"data set .*/data of shape .* claims .*TB|GB.*, the file has")


def test_a_scan_that_was_broken_off_is_read(tmp_path):
    path = write(tmp_path / "a.hspy", signal(np.ones((10, 10, 2048))))
    with h5py.File(path, "r+") as file:
        group = next(iter(file["Experiments"].values()))
        about = dict(group["data"].attrs)
        del group["data"]
        data = group.create_dataset("data", (100, 100, 2048), "f4", chunks=(1, 1, 2048))
        data.attrs.update(about)
        for axis in (0, 1):
            group[f"axis-{axis}"].attrs["size"] = 100
        data[0, 0] = 7
    image = open_image(path)
    assert image.map_shape == (100, 100)
    assert image.sum().counts[0, 0] == 7


@pytest.mark.parametrize(("n_stored", "claims"), [(25, False), (24, True)])
def test_a_chunk_that_is_there_may_be_packed_however_well(n_stored, claims, tmp_path, monkeypatch):
    monkeypatch.setattr(hdf5, "UNWRITTEN", 0)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("data", (100, 10**5), "u2", chunks=(4, 10**5))
        for row in range(0, 4 * n_stored, 4):  # zstd needs so little for zeros
            data.id.write_direct_chunk((row, 0), bytes(60))
    with pytest.raises(ValueError, match="claims 20 MB") if claims else nullcontext():
        hdf5.check(tmp_path / "a.h5")


def test_what_packs_a_data_set_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)
    path = write(tmp_path / "a.hspy", signal(MAP))
    with h5py.File(path, "r+") as file:
        packed = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        packed.set_chunk((100,))
        packed.set_filter(hdf5.BUILT_IN + 1, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple((100,))
        h5py.h5d.create(file.id, b"packed", h5py.h5t.IEEE_F32LE, space, packed)
    refused_by_both(path, "needs the package hdf5plugin, which is not installed: pip install hdf5p")


def test_images_beside_the_spectra_need_no_memory(tmp_path, monkeypatch):
    counts = np.full((3, 4, 60), 100.0)
    path = write_velox(tmp_path / "a.emd", [("a", 300.0, counts)])
    with h5py.File(path, "r+") as file:
        file["Data/Other"] = np.zeros(10**6)
    monkeypatch.setattr(border, "MOST_BYTES", 5 * 10**6)
    assert len(read_spectrum(path)) == 12


def test_packed_numbers_may_stand_for_much_and_not_for_everything(tmp_path, monkeypatch, piecewise):
    path = write(tmp_path / "a.hspy", signal(np.ones((40, 40, 2000)) * 7))
    assert len(read_spectrum(path)) == 1600
    monkeypatch.setattr(border, "MOST_BYTES", 20 * 10**6)
    said = r"needs 25.6 MB of memory at once; allowed: 20 MB; crop or bin it, or take open_image"
    refused(path, said)
    assert open_image(path).read(0, 40).counts.max() == 7


def test_chunks_that_claim_more_than_a_chunk(tmp_path):
    path = write(tmp_path / "a.hspy", signal(MAP))
    with h5py.File(path) as file:
        n = file["Experiments/core/data"].id.get_chunk_info(0).size
    content = path.read_bytes()
    node = struct.pack("<LLQ", n, 0, 0)  # bytes, filters, first place
    assert content.count(node) == 1
    path.write_bytes(content.replace(node, struct.pack("<LLQ", 2**31, 0, 0)))
    refused_by_both(path, "has 1 chunks, the last of 2.15 GB; allowed: 1 within the file of")


@pytest.mark.parametrize("suffix", ["dm3", "dm4"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Data": 2**30}, "its tag 'Data' claims 4.29 GB, the file has"),
        ({"Dimensions": [2**30, 240]}, r"an image of shape \(1073741824, 240\) claims 258 GB"),
        ({"Dimensions": [0, 240]}, r"holds an image of shape \(0, 240\)"),
        ({"Other": (2**31 - 1, 15, 0, 0)}, "claims 2147483647 elements of 0 bytes"),
        ({"Other": (-9, 15, 0, 0)}, "claims -9 elements"),
    ],
)
def test_tags_of_digital_micrograph_that_claim_too_much(suffix, change, message, tmp_path):
    tags = dm_tags(MAP)
    image = tags["ImageList"][0]
    if "Dimensions" in change:
        image["ImageData"]["Dimensions"] = change["Dimensions"]
        path = write_dm(tmp_path / f"a.{suffix}", tags)
    else:
        image["Name"] = "here"
        path = write_dm(tmp_path / f"a.{suffix}", tags)
        content, long = path.read_bytes(), ">q" if suffix == "dm4" else ">l"
        if "Data" in change:
            n = struct.pack(long, 20) + struct.pack(long, 6) + struct.pack(long, MAP.size)
            other = n[: -struct.calcsize(long)] + struct.pack(long, change["Data"])
        else:  # the name becomes an array of structures without members
            text = np.frombuffer("here".encode("utf-16-le"), np.uint16)
            parts = (3, 20, 4, len(text))
            n = b"%%%%" + b"".join(struct.pack(long, part) for part in parts) + text.tobytes()
            size, *structure = change["Other"]
            parts = (5, 20, *structure, size)
            other = b"%%%%" + b"".join(struct.pack(long, part) for part in parts)
        assert content.count(n) == 1
        path.write_bytes(content.replace(n, other))
    refused_by_both(path, message)


def test_tags_that_lie_too_deep(tmp_path):
    tags = dm_tags(COUNTS)
    for _ in range(200):
        tags = tags | {"more": tags["ImageList"][0]["ImageTags"]} if "more" not in tags else tags
        tags["more"] = {"more": tags["more"]}
    refused_by_both(write_dm(tmp_path / "a.dm4", tags), "more than 64 groups deep")


@pytest.mark.parametrize(
    ("at", "layout", "value", "message"),
    [
        (18, "<L", 2**31, "a series of shape .* claims .* GB, the file has"),
        (26, "<L", 10**6, "claims 1000000 dimensions; allowed: up to 8"),
        (30, "<L", 2**31, "a series of shape .* claims .* GB"),
    ],
)
def test_series_that_claim_too_much(at, layout, value, message, tmp_path):
    path = write_ser(tmp_path / "a_1.ser", MAP.reshape(6, -1), points=(3, 2))
    content = bytearray(path.read_bytes())
    struct.pack_into(layout, content, at, value)
    path.write_bytes(content)
    refused_by_both(path, message)


def test_a_spectrum_of_a_series_that_claims_too_much(tmp_path):
    path = write_ser(tmp_path / "a_1.ser", COUNTS)
    content = path.read_bytes()
    n = struct.pack("<LHL", 0, 7, len(COUNTS))
    assert content.count(n) == 1
    path.write_bytes(content.replace(n, struct.pack("<LHL", 0, 7, 2**31)))
    refused_by_both(path, "1 spectra of 2147483648 channels claims 8.59 GB, the file has")


def rezipped(path, change, **options):
    """The archive with the bytes of its counts changed, and sound checksums."""
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    members["counts.npy"] = change(members["counts.npy"])
    with zipfile.ZipFile(path, "w", **options) as file:
        for name, member in members.items():
            file.writestr(name, member)
    return path


def with_shape(text):
    return lambda member: fuzz.with_shape(member, text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_shape("(93132257461,)"), r"'counts.npy' of shape \(93132257461,\) claims 745 GB"),
        (with_shape("(0,)"), "holds energy_ev|allowed: energy_ev"),
        (with_shape("(-1,)"), r"holds an array of shape \(-1,\)"),
        (with_shape("('a',)"), "cannot be read as npz"),
        (lambda member: member[:30], "cannot be read as npz"),
        (lambda member: member.replace(b"{", b"(("), "cannot be read as npz: .*TokenError"),
        (lambda member: b"", "cannot be read as npz"),
    ],
)
def test_arrays_that_are_not_what_they_claim(change, message, tmp_path):
    refused_by_both(rezipped(write_npz(tmp_path / "a.npz", MAP), change), message)


def test_archives_that_cannot_be_unpacked(tmp_path):
    path = write_npz(tmp_path / "a.npz", MAP)
    content = bytearray(path.read_bytes())
    start = content.index(b"counts.npy") + 60
    content[start : start + 400] = bytes(400)
    path.write_bytes(content)
    refused_by_both(path, "cannot be read as npz: .*error: Error")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [(0, 1, "RuntimeError: .*encrypted"), (2, 99, "compression method|compression type")],
)
def test_archives_of_other_kinds(field, value, message, tmp_path):
    path = write_npz(tmp_path / "a.npz", MAP)
    content = bytearray(path.read_bytes())
    for mark, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):  # flags, then the method
        for found in re.finditer(re.escape(mark), bytes(content)):
            content[found.start() + at + field] = value
    path.write_bytes(content)
    refused_by_both(path, message)


def test_archives_of_texts(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("readme.txt", "text")
    refused_by_both(path, "holds 'readme.txt'; allowed: arrays")


def test_archives_that_unpack_to_far_more(tmp_path):
    path = write_npz(tmp_path / "a.npz", MAP)
    rezipped(path, lambda _: bytes(2 * 10**7), compression=zipfile.ZIP_BZIP2)
    refused_by_both(path, "its array 'counts.npy' claims 20 MB, the file has")


def test_texts_need_memory_too(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    path.write_text("energy (eV),counts\n" + "".join(f"{e},{c}\n" for e, c in zip(ENERGY, COUNTS)))  # noqa: B905
    assert len(read_spectrum(path).energy_ev) == len(ENERGY)
    monkeypatch.setattr(border, "MOST_BYTES", 10_000)
    refused_by_both(path, "needs .* kB of memory at once; allowed: 10 kB")


# -- HDF5 that points elsewhere, or nowhere --------------------------------------------------------


def set_of(file):
    """The group with the data of a file."""
    names = []
    file.visit(lambda name: names.append(name) if name.endswith("/data") else None)
    return file[names[0].removesuffix("/data")]


def external_storage(group, folder):
    (folder / "secret").write_bytes(bytes(range(256)) * 60)
    del group["data"]
    group.create_dataset("data", (60,), "u1", external=[(str(folder / "secret"), 0, 60)])


def external_pipe(group, folder):
    os.mkfifo(folder / "secret")
    del group["data"]
    group.create_dataset("data", (60,), "u1", external=[(str(folder / "secret"), 0, 60)])


def external_link(group, folder):
    with h5py.File(folder / "secret", "w") as other:
        other["data"] = COUNTS
    del group["data"]
    group["data"] = h5py.ExternalLink(str(folder / "secret"), "/data")


def soft_link_out(group, folder):
    os.mkfifo(folder / "secret")
    group.file["aaa"] = h5py.ExternalLink(str(folder / "secret"), "/")
    del group["data"]
    group["data"] = h5py.SoftLink("/aaa/data")


def virtual(group, folder):
    with h5py.File(folder / "secret", "w") as other:
        other["data"] = COUNTS
    del group["data"]
    layout = h5py.VirtualLayout((240,), "f8")
    layout[:] = h5py.VirtualSource(str(folder / "secret"), "data", (240,))
    group.create_virtual_dataset("data", layout)


@pytest.mark.parametrize(
    ("point", "message"),
    [
        (external_storage, "data set .*/data is stored in another file, '.*secret'; all that"),
        (external_pipe, "data set .*/data is stored in another file, '.*secret'; all that"),
        (external_link, "entry .*/data is a link into another file; all that is read"),
        (soft_link_out, "entry /aaa is a link into another file"),
        (virtual, "data set .*/data is virtual"),
    ],
)
@pytest.mark.parametrize("suffix", HDF5)
def test_no_other_file_is_read(suffix, point, message, tmp_path):
    path = write(tmp_path / f"a.{suffix}", signal(COUNTS))
    with h5py.File(path, "r+") as file:
        point(set_of(file), tmp_path)
    refused_by_both(path, message)


def contains_itself(file, group):
    group["again"] = file["/"]


def contains_itself_by_name(file, group):
    group["again"] = h5py.SoftLink("/")


def doubles(file, group):
    """Two ways to each of thirty groups: a thousand million ways to the last."""
    for i in range(30):
        inner = file.create_group(f"/many/{i}")
        group["one"] = group["other"] = inner
        group = inner


def deep(file, group):
    group.create_group("a/" * 100)


def many(file, group):
    inner = group.create_group("many", track_order=True)
    for i in range(hdf5.MOST_OBJECTS + 1):
        inner.attrs.create(str(i), 1, dtype="u1")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (contains_itself, "group .*/again contains itself"),
        (contains_itself_by_name, "group .*/again contains itself"),
        (doubles, "holds more than 2000 objects and attributes, or a few over and over"),
        (deep, "lies 65 groups deep; allowed: 64"),
        (many, "holds more than 2000 objects"),
    ],
)
@pytest.mark.parametrize("suffix", HDF5)
def test_trees_end(suffix, change, message, tmp_path, monkeypatch):
    monkeypatch.setattr(hdf5, "MOST_OBJECTS", 2000)
    monkeypatch.setattr(hdf5.check, "__kwdefaults__", {"most_objects": 2000})
    path = write(tmp_path / f"a.{suffix}", signal(COUNTS))
    with h5py.File(path, "r+", libver="latest") as file:
        change(file, set_of(file))
    refused_by_both(path, message)


def test_links_within_a_file_are_followed(tmp_path):
    path = write(tmp_path / "a.nxs", signal(COUNTS))
    with h5py.File(path, "r+") as file:
        file["entry1/detector/counts"] = file["entry1/core/data"]
        file["entry1/again"] = h5py.SoftLink("/entry1/core")
        file["entry1/nothing_there"] = h5py.SoftLink("/entry1/gone")
        del file["entry1/nothing_there"]
    np.testing.assert_array_equal(read_spectrum(path).counts, [COUNTS])


@pytest.mark.parametrize("suffix", ["nxs", "emd"])
def test_heaps_of_texts_end(suffix, tmp_path):
    path = write(tmp_path / f"a.{suffix}", signal(COUNTS))
    content = bytearray(path.read_bytes())
    at = content.index(b"GCOL")
    content[at + 16 : at + 400] = bytes(384)
    path.write_bytes(content)
    refused_by_both(path, f"heap of texts at byte {at} holds one of 0 bytes: it is damaged")


def test_x_rays_beside_energy_losses_have_channels(tmp_path):
    path = write_velox(tmp_path / "a.emd", [("a", 300.0, np.full((3, 4, 60), 100.0))])
    settings = path.read_bytes().replace(b'"4096"', b'"9e99"')
    path.write_bytes(settings.replace(b'"9e99"', b"9999999"[:6].rjust(6, b" ")))
    refused_by_both(path, "X-rays with 999999 channels; allowed: 1..65536")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("blank.csv", "\n" * 60_000 + "x"),
        ("blanks.msa", "#FORMAT : x\n#A" + " " * 60_000 + "x\n#SPECTRUM :\n1\n"),
        ("unit.msa", "#FORMAT : x\n#A -" + " " * 60_000 + "x y:\n#SPECTRUM :\n1\n"),
    ],
)
def test_blanks_are_passed_once(name, text, tmp_path):
    path = tmp_path / name
    path.write_text(text)
    began = time.perf_counter()
    assert fuzz.outcome(path) == "refused"
    assert time.perf_counter() - began < 5


# -- axes and signals ------------------------------------------------------------------------------


def axis_of(file):
    group = set_of(file)
    return next(group[name] for name in group if name.startswith("axis-") or "nergy" in name)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("scale", "x" * 33000),
        ("scale", np.ones(3)),
        ("offset", "here"),
        ("offset", np.ones((2, 2))),
        ("scale", 1j),
        ("scale", 0.0),
        ("offset", np.inf),
        ("offset", 1e300),
        ("units", np.ones(3)),
        ("name", 7.5),
        ("size", "many"),
        ("size", 2**40),
        ("index_in_array", "first"),
        ("navigate", "no"),
    ],
)
def test_axes_of_other_types(key, value, tmp_path):
    """Read where the data say what the axis leaves open, else refused; nothing else."""
    path = write(tmp_path / "a.hspy", signal(COUNTS))
    with h5py.File(path, "r+") as file:
        axis_of(file).attrs[key] = value
    assert fuzz.outcome(path) == ("refused" if key in ("scale", "offset") else "read")


@pytest.mark.parametrize("key", ["size", "scale", "offset", "units", "name", "navigate"])
def test_axes_that_lack_something(key, tmp_path):
    path = write(tmp_path / "a.hspy", signal(COUNTS))
    with h5py.File(path, "r+") as file:
        del axis_of(file).attrs[key]
    assert fuzz.outcome(path) in ("read", "refused")
    if key in ("size", "navigate", "name"):
        np.testing.assert_array_equal(read_spectrum(path).counts, [COUNTS])


def test_models_beside_signals_are_no_signals(tmp_path):
    path = write(tmp_path / "a.hspy", signal(COUNTS))
    with h5py.File(path, "r+") as file:
        file.create_group("Analysis/models/mine").attrs["name"] = "mine"
    np.testing.assert_array_equal(read_spectrum(path).counts, [COUNTS])
    np.testing.assert_array_equal(open_image(path).read(0, 1).counts, [COUNTS])


def test_metadata_of_other_types(tmp_path):
    path = write(tmp_path / "a.hspy", signal(COUNTS))
    with h5py.File(path, "r+") as file:
        metadata = set_of(file)["metadata"]
        del metadata["General"], metadata["Acquisition_instrument"]
        metadata["General"], metadata["Acquisition_instrument"] = np.ones(3), 5
    found = read_spectrum(path)
    assert (found.title, found.beam_energy_kev) == ("", None)


@pytest.mark.parametrize("suffix", ["npz", "csv", "msa", "dm4", "hspy"])
def test_counts_that_fits_cannot_compute_with(suffix, tmp_path):
    from made_files import write_msa, write_text

    huge = COUNTS[:60].copy()
    huge[30] = 2e31
    writers = {
        "npz": lambda path: np.savez(path, energy_ev=ENERGY[:60], counts=huge),
        "csv": lambda path: write_text(path, ENERGY[:60], huge),
        "msa": lambda path: write_msa(path, ENERGY[:60], huge),
        "dm4": lambda path: write_dm(path, dm_tags(huge)),
        "hspy": lambda path: write(path, signal(huge)),
    }
    path = tmp_path / f"a.{suffix}"
    writers[suffix](path)
    refused_by_both(path, r"counts reach 2e\+31; allowed: up to 1e\+30")


def test_energies_are_those_of_electrons():
    check_extent(np.linspace(-1e5, 1e5, 100))
    with pytest.raises(ValueError, match=r"energies 0..1e\+07 eV; allowed: within 1e\+06 eV of 0"):
        check_extent(np.linspace(0, 1e7, 100))


# -- mutated files ---------------------------------------------------------------------------------


def test_mutated_files_are_read_or_refused():
    """Other seeds: `python -m tests.fuzz N --seed S`."""
    tallies = fuzz.run(N_MUTATED)
    failed = [failure for tally in tallies.values() for failure in tally.neither]
    assert not failed, "\n".join(map(str, failed))
    assert sum(tally.tried for tally in tallies.values()) == N_MUTATED
    assert all(tally.refused for tally in tallies.values()), fuzz.table(tallies)
    assert sum(tally.read for tally in tallies.values()) > 40
    assert max(tally.peak_mib for tally in tallies.values()) < 1500


def test_mutations_are_those_of_their_seed(tmp_path):
    path = write_npz(tmp_path / "a.npz", MAP)
    assert fuzz.mutations(path, 3) == fuzz.mutations(path, 3) != fuzz.mutations(path, 4)


def test_what_is_neither_is_noticed(tmp_path, monkeypatch):
    path = write_npz(tmp_path / "a.npz", MAP)
    assert fuzz.outcome(path) == "read"

    def fail(*_, **__):
        raise KeyError("size")

    monkeypatch.setattr("coreloss.spectra.reading.read_spectrum", fail)
    assert fuzz.outcome(path) == "KeyError: 'size'"
