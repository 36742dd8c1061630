"""Faults injected into whole commands, and what is left of their results.

    make stress                                 every part
    python -m tests.stress kills disk --n 20    some of them, with 20 kills of each command

kills    SIGKILL at random moments: results are absent, the earlier ones, or whole; and once the
         command has been given again they are those of a run that nothing interrupted
interrupt   the same with Ctrl-C, which must end in a word and leave nothing behind
writers  two processes write one result at the same moment
disk     a disk that is full or may not be written to (needs root: a small file system in memory)
files    damaged files through the readers (`tests.fuzz`, if it is there)
install  an empty environment with `pip install .` alone names elements (downloads; minutes)

Commands run in processes that are forked off this one, which has imported everything: so a second
is enough for each of them, and moments are spread over the work and not over the imports.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EARLIER = b"an earlier result"
ORIGIN = ("provenance", "source_commit")
"""What changes with the checkout, and not with the result."""
MOST_IN_A_ROW = 4
MOST_LETTERS = 200
FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Command:
    """Something that writes results into a folder, which may hold some already.

    results : files that replace earlier ones; what is whole is what ``content`` says of the folder
    kept : hidden files that an interrupted run may leave, because the next one goes on with them
    """

    name: str
    run: Callable[[Path], None]
    content: Callable[[Path], dict[str, str]]
    results: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


@dataclass
class Score:
    """How one kind of fault ended."""

    name: str
    tried: int = 0
    worst_s: float = 0.0
    defects: list[str] = field(default_factory=list)
    note: str = ""

    def attempt(self, seconds: float, defects: list[str]) -> None:
        self.tried += 1
        self.worst_s = max(self.worst_s, seconds)
        self.defects += defects[:1]


# -- commands -------------------------------------------------------------------------------------


def cli(*arguments: object) -> None:
    from coreloss.cli.app import main

    main([str(argument) for argument in arguments])


def commands(inputs: Path) -> list[Command]:
    """All of them; ``inputs`` is a folder for the files that they read."""
    image, one = written_image(inputs), written_spectrum(inputs / "one.csv")
    source = written_notebook(inputs)
    maps, amounts = ("map", image, "--window", 400, 1200), ("quantify", image, "--elements")
    pages = ("o.json", "o.csv", "o.html")

    def identified(folder: Path) -> None:
        outputs = zip(("--json", "--csv", "--report"), pages, strict=True)
        cli("identify", one, *(x for option, name in outputs for x in (option, folder / name)))

    def executed(folder: Path) -> None:
        run = [sys.executable, str(source), "--out", str(folder)]
        raise SystemExit(subprocess.run(run, check=False).returncode)

    return [
        Command("dataset --n", lambda f: cli("dataset", f / "o.h5", "--n", 96), hdf5, ("o.h5",)),
        Command("dataset", lambda f: cli("dataset", f / "set", *SET), hdf5),
        Command("train", trained, training),
        Command("map", lambda f: cli(*maps, "-o", f / "o.h5"), hdf5, ("o.h5",), (".o.h5.part",)),
        Command(
            "quantify",
            lambda f: cli(*amounts, "O,Ti", "--window", 400, 1200, "-o", f / "o.h5"),
            hdf5, ("o.h5",), (".o.h5.part",),
        ),
        Command("identify", identified, digests, pages),
        Command("notebooks", executed, digests, ("01_small.ipynb",)),
    ]  # fmt: skip


SET = ("--scale", 1e-4, "--elements", "O,Ti")


def trained(folder: Path) -> None:
    from coreloss.training import loop

    @dataclass(frozen=True)
    class Small(loop.TrainConfig):
        spectra: int = 256
        block_size: int = 32
        batch_size: int = 32
        report_every: int = 64
        validation_spectra: int = 32

    loop.TrainConfig = Small
    cli("train", folder)


def written_image(folder: Path) -> Path:
    """A small superlattice as a file, and maps in many small pieces."""
    import numpy as np

    from coreloss.mapping.stream import stream
    from coreloss.simulation.superlattice.image import simulate_superlattice
    from coreloss.simulation.superlattice.settings import Superlattice

    stream.__kwdefaults__["piece"] = 24
    core_loss = simulate_superlattice(Superlattice(map_shape=(8, 24)), seed=0).core_loss
    counts = core_loss.counts.reshape(8, 24, -1)
    np.savez(folder / "image.npz", energy=core_loss.energy_ev, counts=counts)
    return folder / "image.npz"


def written_spectrum(path: Path) -> Path:
    """Counts with a carbon, an oxygen and an iron edge on a power law."""
    lines = []
    for energy in range(250, 900):
        below = 1e6 * (energy / 250) ** -3
        edges = sum(
            height * (energy / onset) ** -3
            for onset, height in ((284, 3e5), (532, 5e4), (708, 6e4), (721, 3e4))
            if energy >= onset
        )
        lines.append(f"{energy},{below + edges:.0f}")
    path.write_text("energy (eV),counts\n" + "\n".join(lines) + "\n")
    return path


def written_notebook(folder: Path) -> Path:
    """A notebook of one cell beside a copy of the command of `make notebooks`."""
    (folder / "params").mkdir()
    (folder / "params" / "quick.yml").write_text("{}\n")
    cell = {"cell_type": "code", "execution_count": None, "id": "one", "metadata": {},
            "outputs": [], "source": "sum(range(10_000_000))"}  # fmt: skip
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    book = {"cells": [cell], "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    (folder / "01_small.ipynb").write_text(json.dumps(book))
    return Path(shutil.copy(ROOT / "notebooks" / "run.py", folder))


# -- what is in a folder --------------------------------------------------------------------------


def visible(folder: Path) -> list[Path]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return [path for path in files if not path.name.startswith(".")]


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file, by its name."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in visible(folder)
    }


def hdf5(folder: Path) -> dict[str, str]:
    """The same of arrays and attributes, wherever the library has put them in the file."""
    import h5py

    found = digests(folder)
    for path in folder.rglob("*.h5"):
        if path.name.startswith(".") or path.read_bytes() == EARLIER:
            continue
        with h5py.File(path, "r") as file:
            parts = {name: values[()].tobytes().hex() for name, values in file.items()}
            attributes = {k: v for k, v in file.attrs.items() if k not in ORIGIN}
            parts |= {f"@{name}": str(value) for name, value in attributes.items()}
        text = json.dumps(parts, sort_keys=True)
        found[str(path.relative_to(folder))] = hashlib.sha256(text.encode()).hexdigest()
    for path in folder.rglob("manifest.json"):
        text = json.dumps(
            {k: v for k, v in json.loads(path.read_text()).items() if k not in ORIGIN}
        )
        found[str(path.relative_to(folder))] = hashlib.sha256(text.encode()).hexdigest()
    return found


def training(folder: Path) -> dict[str, str]:
    """Weights, and the card but for how long it took; nothing before there is a card."""
    if not (folder / "card.json").exists():
        return {}
    card = json.loads((folder / "card.json").read_text())
    card = {k: v for k, v in card.items() if k not in ORIGIN}
    times = ("minutes", "cpu_minutes", "spectra_per_s")
    card["validation"] = {k: v for k, v in card["validation"].items() if k not in times}
    weights = hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    return {"card.json": json.dumps(card), "weights.safetensors": weights}


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(".*") if path.is_file()]


# -- processes ------------------------------------------------------------------------------------


def started(command: Command, folder: Path, log: Path):
    """The command in a process group of its own; what it says goes into ``log``."""

    def work() -> None:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with log.open("ab") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        command.run(folder)

    process = FORK.Process(target=work)
    process.start()
    return process


def end(process, number: int) -> bool:
    """Send a signal to all of its group; False, if it had ended before."""
    if process.exitcode is not None:
        return False
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:  # not yet a group
        os.kill(process.pid, number)
    process.join()
    return process.exitcode != 0


def completed(command: Command, folder: Path, log: Path) -> tuple[int, float]:
    begun = time.monotonic()
    process = started(command, folder, log)
    process.join(600)
    if process.exitcode is None:
        end(process, signal.SIGKILL)
    return process.exitcode, time.monotonic() - begun


def said(log: Path) -> str:
    return log.read_text(errors="replace") if log.exists() else ""


def last_line(log: Path) -> str:
    return (said(log).strip().splitlines() or ["nothing was said"])[-1][: 2 * MOST_LETTERS]


def half_done(command: Command, folder: Path, whole: dict[str, str]) -> list[str]:
    """Results that are neither absent, nor whole, nor the earlier ones."""
    wrong = []
    try:
        content = command.content(folder)
    except (OSError, ValueError, KeyError) as error:
        return [f"unreadable result: {error}"]
    for name, digest in content.items():
        earlier = name in command.results and (folder / name).read_bytes() == EARLIER
        if not earlier and whole.get(name) != digest:
            wrong.append(f"{name} is neither the earlier nor the whole result")
    return wrong


def lost(command: Command, folder: Path, earlier: bool) -> list[str]:
    return [
        f"{name} was lost" for name in command.results if earlier and not (folder / name).exists()
    ]


def put_earlier(command: Command, folder: Path) -> None:
    for name in command.results:
        (folder / name).write_bytes(EARLIER)


class Bench:
    """The commands with their whole results and durations, and a place to work in."""

    def __init__(self, folder: Path, names: list[str]) -> None:
        self.folder, self.number = folder, 0
        inputs = folder / "inputs"
        inputs.mkdir()
        self.commands = [c for c in commands(inputs) if not names or c.name.split()[0] in names]
        self.whole: dict[str, dict[str, str]] = {}
        self.seconds: dict[str, float] = {}
        for command in self.commands:
            self.warm_up(command)
            place = self.place()
            code, self.seconds[command.name] = completed(command, place, self.log(place))
            if code:
                sys.exit(f"{command.name} fails by itself: {last_line(self.log(place))}")
            self.whole[command.name] = command.content(place)
            shown = f"{len(self.whole[command.name])} results, {self.seconds[command.name]:.1f} s"
            print(f"{command.name}: {shown}", flush=True)

    def warm_up(self, command: Command) -> None:
        """Here, so that forked processes find modules imported and tables read."""
        place = self.place()
        log = self.log(place).open("w")
        with log, redirect_stdout(log), redirect_stderr(log), suppress(SystemExit):
            command.run(place)

    def place(self, folder: Path | None = None) -> Path:
        self.number += 1
        place = (folder or self.folder) / f"{self.number:04d}"
        place.mkdir()
        return place

    def log(self, place: Path) -> Path:
        return self.folder / f"{place.name}.log"

    def size(self, command: Command) -> int:
        place = self.place()
        completed(command, place, self.log(place))
        return sum(path.stat().st_size for path in place.rglob("*") if path.is_file())

    def after(self, command: Command, place: Path) -> list[str]:
        """The command once more: defects of what it leaves."""
        log = self.log(place)
        code, _ = completed(command, place, log)
        if code:
            return [f"given again, it fails: {last_line(log)}"]
        if command.content(place) != self.whole[command.name]:
            return ["given again, its results are not those of an uninterrupted run"]
        return [f"left behind: {name}" for name in hidden(place)]


# -- parts ----------------------------------------------------------------------------------------


def kills(bench: Bench, n: int, rng: random.Random, number: int = signal.SIGKILL) -> list[Score]:
    """``n`` signals to each command, several in a row before it is left in peace."""
    scores = []
    for command in bench.commands:
        score = Score(f"{signal.Signals(number).name} {command.name}")
        while score.tried < n:
            place, begun, defects = bench.place(), time.monotonic(), []
            earlier = rng.random() < 0.5
            if earlier:
                put_earlier(command, place)
            hits = 0
            for _ in range(min(rng.randint(1, MOST_IN_A_ROW), n - score.tried)):
                process = started(command, place, bench.log(place))
                process.join(rng.uniform(0.05, bench.seconds[command.name]))
                if not end(process, number):
                    continue
                hits += 1
                defects += half_done(command, place, bench.whole[command.name])
                defects += lost(command, place, earlier)
                if number == signal.SIGINT:
                    defects += not_clean(command, place, process.exitcode, bench.log(place))
            defects += bench.after(command, place)
            for _ in range(hits):
                score.attempt(time.monotonic() - begun, [f"{place.name}: {d}" for d in defects])
                defects = []
        scores.append(score)
        told(score)
    return scores


def not_clean(command: Command, place: Path, code: int, log: Path) -> list[str]:
    """What an interrupted command should not have said or left."""
    wrong = [] if code == 130 else [f"exit code {code} after Ctrl-C: {last_line(log)}"]
    if "Traceback" in said(log):
        wrong.append("a traceback after Ctrl-C")
    return wrong + [f"left behind: {x}" for x in hidden(place) if x not in command.kept]


def interrupt(bench: Bench, n: int, rng: random.Random) -> list[Score]:
    return kills(bench, max(n // 3, 2), rng, signal.SIGINT)


def writers(bench: Bench, n: int, rng: random.Random) -> list[Score]:
    scores = []
    for command in bench.commands:
        score = Score(f"two writers {command.name}")
        for _ in range(max(n // 6, 2)):
            place, begun = bench.place(), time.monotonic()
            logs = [place.with_suffix(f".{i}.log") for i in range(2)]
            pair = [started(command, place, logs[0])]
            time.sleep(rng.uniform(0, 0.5 * bench.seconds[command.name]))
            pair.append(started(command, place, logs[1]))
            for process in pair:
                process.join(600)
            defects = [
                f"one of two writers ended without a word: {last_line(log)}"
                for process, log in zip(pair, logs, strict=True)
                if process.exitcode and ("Traceback" in said(log) or not said(log).strip())
            ]
            if all(process.exitcode for process in pair):
                defects.append(f"neither of two writers wrote: {last_line(logs[0])}")
            defects += half_done(command, place, bench.whole[command.name])
            defects += bench.after(command, place)
            score.attempt(time.monotonic() - begun, [f"{place.name}: {d}" for d in defects])
        scores.append(score)
        told(score)
    return scores


@contextmanager
def small_disk(folder: Path):
    """A file system in memory at ``folder``, and a function that changes its options."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o"]
    subprocess.run([*mount, "size=64m", "tmpfs", str(folder)], check=True)

    def change(option: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{option}", str(folder)], check=True)

    try:
        yield change
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def disk(bench: Bench, n: int, rng: random.Random) -> list[Score]:
    """Full after a share of what a command writes, then larger; and a disk that is read only."""
    if os.geteuid() != 0 or sys.platform != "linux":
        return [Score("disk", note="skipped: mounting a small file system needs root")]
    scores = []
    for command in bench.commands:
        score, size = Score(f"full disk {command.name}"), bench.size(command)
        for share in [0.0, *(rng.uniform(0, 0.95) for _ in range(max(n // 4, 2)))]:
            place = bench.folder / f"disk-{bench.number}-{share:.3f}"
            with small_disk(place) as change:
                score.attempt(*full_disk(bench, command, place, change, int(size * share)))
        scores.append(score)
        told(score)
        score = Score(f"read only {command.name}")
        place = bench.folder / f"disk-{bench.number}"
        with small_disk(place) as change:
            score.attempt(*read_only(bench, command, place, change))
        scores.append(score)
        told(score)
    return scores


def full_disk(bench: Bench, command: Command, disk: Path, change, room: int):
    """A disk with ``room`` bytes, then one that is large enough."""
    begun, place, defects = time.monotonic(), bench.place(disk), []
    put_earlier(command, place)
    used = 4096 * (len(command.results) + 1)
    change(f"size={used + max(room, 4096)}")
    log = bench.log(place)
    code, _ = completed(command, place, log)
    defects += half_done(command, place, bench.whole[command.name])
    defects += lost(command, place, earlier=True)
    defects += refused(code, log, "No space left", "free") if code else []
    defects += [f"left behind: {x}" for x in hidden(place) if x not in command.kept]
    change("size=64m")
    defects += bench.after(command, place)
    return time.monotonic() - begun, [f"{place.name}, {room} bytes: {d}" for d in defects]


def read_only(bench: Bench, command: Command, disk: Path, change):
    begun, place = time.monotonic(), bench.place(disk)
    put_earlier(command, place)
    change("ro")
    log = bench.log(place)
    code, _ = completed(command, place, log)
    defects = [] if code else ["no complaint about a disk that is read only"]
    defects += refused(code, log, "Read-only", "cannot be written")
    change("rw")
    return time.monotonic() - begun, [f"{place.name}: {d}" for d in defects]


def refused(code: int, log: Path, *words: str) -> list[str]:
    """Whether the end of a command was said in one plain line."""
    text = said(log)
    if code < 0:
        return [f"died of signal {-code}"]
    if not any(word in text for word in words):
        return [f"none of {words} in what was said: {last_line(log)}"]
    if "Traceback" in text:
        return [f"a traceback: {last_line(log)}"]
    long = len(last_line(log)) > MOST_LETTERS
    return [f"more than {MOST_LETTERS} letters: {last_line(log)}"] if long else []


def files(folder: Path, n: int) -> list[Score]:
    """Damaged files through the readers."""
    if not (ROOT / "tests" / "fuzz.py").is_file():
        return [Score("files", note="skipped: there is no tests/fuzz.py")]
    begun = time.monotonic()
    run = [sys.executable, "-m", "tests.fuzz", str(n)]
    code = subprocess.run(run, cwd=ROOT, check=False).returncode
    score = Score("files", n, time.monotonic() - begun)
    score.defects += [f"tests.fuzz ended with exit code {code}"] if code else []
    return [score]


def install(folder: Path) -> list[Score]:
    """``pip install .`` without extras into an empty environment, and a file from there."""
    score, begun = Score("install"), time.monotonic()
    source, place = folder / "source", folder / "environment"
    skipped = shutil.ignore_patterns(".git", ".venv", "_build", "book", "__pycache__", "*.egg-info")
    shutil.copytree(ROOT, source, ignore=skipped)
    python = str(place / "bin" / "python")
    outside = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    spectrum = written_spectrum(folder / "spectrum.csv")
    steps = (
        [sys.executable, "-m", "venv", str(place)],
        [python, "-m", "pip", "install", "-q", "-c", "constraints.txt", "."],
        [python, "-m", "coreloss.cli", "identify", str(spectrum), "--json", str(folder / "o.json")],
    )
    for step in steps:
        found = subprocess.run(
            step, cwd=source, env=outside, capture_output=True, text=True, check=False
        )
        if found.returncode:
            last = (found.stderr.strip().splitlines() or [""])[-1]
            score.defects.append(f"{' '.join(step[1:4])} fails: {last}")
            break
    else:
        present = json.loads((folder / "o.json").read_text())["spectra"][0]["present"]
        if not {"C", "O"} <= set(present):
            score.defects.append(f"the spectrum of C, O and Fe is called {present}")
        packages = place / "lib" / f"python3.{sys.version_info[1]}" / "site-packages"
        sizes = {
            path.name: sum(f.stat().st_size for f in path.rglob("*") if f.is_file()) / 1e6
            for path in packages.iterdir() if path.is_dir()
        }  # fmt: skip
        largest = sorted(sizes, key=sizes.__getitem__)[::-1][:12]
        score.note = f"{sum(sizes.values()):.0f} MB: " + ", ".join(
            f"{name} {sizes[name]:.0f}" for name in largest
        )
    score.tried, score.worst_s = 1, time.monotonic() - begun
    return [score]


# -- report ---------------------------------------------------------------------------------------


def told(score: Score) -> None:
    """A line about a kind of fault as soon as it is through, and its defects."""
    print(line_of(score), *(f"  DEFECT {d}" for d in score.defects), sep="\n", flush=True)


def line_of(score: Score) -> str:
    fine = score.tried - len(score.defects)
    row = f"{score.name:28} {score.tried:6} {fine:6} {len(score.defects):8} {score.worst_s:8.1f}"
    return f"{row}  {score.note}".rstrip()


PARTS = ("kills", "interrupt", "writers", "disk", "files", "install")
BENCHED = {"kills": kills, "interrupt": interrupt, "writers": writers, "disk": disk}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", help=f"{', '.join(PARTS)}; all by default")
    parser.add_argument("--n", type=int, default=12, help="kills of each command (12)")
    parser.add_argument("--files", type=int, default=10_000, help="damaged files (10000)")
    parser.add_argument("--only", nargs="*", default=[], help="commands, such as train; all")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    if unknown := set(args.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are: {', '.join(PARTS)}")
    parts = [part for part in PARTS if part in args.parts or not args.parts]
    rng, scores = random.Random(args.seed), []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # small disks go
    folder = Path(tempfile.mkdtemp(prefix="stress-"))
    print(f"working in {folder}", flush=True)
    if set(parts) & set(BENCHED):
        import torch

        torch.set_num_threads(1)  # forked processes have no threads
        bench = Bench(folder, args.only)
    for part in parts:
        if part in BENCHED:
            scores += BENCHED[part](bench, args.n, rng)
        else:
            scores += files(folder, args.files) if part == "files" else install(folder)
    print(f"\n{'fault':28} {'tried':>6} {'fine':>6} {'defects':>8} {'worst s':>8}")
    print(*map(line_of, scores), sep="\n")
    if any(score.defects for score in scores):
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
