"""All ways to identify elements side by side, and what errors of axis, dose and window cost them.

    python -m coreloss.study.identification [--network NAME=FOLDER ...] [--n 1000] [--n-fit 200]

Methods are an edge finder, the fit alone, the shipped network, that network with the fit where its
card joins the two, and the networks that are named (folders or files as for `load_model`). Methods
that fit take part in the curves with `--fit-curves` only. `--only` names some methods, `--kinds`
some curves (none of them: the table alone). Numbers go to `--out` as they come; the same command
goes on where it was, by the same code and with the same sizes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch

from coreloss.datasets.measured import MEASURED_SETS, NO_DATA, data_dir
from coreloss.identification.evidence import Combination
from coreloss.identification.trained_model import DEFAULT_MODEL, Model, load_model
from coreloss.study.identification import methods
from coreloss.study.results import Writer

FINDER_THRESHOLD = 0.5  # the sensitivity that pyTEMlib sets


class Entry(NamedTuple):
    """A method, what its rows belong to, its own threshold, and whether it takes seconds."""

    method: methods.Method
    version: str = ""
    own_threshold: float | None = None
    slow: bool = False


def main() -> None:
    args = arguments().parse_args()
    torch.set_num_threads(1)
    directory = data_dir()
    if directory is None:
        print(NO_DATA)
    entries = entries_of(dict(pair.split("=", 1) for pair in args.network))
    if unknown := set(args.only or ()) - set(entries):
        raise SystemExit(f"--only names {sorted(unknown)}; allowed: {', '.join(entries)}")
    sizes = {"n": args.n, "n_fit": args.n_fit}
    store = Store(Writer("identify", args.out), {"sizes": sizes})
    chosen = {name: e for name, e in entries.items() if not args.only or name in args.only}
    for name, entry in chosen.items():
        table_row(store, name, entry, args, directory)
    curves = {name: e for name, e in chosen.items() if args.fit_curves or not e.slow}
    for kind in args.kinds:
        for data in ("simulated", "measured A") if directory else ("simulated",):
            for x in methods.GRIDS[kind]:
                curve_points(store, kind, data, x, curves, args, directory)


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--only", nargs="+", metavar="METHOD")
    parser.add_argument("--kinds", nargs="*", default=list(methods.GRIDS), type=_kind)
    parser.add_argument("--fit-curves", action="store_true", help="methods that fit as well, hours")
    parser.add_argument("--n", type=int, default=1000, help="simulated spectra of each set")
    parser.add_argument("--n-fit", type=int, default=200, help="of them for methods that fit")
    parser.add_argument("--out", type=Path)
    return parser


def entries_of(networks: dict[str, str]) -> dict[str, Entry]:
    """All methods by name."""
    found = {
        "edge finder": Entry(
            methods.WITHOUT_NETWORK["edge finder"], own_threshold=FINDER_THRESHOLD
        ),
        "fit alone": Entry(methods.WITHOUT_NETWORK["fit alone"], slow=True),
    }
    for name, path in ({DEFAULT_MODEL: DEFAULT_MODEL} | networks).items():
        model = load_model(path)
        version, own = model.fingerprint, model.present_threshold
        found[name] = Entry(methods.network_alone(model), version, own)
        if joined(model):
            method = methods.network_and_fit(model)
            found[f"{name} and fit"] = Entry(method, version, own, slow=True)
    return found


def joined(model: Model) -> bool:
    """Whether the card of a network says how it is joined with the fit."""
    return model.combination != Combination()


class Store:
    """Rows of the results file by key, written after each; those of other code are forgotten."""

    def __init__(self, writer: Writer, about: dict[str, Any]) -> None:
        self.writer, self.about = writer, about
        stored = writer.kept()
        usable = bool(stored) and all(stored.get(name) == value for name, value in about.items())
        rows = [*stored["table"], *stored["curves"]] if usable else []
        self.rows = {_key(row): row for row in rows}

    def once(self, key: dict[str, Any], compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The row with this key, computed and written unless it is there."""
        if _key(key) not in self.rows:
            self.rows[_key(key)] = key | compute()
            self._write()
        return self.rows[_key(key)]

    def _write(self) -> None:
        table = [row for row in self.rows.values() if "sets" in row]
        curves = [row for row in self.rows.values() if "sets" not in row]
        self.writer.write(self.about | {"table": table, "curves": curves})


def table_row(store: Store, name: str, entry: Entry, args, directory) -> dict[str, Any]:
    """The row of a method in the table."""

    def compute() -> dict[str, Any]:
        n = args.n_fit if entry.slow else args.n
        validation = methods.simulated("validation", n=args.n).head(n)
        sets = {"simulated": methods.simulated("test", n=args.n).head(n)}
        if directory:
            sets |= {
                f"measured {name}": methods.measured(directory, name) for name in MEASURED_SETS
            }
        row = methods.compare(entry.method, validation, sets, own_threshold=entry.own_threshold)
        said = [f"{s} {m['f1']:.3f}/{m['exact_match_ratio']:.3f}" for s, m in row["sets"].items()]
        print(f"{name}: F1/EMR {', '.join(said)}", flush=True)
        return row

    return store.once({"method": name, "version": entry.version}, compute)


def curve_points(store: Store, kind: str, data: str, x: float, entries, args, directory) -> None:
    """Every method at one point of one curve; spectra are made when the first asks for them."""

    @cache
    def labelled() -> methods.Labelled:
        if data == "simulated":
            return methods.simulated_at(kind, x, n=args.n)
        return methods.measured_at(kind, x, directory=directory)

    for name, entry in entries.items():
        decision = methods.decision_of(table_row(store, name, entry, args, directory))
        key = {"method": name, "version": entry.version, "kind": kind, "data": data, "x": x}

        def compute(entry=entry, decision=decision) -> dict[str, Any]:
            some = labelled().head(args.n_fit if entry.slow else args.n)
            if not len(some):
                return {"n": 0}
            return methods.curve_point(entry.method, some, decision, kind=kind, x=x)

        row = store.once(key, compute)
        if row["n"]:
            print(f"{kind} {data} {x:g} {name}: F1 {row['f1']:.3f}", flush=True)


def _key(row: dict[str, Any]) -> tuple:
    return tuple(row.get(name) for name in ("method", "version", "kind", "data", "x"))


def _kind(name: str) -> str:
    if name not in methods.GRIDS:
        raise argparse.ArgumentTypeError(f"{name!r}; allowed: {', '.join(methods.GRIDS)}")
    return name


if __name__ == "__main__":
    main()
