"""Formats of files: which are read and how, and what to do with the others."""

from __future__ import annotations

from pathlib import Path

from coreloss.runtime import hdf5

READERS = {
    ".dm3": "digitalmicrograph",
    ".dm4": "digitalmicrograph",
    ".msa": "msa",
    ".emsa": "msa",
    ".hspy": "hspy",
    ".hdf5": "hspy",
    ".h5": "hspy",
    ".emd": "emd",
    ".nxs": "nexus",
    ".ser": "tia",
}
"""Readers of RosettaSciIO by suffix, and msa; hdf5 and h5 are read when HyperSpy wrote them."""
TEXT = (".txt", ".csv", ".tsv", ".dat", ".asc", ".xy", "")
SHARED_BY_MANY = (".hdf5", ".h5")
_RESAVE = "read it with HyperSpy and save it: hyperspy.api.load({!r}).save('spectrum.hspy')"
_IMAGE = "holds images, no spectra; export the spectrum as dm4, msa or csv"
ELSEWHERE = {
    **dict.fromkeys((".rpl", ".zspy", ".prz"), _RESAVE),
    ".raw": "give HyperSpy the .rpl file beside it: hyperspy.api.load('NAME.rpl').save('x.hspy')",
    ".emi": "give the .ser file beside it: it holds the data",
    **dict.fromkeys((".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp"), _IMAGE),
    **dict.fromkeys((".mrc", ".blo", ".mib", ".tvips", ".de5"), _IMAGE),
    **dict.fromkeys((".bcf", ".spx", ".spd", ".spc", ".pts", ".elid"), "holds X-ray spectra (EDS)"),
    **dict.fromkeys((".xls", ".xlsx", ".ods"), "save the sheet as csv"),
    ".dm5": "save it as dm4 in DigitalMicrograph",
    ".ndata": "export it as dm4 or csv in Nion Swift",
    ".npy": "save energies and counts: numpy.savez('x.npz', energy_ev=..., counts=...)",
    ".mat": "save energies and counts as csv",
    **dict.fromkeys((".zip", ".gz", ".7z", ".tar"), "unpack it"),
}
"""What to do with files of other formats."""


def names() -> str:
    """The suffixes that are read, for messages."""
    own = ", ".join(suffix[1:] for suffix in READERS if suffix not in SHARED_BY_MANY)
    return f"{own}, hdf5 of HyperSpy, npz and text (csv, tsv, txt)"


def check_format(path: Path) -> None:
    """ValueError, with what to do, when a file is of a format that is read by other means only."""
    suffix = path.suffix.lower()
    if suffix in ELSEWHERE:
        raise ValueError(f"is a {suffix} file: {ELSEWHERE[suffix].format(path.name)}")
    if suffix in SHARED_BY_MANY and not is_hyperspy(path):
        raise ValueError(
            f"is a {suffix} file that HyperSpy has not written; allowed formats: {names()}"
        )


def is_hyperspy(path: Path) -> bool:
    """Whether HyperSpy has written an HDF5 file; False when it is none."""
    try:
        with hdf5.opened(path) as file:
            written_by = file.attrs.get("file_format", "")
    except OSError:
        return False
    text = written_by.decode() if isinstance(written_by, bytes) else str(written_by)
    return text.lower() == "hyperspy"
