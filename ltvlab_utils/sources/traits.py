"""What the sampled cells of a column hold: numbers, dates (and in which form), codes, names.

trait(["2025/06/01", "2025/06/30"]).dates            # "iso": read without a declared form
trait(["13/06/2025", "01/07/2025"]).dates            # "%d/%m/%Y"
trait(["01/06/2025", "02/07/2025"]).dates            # "" and .date_choices ("%d/%m/%Y", "%m/%d/%Y")
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import pairwise

SURE = 0.95  # share of filled cells that must agree
ISO = re.compile(
    r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?"  # the day
    r"(?:[ T]+(\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?)?)?( ?(?:Z|UTC)|.*[+-]\d{2}:?\d{2})?"  # time and offset
)
ERA = re.compile(r"(令和|平成|昭和|[RHS])\.? ?(\d{1,2}|元)[-/.年](\d{1,2})[-/.月](\d{1,2})日?.*", re.IGNORECASE)
NUMBER = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d*)?(?:[eE][+-]?\d+)?")
COMMA_DECIMAL = re.compile(r"[+-]?(?:\d{1,3}(?:[. ]\d{3})+|\d+),\d+")
DAY_FIRST, MONTH_FIRST = "%d{0}%m{0}%Y", "%m{0}%d{0}%Y"
CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
OTHER_FORMS = ("%Y%m%d", "%Y%m%d%H%M%S", "%d %b %Y", "%d-%b-%Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%d-%b-%y")


@dataclass(frozen=True)
class Trait:
    """A column's sampled cells (stripped). Shares are of the filled cells."""

    cells: tuple[str, ...]

    @cached_property
    def filled(self) -> tuple[str, ...]:
        return tuple(c for c in self.cells if c)

    @property
    def filled_share(self) -> float:
        return len(self.filled) / len(self.cells) if self.cells else 0.0

    @cached_property
    def distinct(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.filled))

    @property
    def distinct_share(self) -> float:
        return len(self.distinct) / len(self.filled) if self.filled else 0.0

    @cached_property
    def numbers(self) -> tuple[float | None, ...]:
        """Each cell as a number, None where it is none."""
        return tuple(number(c) for c in self.cells)

    @cached_property
    def number_share(self) -> float:
        return sum(n is not None for n in self.numbers) / len(self.filled) if self.filled else 0.0

    @cached_property
    def is_number(self) -> bool:
        return self.number_share >= SURE

    @cached_property
    def has_negative(self) -> bool:
        return any(n is not None and n < 0 for n in self.numbers)

    @cached_property
    def is_money(self) -> bool:
        """Numbers that are no date, and no code written with leading zeros."""
        return self.is_number and not any(re.match(r"0\d", c) for c in self.filled) and not self.dates

    @cached_property
    def comma_decimal(self) -> bool:
        """Numbers with a decimal comma (12,50 or 1.234,56), none of which reads with a decimal point."""
        return (
            not self.is_number
            and len(self.filled) > 0
            and sum(bool(COMMA_DECIMAL.fullmatch(c)) or number(c) is not None for c in self.filled)
            >= SURE * len(self.filled)
        )

    @cached_property
    def forms(self) -> tuple[str, ...]:
        """Every date form under which nearly all filled cells are dates: "iso", "era", or strptime forms."""
        if not self.filled:
            return ()
        some = self.filled[:200]
        fits = [form for form in _forms(some[0], some) if _share(some, form) >= SURE]
        return tuple(form for form in fits if len(fits) == 1 or _share(self.filled, form) >= SURE)

    @cached_property
    def date_choices(self) -> tuple[str, ...]:
        """The forms between which the cells do not decide, not even by the order of the rows."""
        if len(self.forms) < 2:
            return ()
        best = max(_share(self.filled, f) for f in self.forms)
        left = tuple(f for f in self.forms if _share(self.filled, f) == best)
        ordered = tuple(f for f in left if _in_order(self.filled, f))
        return left if len(left) > 1 and len(ordered) != 1 else ()

    @cached_property
    def dates(self) -> str:
        """The one form of the dates; empty where the cells are no dates or do not decide."""
        if not self.forms or self.date_choices:
            return ""
        best = max(_share(self.filled, f) for f in self.forms)
        left = [f for f in self.forms if _share(self.filled, f) == best]
        return left[0] if len(left) == 1 else next(f for f in left if _in_order(self.filled, f))

    @property
    def is_date(self) -> bool:
        return bool(self.forms)


def trait(cells: Sequence[str]) -> Trait:
    return Trait(tuple(cells))


def is_japanese(text: str) -> bool:
    return bool(re.search(r"[\u3040-\u30ff\u4e00-\u9fff\uff66-\uff9f]", text))


def number(cell: str) -> float | None:
    """A number as staging reads it: separators, a currency sign, 円, ▲ as minus, full-width digits."""
    plain = unicodedata.normalize("NFKC", cell).replace("▲", "-").replace("△", "-").replace("−", "-")
    plain = re.sub(r"^([+-]?) ?[¥\\$€£]? ?", r"\1", plain.removesuffix("円").strip())
    if not re.search(r"\d", plain) or not NUMBER.fullmatch(plain):
        return None
    try:
        return float(plain.replace(",", ""))
    except ValueError:
        return None


def _forms(first: str, some: Sequence[str]) -> list[str]:
    """Forms worth trying on cells that look like these."""
    if ISO.fullmatch(first) or ISO.fullmatch(some[-1]):
        return ["iso"]
    if ERA.fullmatch(unicodedata.normalize("NFKC", first)):
        return ["era"]
    mark = re.match(r"\d{1,2}([-/.])\d{1,2}\1\d{4}", first)
    if mark:
        return [f.format(mark[1]) + clock for f in (DAY_FIRST, MONTH_FIRST) for clock in CLOCKS]
    short = re.match(r"\d{1,2}([-/.])\d{1,2}\1\d{2}(?!\d)", first)
    if short:
        return [f.format(short[1]).replace("%Y", "%y") + clock for f in (DAY_FIRST, MONTH_FIRST) for clock in CLOCKS]
    return list(OTHER_FORMS)


def _moment(cell: str, form: str) -> datetime | None:
    try:
        if form == "iso":
            found = ISO.fullmatch(cell)
            made = datetime(*(int(found[i]) for i in (1, 2, 3))) if found else None
        elif form == "era":
            made = _era(cell)
        else:
            made = datetime.strptime(cell, form) if len(cell) < 40 else None
    except (ValueError, OverflowError):
        return None
    return made if made and 1900 <= made.year <= 2199 else None


def _era(cell: str) -> datetime | None:
    found = ERA.fullmatch(unicodedata.normalize("NFKC", cell))
    if not found:
        return None
    start = {"令和": 2018, "r": 2018, "平成": 1988, "h": 1988, "昭和": 1925, "s": 1925}[found[1].lower()]
    return datetime(start + (1 if found[2] == "元" else int(found[2])), int(found[3]), int(found[4]))


def _share(cells: Sequence[str], form: str) -> float:
    return sum(_moment(c, form) is not None for c in cells) / len(cells)


def _in_order(cells: Sequence[str], form: str) -> bool:
    """True where at least three different days stand in order of time: the rows are written as they happened."""
    days = [m for c in cells if (m := _moment(c, form))]
    pairs = list(pairwise(days))
    ordered = all(a <= b for a, b in pairs) or all(a >= b for a, b in pairs)
    return ordered and len(set(days)) > 2
