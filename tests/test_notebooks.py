"""Rules for the notebooks, their executed copies and the contents of the book."""

import ast
import importlib.util
import json
import re
import statistics
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import nbformat
import pytest
import yaml

from coreloss.study import certificate

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
MAX_CODE_CELLS = 25
MAX_MEAN_LINES = 8
ABSOLUTE_PATH = re.compile(
    r"""["'](?:/(?:home|root|work|tmp|mnt|Users|data|usr|opt)\b|~/|[A-Z]:\\)"""
)
REPR = re.compile(r"\[?(<matplotlib|<Axes|<Figure|Text\()")
ITALIC = re.compile(r"\*(?!\*)(?:[^*]|\\\*)+\*(?:\n\n|$)")
"""A paragraph that is all in italics, which book/_ext/captions.py makes a caption."""
TRACES = re.compile(r"papermill|\"execution\"|start_time|/home/\w|/root/|/Users/\w")


def load_module(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


run = load_module(ROOT / "notebooks" / "run.py")


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def text_of(cell: dict) -> str:
    return "".join(cell["source"])


def code_cells(notebook: dict) -> list[dict]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def tags(cell: dict) -> list[str]:
    return cell["metadata"].get("tags", [])


def source_errors(notebook: dict) -> list[str]:
    """What breaks the rules for a source notebook."""
    errors, cells = [], code_cells(notebook)
    for number, cell in enumerate(cells, start=1):
        errors += [f"code cell {number}: {error}" for error in _cell_errors(cell)]
    lines = [len([x for x in text_of(c).splitlines() if x.strip()]) for c in cells]
    if len(cells) > MAX_CODE_CELLS:
        errors.append(f"{len(cells)} code cells, at most {MAX_CODE_CELLS}")
    if lines and statistics.mean(lines) > MAX_MEAN_LINES:
        errors.append(f"{statistics.mean(lines):.1f} lines a cell, at most {MAX_MEAN_LINES}")
    if sum("parameters" in tags(cell) for cell in cells) != 1:
        errors.append("not exactly one cell tagged `parameters`")
    if notebook["metadata"].get("kernelspec", {}).get("name") != "python3":
        errors.append("its kernelspec is not python3")
    if not notebook["cells"] or notebook["cells"][0]["cell_type"] != "markdown":
        errors.append("does not open with a text cell: question, inputs, run time")
    elif not text_of(notebook["cells"][0]).startswith("# "):
        errors.append("the first cell does not start with a title")
    return errors


def _cell_errors(cell: dict) -> list[str]:
    text, errors = text_of(cell), []
    if cell.get("outputs") or cell.get("execution_count"):
        errors.append("has outputs: run `make format`")
    if ABSOLUTE_PATH.search(text):
        errors.append("absolute path")
    if re.search(r"^\s*[!%]", text, flags=re.MULTILINE):
        errors.append("shell or magic command")
        return errors
    banned = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    nodes = list(ast.walk(ast.parse(text)))
    if any(isinstance(node, banned) for node in nodes):
        errors.append("defines a function or class: it belongs into the package")
    if any(isinstance(node, ast.Assign) and _is_golf(node) for node in nodes):
        errors.append("assigns several unlike things in one line: give each its own")
    return errors


def _is_golf(node: ast.Assign) -> bool:
    """Whether collections are made for several names at once, as in ``x, few = {...}, (...)``."""
    displays = (ast.Dict, ast.List, ast.Set, ast.Tuple, ast.DictComp, ast.ListComp)
    pair = isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple)
    return pair and any(isinstance(value, displays) for value in node.value.elts)


