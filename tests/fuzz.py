"""Mutated files of every format: each is read, or refused in one line; nothing else may happen.

    python -m tests.fuzz 2000        2000 files over all formats, and a table

`mutations` gives the bytes of one of them, always the same for a seed, `outcome` what reading makes
of a file, and `run` both for many, in processes that may hang, crash and ask for memory.
"""

import argparse
import contextlib
import io
import json
import resource
import selectors
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
LIMIT_S = 20.0
"""Longest time for one file."""
START_S = 600.0
"""Longest time until the process that reads has loaded its libraries."""
MOST_GIB = 4.0
"""Most memory that the process that reads may ask for."""
NUMBERS = (0, 1, -1, 2, 7, 255, 65535, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1)
WORDS = (b"nan", b"-inf", b"1e999", b"1e308", b"-1", b"0", b"", b"9" * 400, b"1e-320", b":", b'"')
HDF5 = (".hspy", ".nxs", ".emd")


# -- mutated bytes --------------------------------------------------------------------------------


def mutations(path, seed) -> bytes:
    """The contents of a file with one or several changes."""
    rng = np.random.default_rng([seed, sum(Path(path).name.encode())])
    content = Path(path).read_bytes()
    suffix = Path(path).suffix
    if suffix in HDF5 and rng.random() < 0.4:
        return _other_objects(content, rng)
    if suffix == ".npz" and rng.random() < 0.6:
        return _other_members(content, rng)
    changes = [_flipped, _numbered, _cut, _removed, _repeated, _swapped, _zeroed]
    if suffix in (".csv", ".txt", ".msa") or rng.random() < 0.1:
        changes.append(_worded)
    for _ in range(rng.integers(1, 3)):
        content = changes[rng.integers(len(changes))](content, rng)
    return content


