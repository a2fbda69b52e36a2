"""Text for a terminal: one line, nothing that a customer's file could smuggle in, paths as a person types them."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path


def harmless(text: str) -> str:
    """The text without control characters, marks that turn its direction, and escape sequences of terminals."""
    line = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    return "".join(c for c in line if not unicodedata.category(c).startswith("C"))


def clean(text: object, limit: int = 300) -> str:
    """One harmless line of at most `limit` characters, without a final stop."""
    line = harmless(re.sub(r"\s+", " ", str(text))).strip()
    return (line[: limit - 1] + "…" if len(line) > limit else line).removesuffix(".")


def shown(path: Path) -> str:
    """The path relative to the current folder where it lies below it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
