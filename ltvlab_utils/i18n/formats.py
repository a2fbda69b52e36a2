"""Numbers and dates as people write them: 4.82億円 and ¥482m, −3.1%, 2025年6月 and June 2025 (floor 0).

Every minus is a real minus sign (U+2212); what is not known (None, NaN) is a dash.
"""

from __future__ import annotations

import math
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from babel.dates import format_date, format_skeleton
from babel.numbers import format_decimal, get_currency_name, get_currency_precision, get_currency_symbol

UNKNOWN, MINUS = "—", "−"
# Steps of a language: (from this size on, divisor, word)
STEPS = {
    "ja": ((1e12, 1e12, "兆"), (1e8, 1e8, "億"), (1e4, 1e4, "万"), (0, 1, "")),
    "en": ((1e12, 1e12, "tn"), (1e9, 1e9, "bn"), (1e6, 1e6, "m"), (1e3, 1e3, "k"), (0, 1, "")),
}
LOCALES = {"ja": "ja", "en": "en_GB"}


def is_known(value: object) -> bool:
    """True for a finite number."""
    return value is not None and not isinstance(value, str) and value == value and math.isfinite(float(value))


def _round(value: float, digits: int) -> Decimal:
    """To significant digits, half up, as a person does it."""
    exact = Decimal(repr(float(value)))
    if not exact:
        return Decimal(0)
    return exact.quantize(Decimal(1).scaleb(exact.adjusted() - digits + 1), rounding=ROUND_HALF_UP)


def _sign(value: Decimal, sign: bool) -> str:
    return MINUS if value < 0 else ("±" if value == 0 else "+") if sign else ""


def _plain(value: Decimal, language: str, decimals: int) -> str:
    pattern = "#,##0" + ("." + "0" * decimals if decimals else "")
    rounded = abs(value).quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_UP)
    return format_decimal(rounded, format=pattern, locale=LOCALES[language])


def step_of(value: float, language: str, digits: int = 3) -> tuple[float, str]:
    """Divisor and word in which a number of this size is written: (1e8, "億") for 482,000,000 in Japanese."""
    size = abs(float(_round(value, digits)))
    return next((divisor, word) for start, divisor, word in STEPS[language] if size >= start)


def _scaled(value: float, language: str, digits: int, step: tuple[float, str] | None, most: int) -> tuple[Decimal, int]:
    """The number in its step, and its decimals: `digits` significant ones, at most `most` where it is not scaled."""
    rounded = _round(value, digits)
    divisor, _ = step or step_of(value, language, digits)
    scaled = rounded / Decimal(int(divisor))
    decimals = max(0, digits - 1 - scaled.adjusted()) if scaled else 0
    decimals = min(decimals, most if divisor == 1 else digits)
    return scaled.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_UP), decimals


def compact(value: float | None, language: str, digits: int = 3, sign: bool = False) -> str:
    """A number in 万/億 or k/m/bn with significant digits: 48200 -> 4.82万, 48.2k."""
    if not is_known(value):
        return UNKNOWN
    scaled, decimals = _scaled(value, language, digits, None, digits)
    return _sign(scaled, sign) + _plain(scaled, language, decimals) + step_of(value, language, digits)[1]


def signed(value: float | None, language: str, digits: int = 3) -> str:
    """`compact` with + or − in front, ±0 for nothing."""
    return compact(value, language, digits, sign=True)


def currency_words(language: str, currency: str) -> tuple[str, str]:
    """What stands before and after an amount: ("", "円"), ("¥", "")."""
    if language == "ja":
        return "", {"JPY": "円", "USD": "ドル", "EUR": "ユーロ"}.get(currency) or get_currency_name(
            currency, locale="ja"
        )
    symbol = get_currency_symbol(currency, locale="en")
    return (symbol if not symbol.isalpha() else f"{symbol} "), ""