def _at(content, rng):
    """A place, more often in the first quarter, where headers are."""
    end = max(len(content) // (4 if rng.random() < 0.4 else 1), 1)
    return int(rng.integers(end))


def _flipped(content, rng):
    changed = bytearray(content)
    for _ in range(rng.integers(1, 8)):
        if changed:
            changed[_at(changed, rng)] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _numbered(content, rng):
    """A number of 1 to 8 bytes, in either order, is another one."""
    at, length = _at(content, rng), int(rng.choice([1, 2, 4, 8]))
    value = int(rng.choice(np.array(NUMBERS, dtype=object))) & (256**length - 1)
    order = "little" if rng.random() < 0.5 else "big"
    return content[:at] + value.to_bytes(length, order) + content[at + length :]


def _cut(content, rng):
    return content[: _at(content, rng)]


def _removed(content, rng):
    at = _at(content, rng)
    return content[:at] + content[at + int(rng.integers(1, 64)) :]


def _repeated(content, rng):
    at, length = _at(content, rng), int(rng.integers(1, 200))
    piece = content[at : at + length]
    return content[:at] + piece * int(rng.integers(2, 6)) + content[at + length :]


def _swapped(content, rng):
    a, b = sorted((_at(content, rng), _at(content, rng)))
    length = int(rng.integers(1, 64))
    if b < a + length:
        return content
    one, other = content[a : a + length], content[b : b + length]
    return content[:a] + other + content[a + length : b] + one + content[b + length :]


def _zeroed(content, rng):
    at, length = _at(content, rng), int(rng.integers(1, 100))
    filled = bytes([int(rng.choice([0, 255]))]) * length
    return (content[:at] + filled + content[at + length :])[: len(content)]


def _worded(content, rng):
    """Another word in the place of one between separators."""
    at = _at(content, rng)
    start = max(content.rfind(mark, 0, at) for mark in (b",", b"\n", b" ")) + 1
    ends = [found for mark in (b",", b"\n", b" ") if (found := content.find(mark, at)) >= 0]
    word = WORDS[rng.integers(len(WORDS))]
    return content[:start] + word + content[min(ends, default=len(content)) :]


def with_shape(member: bytes, shape: str) -> bytes:
    """An array in a file of NumPy whose header of the same length claims another shape."""
    start, end = member.index(b"'shape': ") + 9, member.index(b"\n")
    header = member[:start] + shape.encode() + b", }"
    return header.ljust(end, b" ") + member[end:]


def _other_members(content, rng):
    """Arrays of an archive with sound checksums around unsound contents."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            member = old.read(name)
            if rng.random() < 0.5:
                if rng.random() < 0.4:
                    sizes = ("(999999999999,)", "(0,)", "()", "(-1,)", "(2, 3, 2400)", "('a',)")
                    member = with_shape(member, sizes[rng.integers(len(sizes))])
                else:
                    member = _numbered(_flipped(member, rng), rng)
            method = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
            new.writestr(name, member, compress_type=method[rng.integers(3)])
    return made.getvalue()


def _other_objects(content, rng):
    """HDF5 that is sound, with other attributes, data sets and links than a program writes."""
    import h5py

    memory = io.BytesIO(content)
    with h5py.File(memory, "r+") as file:
        names: list[str] = []
        file.visit(names.append)
        for _ in range(rng.integers(1, 4)):
            name = names[rng.integers(len(names))]
            with contextlib.suppress(KeyError, ValueError, TypeError, OSError, RuntimeError):
                _change(file, name, names, rng)
    return memory.getvalue()


def _odd_value(rng):
    odd = (
        "", "x" * 33000, b"\xff\xfe", -1, 0, 2**62, np.nan, 1e308, True, np.zeros(0),
        np.zeros((2, 2)), np.array(["a", "b"], dtype="S1"), 1j, [1.0, np.inf],
    )  # fmt: skip
    return odd[rng.integers(len(odd))]


def _change(file, name, names, rng):
    import h5py

    item, kind = file[name], rng.integers(7)
    if kind == 0:
        del file[name]
    elif kind == 1:
        attributes = list(item.attrs) or ["units"]
        item.attrs[attributes[rng.integers(len(attributes))]] = _odd_value(rng)
    elif kind == 2 and len(item.attrs):
        del item.attrs[list(item.attrs)[rng.integers(len(item.attrs))]]
    elif kind == 3:
        other = names[rng.integers(len(names))]
        file[other if rng.random() < 0.3 else f"{name}x"] = (
            item if rng.random() < 0.5 else h5py.SoftLink("/" + other)
        )
    elif kind == 4 and isinstance(item, h5py.Group):
        item[f"again{rng.integers(9)}"] = file[names[rng.integers(len(names))].split("/")[0]]
    elif kind == 5:
        del file[name]
        file[name] = h5py.ExternalLink("/dev/zero", "/") if rng.random() < 0.3 else _odd_value(rng)
    elif kind == 6 and isinstance(item, h5py.Dataset):
        shape = tuple(int(n) for n in rng.choice([0, 1, 3, 10**4, 10**7], max(item.ndim, 1)))
        dtype = ("f8", "i2", "S40", "c8", "?")[rng.integers(5)]
        del file[name]
        file.create_dataset(name, shape, dtype, chunks=True, maxshape=(None,) * len(shape))


# -- what reading makes of a file -----------------------------------------------------------------


def outcome(path) -> str:
    """'read', 'refused', or what happened in the place of both, whole and piece by piece."""
    from coreloss.spectra.image import open_image
    from coreloss.spectra.reading import read_spectrum

    whole = _outcome(path, lambda: [read_spectrum(path)])
    if whole not in ("read", "refused"):
        return whole
    lazy = _outcome(path, lambda: _pieces(open_image(path)))
    return lazy if lazy not in ("read", "refused") else whole


def _pieces(image):
    return (image.read(start, stop) for start, stop in image.pieces())


def _outcome(path, read) -> str:
    try:
        for spectrum in read():
            fault = _fault(spectrum)
            if fault:
                return f"read {fault}"
    except OSError as error:
        return (
            "refused" if error.filename and error.strerror else f"{type(error).__name__}: {error}"
        )
    except ValueError as error:
        text = str(error)
        if not text.startswith(f"{path}: ") or "\n" in text or len(text) > 1000:
            return f"a message of another form: {text}"
        by_memory = "more memory than there is" in text or "MemoryError" in text
        return f"refused when memory ended: {text}" if by_memory else "refused"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "read"


def _fault(spectrum) -> str:
    """What is not sane about a spectrum that was read."""
    energy, counts = spectrum.energy_ev, spectrum.counts
    if not np.isfinite(energy).all() or not (np.diff(energy) > 0).all():
        return "energies that do not ascend"
    if np.abs(energy).max() > 1e7:
        return f"energies up to {np.abs(energy).max():g} eV"
    if np.isinf(counts).any() or (spectrum.map_shape == () and not np.isfinite(counts).any()):
        return "counts without values"
    if np.nanmax(np.abs(counts), initial=0.0) > 1e30:
        return f"counts up to {np.nanmax(np.abs(counts)):g}"
    return ""


# -- many files -----------------------------------------------------------------------------------


@dataclass
class Tally:
    """What became of the mutated files of one format."""

    tried: int = 0
    read: int = 0
    refused: int = 0
    slowest_s: float = 0.0
    peak_mib: float = 0.0
    neither: list[tuple[str, int, str]] = field(default_factory=list)


class Reader:
    """A process of `outcome` with limits, begun anew when it hangs or ends."""

    def __init__(self):
        self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None

    def start(self):
        command = [sys.executable, str(HERE / "fuzz.py"), "--reader"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        if self._answer(START_S) is None:
            raise RuntimeError(f"the process that reads did not start within {START_S:g} s")

    def ask(self, path) -> tuple[str, float]:
        """What became of a file, and the process's largest memory so far in MiB."""
        if self.process is None:
            self.start()
        self.process.stdin.write(f"{path}\n".encode())
        self.process.stdin.flush()
        answer = self._answer(LIMIT_S)
        if answer is None:
            ended = self.process.poll()
            self.stop()
            said = f"took more than {LIMIT_S:g} s" if ended is None else f"ended with {ended}"
            return said, 0.0
        return answer["outcome"], answer["peak_mib"]

    def _answer(self, limit_s):
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            line = self.process.stdout.readline() if selector.select(limit_s) else b""
        if not line:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.5)
            return None
        return json.loads(line)