def copy_errors(source: dict, copy: dict) -> list[str]:
    """How an executed copy differs from its source, or shows where it was made."""
    errors = []
    if "source_only" in copy["metadata"]:
        errors.append("was never executed")
    kept = [cell for cell in copy["cells"] if "injected-parameters" not in tags(cell)]
    if len(kept) != len(copy["cells"]):
        errors.append("was run with other parameters than its defaults")
    if [(c["cell_type"], text_of(c)) for c in kept] != [
        (c["cell_type"], text_of(c)) for c in source["cells"]
    ]:
        errors.append("has other cells than its source: execute it again")
    if [about_figures(c) for c in kept] != [about_figures(c) for c in source["cells"]]:
        errors.append("has other tags or words for figures than its source: execute it again")
    if any(cell["execution_count"] is None for cell in code_cells(copy) if text_of(cell).strip()):
        errors.append("has cells that were not executed")
    outputs = [output for cell in code_cells(copy) for output in cell["outputs"]]
    if any(output["output_type"] == "error" for output in outputs):
        errors.append("holds an error")
    if any(output.get("name") == "stderr" for output in outputs):
        errors.append("holds stderr")
    shown = [o["data"] for o in outputs if o["output_type"] == "execute_result"]
    shown = [data for data in shown if not {"image/png", "text/markdown", "text/html"} & set(data)]
    if any(REPR.match("".join(data.get("text/plain", ""))) for data in shown):
        errors.append("shows the repr of a part of a figure: end the cell in `;`")
    traces = json.dumps([copy["metadata"], [c["metadata"] for c in kept], _texts(outputs)])
    if found := TRACES.search(traces):
        errors.append(f"holds {found.group()!r}")
    return errors


def figure_errors(copy: dict) -> list[str]:
    """Figures without a caption, and without words for those who cannot see them."""
    errors, cells = [], copy["cells"]
    for number, cell in enumerate(cells, start=1):
        pictures = [o for o in cell.get("outputs", []) if "image/png" in o.get("data", {})]
        if not pictures:
            continue
        behind = cells[number] if number < len(cells) else {"cell_type": "none", "source": ""}
        caption = ITALIC.match(text_of(behind)) if behind["cell_type"] == "markdown" else None
        if caption is None:
            errors.append(f"cell {number}: no paragraph in italics behind its figure")
        words = cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", "")
        words = words or (caption[0] if caption else "")
        if len(words.split()) < 4:
            errors.append(f"cell {number}: {words!r} does not say what the figure shows")
        if len(pictures) > 1:
            errors.append(f"cell {number}: {len(pictures)} figures with one caption")
    return errors


def about_figures(cell: dict) -> tuple:
    """What the book reads from the metadata of a cell."""
    return tags(cell), cell["metadata"].get("mystnb")


def stale_parts(source: Path, copy: dict) -> list[str]:
    """What an executed copy was made with and is no longer so."""
    about = copy["metadata"].get(certificate.CERTIFICATE)
    if about is None:
        return ["no certificate"]
    shown = {name: certificate.file_digest(p) for name, p in run.results_read_by(source).items()}
    errors = certificate.changed(about["depends"])
    for name in sorted(shown.keys() | about["results"].keys()):
        if shown.get(name) != about["results"].get(name):
            errors.append(f"{name}.json is another one")
    return errors


def unexplained_results(notebook: dict, names: Collection[str]) -> list[str]:
    """Results that a notebook reads without saying where they come from."""
    code = "\n".join(text_of(cell) for cell in code_cells(notebook))
    told = " ".join(re.findall(r"results\.origin\(([^)]*)\)", code))
    return [name for name in names if f'"{name}"' not in told]


def _texts(outputs: list[dict]) -> list:
    """The readable parts of outputs: pictures hold any letters."""
    data = [o.get("data", {}) for o in outputs]
    plain = [v for d in data for k, v in d.items() if k in ("text/plain", "text/markdown")]
    return [o.get("text") for o in outputs] + plain


def toc_files() -> list[str]:
    toc = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text(encoding="utf-8"))
    chapters = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    return [toc["root"], *chapters]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_source(path):
    errors = source_errors(read(path))
    assert not errors, "\n".join([path.name, *errors])


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_results_shown_say_where_they_come_from(path):
    missing = unexplained_results(read(path), run.results_read_by(path))
    assert not missing, f"{path.name} shows {missing} without a cell with results.origin"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_executed_copy(path):
    copy = ROOT / "book" / "notebooks" / path.name
    if not copy.exists():
        pytest.skip(f"{path.name} has no executed copy yet: notebooks/run.py {path.stem}")
    errors = copy_errors(read(path), read(copy))
    assert not errors, "\n".join([path.name, *errors])
    stale = stale_parts(path, read(copy))
    again = f"notebooks/run.py {path.stem}"
    assert not stale, f"{path.stem} is stale ({'; '.join(stale)}): {again}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_figures_have_captions_and_words(path):
    copy = ROOT / "book" / "notebooks" / path.name
    if not copy.exists():
        pytest.skip(f"{path.name} has no executed copy yet: notebooks/run.py {path.stem}")
    errors = figure_errors(read(copy))
    assert not errors, "\n".join([path.name, *errors])


