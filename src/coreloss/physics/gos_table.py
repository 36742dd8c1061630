r"""Tables of generalised oscillator strengths, and the `.gosh` files (HDF5) that hold them.

The layout is the one of Segger, Guzzinati and Kohl (doi:10.5281/zenodo.7645765), which eXSpy and
pyEELSMODEL read: ``/<element>/<table>/data`` (nq, n_energies, n_variants) in 1/eV with ``q`` in 1/m
and ``free_energies`` in eV above the onset, and ``/metadata/edges_info/<subshell>`` with the name
of the table and the share ``occupancy_ratio`` of the table that belongs to the subshell. This
project adds ``/<element>/<table>/measured``, which other readers do not look at.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import h5py
import numpy as np

from coreloss import shipped
from coreloss.edges import SHELLS, edge_shells, occupancy_ratio, quantum_numbers
from coreloss.runtime import hdf5
from coreloss.runtime.border import border
from coreloss.runtime.files import replacing
from coreloss.runtime.hdf5_room import hdf5_file, reserve

BUILTIN_GOSH = Path(__file__).parents[1] / "data" / "gos.gosh"
MOST_OBJECTS = 200_000
"""Published files hold every variant of every subshell."""
PER_METRE = 1e10  # 1/Angstrom in 1/m
_ONSET_NAMES = ("onset", "onset_energy_guess", "ionization_energy")


@dataclass(frozen=True, eq=False)
class GosTable:
    """GOS of one whole nl shell, such as the 6 electrons of Ti L23.

    ``gos_per_ev`` (nq, n_energies): df/dE [1/eV] at momentum transfers ``q_per_angstrom`` (nq,)
    (without 2 pi) and energy losses ``onset_ev + free_energy_ev`` (n_energies,). ``measured`` is a
    table of the same shell whose q -> 0 limit is the measured photoabsorption; it has its own onset
    and energies, because a giant resonance may begin below the tabulated onset.
    """

    element: str
    shell: str
    onset_ev: float
    free_energy_ev: np.ndarray
    q_per_angstrom: np.ndarray
    gos_per_ev: np.ndarray
    measured: GosTable | None = None

    def __post_init__(self) -> None:
        shape = (len(self.q_per_angstrom), len(self.free_energy_ev))
        if self.gos_per_ev.shape != shape:
            raise ValueError(
                f"{self.element} {self.shell}: gos_per_ev has shape {self.gos_per_ev.shape}, "
                f"but q and energies ask for {shape}"
            )


def table_name(shell: str) -> str:
    """Name of a shell's table in a `.gosh` file.

    >>> table_name("K"), table_name("M45")
    ('K1', 'M45')
    """
    return "K1" if shell == "K" else shell


def subshells_of(shell: str) -> tuple[str, ...]:
    """The j-subshells of an nl shell, lower j first.

    >>> subshells_of("L23"), subshells_of("K")
    (('L2', 'L3'), ('K',))
    """
    return tuple(shell[0] + number for number in shell[1:]) if len(shell) > 1 else (shell,)


def write_gosh(path: str | Path, tables: Iterable[GosTable]) -> None:
    """Write tables as float32 through a temporary file."""
    with replacing(path) as temporary, hdf5_file(temporary, libver="earliest") as file:
        _write_header(file)
        for table in tables:
            reserve(file, 4 * (table.gos_per_ev.nbytes + len(table.free_energy_ev)))
            group = file.create_group(f"{table.element}/{table_name(table.shell)}")
            _write_table(group, table)
            if table.measured is not None:
                _write_table(group.create_group("measured"), table.measured)


def _write_header(file: h5py.File) -> None:
    file.attrs.update(file_format="GOSH", file_format_version="0.7.2")
    header = file.create_group("metadata")
    attributes = {
        "name": "coreloss Dirac Hartree-Slater",
        "data_version": "1",
        "authors": "coreloss developers",
        "license": "GPL-3.0-or-later",
        "message": "Dirac Hartree-Slater atom, frozen core; data [1/eV] of the whole nl shell. "
        "Subgroups 'measured': q -> 0 limit from measured photoabsorption (CXRO f2).",
    }
    header.attrs.update(attributes)
    header.create_group("data_ref").attrs.update(
        data_doi="not published; computed by coreloss",
        data_record="",
        data_url="",
    )
    header.create_group("bib_ref").attrs.update(
        bib_cite="M. Inokuti, Rev. Mod. Phys. 43, 297 (1971)",
        bib_doi="10.1103/RevModPhys.43.297",
        bib_url="https://doi.org/10.1103/RevModPhys.43.297",
    )
    info = header.create_group("edges_info")
    for shell in SHELLS:
        for name in subshells_of(shell):
            n, l, _ = quantum_numbers(name)  # noqa: E741
            info.create_group(name).attrs.update(
                table=table_name(shell), occupancy_ratio=occupancy_ratio(name), n=n, l=l
            )


def _write_table(group: h5py.Group, table: GosTable) -> None:
    packed = {"compression": "gzip", "compression_opts": 9, "shuffle": True}
    data = _rounded(table.gos_per_ev)[:, :, None]
    group.create_dataset("data", data=data, **packed)
    group.create_dataset("q", data=(table.q_per_angstrom * PER_METRE).astype(np.float32))
    group.create_dataset("free_energies", data=table.free_energy_ev.astype(np.float32))
    group.create_dataset("variants", data=np.array([b"default"], dtype="S128"))
    group.create_group("metadata").attrs.update(
        onset=table.onset_ev, ionization_energy=table.onset_ev
    )


def _rounded(values: np.ndarray) -> np.ndarray:
    """Float32 with 16 bits of mantissa (relative error 8e-6), which gzip packs to half the size."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    return ((bits + 0x40) & np.uint32(0xFFFFFF80)).view(np.float32)


