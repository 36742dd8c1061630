"""Where a result comes from: versions, device, and the commit of this project."""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]
"""The project's own folder, where the package is used from a checkout."""
__version__ = version("coreloss")
PACKAGES = ("coreloss", "torch", "numpy", "h5py")


def provenance(device: str = "cpu") -> dict[str, str]:
    """Versions, commit and device for a record that may be read years later.

    A commit ends in ``+`` where tracked files of the package differed from it.
    """
    import torch

    cuda = device.startswith("cuda")
    name = torch.cuda.get_device_name() if cuda else platform.machine()
    return {
        "commit": source_commit(),
        "device": f"{device} ({name}, {torch.get_num_threads()} threads)",
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


def source_commit() -> str:
    """Git commit of this package, with ``+`` where its tracked files differ from it, or ``""``.

    Only that of the project's own checkout: a repository that happens to enclose a copy or an
    installation of the package says nothing about it.
    """
    if shutil.which("git") is None or not _owns_its_repository():
        return ""
    changed = _git("diff", "--quiet", "HEAD", "--", "src").returncode == 1
    return _git("rev-parse", "HEAD").stdout.strip() + "+" * changed


def digest_of(*parts: bytes | str) -> str:
    """Sixteen letters that stand for these contents.

    >>> digest_of("a", b"b")
    'fb8e20fc2e4c3f24'
    """
    total = hashlib.sha256()
    for part in parts:
        total.update(part.encode() if isinstance(part, str) else part)
    return total.hexdigest()[:16]


def _owns_its_repository() -> bool:
    top = _git("rev-parse", "--show-toplevel")
    return top.returncode == 0 and Path(top.stdout.strip()).resolve() == CHECKOUT


def _git(*arguments: str) -> subprocess.CompletedProcess:
    git = ["git", "-C", str(CHECKOUT), *arguments]
    return subprocess.run(git, capture_output=True, text=True, check=False)