def test_executed_copies_have_sources():
    copies = {path.name for path in (ROOT / "book" / "notebooks").glob("*.ipynb")}
    assert copies <= {path.name for path in SOURCES}


def test_contents_list_every_page():
    listed = toc_files()
    notebooks = [name for name in listed if name.startswith("notebooks/")]
    assert sorted(notebooks) == [f"notebooks/{path.stem}" for path in SOURCES]
    pages = {path.stem for path in (ROOT / "book").glob("*.md")}
    assert pages == set(listed) - set(notebooks)


@pytest.mark.parametrize("profile", ["quick", "full"])
def test_profiles_name_existing_notebooks(profile):
    parameters = run.read_profile(ROOT / "notebooks" / "params" / f"{profile}.yml", known=SOURCES)
    for source in SOURCES:
        run.check_parameters(source, parameters.get(source.stem, {}))


def notebook_of(*cells: tuple[str, str]) -> dict:
    """A notebook as stored, from (kind, text); kind `parameters` is a tagged code cell."""
    new = {"markdown": nbformat.v4.new_markdown_cell}
    made = [new.get(kind, nbformat.v4.new_code_cell)(text) for kind, text in cells]
    for cell, (kind, _) in zip(made, cells, strict=True):
        if kind == "parameters":
            cell.metadata["tags"] = ["parameters"]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return json.loads(nbformat.writes(nbformat.v4.new_notebook(cells=made, metadata=metadata)))


GOOD = (("markdown", "# Question"), ("parameters", "seed: int = 0"), ("code", "print(seed)"))


def test_good_source_passes():
    assert source_errors(notebook_of(*GOOD)) == []


@pytest.mark.parametrize(
    "cells",
    [
        GOOD[1:],
        (GOOD[0], GOOD[2]),
        (*GOOD, GOOD[1]),
        (*GOOD, ("code", "def f():\n    pass")),
        (*GOOD, ("code", "class A:\n    pass")),
        (*GOOD, ("code", "!pip install coreloss")),
        (*GOOD, ("code", "x, few = {}, (1, 2)")),
        (*GOOD, ("code", "open('/home/somebody/file')")),
        (*GOOD, ("code", "x = 1\n" * 25)),
        (*GOOD, *[("code", "x = 1")] * MAX_CODE_CELLS),
    ],
)
def test_bad_sources_are_found(cells):
    assert source_errors(notebook_of(*cells))


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """(source, executed copy) of a small notebook, made by notebooks/run.py itself."""
    folder = tmp_path_factory.mktemp("notebooks")
    source = folder / "00_small.ipynb"
    show = "import sys, os\nprint(os.getcwd(), seed)\nprint('noise', file=sys.stderr)"
    source.write_text(json.dumps(notebook_of(*GOOD, ("code", show))), encoding="utf-8")
    assert run.execute(source, folder / "out" / source.name, {}) is None
    return read(source), read(folder / "out" / source.name)


def test_run_makes_a_clean_copy(executed):
    source, copy = executed
    assert copy_errors(source, copy) == []
    assert "".join(code_cells(copy)[-1]["outputs"][0]["text"]) == "./notebooks 0\n"


REPR_OF_A_LEGEND = {
    "output_type": "execute_result",
    "data": {"text/plain": ["<matplotlib.legend.Legend at 0x...>"]},
    "execution_count": 1,
    "metadata": {},
}


def test_bad_copies_are_found(executed):
    source, copy = executed
    for spoil in (
        lambda c: c["metadata"].update(papermill={}),
        lambda c: c["metadata"].update(source_only=True),
        lambda c: c["cells"].pop(),
        lambda c: c["cells"][2].update(source="print(seed + 1)"),
        lambda c: c["cells"][2].update(execution_count=None),
        lambda c: c["cells"][2]["metadata"].update(tags=["injected-parameters"]),
        lambda c: c["cells"][2]["outputs"][0].update(name="stderr"),
        lambda c: c["cells"][2]["outputs"][0].update(text="/home/somebody/file"),
        lambda c: c["cells"][2]["outputs"].append(REPR_OF_A_LEGEND),
    ):
        bad = json.loads(json.dumps(copy))
        spoil(bad)
        assert copy_errors(source, bad)


