"""Tables on a terminal: hostile text is made harmless, numbers are aligned."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ltvlab_utils.runner.words import clean

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console
    from rich.table import Table


def console() -> Console:
    """On a terminal as wide as it is; in a pipe or log wide enough that nothing is folded."""
    from rich.console import Console

    here = Console(highlight=False)
    return here if here.is_terminal else Console(highlight=False, width=240)


def table(title: str = "") -> Table:
    from rich import box
    from rich.table import Table

    return Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)


def cell(value: object, places: int | None = None):
    """A value as rich Text: markup and control characters in it have no effect."""
    from rich.text import Text

    return Text(plain(value, places))


def plain(value: object, places: int | None = None) -> str:
    """Numbers with separators, dates without a midnight, missing values as a dash, text in one safe line."""
    if value is None or value != value:  # NaN and NaT differ from themselves
        return "–"
    if isinstance(value, bool) or type(value).__name__ == "bool_":
        return "yes" if value else "no"
    if hasattr(value, "isoformat"):
        return str(value.isoformat()).removesuffix("T00:00:00")
    if isinstance(value, int) or (hasattr(value, "dtype") and value.dtype.kind in "iu"):
        return f"{int(value):,}"
    if isinstance(value, float):
        return number(float(value), decimals([float(value)]) if places is None else places)
    return clean(value, 60) or ""


def decimals(values: Iterable[float]) -> int:
    """Decimals that give the typical value of a column at least four significant digits; none for whole numbers."""
    sizes = sorted(abs(v) for v in values if v and math.isfinite(v))
    if all(size == round(size) for size in sizes):
        return 0
    return min(6, max(0, 3 - math.floor(math.log10(sizes[len(sizes) // 2]))))


def number(value: float, places: int) -> str:
    return f"{value:,.{places}f}" if math.isfinite(value) else f"{value:g}"


def frame(content: pd.DataFrame, title: str = "") -> Table:
    """A data frame as a table; numbers to the right, a column with equal decimals."""
    made = table(title)
    places = [decimals(content[c]) if content[c].dtype.kind == "f" else None for c in content.columns]
    for name, dtype in content.dtypes.items():
        made.add_column(str(name), justify="right" if dtype.kind in "iuf" else "left", no_wrap=True)
    for row in content.itertuples(index=False, name=None):
        made.add_row(*(cell(v, p) for v, p in zip(row, places, strict=True)))
    return made