def money_parts(
    value: float | None,
    language: str,
    currency: str,
    digits: int = 3,
    sign: bool = False,
    step: tuple[float, str] | None = None,
) -> tuple[str, str, str]:
    """(before, number, after): ("", "4.82", "億円"), ("¥", "482", "m"); the sign stands in front of all.

    `step` (from `step_of`) writes several amounts in one unit."""
    if not is_known(value):
        return "", UNKNOWN, ""
    before, after = currency_words(language, currency)
    scaled, decimals = _scaled(value, language, digits, step, get_currency_precision(currency))
    word = (step or step_of(value, language, digits))[1]
    return _sign(scaled, sign) + before, _plain(scaled, language, decimals), word + after


def money(value: float | None, language: str, currency: str, digits: int = 3, sign: bool = False) -> str:
    """An amount as it is said in a meeting: 4.82億円, ¥482m, −1,230万円."""
    return "".join(money_parts(value, language, currency, digits, sign))


def money_range(
    low: float | None, high: float | None, language: str, currency: str, digits: int = 3, sign: bool = False
) -> str:
    """Both ends in one unit: 21.4〜23.9億円, ¥2.14–2.39bn; with signs −¥1.2m to +¥3.4m."""
    if not (is_known(low) and is_known(high)):
        return UNKNOWN
    largest = max(abs(low), abs(high))
    step = step_of(largest, language, digits)
    # both ends are rounded to the last digit of the larger one: the smaller end is not known more finely
    scaled, decimals = _scaled(largest, language, digits, step, get_currency_precision(currency))
    last = Decimal(1).scaleb(scaled.adjusted() - digits + 1) if scaled else Decimal(1)
    ends = [
        (Decimal(repr(float(v))) / Decimal(int(step[0]))).quantize(last, rounding=ROUND_HALF_UP) for v in (low, high)
    ]
    signs = [_sign(end, sign) for end in ends]
    numbers = [_plain(end, language, decimals) for end in ends]
    before, after = currency_words(language, currency)
    if language == "en" and any(signs):
        return " to ".join(f"{s}{before}{number}{step[1]}" for s, number in zip(signs, numbers, strict=True))
    between = "〜" if language == "ja" else "–"
    return f"{before}{signs[0]}{numbers[0]}{between}{signs[1]}{numbers[1]}{step[1]}{after}"


def percent(fraction: float | None, language: str, decimals: int = 1, sign: bool = False) -> str:
    """A fraction as a percentage: −0.031 -> −3.1%."""
    if not is_known(fraction):
        return UNKNOWN
    value = (Decimal(repr(float(fraction))) * 100).quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_UP)
    return f"{_sign(value, sign)}{_plain(value, language, decimals)}%"


def points(difference: float | None, language: str, decimals: int = 1) -> str:
    """A difference of two fractions in percentage points: +1.2ポイント, +1.2 pts."""
    if not is_known(difference):
        return UNKNOWN
    return percent(difference, language, decimals, sign=True)[:-1] + {"ja": "ポイント", "en": " pts"}[language]


def decimal(value: float | None, language: str, decimals: int = 1, sign: bool = False) -> str:
    """A plain number with fixed decimals: −1,234.5."""
    if not is_known(value):
        return UNKNOWN
    rounded = Decimal(repr(float(value))).quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_UP)
    return _sign(rounded, sign) + _plain(rounded, language, decimals)


def whole(value: float | None, language: str, sign: bool = False) -> str:
    """A count with separators: 1,200."""
    return decimal(value, language, 0, sign)


def day(value: date | None, language: str, year: bool = True) -> str:
    """2025年6月30日, 30 June 2025; without the year 6月30日, 30 Jun."""
    if value is None or value != value:
        return UNKNOWN
    if year:
        return format_date(value, "long", locale=LOCALES[language])
    return format_skeleton("MMMd", value, locale=LOCALES[language])


def month(value: date, language: str, year: bool = True) -> str:
    """2025年6月, June 2025; without the year 6月, June. `value`: a date, or anything with year and month."""
    first = date(value.year, value.month, 1)
    if year:
        return format_skeleton("yMMMM", first, locale=LOCALES[language])
    return format_date(first, "LLLL", locale=LOCALES[language])
