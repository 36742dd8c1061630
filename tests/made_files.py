"""Files of every format, written by RosettaSciIO or after the format's description."""

import importlib
import json
import struct
import warnings
from pathlib import Path

import h5py
import numpy as np
from helpers import hyperspy_dictionary

ENERGY = 400 + 0.5 * np.arange(240)
COUNTS = np.random.default_rng(0).poisson(1e4 * (ENERGY / 400) ** -3).astype(float)
MAP = np.random.default_rng(1).poisson(COUNTS, (2, 3, len(COUNTS))).astype(float)


# -- HDF5 -----------------------------------------------------------------------------------------


def signal(data, *, first_ev=400.0, title="core", scale=0.5, units="eV"):
    """The dictionary that RosettaSciIO's writers take; energy along the last axis."""
    axes = [("x" if i else "y", "nm", 1.0, 0.0, True) for i in range(data.ndim - 1)]
    axes.append(("Energy loss", units, scale, first_ev, False))
    microscope = {"beam_energy": 200.0, "convergence_angle": 20.0}
    return hyperspy_dictionary(data, axes, microscope=microscope, title=title)


def write(path, signals):
    """A file of HyperSpy, NeXus or EMD by its suffix."""
    module = {".hspy": "hspy", ".nxs": "nexus", ".emd": "emd"}[path.suffix]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module(f"rsciio.{module}").file_writer(str(path), signals)
    return path


def described(content, *, lines=1):
    """JSON as Velox stores it: bytes along the first axis, one document per column."""
    text = np.frombuffer(json.dumps(content).encode(), np.uint8)
    return np.repeat(np.pad(text, (0, 4000 - len(text)))[:, None], lines, axis=1)


def string(content):
    return np.array([json.dumps(content).encode()], dtype=h5py.special_dtype(vlen=bytes))


VELOX = {
    "BinaryResult": {
        "PixelSize": {"width": "1e-9", "height": "1e-9"},
        "Offset": {"x": "0", "y": "0"},
        "PixelUnitX": "m",
        "PixelUnitY": "m",
        "DetectorIndex": "0",
        "Detector": "SuperXG21",
    },
    "Detectors": {
        "Detector-0": {"DetectorName": "SuperXG21", "Dispersion": "10", "OffsetEnergy": "-250"}
    },
    "Acquisition": {"AcquisitionStartDatetime": {"DateTime": "1500000000"}},
    "Optics": {"AccelerationVoltage": "200000"},
    "Scan": {"FrameTime": "1"},
    "CustomProperties": {},
}


def write_velox(path, images, *, level=0):
    """Velox with X-rays: ``images`` are name, first energy in eV, and counts (rows, columns, n)."""
    rows, columns = images[0][2].shape[:2]
    with h5py.File(path, "w") as file:
        file["Version"] = string({"version": "13", "format": "Velox"})
        file["Displays/ImageDisplay/a"] = string({"id": "HAADF"})
        image = np.ones((rows, columns, 1), np.uint16)
        file.create_dataset("Data/Image/a/Data", data=image, chunks=True)
        file["Data/SpectrumImage/a/SpectrumImageSettings"] = string({"endFramePosition": "1"})
        stream = np.tile([99, 65535], rows * columns)[:, None].astype(np.uint16)
        file["Data/SpectrumStream/a/Data"] = stream
        file["Data/SpectrumStream/a/AcquisitionSettings"] = string(
            {"bincount": "4096", "StreamEncoding": "uint16"}
        )
        for name in ("Image/a", "SpectrumImage/a", "SpectrumStream/a"):
            file[f"Data/{name}/Metadata"] = described(VELOX)
        for name, first_ev, counts in images:
            group = file.create_group(f"Data/EelsSpectrumImage/{name}")
            group["Data"] = (counts + level).astype(np.uint16).transpose(1, 2, 0)
            group["Metadata"] = described(VELOX)
            acquisition = {"offset": first_ev, "dispersion": 1.0}
            acquisition |= {"intensityOffset": level, "intensityScale": 1.0}
            group["AcquisitionMetadata"] = described({"Data": acquisition}, lines=rows)
    return path


# -- binary ---------------------------------------------------------------------------------------


