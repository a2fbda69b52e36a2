"""Small builders of HTML that escape always: a customer may be called `</script><img onerror=...>`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

VOID = {"br", "col", "hr", "meta", "rect", "line", "circle", "path", "polyline", "polygon"}
# Invisible controls that break markup or turn the direction of text; tab and line feed stay.
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


class Html(str):
    """Markup that is safe to show; notebooks display it, and its repr stays short."""

    def _repr_html_(self) -> str:
        return str(self)

    def __repr__(self) -> str:
        return f"<Html: {len(self):,} characters>"


def text(value: object) -> Html:
    """Any value as inert text; markup made here passes as it is."""
    return value if isinstance(value, Html) else Html(escape(CONTROLS.sub("", str(value)), quote=True))


def join(*children: object) -> Html:
    """Children side by side: text is escaped, None is left out, lists are opened."""
    parts: list[str] = []
    for child in children:
        if child is None:
            continue
        if isinstance(child, Iterable) and not isinstance(child, str):
            parts.append(join(*child))
        else:
            parts.append(text(child))
    return Html("".join(parts))


def el(tag: str, *children: object, **attributes: object) -> Html:
    """One element. `class_` is class, `data_label` is data-label; None and False leave an attribute out."""
    written = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{text(value)}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    inner = join(*children)
    if tag in VOID and not inner:
        return Html(f"<{tag}{written}/>")
    return Html(f"<{tag}{written}>{inner}</{tag}>")
