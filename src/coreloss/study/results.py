"""The numbers that the book shows: which there are, how each is made, and whether it is up to date.

    make results                what there is: command, duration, state
    make results gate           make one (or several) anew
    python -m coreloss.study.results --pin ablation --because "34 trainings"

A result is *fresh* when simulator, network and measured files are those that it was made with,
*stale* when they are not. What is too expensive to repeat can be *pinned*: it then stays what the
commit of its certificate gave, and every page that shows it says so.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coreloss.runtime.files import replacing
from coreloss.runtime.provenance import CHECKOUT, provenance
from coreloss.runtime.versions import FORMAT_VERSION, check_version
from coreloss.simulation import stream
from coreloss.study.certificate import (
    CERTIFICATE,
    MEASURED,
    NETWORK,
    SIMULATOR,
    changed,
    depends_on,
)

FOLDER = CHECKOUT / "book" / "results"
Row = Mapping[str, Any]
"""A row of a table in a results file."""
RESULTS_VERSION = 1
FRESH, STALE, PINNED, MISSING = "fresh", "stale", "pinned", "missing"


@dataclass(frozen=True)
class Result:
    """One results file: the module and arguments that make it, and what it depends on."""

    command: str
    needs: tuple[str, ...]

    @property
    def shown(self) -> str:
        """The command as somebody would type it."""
        return f"python -m coreloss.study.{self.command}"


BOTH = (SIMULATOR, NETWORK)
ALL = (*BOTH, MEASURED)
RESULTS: Mapping[str, Result] = {
    "scores": Result("scores", ALL),
    "gate": Result("gate --n 512", (SIMULATOR, MEASURED)),
    "ablation": Result("ablation --spectra 16384", (SIMULATOR, MEASURED)),
    "whole_files": Result("whole_files", BOTH),
    "rare_earths": Result("rare_earths", BOTH),
    "multiplets": Result("rare_earths --train --spectra 16384", (SIMULATOR, MEASURED)),
    "networks": Result("comparison score runs --test 2048", ALL),
    "identify": Result("identification --n 256 --n-fit 48", ALL),
    "inference": Result("inference", (NETWORK,)),
    "maps": Result("maps", ALL),
    "speed": Result("maps --speed", BOTH),
    "million": Result("maps --million", BOTH),
    "throughput": Result("throughput --n 8192 --n-memory 40000", (SIMULATOR,)),
}
"""By the name of the file in ``book/results``."""


def path_of(name: str, folder: str | Path = FOLDER) -> Path:
    """Where a result lies; ValueError for a name that no result has."""
    if name not in RESULTS:
        raise ValueError(f"result {name!r} is unknown; there are: {', '.join(RESULTS)}")
    return Path(folder) / f"{name}.json"


def read(name: str, folder: str | Path = FOLDER) -> dict[str, Any]:
    """A stored result; ValueError, with the command that makes it, where there is none."""
    path = path_of(name, folder)
    if not path.is_file():
        raise ValueError(f"{path}: no such file; make it with: make results {name}")
    content = json.loads(path.read_text(encoding="utf-8"))
    found = content.get(CERTIFICATE, {}).get(FORMAT_VERSION)
    check_version(found, RESULTS_VERSION, what=str(path))
    return content


class Writer:
    """Writes one result, whole or not at all, with its certificate; as often as there is news.

    ``path`` is a file in the place of the one in ``book/results``.
    """

    def __init__(self, name: str, path: Path | None = None) -> None:
        self.name, self.path, self._begun = name, path or path_of(name), time.monotonic()
        self._origin = provenance()  # of the code that runs, not of what is there at the end
        self._earlier: float | None = None

    def kept(self) -> dict[str, Any]:
        """What an earlier run of the same code left, if what it depends on is still the same."""
        stored = json.loads(self.path.read_text()) if self.path.is_file() else {}
        about = stored.pop(CERTIFICATE, None)
        if about is None or changed(about["depends"]) or about["provenance"] != self._origin:
            return {}
        if self._earlier is None:
            self._earlier = about["seconds"]
        return stored

    def write(self, content: Mapping[str, Any]) -> None:
        """Replace the file."""
        seconds = (self._earlier or 0.0) + time.monotonic() - self._begun
        command = shlex.join(["python", *map(_anywhere, sys.orig_argv[1:])])
        about = {
            FORMAT_VERSION: RESULTS_VERSION,
            "command": command,
            "made": time.strftime("%Y-%m-%d", time.gmtime()),
            "seconds": round(seconds, 1),
            "depends": depends_on(RESULTS[self.name].needs),
            "provenance": self._origin,
        }
        _store(self.path, {CERTIFICATE: about, **content})


def _anywhere(argument: str) -> str:
    """An argument as it could be given on any machine: of an absolute path the name."""
    return Path(argument).name if Path(argument).is_absolute() else argument


@dataclass(frozen=True)
class ResultState:
    """Whether a result is up to date, and why not."""

    name: str
    state: str
    reasons: tuple[str, ...] = ()
    certificate: Mapping[str, Any] | None = None

    @property
    def complaint(self) -> str:
        """One line for a file that is neither up to date nor pinned."""
        return f"{self.name} is {self.state} ({'; '.join(self.reasons)}): make results {self.name}"


def state_of(name: str, folder: str | Path = FOLDER) -> ResultState:
    """The state of one results file."""
    path = path_of(name, folder)
    if not path.is_file():
        return ResultState(name, MISSING, ("no such file",))
    about = read(name, folder).get(CERTIFICATE)
    if about is None:
        return ResultState(name, STALE, ("no certificate",))
    missing = set(RESULTS[name].needs) - set(about["depends"])
    reasons = [f"{part} is not in its certificate" for part in sorted(missing)]
    reasons += changed(about["depends"])
    if not reasons:
        return ResultState(name, FRESH, (), about)
    return ResultState(name, PINNED if "pinned" in about else STALE, tuple(reasons), about)


def origin(*names: str, folder: str | Path = FOLDER) -> str:
    """Where the numbers of a page come from, in Markdown, a line for each result."""
    return "\n\n".join(_origin(state_of(name, folder)) for name in names)


def _origin(found: ResultState) -> str:
    file = f"`{found.name}.json`"
    about = found.certificate
    if about is None:
        return f"**{file} is {found.state}: {'; '.join(found.reasons)}.**"
    commit = about["provenance"]["commit"][:12] or "an unknown commit"
    made = f"made on {about['made']} with commit {commit} by `{about['command']}`"
    if found.state == FRESH:
        return f"*Numbers from {file}, {made}.*"
    parts = " and ".join(reason.split(" ")[0] for reason in found.reasons)
    if found.state == PINNED:
        return (
            f"**Pinned.** Numbers from {file}, {made}; {parts} changed since. It is not repeated:"
            f" {about['pinned']}."
        )
    return f"**Stale.** Numbers from {file}, {made}; {parts} changed since."


def pin(name: str, because: str, folder: str | Path = FOLDER) -> None:
    """Keep a result that is too expensive to repeat; the next run of its command undoes it."""
    if not because:
        raise ValueError("a pinned result needs a reason: --because 'what makes it expensive'")
    content = read(name, folder)
    content[CERTIFICATE]["pinned"] = because
    _store(path_of(name, folder), content)


def make(name: str) -> int:
    """Run the command of a result; its exit code."""
    path_of(name)
    command = shlex.split(RESULTS[name].shown)[1:]
    return subprocess.run([sys.executable, *command], check=False, cwd=CHECKOUT).returncode


def listing() -> str:
    """All results as text, a line each."""
    rows = [("result", "state", "last run", "command")]
    for name, result in RESULTS.items():
        found = state_of(name)
        seconds = (found.certificate or {}).get("seconds")
        rows.append((name, found.state, "" if seconds is None else _minutes(seconds), result.shown))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    return "\n".join(
        "  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[3]])
        for row in rows
    )


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _store(path: Path, content: Mapping[str, Any]) -> None:
    """JSON with a line for each key at the top."""
    lines = (f"{json.dumps(k)}: {json.dumps(v, allow_nan=False)}" for k, v in content.items())
    with replacing(path) as part:
        part.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command ``make results``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"results to make: {', '.join(RESULTS)}; stream")
    parser.add_argument("--pin", metavar="NAME", help="keep a result that is stale")
    parser.add_argument("--because", default="", help="why it is not repeated")
    args = parser.parse_args(arguments)
    try:
        if args.pin:
            pin(args.pin, args.because)
        for name in args.names:
            if name == "stream":
                stream.write_record(CHECKOUT / "src" / "coreloss" / "data" / stream.RECORD)
            elif code := make(name):
                print(f"{name}: its command failed with exit code {code}", file=sys.stderr)
                return code
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    print(listing())
    return 0


if __name__ == "__main__":
    sys.exit(main())