def write_ser(path, counts, *, first_ev=400.0, step_ev=0.5, calibrated_at=0, points=()):
    """TIA series: header, dimensions (metres), offsets, and a calibrated array per spectrum."""
    rows = np.atleast_2d(counts)
    header = struct.pack("<HHHLLLL", 0x4949, 0x0197, 0x0210, 0x4120, 0x4142, len(rows), len(rows))
    dimensions = b""
    for size in points or (len(rows),):
        dimensions += struct.pack("<LddL", size, 0.0, 1e-9, 0)
        dimensions += struct.pack("<L8sL6s", 8, b"Position", 6, b"meters")
    at = len(header) + 8 + len(dimensions)
    data, offsets, tags = b"", [], []
    for i, row in enumerate(rows):
        offsets.append(at + len(data))
        data += struct.pack("<ddLHL", first_ev, step_ev, calibrated_at, 7, len(row))
        data += row.astype("<f4").tobytes()
        tags.append(at + len(data))
        x = i % points[0] if points else i
        data += struct.pack(
            "<HHLdd", 0x4142, 0, 0, 1e-9 * x, 1e-9 * (i // points[0] if points else 0)
        )
    table = struct.pack(f"<{2 * len(rows)}L", *offsets, *tags)
    front = header + struct.pack("<LL", at + len(data), len(points) or 1) + dimensions
    path.write_bytes(front + data + table)
    return path


class Tags:
    """Tags of Digital Micrograph, version 3 or 4: groups are dictionaries or lists."""

    def __init__(self, version):
        self.long = ">q" if version == 4 else ">l"
        self.version = version

    def number(self, value):
        return struct.pack(self.long, value)

    def group(self, tags):
        named = tags.items() if isinstance(tags, dict) else [("", value) for value in tags]
        content = b"".join(self.tag(name, value) for name, value in named)
        return b"\1\0" + self.number(len(tags)) + content

    def tag(self, name, value):
        is_group = isinstance(value, dict | list)
        start = struct.pack(">BH", 20 if is_group else 21, len(name)) + name.encode()
        content = self.group(value) if is_group else b"%%%%" + self.data(value)
        return start + (self.number(len(content)) if self.version == 4 else b"") + content

    def data(self, value):
        if isinstance(value, np.ndarray):
            kind = {"f": 6, "d": 7, "h": 2, "H": 4, "i": 3}[value.dtype.char]
            return self._info(20, kind, len(value)) + value.tobytes()
        if isinstance(value, str):
            return self.data(np.frombuffer(value.encode("utf-16-le"), np.uint16))
        if isinstance(value, float):
            return self._info(7) + struct.pack("<d", value)
        if isinstance(value, tuple):  # a struct of numbers
            kinds = [part for _ in value for part in (0, 6)]
            return self._info(15, 0, len(value), *kinds) + struct.pack(f"<{len(value)}f", *value)
        return self._info(5) + struct.pack("<L", value)

    def _info(self, *values):
        return b"".join(map(self.number, (len(values), *values)))


def dm_tags(counts, *, first_ev=400.0, step_ev=0.5):
    """The tags of a spectrum or an image; the first axis of an image is the energy."""
    energy = {"Origin": -first_ev / step_ev, "Scale": step_ev, "Units": "eV"}
    place = {"Origin": 0.0, "Scale": 1.0, "Units": "nm"}
    counts = np.moveaxis(np.asarray(counts, np.float32), -1, 0)
    calibrations = [place] * (counts.ndim - 1) + [energy]
    image = {
        "ImageData": {
            "Calibrations": {
                "Brightness": {"Origin": 0.0, "Scale": 1.0, "Units": ""},
                "Dimension": calibrations,
            },
            "Data": counts.ravel(),
            "DataType": 2,
            "Dimensions": list(counts.shape[::-1]),
            "PixelDepth": 4,
        },
        "ImageTags": {
            "Meta Data": {
                "Format": "Spectrum image" if counts.ndim > 1 else "Spectrum",
                "Signal": "EELS",
            },
            "Microscope Info": {"Voltage": 2e5, "Formatted": (1.0, 2.0)},
        },
        "Name": "core",
    }
    return {"ImageList": [image], "InImageMode": 1}


def write_dm(path, tags):
    """A .dm3 or .dm4 file of these tags."""
    version = 4 if path.suffix == ".dm4" else 3
    content = Tags(version).group(tags)
    start = struct.pack(">l", version) + Tags(version).number(len(content)) + struct.pack(">l", 1)
    path.write_bytes(start + content)
    return path


# -- text and arrays ------------------------------------------------------------------------------


def write_msa(path, energy, counts):
    text = "\n".join(f"{value:.10g}" for value in counts)
    path.write_text(
        "#FORMAT      : EMSA/MAS Spectral Data File\n#VERSION     : 1.0\n#TITLE       : core\n"
        f"#NPOINTS     : {len(counts)}\n#NCOLUMNS    : 1\n#XUNITS      : eV\n#DATATYPE    : Y\n"
        f"#XPERCHAN    : {energy[1] - energy[0]:.10g}\n#OFFSET      : {energy[0]:.10g}\n"
        "#SIGNALTYPE  : ELS\n#BEAMKV   -kV: 200.0\n#SPECTRUM    : Spectral Data Starts Here\n"
        f"{text}\n#ENDOFDATA   :\n"
    )
    return path


def write_text(path, energy, *columns):
    rows = np.stack([energy, *columns], axis=1)
    lines = "\n".join(",".join(f"{value:.10g}" for value in row) for row in rows)
    path.write_text(f"Energy (eV){',counts' * len(columns)}\n{lines}\n")
    return path


def write_npz(path, counts, *, compressed=True):
    save = np.savez_compressed if compressed else np.savez
    save(path, energy_ev=ENERGY, counts=counts, beam_energy_kev=200.0)
    return path


def write_all(folder: Path) -> list[Path]:
    """A spectrum and a map of every format."""
    few, small = COUNTS[:60], MAP[..., :60]
    volume = np.random.default_rng(2).poisson(100, (3, 4, 60)).astype(float)
    made = [
        write_text(folder / "one.csv", ENERGY, COUNTS),
        write_text(folder / "line.txt", ENERGY, COUNTS, COUNTS[::-1]),
        write_msa(folder / "one.msa", ENERGY, COUNTS),
        write_npz(folder / "map.npz", MAP),
        write_npz(folder / "plain.npz", MAP, compressed=False),
        write_ser(folder / "map_1.ser", small.reshape(6, -1), points=(3, 2)),
        write_velox(folder / "velox.emd", [("a", 300.0, volume)], level=10),
    ]
    made += [
        write_dm(folder / f"{name}.{suffix}", dm_tags(counts))
        for suffix in ("dm3", "dm4")
        for name, counts in (("one", few), ("map", small))
    ]
    made += [
        write(folder / f"{name}.{suffix}", signal(counts))
        for suffix in ("hspy", "nxs", "emd")
        for name, counts in (("one", few), ("map", small))
    ]
    return made