def test_stale_copies_are_noticed(tmp_path, monkeypatch):
    source = tmp_path / "00_small.ipynb"
    monkeypatch.setattr(certificate, "fingerprint_of", lambda part: f"{part} 1")
    reads = ("code", 'from coreloss.study import results\nresults.read("gate")')
    source.write_text(json.dumps(notebook_of(*GOOD, reads)), encoding="utf-8")
    assert list(run.results_read_by(source)) == ["gate"]
    assert unexplained_results(read(source), ["gate"]) == ["gate"]
    told = notebook_of(reads, ("code", 'Markdown(results.origin("maps", "gate"))'))
    assert unexplained_results(told, ["gate", "maps"]) == []
    about = certificate.certificate_of_notebook(run.results_read_by(source))
    copy = {"metadata": {certificate.CERTIFICATE: about}}
    assert stale_parts(source, copy) == []
    monkeypatch.setattr(certificate, "fingerprint_of", lambda part: f"{part} 2")
    about["results"]["gate"] = "0"
    assert len(stale_parts(source, copy)) == 4
    assert stale_parts(source, {"metadata": {}}) == ["no certificate"]


def with_figure(caption: str, alt: str = "A line that rises from left to right.") -> dict:
    """An executed notebook with one figure."""
    notebook = notebook_of(*GOOD, ("code", "plot()"), ("markdown", caption))
    cell = notebook["cells"][3]
    output = {"output_type": "display_data", "data": {"image/png": ""}, "metadata": {}}
    cell |= {"outputs": [output], "metadata": {"mystnb": {"image": {"alt": alt}}}}
    return notebook


def test_figures_without_caption_or_words_are_found():
    assert figure_errors(with_figure("*A line\nof two points.*\n\nMore text.")) == []
    assert figure_errors(with_figure("*A line of points.*", alt="")) == []  # the caption stands in
    for caption, alt in (("A line.", "A line that rises."), ("*A line* rises.", ""),
                         ("*A line.*", "figure"), ("**A line of points.**", "")):  # fmt: skip
        assert figure_errors(with_figure(caption, alt)), (caption, alt)


def test_an_italic_paragraph_behind_a_figure_becomes_its_caption():
    pytest.importorskip("docutils")
    from docutils import nodes, utils

    captions = load_module(ROOT / "book" / "_ext" / "captions.py")
    doctree = utils.new_document("page")
    for words, alt in (("Two lines.", None), ("Three lines.", "Three lines, one of them red.")):
        cell = nodes.container(classes=["cell"])
        cell += nodes.image(uri="a.png", **({"alt": alt} if alt else {}))
        paragraph = nodes.paragraph("", "", nodes.emphasis("", words))
        doctree += [cell, paragraph, nodes.paragraph("", "Text behind.")]
    captions.caption_figures(None, doctree)
    figures = list(doctree.findall(nodes.figure))
    assert [figure[-1].astext() for figure in figures] == ["Two lines.", "Three lines."]
    assert [figure[0]["alt"] for figure in figures] == [
        "Two lines.",
        "Three lines, one of them red.",
    ]
    assert len({figure["ids"][0] for figure in figures}) == 2
    assert [p.astext() for p in doctree.findall(nodes.paragraph)] == ["Text behind."] * 2


CHECK = "from coreloss.study import parameters\nparameters.check()"


def test_a_notebook_itself_refuses_an_unknown_parameter(tmp_path):
    source = tmp_path / "00_small.ipynb"
    source.write_text(json.dumps(notebook_of(*GOOD, ("code", CHECK))), encoding="utf-8")
    assert run.execute(source, tmp_path / "out.ipynb", {"seed": 1}) is None
    said = run.execute(source, tmp_path / "out.ipynb", {"sed": 1})
    assert "parameter sed is unknown; this notebook has: seed" in said


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_notebooks_check_their_parameters(path):
    code = "\n".join(text_of(cell) for cell in code_cells(read(path)))
    assert "parameters.check()" in code


