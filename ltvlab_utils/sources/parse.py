"""Cells into typed values, as Ibis expressions: null where a text does not hold the kind."""

from __future__ import annotations

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from ltvlab_utils.tables import Column
from ltvlab_utils.tables.contract import KINDS

BLANKS = " \t\r\n\u3000\u00a0"
WIDE, NARROW = "０１２３４５６７８９．，－−▲△＋％￥＄＼　", "0123456789.,----+%¥$¥ "
# what most cells look like; the engine then skips the patterns below
PLAIN_NUMBER = r"^-?\d{1,14}(\.\d+)?$"
PLAIN_MOMENT = r"^\d{4}-\d{2}-\d{2}( \d{2}:\d{2}:\d{2}(\.\d+)?)?$"
NUMBER = r"^[+-]?(\d{1,3}(,\d{3})+|\d+)?(\.\d*)?([eE][+-]?\d+)?$"
DAY = r"^(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?"
MOMENT = r"^\d{4}-\d{1,2}-\d{1,2}([ T]+\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?)?$"
OFFSET = r" *(Z|[+-]\d{2}(:?\d{2})?)$"
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


def number(text: ir.StringValue, kind: str) -> ir.Value:
    """A number: thousands separators, a currency sign before it, 円 after it, ▲ as minus, full-width digits."""
    plain = text.translate(WIDE, NARROW).re_replace(r"円$", "")
    plain = plain.re_replace(r"^([+-]?)[¥\\$] *", r"\1").re_replace(r"^([+-]) *", r"\1")
    other = ibis.ifelse(plain.re_search(NUMBER) & plain.re_search(r"\d"), plain.replace(",", ""), ibis.null("string"))
    digits = ibis.ifelse(text.re_search(PLAIN_NUMBER), text, other)
    if kind == "integer":
        value = digits.try_cast("float64")
        return ibis.ifelse(value == value.floor(), value, ibis.null("float64")).try_cast("int64")
    return digits.try_cast(KINDS[kind][1])


def moment(text: ir.StringValue, form: str, zone: str, source_zone: str) -> ir.Value:
    """A company-local time: ISO with -, / or ., 年月日, with or without time and offset, or the declared form."""
    iso = text.re_replace(DAY, r"\1-\2-\3")
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
    """The value of a stripped text in the type of its contract column; null where it holds none."""
    kind = column.kind
    if kind == "text":
        return text.lower() if column.values else text
    if kind == "flag":
        return flag(text)
    if kind in ("integer", "number", "money"):
        return number(text, kind)
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
