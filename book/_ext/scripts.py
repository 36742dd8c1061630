"""Pages load each script once, and none for live kernels, which this book does not have.

MathJax is added by two extensions, and the settings of Thebe once for each; a browser complains of
what is declared twice.
"""

from __future__ import annotations


def once(scripts: list) -> list:
    """The scripts without repeated ones and without those of Thebe."""
    seen, kept = set(), []
    for script in scripts:
        attributes = getattr(script, "attributes", {})
        name = getattr(script, "filename", None) or attributes.get("body") or str(script)
        name = str(name).split("?")[0]
        if name not in seen and "thebe" not in name.lower():
            kept.append(script)
        seen.add(name)
    return kept


def clean(app, pagename, templatename, context, doctree) -> None:
    """Take them out of the context of a page."""
    if "script_files" in context:
        context["script_files"] = once(context["script_files"])


def setup(app):
    app.connect("html-page-context", clean, priority=999)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
