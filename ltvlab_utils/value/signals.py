"""What was known of a customer on the day a decision is looked at (floor 2): sums in the engine, one row a sighting.

`seen`: table of row, customer_id, seen_on. Each function answers with a frame by row; rows without anything known are
absent. Nothing later than seen_on enters.
"""

from __future__ import annotations

from collections.abc import Mapping

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

EXACT = "decimal(38, 8)"  # sums of doubles differ from run to run, sums of decimals do not
# days from the Monday of a complete week (6 to 12 for the last one) to the day of sight: 4, 8, 12 and 52 weeks
FOUR, EIGHT, TWELVE, YEAR = 33, 61, 89, 369
MIN_WEEKS = 12  # of recorded use, from the first to the last
HALF, LATE_DAYS = 183, 5
FLOOR = 0.1  # of the usual level: added above and below, so that no use at all has a finite log ratio


def _with(seen: ir.Table, rows: ir.Table, day: str, within: int) -> ir.Table:
    """Pairs of a sighting and a row of its customer that lay 0 to `within` days before; `age` in days."""
    rows = rows.filter(rows[day].notnull())
    pairs = seen.inner_join(rows, "customer_id")
    pairs = pairs.mutate(age=pairs.seen_on.delta(pairs[day], unit="day"))
    return pairs.filter((pairs.age >= 0) & (pairs.age <= within))


def usage(seen: ir.Table, weeks: ir.Table) -> pd.DataFrame:
    """usage_level: log of the last 8 weeks over the 44 weeks before; usage_trend: log of the last 4 weeks over the 8
    before; usage_silent: share of the last 8 weeks without use; use: log of the last 12 weeks, less the mean of the
    metric. Means over metrics of complete weeks, of customers with a record of at least 12 weeks."""
    pairs = _with(seen, weeks, "week", YEAR)
    pairs = pairs.filter(pairs.age >= 6).mutate(value=pairs["value"].cast(EXACT))
    total = lambda t, age: t["value"].sum(where=t.age <= age).cast("float64").fill_null(0.0)  # noqa: E731
    sums = pairs.group_by(["row", "metric"]).aggregate(
        four=lambda t: total(t, FOUR),
        eight=lambda t: total(t, EIGHT),
        twelve=lambda t: total(t, TWELVE),
        year=lambda t: total(t, YEAR),
        used=lambda t: t.count(where=(t["value"] > 0) & (t.age <= EIGHT)),
        oldest=lambda t: t.age.max(),
    )
    f = sums.order_by(["row", "metric"]).to_pandas()
    long = (f["oldest"] - 6) // 7 + 1
    f, long = f[long >= MIN_WEEKS], long[long >= MIN_WEEKS]
    usual = (f["year"] - f["eight"]) / (long - 8)
    usual = usual.where(usual > 0, f["year"] / long)
    f, usual = f[usual > 0], usual[usual > 0]
    ratio = lambda a, b: np.log((a + FLOOR * usual) / (b + FLOOR * usual))  # noqa: E731
    use = np.log(f["twelve"] / 12 + FLOOR * usual)
    found = f.assign(
        usage_level=ratio(f["eight"] / 8, usual),
        usage_trend=ratio(f["four"] / 4, (f["twelve"] - f["four"]) / 8),
        usage_silent=1 - f["used"].clip(upper=8) / 8,
        use=use - use.groupby(f["metric"]).transform("mean"),
    )
    return found.groupby("row")[["usage_level", "usage_trend", "usage_silent", "use"]].mean()


def support(seen: ir.Table, entries: ir.Table) -> pd.DataFrame:
    """recent and earlier: entries of the last 183 days and of the 365 before; hours (of all where they are known)."""
    pairs = _with(seen, entries, "occurred_on", HALF + 365)
    return (
        pairs.group_by("row")
        .aggregate(
            recent=lambda t: t.count(where=t.age <= HALF),
            earlier=lambda t: t.count(where=t.age > HALF),
            hours=lambda t: t.hours.cast(EXACT).sum(where=t.age <= HALF).cast("float64"),
        )
        .order_by("row")
        .to_pandas()
        .set_index("row")
    )


