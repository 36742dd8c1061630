"""Execute the study's notebooks with papermill and keep copies whose differences mean something.

    python notebooks/run.py --profile quick --out book/notebooks [01_edges_and_gos ...]
    python notebooks/run.py --list

Parameters come from notebooks/params/<profile>.yml, one section per notebook; a name which the
notebook's `parameters` cell does not have is an error. A run that was interrupted or failed goes on
where it was, by the journal in _build; one that is finished leaves none. Timestamps, durations,
paths and stderr are taken out of the copy, and it is put in place in one step: a failed or
interrupted run leaves the last good one. The metadata of a copy say what it was made with:
simulator, network, measured files and results files.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import sys
import time
from pathlib import Path

from coreloss.runtime.files import replacing
from coreloss.runtime.provenance import digest_of
from coreloss.study import results
from coreloss.study.certificate import CERTIFICATE, certificate_of_notebook

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent


def main(argv: list[str] | None = None) -> int:
    args = _arguments(argv)
    if args.list:
        print(listing())
        return 0
    os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")
    logging.getLogger("papermill").setLevel(logging.ERROR)
    sources = find_notebooks(args.names)
    parameters = read_profile(HERE / "params" / f"{args.profile}.yml", known=find_notebooks())
    for source in sources:
        check_parameters(source, parameters.get(source.stem, {}))
    failed = []
    journal = Journal(args.journal or ROOT / "_build" / f"notebooks-{args.profile}.json")
    for source in sources:
        values, target = parameters.get(source.stem, {}), args.out / source.name
        made_of = inputs_of(source, values)
        if journal.has(target, made_of):
            print(f"{source.name}: done before the interruption", flush=True)
            continue
        print(f"{source.name}: running ({args.profile})", flush=True)
        start = time.perf_counter()
        try:
            error = execute(source, target, values)
        except OSError as problem:
            sys.exit(f"{source.name}: {problem}")
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
        seconds = time.perf_counter() - start
        outcome = "FAILED after" if error else "done in"
        print(f"{source.name}: {outcome} {seconds:.0f} s", flush=True)
        if error:
            print(error, file=sys.stderr, flush=True)
            failed.append(source.name)
        else:
            journal.add(target, made_of)
    if not failed:
        journal.end()
    else:
        print(f"{len(failed)} of {len(sources)} failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


class Journal:
    """Which notebooks an unfinished run has done, and of what; a finished run leaves no journal."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.done = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    def has(self, target: Path, made_of: str) -> bool:
        """Whether the copy is there and was made of the same by the run that is continued."""
        return target.is_file() and self.done.get(str(target.resolve())) == made_of

    def add(self, target: Path, made_of: str) -> None:
        self.done[str(target.resolve())] = made_of
        with replacing(self.path) as part:
            part.write_text(json.dumps(self.done, indent=1), encoding="utf-8")

    def end(self) -> None:
        self.path.unlink(missing_ok=True)


def inputs_of(source: Path, parameters: dict) -> str:
    """Sixteen letters for what a copy is made of: notebook, parameters, package, results, data."""
    code = sorted((ROOT / "src").rglob("*.py"))
    about = [parameters, certificate_of_notebook(results_read_by(source))]
    parts = [path.read_bytes() for path in (source, *code)]
    return digest_of(json.dumps(about, sort_keys=True), *parts)


def listing() -> str:
    """Every parameter of every notebook with its default, and what the profile `full` sets."""
    import papermill

    full = read_profile(HERE / "params" / "full.yml", known=find_notebooks())
    lines = []
    for source in find_notebooks():
        lines.append(source.stem)
        for name, about in papermill.inspect_notebook(str(source)).items():
            wide = full.get(source.stem, {}).get(name)
            other = "" if wide is None else f"  full: {wide}"
            told = f"  # {about['help']}" if about["help"] else ""
            lines.append(f"  {name} = {about['default']}{other}{told}")
    return "\n".join(lines)


def find_notebooks(names: list[str] | None = None) -> list[Path]:
    """Source notebooks NN_name.ipynb in their order, or only those named."""
    sources = sorted(HERE.glob("[0-9][0-9]_*.ipynb"))
    if not names:
        return sources
    wanted = {name.removesuffix(".ipynb").rsplit("/", 1)[-1] for name in names}
    unknown = wanted - {source.stem for source in sources}
    if unknown:
        known = ", ".join(source.stem for source in sources) or "none"
        sys.exit(f"no notebook named {', '.join(sorted(unknown))}; there are: {known}")
    return [source for source in sources if source.stem in wanted]


