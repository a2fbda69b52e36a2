"""The reading copy: an executed dashboard notebook as one self-contained page, without a script or outside asset."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import ltvlab_utils
from ltvlab_utils.errors import StepFailed
from ltvlab_utils.i18n import check_language
from ltvlab_utils.pages.executive import css
from ltvlab_utils.pages.html import Html, el, text

CSP = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
SKIPPED = {"about", "style", "parameters", "injected-parameters"}
PAGE_STYLE = """
html, body { margin: 0; background: #f5f6f8; }
@page { size: A4; margin: 12mm; }
@media print { html, body { background: #fff; } }
"""
LIMIT = 300_000
ACTIVE = {
    "script",
    "iframe",
    "object",
    "embed",
    "link",
    "base",
    "form",
    "meta",
    "img",
    "video",
    "audio",
    "image",
    "use",
}
ADDRESSES = {"src", "srcset", "href", "xlink:href", "action", "formaction", "data", "poster", "background"}


def reading_copy(executed_notebook: str | Path, html_file: str | Path, language: str, title: str) -> Path:
    """Writes the page of an executed dashboard notebook: what its cells show as HTML, in order, nothing else.

    Inputs, prompts, text and cells tagged about or style are left out. Raises StepFailed where the notebook failed,
    shows nothing, or shows something that a page without scripts may not hold.
    """
    source, file = Path(executed_notebook), Path(html_file)
    import nbformat  # costs a second: only where a page is kept, not where it is made

    notebook = nbformat.read(source, as_version=4)
    parts = _shown(notebook, source.name)
    if not parts:
        raise StepFailed(f"{source.name} shows nothing: run it before its page is made.")
    document = page(Html("\n".join(parts)), check_language(language), title)
    size = len(document.encode())
    if size > LIMIT:
        raise StepFailed(f"The page of {source.name} has {size:,} bytes, more than {LIMIT:,}: show fewer rows in it.")
    file.write_text(document, encoding="utf-8")
    return file


def page(body: Html, language: str, title: str) -> str:
    """A whole HTML document around finished markup; its policy allows no script and no request."""
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=CSP),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="referrer", content="no-referrer"),
        el("meta", name="generator", content=f"LTV-Lab {ltvlab_utils.__version__}"),
        el("title", title),
        el("style", Html(PAGE_STYLE + css())),
    )
    return f"<!doctype html>\n{el('html', head, el('body', el('main', body)), lang=language)}\n"


class _Guard(HTMLParser):
    """Finds what would act or load: elements and attributes as a browser reads them, not text that looks like them."""

    found = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ACTIVE:
            self.found = self.found or f"the element <{tag}>"
        for name, value in attrs:
            outside = name in ADDRESSES and not (value or "").startswith("#")
            if name.startswith("on") or outside:
                self.found = self.found or f'the attribute "{name}"'


def _active(markup: str) -> str:
    guard = _Guard()
    guard.feed(markup)
    guard.close()
    return guard.found


def _shown(notebook: Any, name: str) -> list[str]:
    parts = []
    for cell in notebook.cells:
        if cell.cell_type != "code" or SKIPPED & set(cell.metadata.get("tags", [])):
            continue
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                raise StepFailed(f"{name} ended with {text(output.ename)}: there is no page to read.")
            html = output.get("data", {}).get("text/html")
            if html is None:
                continue
            markup = "".join(html) if isinstance(html, list) else html
            if found := _active(markup):
                raise StepFailed(
                    f"{name} shows {found}, which a page without scripts may not hold: use ltvlab_utils.pages."
                )
            parts.append(markup)
    return parts
