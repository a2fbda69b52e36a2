"""Names that were read in a wrong encoding (文字化け)."""

from __future__ import annotations

import ibis.expr.types as ir

# where one of these stands, `is_garbled` looks closer: replacement marks, private use, half-width kana, Latin letters
# with marks, the kanji that UTF-8 kana become in Shift-JIS
_SUSPECT = r"[\x{FFFD}\x{E000}-\x{F8FF}\x{FF61}-\x{FF9F}\x{80}-\x{FF}縺繧繝]|\?\?"
_MISREAD = (("cp932", "utf-8"), ("cp1252", "utf-8"), ("latin-1", "utf-8"), ("cp1252", "cp932"), ("latin-1", "cp932"))
# kana, kanji, half- and full-width forms
_JAPANESE = (("\u3040", "\u30ff"), ("\u4e00", "\u9fff"), ("\uff01", "\uff9f"))
HALF = 0.5


def suspect(name: ir.StringValue) -> ir.BooleanValue:
    return name.re_search(_SUSPECT).fill_null(False)


def is_garbled(name: str) -> bool:
    """True for a name that holds marks of lost characters, or that turns into Japanese when the bytes which would have
    made it are read in the right encoding."""
    if "\ufffd" in name or "??" in name or any("\ue000" <= c <= "\uf8ff" for c in name):
        return True
    return any(_turns_into_japanese(name, wrong, right) for wrong, right in _MISREAD)


def _turns_into_japanese(name: str, wrong: str, right: str) -> bool:
    """Most of the characters beyond ASCII are kana or kanji once the misreading is undone."""
    try:
        text = name.encode(wrong).decode(right, errors="replace")
    except UnicodeEncodeError:
        return False
    beyond = [c for c in text if ord(c) > 127]
    if right == "cp932" and any(c.isascii() and c.isalpha() for c in name):
        return False  # é and the letter after it are a kanji of Shift-JIS: only names without any plain letter
    kept = sum(_is_japanese(c) for c in beyond)
    return bool(beyond) and kept > HALF * len(beyond) and text != name


def _is_japanese(character: str) -> bool:
    return any(first <= character <= last for first, last in _JAPANESE)
