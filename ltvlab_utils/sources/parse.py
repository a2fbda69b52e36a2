"""Cells into typed values, as Ibis expressions: null where a text does not hold the kind."""

from __future__ import annotations

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from ltvlab_utils.tables import Column
from ltvlab_utils.tables.contract import KINDS

BLANKS = " \t\r\n\u3000\u00a0"
WIDE, NARROW = "０１２３４５６７８９．，－−▲△＋％￥＄＼／　", "0123456789.,----+%¥$¥/ "
# what most cells look like; the engine then skips the patterns below
PLAIN_NUMBER = r"^-?\d{1,14}(\.\d+)?$"
PLAIN_MOMENT = r"^\d{4}-\d{2}-\d{2}( \d{2}:\d{2}:\d{2}(\.\d+)?)?$"
NUMBER = r"^[+-]?(\d{1,3}(,\d{3})+|\d+)?(\.\d*)?([eE][+-]?\d+)?$"
DAY = r"^(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?"
MOMENT = r"^\d{4}-\d{1,2}-\d{1,2}([ T]+\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?)?$"
OFFSET = r" *(Z|UTC|[+-]\d{2}(:?\d{2})?)$"
# Japanese eras: letter, year 0, first and last day
ERAS = (
    ("R", 2018, "2019-05-01", "2199-12-31"),
    ("H", 1988, "1989-01-08", "2019-04-30"),
    ("S", 1925, "1926-12-25", "1989-01-07"),
)
ERA = r"^(令和|平成|昭和|[RHSＲＨＳrhs]) *(\d{1,2}|元) *[-/.年] *(\d{1,2}) *[-/.月] *(\d{1,2})日?(.*)$"
GUARDED = r"^'(\d[\d-]*)$"  # an apostrophe that keeps a spreadsheet from taking a code for a number
WITH_TAX, WITHOUT_TAX = r"[(（](税込|税込み|内税)[)）]$", r"[(（](税抜|税抜き|税別|外税)[)）]$"
FINE = "decimal(18, 6)"
TIME = r"^(\d{1,2}):(\d{2})(:(\d{2}))?$"
TRUE = ("true", "t", "yes", "y", "1", "1.0", "有", "あり", "はい", "○", "〇")
FALSE = ("false", "f", "no", "n", "0", "0.0", "無", "なし", "いいえ", "×", "-")


@ibis.udf.scalar.builtin(name="trim")
def _trim(text: str, characters: str) -> str: ...


@ibis.udf.scalar.builtin(name="try_strptime")
def _try_strptime(text: str, form: str) -> dt.Timestamp(scale=6): ...


@ibis.udf.scalar.builtin(name="timezone")
def _local(zone: str, moment: dt.Timestamp(timezone="UTC")) -> dt.Timestamp(scale=6): ...


@ibis.udf.scalar.builtin(name="timezone")
def _instant(zone: str, moment: dt.Timestamp(scale=6)) -> dt.Timestamp(timezone="UTC"): ...


def stripped(text: ir.StringValue) -> ir.StringValue:
    """The text without blanks around it, full-width ones included; null where nothing is left."""
    return _trim(text, BLANKS).nullif("")


def money_type(fine: bool) -> str:
    """Type of an amount of the file: money, or six decimals for the price of a unit."""
    return FINE if fine else KINDS["money"][1]


def number(
    text: ir.StringValue, to: str, is_whole: bool = False, is_share: bool = False, taxed: bool = False
) -> ir.Value:
    """A number of that type: thousands separators, a currency sign before it, 円 after it, ▲ as minus, full-width
    digits; 15% where it is a share; (税込) or (税抜) behind it where that is what the source says of its amounts."""
    plain = text.translate(WIDE, NARROW).re_replace(WITH_TAX if taxed else WITHOUT_TAX, "").re_replace(r"円$", "")
    plain = plain.re_replace(r"^([+-]?)[¥\\$] *", r"\1").re_replace(r"^([+-]) *", r"\1")
    other = ibis.ifelse(plain.re_search(NUMBER) & plain.re_search(r"\d"), plain.replace(",", ""), ibis.null("string"))
    digits = ibis.ifelse(text.re_search(PLAIN_NUMBER), text, other)
    if is_whole:
        value = digits.try_cast("float64")
        return ibis.ifelse(value == value.floor(), value, ibis.null("float64")).try_cast(to)
    value = digits.try_cast(to)
    if not is_share:
        return value
    percent = ibis.ifelse(plain.endswith("%"), plain.re_replace(r" *%$", ""), ibis.null("string"))
    return ibis.coalesce(value, (percent.try_cast("float64") / 100).cast(to))


