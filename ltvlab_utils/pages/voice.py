"""The words of one page: catalogue, numbers and dates in its language and the company's currency."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from ltvlab_utils import i18n
from ltvlab_utils.errors import LtvLabError
from ltvlab_utils.pages.facts import Facts
from ltvlab_utils.pages.findings import Finding


@dataclass(frozen=True)
class Voice:
    """Says what the facts hold in one language; everything returned is plain text, not yet escaped."""

    facts: Facts
    language: str

    def __post_init__(self) -> None:
        i18n.check_language(self.language)

    def __call__(self, code: str, **values: object) -> str:
        return i18n.say(code, self.language, **values)

    def money(self, value: float | None, sign: bool = False, digits: int = 3) -> str:
        return i18n.money(value, self.language, self.facts.currency, digits, sign)

    def money_range(self, low: float | None, high: float | None, sign: bool = False) -> str:
        return i18n.money_range(low, high, self.language, self.facts.currency, sign=sign)

    def parts(self, value: float | None, sign: bool = False) -> tuple[str, str, str]:
        return i18n.money_parts(value, self.language, self.facts.currency, sign=sign)

    def percent(self, value: float | None, decimals: int = 1, sign: bool = False) -> str:
        return i18n.percent(value, self.language, decimals, sign)

    def points(self, value: float | None) -> str:
        return i18n.points(value, self.language)

    def whole(self, value: float | None) -> str:
        return i18n.whole(value, self.language)

    def day(self, value: date | None, year: bool = True) -> str:
        return i18n.day(value, self.language, year)

    def month(self, year: bool = True) -> str:
        return i18n.month(self.facts.period, self.language, year)

    @property
    def basis(self) -> str:
        return self(f"page.basis.{self.facts.value_basis}")

    def sentences(self, parts: Iterable[str]) -> str:
        """Sentences side by side: 。 between them in Japanese, a full stop in English."""
        return self("page.stop").join(part for part in parts if part)

    def finding(self, finding: Finding, **more: object) -> str:
        """A finding with its numbers written out: counts whole, amounts in money, shares in per cent."""
        written: dict[str, object] = {}
        for key, value in finding.values.items():
            if key in ("count", "endangered", "soon", "go", "stop", "cannot_tell"):
                written[key] = int(value) if key == "count" else self.whole(value)
            elif key in ("won", "lost", "at_risk", "value"):
                written[key] = self.money(value)
            elif key == "share":
                written |= {"share": self.percent(value, 0), "part": self.part(value)}
            else:
                written[key] = self.percent(value)
        if {"won", "lost"} <= finding.values.keys():
            written["excess"] = self.money(finding.values["lost"] - finding.values["won"])
        return self(finding.code, **{**written, **more})

    def part(self, share: float) -> str:
        """About how much of a whole, as it is said aloud: 約8割, about 78%."""
        if self.language == "ja":
            return f"約\u2060{min(9, max(1, math.floor(share * 10 + 0.5)))}割"
        return f"about {self.percent(share, 0)}"

    def coded(self, prefix: str, code: str, values: str = "") -> str:
        """The sentence of a code from a table with its figures (JSON). A code without words, or without a figure that
        they need, is shown as it is: one row does not take the page from its readers."""
        full = code if code.startswith(f"{prefix}.") else f"{prefix}.{code}"
        try:
            return self(full, **{key: self._plain(value) for key, value in _figures(values).items()})
        except LtvLabError:
            return code.replace("_", " ")

    def _plain(self, value: object) -> object:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return str(value)
        if isinstance(value, int) or float(value).is_integer():
            return int(value)
        return i18n.compact(value, self.language, digits=2)

    def chart_unit(self, largest: float) -> tuple[float, str, int]:
        """Divisor, its name and the decimals of a figure: business figures stand in millions or thousands."""
        size = abs(largest)
        divisor, name = next(
            (d, n) for d, n in ((1e6, "million"), (1e3, "thousand"), (1, "one")) if size >= 10 * d or d == 1
        )
        before, after = i18n.currency_words(self.language, self.facts.currency)
        word = self(f"page.unit.{name}", currency=(before or after).strip())
        scaled = size / divisor
        return divisor, word, 0 if scaled >= 1000 or divisor == 1 else 1

    def scaled(self, value: float, divisor: float, decimals: int, sign: bool = False) -> str:
        return i18n.decimal(value / divisor, self.language, decimals, sign)


def _figures(text: str) -> dict[str, object]:
    try:
        found = json.loads(text) if isinstance(text, str) and text else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
