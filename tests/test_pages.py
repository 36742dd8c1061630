"""Pages of the built book, as a browser sees them: `make book` first.

Internal links are checked by the build itself (`-n -W`); other ones by their form, without a
network. ``CORELOSS_BOOK=1`` makes a missing book a failure, for `.ci/run`.
"""

import importlib.util
import os
import re
import shutil
import struct
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
HTML = ROOT / "_build" / "html"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom",
         "--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=2000")  # fmt: skip
COMPLAINT = re.compile(r"CONSOLE.*(?:Error|error|Failed|net::ERR|Refused).*")
HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+(:\d+)?")
LOADED = {"script": "src", "img": "src", "iframe": "src", "link": "href"}


def pages() -> list[str]:
    toc = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text(encoding="utf-8"))
    return [toc["root"], *(c["file"] for part in toc["parts"] for c in part["chapters"])]


class Page(HTMLParser):
    """What a page loads, where it leads, and its pictures."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.images: list[dict] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if (source := found.get(LOADED.get(tag, ""))) and found.get("rel") != "canonical":
            self.loaded.append(source)
        if tag == "a" and "href" in found:
            self.links.append(found["href"] or "")
        if tag == "img":
            self.images.append(found)


def errors_of(path: Path) -> list[str]:
    """What is wrong with a page, without a browser."""
    page, errors = Page(path.read_text(encoding="utf-8")), []
    errors += [f"loads {x}" for x in page.loaded if re.match(r"(https?:)?//", x)]
    for link in page.links:
        parts = urlsplit(link)
        if (
            parts.scheme in ("http", "https") and not HOST.fullmatch(parts.netloc)
        ) or parts.scheme not in ("", "http", "https", "mailto"):
            errors.append(f"leads to {link!r}")
    for image in page.images:
        errors += _image_errors(image, path)
    return errors


def _image_errors(image: dict, path: Path) -> list[str]:
    source, words = image.get("src", ""), image.get("alt") or ""
    errors = []
    if len(words.split()) < 4 or words.startswith(("../", "_images", "_static")):
        errors.append(f"{source} has no words: {words!r}")
    file = path.parent / unquote(urlsplit(source).path)
    if not file.is_file():
        return [*errors, f"{source} is not there"]
    if file.suffix == ".png":
        width, height = struct.unpack(">II", file.read_bytes()[16:24])
        if not (100 < width < 4000 and 50 < height < 8000):
            errors.append(f"{source} has {width} x {height} pixels")
    return errors


def complaints(*paths: Path, folder: Path) -> list[str]:
    """What a browser says of pages that it opens all at once, each in a frame."""
    frames = folder / "frames.html"
    inside = "".join(f'<iframe src="{path.as_uri()}"></iframe>' for path in paths)
    frames.write_text(f"<html><body>{inside}</body></html>", encoding="utf-8")
    seen = subprocess.run(
        [CHROMIUM, *FLAGS, frames.as_uri()],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "</html>" in seen.stdout, f"no page came back: {seen.stderr[-500:]}"
    return COMPLAINT.findall(seen.stderr)


def built(page: str) -> Path:
    path = HTML / f"{page}.html"
    if not path.is_file() and not os.environ.get("CORELOSS_BOOK"):
        pytest.skip(f"{page} of the book is not built: make book")
    assert path.is_file(), f"the book lacks {path}"
    return path


@pytest.mark.parametrize("page", pages())
def test_page_has_what_it_shows(page):
    errors = errors_of(built(page))
    assert not errors, "\n".join([page, *errors])


@pytest.fixture
def chromium():
    if CHROMIUM is None:
        pytest.skip("no chromium is installed, in which the pages could be opened")


def test_a_browser_has_no_complaint(chromium, tmp_path):
    paths = [built(page) for page in pages()]
    found = complaints(*paths, folder=tmp_path)
    assert not found, "\n".join(found)


def test_formulae_are_drawn(chromium):
    command = [CHROMIUM, *FLAGS, built("theory").as_uri()]
    seen = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert seen.stdout.count("<mjx-container") > 50


BAD = """<html><body><script src="https://example.org/a.js"></script><img src="gone.png" alt="x">
<a href="https:///nowhere">a</a><script>undefinedName.call()</script></body></html>"""


def test_bad_pages_are_noticed(tmp_path):
    path = tmp_path / "bad.html"
    path.write_text(BAD, encoding="utf-8")
    errors = errors_of(path)
    assert [e.split()[0] for e in errors] == ["loads", "leads", "gone.png", "gone.png"]


def test_complaints_of_a_browser_are_heard(chromium, tmp_path):
    path = tmp_path / "bad.html"
    path.write_text(BAD, encoding="utf-8")
    assert ["undefinedName" in x for x in complaints(path, folder=tmp_path)] == [True]


def test_scripts_are_loaded_once_and_thebe_never():
    spec = importlib.util.spec_from_file_location("scripts", ROOT / "book" / "_ext" / "scripts.py")
    scripts = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(scripts)
    files = ["a.js?v=1", "mathjax.js", "sphinx-thebe.js", "mathjax.js?v=2"]
    assert scripts.once(files) == ["a.js?v=1", "mathjax.js"]