def test_an_interrupted_run_goes_on_and_a_finished_one_begins_anew(tmp_path, monkeypatch, capsys):
    made = []
    sources = [tmp_path / name for name in ("01_a.ipynb", "02_b.ipynb")]
    for source in sources:
        source.write_text(json.dumps(notebook_of(*GOOD)), encoding="utf-8")

    def execute(source, target, values):
        made.append(source.stem)
        target.parent.mkdir(exist_ok=True)
        target.write_text("{}", encoding="utf-8")
        return "broken" if (source.stem, len(made)) == ("02_b", 2) else None

    monkeypatch.setattr(run, "execute", execute)
    monkeypatch.setattr(run, "find_notebooks", lambda names=None: sources)
    monkeypatch.setattr(run, "inputs_of", lambda source, values: source.read_text())
    command = ["--out", str(tmp_path / "out"), "--journal", str(tmp_path / "journal.json")]
    assert run.main(command) == 1
    assert run.main(command) == 0
    assert made == ["01_a", "02_b", "02_b"]
    assert "01_a.ipynb: done before" in capsys.readouterr().out
    assert not (tmp_path / "journal.json").exists()
    assert run.main(command) == 0
    assert made[3:] == ["01_a", "02_b"]
    (tmp_path / "journal.json").write_text(
        json.dumps({str(tmp_path / "out" / "01_a.ipynb"): "old"})
    )
    assert run.main(command) == 0  # of another notebook: nothing is taken over
    assert made[5:] == ["01_a", "02_b"]


def test_inputs_are_notebook_and_parameters(tmp_path):
    source = tmp_path / "00_small.ipynb"
    source.write_text(json.dumps(notebook_of(*GOOD)), encoding="utf-8")
    first = run.inputs_of(source, {})
    assert run.inputs_of(source, {}) == first != run.inputs_of(source, {"seed": 1})
    source.write_text(json.dumps(notebook_of(*GOOD, GOOD[2])), encoding="utf-8")
    assert run.inputs_of(source, {}) != first


def test_failing_notebook_keeps_the_last_good_copy(tmp_path):
    source = tmp_path / "00_small.ipynb"
    target = tmp_path / "out" / source.name
    target.parent.mkdir()
    target.write_text("good", encoding="utf-8")
    source.write_text(json.dumps(notebook_of(*GOOD, ("code", "1 / 0"))), encoding="utf-8")
    said = run.execute(source, target, {})
    assert "ZeroDivisionError" in said
    assert said.startswith(f"{source.name}, cell {len(GOOD) + 1} of {len(GOOD) + 1}:")
    assert [(p.name, p.read_text()) for p in target.parent.iterdir()] == [(source.name, "good")]


def test_unknown_parameter_stops(tmp_path):
    source = tmp_path / "00_small.ipynb"
    source.write_text(json.dumps(notebook_of(*GOOD)), encoding="utf-8")
    run.check_parameters(source, {"seed": 1})
    with pytest.raises(SystemExit, match="sed"):
        run.check_parameters(source, {"sed": 1})


def test_unknown_names_stop(tmp_path):
    profile = tmp_path / "quick.yml"
    profile.write_text("99_nothing: {seed: 1}", encoding="utf-8")
    with pytest.raises(SystemExit, match="99_nothing"):
        run.read_profile(profile, known=SOURCES)
    script = [sys.executable, str(ROOT / "notebooks" / "run.py"), "99_nothing"]
    out = subprocess.run(script, capture_output=True, text=True, check=False)
    assert out.returncode != 0
    assert "99_nothing" in out.stderr


def test_book_shows_sources_without_executed_copies(tmp_path):
    extension = load_module(ROOT / "book" / "_ext" / "source_notebooks.py")
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "book" / "notebooks").mkdir(parents=True)
    for name in ("00_new.ipynb", "01_done.ipynb"):
        (tmp_path / "notebooks" / name).write_text(json.dumps(notebook_of(*GOOD)), encoding="utf-8")
    done = tmp_path / "book" / "notebooks" / "01_done.ipynb"
    done.write_text(json.dumps(notebook_of()), encoding="utf-8")
    for _ in range(2):
        copied = extension.copy_missing(tmp_path / "book")
        assert [path.name for path in copied] == ["00_new.ipynb"]
    assert read(copied[0])["metadata"]["source_only"]
    assert read(done)["cells"] == []