def read_gosh(path: str | Path | None = None) -> dict[tuple[str, str], GosTable]:
    """Tables of a `.gosh` file by (element, shell), such as ("Ti", "L23"); None is the shipped one.

    Reads whole-shell tables (L23) as well as one table per subshell (L2 and L3, added with their
    ``occupancy_ratio``). Raises ValueError on other files.
    """
    if path is None:
        return dict(_shipped_tables())
    if not Path(path).is_file():
        raise ValueError(f"GOS file {path} does not exist; make it with `coreloss gos build`")
    what = "a GOS file"
    with border(path, what=what), hdf5.opened(path, most_objects=MOST_OBJECTS) as file:
        return _read_tables(Path(path), file)


@cache
def _shipped_tables() -> dict[tuple[str, str], GosTable]:
    path = shipped.verified(BUILTIN_GOSH)
    with h5py.File(path, "r") as file:
        return _read_tables(path, file)


def _read_tables(path: Path, file: h5py.File) -> dict[tuple[str, str], GosTable]:
    info = file.get("metadata/edges_info")
    if file.attrs.get("file_format") != "GOSH" or info is None:
        raise ValueError(f"GOS file {path} is not in the GOSH layout (no metadata/edges_info)")
    tables = {}
    for element in (name for name in file if name != "metadata"):
        for shell in SHELLS:
            table = _read_shell(file[element], info, element, shell)
            if table is not None:
                tables[element, shell] = table
    return tables


def _read_shell(
    element_group: h5py.Group, info: h5py.Group, element: str, shell: str
) -> GosTable | None:
    """One whole shell: the sum of ratio x table over its subshells, or None when it is absent."""
    weights: dict[str, float] = {}
    for name in subshells_of(shell):
        entry = info.get(name, info.get(f"{name}1"))
        table = (
            _text(entry.attrs["table"]) if entry is not None and "table" in entry.attrs else name
        )
        if table in element_group:
            ratio = float(np.squeeze(entry.attrs["occupancy_ratio"])) if entry is not None else 1.0
            weights[table] = weights.get(table, 0.0) + ratio
    if not weights:
        return None
    parts = [_read_group(element_group[name], element, shell) for name in weights]
    first = parts[0]
    gos = np.zeros_like(first.gos_per_ev)
    for part, weight in zip(parts, weights.values(), strict=True):
        gos += weight * _resampled(part, first.q_per_angstrom, first.free_energy_ev)
    measured = None
    if len(parts) == 1 and "measured" in (group := element_group[next(iter(weights))]):
        measured = _read_group(group["measured"], element, shell, own_onset=True)
    return GosTable(
        element,
        shell,
        min(part.onset_ev for part in parts),
        first.free_energy_ev,
        first.q_per_angstrom,
        gos,
        measured,
    )


def _read_group(
    group: h5py.Group, element: str, shell: str, *, own_onset: bool = False
) -> GosTable:
    energies = group["free_energies"] if "free_energies" in group else group["free_energy"]
    free_energy_ev = np.asarray(energies, dtype=float).reshape(-1)
    q = np.asarray(group["q"], dtype=float).reshape(-1) / PER_METRE
    data = np.asarray(group["data"], dtype=float)
    gos = data.reshape(len(q), len(free_energy_ev), -1)[:, :, 0]
    onset_ev = None if own_onset else _onsets_ev().get((element, shell))
    return GosTable(element, shell, onset_ev or _stored_onset(group), free_energy_ev, q, gos)


def _stored_onset(group: h5py.Group) -> float:
    attributes = group["metadata"].attrs if "metadata" in group else {}
    for name in _ONSET_NAMES:
        if name in attributes:
            return float(np.squeeze(attributes[name]))
    raise ValueError(f"GOS table {group.name} has no onset among {_ONSET_NAMES}")


@cache
def _onsets_ev() -> dict[tuple[str, str], float]:
    return {(edge.element, edge.shell): edge.onset_ev for edge in edge_shells()}


def _resampled(
    part: GosTable, q_per_angstrom: np.ndarray, free_energy_ev: np.ndarray
) -> np.ndarray:
    """GOS of ``part`` on other axes, linear in ln q and in energy."""
    same_q = np.array_equal(part.q_per_angstrom, q_per_angstrom)
    if same_q and np.array_equal(part.free_energy_ev, free_energy_ev):
        return part.gos_per_ev
    from scipy.interpolate import RegularGridInterpolator

    axes = (np.log(part.q_per_angstrom), part.free_energy_ev)
    clipped = [
        np.clip(wanted, axis[0], axis[-1])
        for wanted, axis in zip((np.log(q_per_angstrom), free_energy_ev), axes, strict=True)
    ]
    mesh = np.stack(np.meshgrid(*clipped, indexing="ij"), axis=-1)
    return RegularGridInterpolator(axes, part.gos_per_ev)(mesh)


def _text(value: object) -> str:
    value = np.asarray(value).reshape(-1)[0]
    return value.decode() if isinstance(value, bytes) else str(value)