def western(text: ir.StringValue) -> ir.StringValue:
    """A day of a Japanese era (令和6年1月5日, R6.1.5, H31.4.30) as 2024-01-05, full-width digits as narrow ones; other
    texts as they are. A day outside its era is no day: it stays as written."""
    plain = text.translate(WIDE, NARROW)
    letter, year, month, day, rest = (plain.re_extract(ERA, i) for i in range(1, 6))
    letter = letter.translate("令平昭ＲＨＳrhs", "RHSRHSRHS").substr(0, 1)
    zero, first, last = (ibis.cases(*((letter == e[0], e[n]) for e in ERAS), else_=None) for n in (1, 2, 3))
    number = year.replace("元", "1").try_cast("int64") + zero
    iso = number.cast("string") + "-" + month.lpad(2, "0") + "-" + day.lpad(2, "0")
    in_era = ibis.ifelse(iso.between(first, last), iso + rest, ibis.null("string"))
    is_plain = text.substr(0, 1).isin(list("0123456789"))  # spares most texts the pattern
    return ibis.ifelse(is_plain, text, ibis.coalesce(in_era, plain))


def seconds(text: ir.StringValue) -> ir.IntegerValue:
    """Seconds since midnight of 10:33, 10:33:09, 103309 or 93309; null where it is no time."""
    digits = ibis.ifelse(text.re_search(r"^\d{5,6}$"), text.lpad(6, "0"), ibis.null("string"))
    clock = ibis.coalesce(digits.re_replace(r"^(..)(..)(..)$", r"\1:\2:\3"), text)
    parts = [ibis.coalesce(clock.re_extract(TIME, i).nullif(""), "0").cast("int64") for i in (1, 2, 4)]
    total = parts[0] * 3600 + parts[1] * 60 + parts[2]
    right = clock.re_search(TIME) & (parts[0] < 24) & (parts[1] < 60) & (parts[2] < 60)
    return ibis.ifelse(right, total, ibis.null("int64"))


def moment(text: ir.StringValue, form: str, zone: str, source_zone: str) -> ir.Value:
    """A company-local time: ISO with -, / or ., 年月日, with or without time and offset, or the declared form."""
    iso = text.re_replace(DAY, r"\1-\2-\3").re_replace(r" *UTC$", "Z").re_replace(r" +([+-]\d)", r"\1")
    has_offset = iso.re_search(r":.*" + OFFSET)
    is_moment = ibis.ifelse(has_offset, iso.re_replace(OFFSET, ""), iso).re_search(MOMENT)
    local = ibis.ifelse(is_moment & ~has_offset, iso, ibis.null("string")).try_cast("timestamp(6)")
    if source_zone and source_zone != zone:  # a day without a time is a day, wherever it was written
        local = ibis.ifelse(iso.contains(":"), _local(zone, _instant(source_zone, local)), local)
    absolute = ibis.ifelse(is_moment & has_offset, iso, ibis.null("string")).try_cast(dt.Timestamp(timezone="UTC"))
    value = ibis.coalesce(local, _local(zone, absolute))
    if not source_zone or source_zone == zone:
        value = ibis.ifelse(text.re_search(PLAIN_MOMENT), text.try_cast("timestamp(6)"), value)
    return ibis.coalesce(_try_strptime(text, form), value) if form else value


def flag(text: ir.StringValue) -> ir.Value:
    low = text.lower()
    return ibis.cases((low.isin(TRUE), True), (low.isin(FALSE), False), else_=ibis.null("boolean"))


def typed(column: Column, text: ir.StringValue, form: str, zone: str, source_zone: str) -> ir.Value:
    """The value of a stripped text in the type of its column, money apart; null where it holds none."""
    kind = column.kind
    if kind == "text":
        plain = ibis.ifelse(text.startswith("'"), text.re_replace(GUARDED, r"\1"), text)
        return text.lower() if column.values else plain
    if kind == "flag":
        return flag(text)
    if kind in ("integer", "number"):
        return number(text, KINDS[kind][1], is_whole=kind == "integer", is_share=column.unit == "fraction")
    value = moment(text, form, zone, source_zone)
    return value.date() if kind == "date" else value.cast("timestamp(6)")


def fault(column: Column, text: ir.StringValue, value: ir.Value) -> ir.StringValue | None:
    """Code of what is wrong with a cell, null where nothing is; None where nothing can be."""
    none, rules = ibis.null("string"), []
    if not column.nullable:
        rules.append((text.isnull(), "missing_customer" if column.name == "customer_id" else "missing_value"))
    wrong = {"date": "not_a_date", "timestamp": "not_a_date", "flag": "unknown_code"}.get(column.kind, "not_a_number")
    if column.kind != "text":
        rules.append((text.notnull() & value.isnull(), wrong))
    if column.values:
        rules.append((text.notnull() & ~value.isin(column.values), "unknown_code"))
    if column.kind in ("date", "timestamp"):
        rules.append(((value.year() < 1900) | (value.year() > 2199), "out_of_range"))
    if column.minimum is not None:
        rules.append((value < column.minimum, "out_of_range"))
    if column.maximum is not None:
        rules.append((value > column.maximum, "out_of_range"))
    return ibis.cases(*rules, else_=none) if rules else None
