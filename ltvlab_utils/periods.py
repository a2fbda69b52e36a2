"""Calendar months, as-of dates and fiscal years (floor 0). A month is a calendar month, never 30 days."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ltvlab_utils.errors import Refused

DAYS_PER_YEAR = 365.25
FIRST_YEAR, LAST_YEAR = 1900, 2199


@dataclass(frozen=True, order=True)
class Period:
    """One calendar month of a company; its text form is `2025-06`."""

    year: int
    month: int

    @classmethod
    def parse(cls, text: str) -> Period:
        """Read `YYYY-MM`. Raises Refused with a proposal where the text can be read in another way."""
        match = re.fullmatch(r"(\d{4})-(\d{2})", text) if isinstance(text, str) else None
        if match and FIRST_YEAR <= int(match[1]) <= LAST_YEAR and 1 <= int(match[2]) <= 12:
            return cls(int(match[1]), int(match[2]))
        loose = re.fullmatch(r"\s*(\d{4})[-/. 年]?(\d{1,2})(?:月|[-/.]\d{1,2})?\s*", str(text))
        hint = ""
        if loose and 1 <= int(loose[2]) <= 12 and FIRST_YEAR <= int(loose[1]) <= LAST_YEAR:
            hint = f' Did you mean "{loose[1]}-{int(loose[2]):02d}"?'
        raise Refused(f'"{text}" is not a period: a period is a calendar month written YYYY-MM, such as 2025-06.{hint}')

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}"

    @property
    def first_day(self) -> date:
        return date(self.year, self.month, 1)

    @property
    def last_day(self) -> date:
        """The as-of date: nothing known after its end, in the company's time zone, enters the review."""
        return date(self.year, self.month, calendar.monthrange(self.year, self.month)[1])

    def shift(self, months: int) -> Period:
        index = self.year * 12 + self.month - 1 + months
        return Period(index // 12, index % 12 + 1)

    @property
    def previous(self) -> Period:
        return self.shift(-1)

    def fiscal_year_start(self, start_month: int) -> Period:
        """First month of the fiscal year that holds this month."""
        return Period(self.year if self.month >= start_month else self.year - 1, start_month)

    def has_ended(self, time_zone: str, now: datetime) -> bool:
        """True when the month is over in `time_zone` at the instant `now` (aware)."""
        return now.astimezone(ZoneInfo(time_zone)).date() > self.last_day


def period_range(text: str) -> list[Period]:
    """`2025-06` or `2025-05..2025-06` (both ends included), in order. Raises Refused."""
    first, dots, last = str(text).partition("..")
    start = Period.parse(first)
    end = Period.parse(last) if dots else start
    if end < start:
        raise Refused(f'The range "{text}" ends before it starts. Did you mean "{end}..{start}"?')
    count = (end.year - start.year) * 12 + end.month - start.month + 1
    return [start.shift(i) for i in range(count)]


def add_months(day: date, months: int) -> date:
    """`day` moved by calendar months; the 31st becomes the last day of a shorter month."""
    target = Period(day.year, day.month).shift(months)
    return date(target.year, target.month, min(day.day, target.last_day.day))


def is_time_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def months_before(as_of: date, months: int) -> date:
    """The same day `months` earlier; of the last day of a month, the last day of that month."""
    period = Period(as_of.year, as_of.month)
    return period.shift(-months).last_day if as_of == period.last_day else add_months(as_of, -months)