def read_profile(path: Path, *, known: list[Path]) -> dict[str, dict]:
    """The profile's parameters by notebook; unknown notebooks are an error."""
    import yaml

    if not path.exists():
        profiles = ", ".join(sorted(p.stem for p in path.parent.glob("*.yml")))
        sys.exit(f"no profile {path.stem!r}; there are: {profiles}")
    profile = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    unknown = set(profile) - {source.stem for source in known}
    if unknown:
        sys.exit(f"{path.name} sets parameters of notebooks that do not exist: {sorted(unknown)}")
    return profile


def check_parameters(source: Path, parameters: dict) -> None:
    """Stop at a parameter which the `parameters` cell does not have (papermill only warns)."""
    import papermill

    if not parameters:
        return
    defaults = papermill.inspect_notebook(str(source))
    unknown = set(parameters) - set(defaults)
    if unknown:
        sys.exit(f"{source.name} has no parameter {sorted(unknown)}; it has: {sorted(defaults)}")


def execute(source: Path, target: Path, parameters: dict) -> str | None:
    """Run one notebook and put its cleaned copy at target; the error text when a cell raised."""
    import nbformat
    import papermill

    try:
        with replacing(target) as part:
            notebook = papermill.execute_notebook(
                str(source), None, parameters=parameters, cwd=str(HERE),
                kernel_name="python3", progress_bar=False,
            )  # fmt: skip
            _show_warnings(notebook)
            clean(notebook).metadata[CERTIFICATE] = certificate_of_notebook(results_read_by(source))
            nbformat.write(notebook, part)
    except papermill.PapermillExecutionError as error:
        return f"{source.name}, cell {_place(source, error.source)}:{error}"
    return None


def results_read_by(source: Path) -> dict[str, Path]:
    """The results files that the code of a notebook reads, by name."""
    cells = json.loads(source.read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    return {name: results.path_of(name) for name in re.findall(r'results\.read\("(\w+)"', code)}


def _place(source: Path, code: str) -> str:
    """Number of a code cell among all cells of its notebook, such as "9 of 35"."""
    cells = json.loads(source.read_text(encoding="utf-8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells]
    return f"{texts.index(code) + 1 if code in texts else '?'} of {len(texts)}"


def clean(notebook):
    """Take out of an executed notebook whatever differs between two equal runs on two machines."""
    notebook.metadata.pop("papermill", None)
    notebook.metadata.pop("widgets", None)
    notebook.metadata["kernelspec"] = {
        "display_name": "Python 3", "language": "python", "name": "python3"
    }  # fmt: skip
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        for key in ("papermill", "execution", "collapsed"):
            cell.metadata.pop(key, None)
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell["id"] = "injected-parameters"
        if cell.cell_type == "code":
            cell["outputs"] = [_clean_output(o) for o in cell.outputs if o.get("name") != "stderr"]
    return notebook


def _clean_output(output):
    if "text" in output:
        output["text"] = _relative(output["text"])
    for kind, value in output.get("data", {}).items():
        if kind.startswith("text/") and isinstance(value, str):
            output["data"][kind] = _relative(value)
    return output


def _relative(text: str) -> str:
    """Paths relative to the checkout and addresses as 0x..., equal on every machine."""
    for path, short in ((str(ROOT), "."), (str(ROOT.parent), ".."), (str(Path.home()), "~")):
        if path != "/":
            text = re.sub(re.escape(path) + r"(?=[/\s'\")\]:,]|$)", short, text)
    return re.sub(r"\b0x[0-9a-f]{8,}\b", "0x...", text)


def _show_warnings(notebook) -> None:
    """Stderr is not kept in the copy, so its last lines are shown here, without progress bars."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            lines = output["text"].splitlines() if output.get("name") == "stderr" else []
            kept = [x for x in lines if x.strip() and "it/s]" not in x and "IPKernelApp" not in x]
            print(*(f"    {line}\n" for line in kept[-5:]), sep="", end="", file=sys.stderr)


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="notebooks to run, all by default")
    parser.add_argument("--profile", default="quick", help="a file in notebooks/params (quick)")
    parser.add_argument("--out", type=Path, default=ROOT / "book" / "notebooks")
    parser.add_argument("--list", action="store_true", help="show all parameters, and run nothing")
    parser.add_argument("--journal", type=Path, help="of an unfinished run (in _build)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