def run(n, *, first_seed=0, keep=None) -> dict[str, Tally]:
    """What became of ``n`` mutated files by format; ``keep`` is a folder for those that failed."""
    from made_files import write_all

    tallies: dict[str, Tally] = {}
    with tempfile.TemporaryDirectory() as folder, Reader() as reader:
        sources = write_all(Path(folder))
        for seed in range(first_seed, first_seed + n):
            source = sources[seed % len(sources)]
            tally = tallies.setdefault(_format(source), Tally())
            path = source.with_name(f"{seed}_{source.name}")  # HDF5 knows open files by name
            path.write_bytes(content := mutations(source, seed))
            if reader.process is None:
                reader.start()
            began = time.perf_counter()
            said, peak_mib = reader.ask(path)
            tally.tried += 1
            tally.slowest_s = max(tally.slowest_s, time.perf_counter() - began)
            tally.peak_mib = max(tally.peak_mib, peak_mib)
            tally.read += said == "read"
            tally.refused += said == "refused"
            if said not in ("read", "refused"):
                tally.neither.append((source.name, seed, said))
                if keep is not None:
                    Path(keep, path.name).write_bytes(content)
            path.unlink()
    return tallies


def _format(path) -> str:
    return "velox" if path.stem == "velox" else path.suffix[1:]


def table(tallies) -> str:
    head = "format   tried    read refused neither slowest s  peak MiB"
    rows = [
        f"{name:6s} {t.tried:7d} {t.read:7d} {t.refused:7d} {len(t.neither):7d} "
        f"{t.slowest_s:9.2f} {t.peak_mib:9.0f}"
        for name, t in sorted(tallies.items())
    ]
    columns = ("tried", "read", "refused")
    sums = [sum(getattr(t, name) for t in tallies.values()) for name in columns]
    sums.append(sum(len(t.neither) for t in tallies.values()))
    return "\n".join([head, *rows, "all    " + " ".join(f"{n:7d}" for n in sums)])


def _serve():
    """Read paths from standard input, answer what became of each."""
    limit = int(MOST_GIB * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)  # lazily read HyperSpy files stay open
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65536), most))
    from made_files import write_all

    with tempfile.TemporaryDirectory() as folder:  # what is compiled or loaded once does not count
        for path in write_all(Path(folder)):
            outcome(path)
    print(json.dumps({"outcome": "ready"}), flush=True)
    for line in sys.stdin:
        said = outcome(Path(line.rstrip("\n")))
        peak_mib = _peak_mib()
        print(json.dumps({"outcome": said[:600], "peak_mib": peak_mib}), flush=True)


def _peak_mib() -> float:
    """Most memory of this process; that of getrusage may be of the process which started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("n", type=int, nargs="?", default=500, help="mutated files")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--keep", type=Path, help="folder for files that failed")
    parser.add_argument("--reader", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.reader:
        _serve()
        return
    if asked.keep is not None:
        asked.keep.mkdir(parents=True, exist_ok=True)
    tallies = run(asked.n, first_seed=asked.seed, keep=asked.keep)
    for name, seed, said in (failure for t in tallies.values() for failure in t.neither):
        print(f"{name} seed {seed}: {' '.join(said.split())[:160]}")
    print(table(tallies))
    sys.exit(any(t.neither for t in tallies.values()))


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    main()
