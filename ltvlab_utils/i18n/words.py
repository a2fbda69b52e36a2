"""The catalogue of words: every code has a sentence in each language (floor 0)."""

from __future__ import annotations

import string
from functools import cache
from pathlib import Path

import yaml

from ltvlab_utils.errors import LtvLabError, nearest
from ltvlab_utils.i18n.formats import whole

LANGUAGES = ("ja", "en")
CATALOGUE = Path(__file__).parent / "catalogue"
Entry = dict[str, str | dict[str, str]]


class _Loader(yaml.BaseLoader):
    """Every scalar is text (no `no` -> False); a key stands once."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                line = key_node.start_mark.line + 1
                raise LtvLabError(f'{self.name}, line {line}: the code "{key}" stands twice.')
            seen.add(key)
        return super().construct_mapping(node, deep)


def _forms(text: str | dict[str, str]) -> list[str]:
    return list(text.values()) if isinstance(text, dict) else [text]


def _slots(text: str | dict[str, str]) -> set[str]:
    found = {name for form in _forms(text) for _, name, _, _ in string.Formatter().parse(form) if name is not None}
    for name in found:
        if not name.isidentifier():
            raise ValueError(f'the slot "{{{name}}}" is not a plain name')
    return found


def _check(code: str, entry: Entry, file: str) -> None:
    if not isinstance(entry, dict) or set(entry) != set(LANGUAGES):
        raise LtvLabError(f'{file}: the code "{code}" needs exactly the languages {", ".join(LANGUAGES)}.')
    for language, text in entry.items():
        if isinstance(text, dict) and set(text) != {"one", "other"}:
            raise LtvLabError(f'{file}: {language} of "{code}" needs one text, or the two forms one and other.')
        if not all(form.strip() for form in _forms(text)):
            raise LtvLabError(f'{file}: {language} of "{code}" is empty.')
    try:
        slots = {language: _slots(text) for language, text in entry.items()}
    except ValueError as error:
        raise LtvLabError(f'{file}: "{code}" cannot be filled: {error}.') from None
    if slots["ja"] != slots["en"]:
        odd = ", ".join(sorted(slots["ja"] ^ slots["en"]))
        raise LtvLabError(f'{file}: "{code}" has the slot {odd} in one language only.')


def read_catalogue(folder: Path) -> dict[str, Entry]:
    """All YAML files of a folder as one catalogue. Raises LtvLabError for a code that stands twice, a missing
    language, an empty text, or slots that differ between the languages."""
    merged: dict[str, Entry] = {}
    home: dict[str, str] = {}
    for file in sorted(folder.glob("*.yaml")):
        try:
            loader = _Loader(file.read_text(encoding="utf-8"))
            loader.name = file.name
            entries = loader.get_single_data() or {}
        except yaml.YAMLError as error:
            raise LtvLabError(f"{file.name}: not readable as YAML: {getattr(error, 'problem', error)}.") from None
        for code, entry in entries.items():
            if code in home:
                raise LtvLabError(f'The code "{code}" stands in {home[code]} and in {file.name}: keep one.')
            _check(code, entry, file.name)
            merged[code], home[code] = entry, file.name
    return merged


@cache
def catalogue() -> dict[str, Entry]:
    """The catalogue of this package."""
    return read_catalogue(CATALOGUE)


def knows(code: str) -> bool:
    """True when the catalogue has the code."""
    return code in catalogue()


def check_language(language: str) -> str:
    """The language itself. Raises LtvLabError with the nearest one."""
    if language not in LANGUAGES:
        raise LtvLabError(f'Pages are not written in "{language}".{nearest(language, LANGUAGES)}')
    return language


def say(code: str, language: str, **values: object) -> str:
    """The sentence of a code in a language ("ja", "en"), its {slots} filled with `values` as plain text.

    `count` (a whole number) fills {count} and chooses between the forms `one` and `other` where an entry has them.
    The text is not escaped: pages escape it. Raises LtvLabError for an unknown code or a slot without a value.
    """
    check_language(language)
    entries = catalogue()
    if code not in entries:
        raise LtvLabError(f'The catalogue has no code "{code}".{nearest(code, entries)}')
    text = entries[code][language]
    if isinstance(text, dict):
        if "count" not in values:
            raise LtvLabError(f'"{code}" needs a count to choose between one and other.')
        text = text["one" if values["count"] == 1 else "other"]
    if isinstance(values.get("count"), (int, float)):
        values = {**values, "count": whole(values["count"], language)}
    try:
        return text.format_map(values)
    except KeyError as error:
        raise LtvLabError(f'"{code}" needs a value for {{{error.args[0]}}}.') from None
