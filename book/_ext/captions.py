"""An italic paragraph right behind a figure of a notebook is its caption: numbered, and read aloud.

Notebooks keep their captions where JupyterLab shows them too. Words for those who cannot see a
figure stand in the metadata of its cell, ``{"mystnb": {"image": {"alt": "..."}}}``; a figure
without any gets those of its caption.
"""

from __future__ import annotations

from docutils import nodes


def caption_figures(app, doctree) -> None:
    """Turn image and caption into one figure, cell by cell."""
    cells = [n for n in doctree.findall(nodes.container) if "cell" in n["classes"]]
    for cell in cells:
        images = list(cell.findall(nodes.image))
        if images and (caption := caption_behind(cell)):
            make_figure(images[-1], caption, doctree)


def caption_behind(cell: nodes.Element) -> nodes.paragraph | None:
    """The paragraph behind a cell, if all of it is in italics."""
    behind = cell.next_node(siblings=True, descend=False)
    italic = isinstance(behind, nodes.paragraph) and [type(n) for n in behind] == [nodes.emphasis]
    return behind if italic else None


def make_figure(image: nodes.image, paragraph: nodes.paragraph, doctree: nodes.document) -> None:
    """Put a figure in the place of an image; its caption is taken out of the text."""
    words = paragraph[0].astext()
    if not image.get("alt"):
        image["alt"] = " ".join(words.split())
    figure = nodes.figure(source=paragraph.source, line=paragraph.line)
    image.replace_self(figure)
    figure += image
    figure += nodes.caption(words, "", *paragraph[0].children)
    doctree.set_id(figure)
    paragraph.parent.remove(paragraph)


def setup(app):
    app.connect("doctree-read", caption_figures, priority=100)  # before figures are numbered
    return {"parallel_read_safe": True, "parallel_write_safe": True}
