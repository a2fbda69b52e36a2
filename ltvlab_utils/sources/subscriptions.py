"""Subscriptions as terms: a start, an interval and perhaps an end become the terms that ran up to as-of.

What a subscription list does not hold is not made up: each term has today's amount, and a term ended before its last
day is `cancelled_early`, one ended on it `churned`.
"""

from __future__ import annotations

from datetime import date

import ibis
import ibis.expr.types as ir

from ltvlab_utils.sources.files import SourceFile
from ltvlab_utils.sources.mapping import has
from ltvlab_utils.tables import CONTRACTS
from ltvlab_utils.tables.contract import KINDS

MONTHS = {"month": 1, "quarter": 3, "year": 12}
DAY = ibis.interval(days=1)
MONEY = KINDS["money"][1]


# Ibis leaves a cast out where it takes the type for granted; the engine's own type then differs: a day plus an interval
# is a moment there, and a small whole number has 32 bits.


def _whole(number: int) -> ir.IntegerValue:
    return ibis.literal(str(number)).cast("int64")


def _moment(day: ir.DateValue, months: ir.IntegerValue) -> ir.TimestampValue:
    return day.cast("timestamp(6)") + months.as_interval("M")


def _day_before(day: ir.DateValue, months: ir.IntegerValue) -> ir.DateValue:
    return (_moment(day, months) - DAY).date()


def worked_out(rows: ir.Table, file: SourceFile) -> ir.Table:
    """Typed rows of subscriptions as their first terms; every_ (months of a term) and ended_ say how they go on."""
    one = _whole(1)
    count = rows.interval_count.fill_null(one) if has(file, "interval_count") else one
    units = rows.units.fill_null(1.0) if has(file, "units") else ibis.literal(1.0)
    interval, none = rows.interval.lower(), ibis.null("string")
    ended = rows.ended_on if has(file, "ended_on") else ibis.null("date")
    rows = rows.mutate(
        every_=ibis.cases(*((interval == word, _whole(n)) for word, n in MONTHS.items()), else_=ibis.null("int64"))
        * count,
        ended_=ended,
        units_=units,
    )
    months = rows.every_
    known = ibis.ifelse(rows.interval.isnull(), "missing_value", "unknown_code")
    empty = ibis.ifelse(rows.text_interval_amount.isnull(), "missing_value", none)
    before = ibis.ifelse((rows.ended_ < rows.starts_on).fill_null(False), "out_of_range", none)
    amount = rows.interval_amount.cast("float64") * rows.units_ / months.nullif(0)
    made = {
        "term_no": one,
        "term_months": months,
        "ends_on": _day_before(rows.starts_on, months),
        "billing": ibis.cases((months == 1, "monthly"), (months == 12, "annual"), else_="upfront"),
        "monthly_amount": amount.cast(MONEY),
        "outcome": ibis.literal("open"),
        "outcome_on": ibis.null("date"),
    }
    return rows.mutate(
        **{name: value for name, value in made.items() if file.origin[name][0] == "made"},
        fault_interval=ibis.ifelse((months > 0).fill_null(False), none, known),
        fault_interval_amount=ibis.coalesce(rows.fault_interval_amount, empty),
        fault_ended_on=ibis.coalesce(rows.fault_ended_on, before) if has(file, "ended_on") else before,
    )


def spread(rows: ir.Table, as_of: date) -> ir.Table:
    """The terms of accepted rows up to as-of: those of the file, and of subscriptions (`every_`) one row a term."""
    names = CONTRACTS["contract_terms"].names
    if "every_" not in rows.columns:
        return rows.select(names)
    plain = rows.filter(rows.every_.isnull()).select(names)
    known = ibis.literal(as_of, "date")
    own = rows.filter(rows.every_.notnull() & (rows.starts_on <= known))
    own = own.mutate(ended_=ibis.ifelse(own.ended_ > known, ibis.null("date"), own.ended_))
    # the last day that was paid for: a subscription that ended on the day of renewal was not renewed
    last = ibis.greatest(ibis.coalesce((own.ended_.cast("timestamp(6)") - DAY).date(), known), own.starts_on)
    months = (last.year() - own.starts_on.year()) * 12 + last.month() - own.starts_on.month()
    own = own.mutate(last_=last, terms_=(months // own.every_ + 1).cast("int64"))
    many = own.mutate(k_=ibis.range(0, own.terms_).unnest())
    begins = _moment(many.starts_on, many.k_ * many.every_).date()
    ends = _day_before(many.starts_on, (many.k_ + 1) * many.every_)
    # counted in whole months: the month of the last day may come before its term begins
    many = many.mutate(begins_=begins, ends_=ends).filter(lambda t: t.begins_ <= t.last_)
    is_last = many.ends_ >= many.last_
    outcome = ibis.cases(
        (~is_last, "renewed"),
        (many.ended_.isnull(), "open"),
        (many.ended_ > many.ends_, "churned"),
        else_="cancelled_early",
    )
    on = ibis.cases(
        (outcome == "open", ibis.null("date")),
        (outcome == "cancelled_early", many.ended_),
        else_=many.ends_,
    )
    made = {
        "term_no": many.k_ + 1, "starts_on": many.begins_, "ends_on": many.ends_, "outcome": outcome, "outcome_on": on,
    }  # fmt: skip
    return plain.union(many.select(**{n: made.get(n, many[n]) for n in names}))
