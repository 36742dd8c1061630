"""Show a source notebook in the book for as long as it has no executed copy.

The pages live in book/notebooks/, where notebooks/run.py writes executed copies. A notebook that
has none yet is copied there before the build, marked in its metadata, and refreshed at every build.
"""

from __future__ import annotations

import json
from pathlib import Path

MARK = "source_only"


def copy_missing(book: Path) -> list[Path]:
    """Copy every source notebook without an executed copy into book/notebooks, marked as such."""
    copied = []
    for source in sorted((book.parent / "notebooks").glob("[0-9][0-9]_*.ipynb")):
        page = book / "notebooks" / source.name
        if page.exists() and MARK not in _read(page)["metadata"]:
            continue
        notebook = _read(source)
        notebook["metadata"][MARK] = True
        page.parent.mkdir(exist_ok=True)
        page.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        copied.append(page)
    return copied


def _read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def setup(app):
    copy_missing(Path(app.srcdir))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