def surveys(seen: ir.Table, sent: ir.Table) -> pd.DataFrame:
    """score: mean answer of the last 12 months; silent: surveys were sent in the last 12 months, a month ago or more,
    and none was answered (0 or 1)."""
    pairs = _with(seen, sent, "sent_on", 365)
    answered = pairs.answered_on.notnull() & (pairs.answered_on <= pairs.seen_on)
    pairs = pairs.mutate(answered=answered)
    f = (
        pairs.group_by("row")
        .aggregate(
            score=lambda t: t.score.cast(EXACT).mean(where=t.answered).cast("float64"),
            answers=lambda t: t.count(where=t.answered),
            asked=lambda t: t.count(where=t.age >= 30),
        )
        .order_by("row")
        .to_pandas()
        .set_index("row")
    )
    silent = ((f["asked"] > 0) & (f["answers"] == 0)).astype("float64")
    return pd.DataFrame({"score": f["score"].astype("float64"), "silent": silent})


def payment(seen: ir.Table, invoices: ir.Table) -> pd.DataFrame:
    """late: share of the invoices due in the last 12 months that were not paid within 5 days; n: their number."""
    pairs = _with(seen, invoices, "due_on", 365)
    pairs = pairs.filter(pairs.age > LATE_DAYS)
    on_time = pairs.paid_on.notnull() & (pairs.paid_on.delta(pairs.due_on, unit="day") <= LATE_DAYS)
    f = (
        pairs.mutate(late=on_time.ifelse(0, 1))
        .group_by("row")
        .aggregate(late=lambda t: t.late.sum().cast("float64"), n=lambda t: t.count())
        .order_by("row")
        .to_pandas()
        .set_index("row")
    )
    return f.assign(late=f["late"] / f["n"])


def turnover(seen: ir.Table, contacts: ir.Table) -> pd.DataFrame:
    """left: contacts that left within the last 183 days."""
    pairs = _with(seen, contacts, "left_on", HALF)
    return pairs.group_by("row").aggregate(left=lambda t: t.count()).order_by("row").to_pandas().set_index("row")


SOURCES = {
    "usage": usage, "support_costs": support, "surveys": surveys, "receivables": payment, "contacts": turnover,
}  # fmt: skip


def signals(tables: Mapping[str, ir.Table], sightings: pd.DataFrame) -> pd.DataFrame:
    """The moving covariates of each sighting, in its order; 0 = as usual, or not known. A covariate whose table is not
    there is absent. Columns: usage_level, usage_trend, usage_silent, use_for_money (log use less log amount, within
    product), support_recent (log of entries over the customer's own earlier ones), support_level, survey_score,
    survey_silent, late_payment, contact_left."""
    n = len(sightings)
    seen = ibis.memtable(
        pd.DataFrame(
            {
                "row": np.arange(n),
                "customer_id": sightings["customer_id"].astype("str"),
                "seen_on": pd.to_datetime(sightings["seen_on"]).dt.date,
            }
        ),
        schema={"row": "int64", "customer_id": "string", "seen_on": "date"},
    )
    found = {name: of(seen, tables[name]).reindex(range(n)) for name, of in SOURCES.items() if name in tables and n}
    out = pd.DataFrame(index=range(n))
    if "usage" in found:
        f = found["usage"]
        out[["usage_level", "usage_trend", "usage_silent"]] = f[["usage_level", "usage_trend", "usage_silent"]]
        amount = pd.to_numeric(sightings["monthly_amount"]).reset_index(drop=True).astype("float64")
        price = np.log(amount.where(amount > 0))
        product = sightings["product_id"].fillna("").reset_index(drop=True)
        money = f["use"] - price
        out["use_for_money"] = money - money.groupby(product).transform("mean")
    if "support_costs" in found:
        f = found["support_costs"]
        recent, earlier = f["recent"].fillna(0), f["earlier"].fillna(0) / 2
        out["support_recent"] = np.log((recent + 1) / (earlier + 1))
        out["support_level"] = np.log1p(recent + earlier)
    if "surveys" in found:
        f = found["surveys"]
        out["survey_score"] = f["score"] - f["score"].mean()
        out["survey_silent"] = f["silent"]
    if "receivables" in found:
        f = found["receivables"]
        out["late_payment"] = (f["late"] - f["late"].mean()) * f["n"] / (f["n"] + 2)
    if "contacts" in found:
        out["contact_left"] = (found["contacts"]["left"] > 0).astype("float64")
    return out.fillna(0.0)
