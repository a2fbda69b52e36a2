"""Checks of whole tables: reach, pauses, costs, levels. Each gives one Measure (None = cannot be asked)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from ltvlab_utils.sources.checks import calendar
from ltvlab_utils.sources.checks.evidence import Evidence
from ltvlab_utils.sources.judge import AMOUNT
from ltvlab_utils.tables.checks import CHECKS

FEW_ROWS = 10  # a month; below, an empty month is chance
FEW_LINES = 30  # a month, for a typical amount
FEW_PRODUCTS = 10
STEPS = (1.08, 1.10)  # consumption tax
SURE = 6.0  # standard errors


@dataclass(frozen=True)
class Measure:
    """What a check measured; `limit` where it depends on the data; `detail` in codes (month=2025-01)."""

    value: float
    rows: int = 0
    amount: float = 0.0
    detail: str = ""
    limit: float | None = None
    file: str | None = None


def _months(first: pd.Timestamp, last) -> int:
    return (last.year - first.year) * 12 + last.month - first.month + 1


def closing_day_clustering(seen: Evidence, name: str) -> Measure | None:
    frame = calendar.by_day(seen)
    if frame["closing"].sum() < 6:
        return None
    ratio, errors = calendar.clustering(frame)
    here = int(frame.loc[frame["closing"], "rows"].sum())
    sure = ratio if errors > SURE else min(ratio, CHECKS["closing_day_clustering"].limit)
    return Measure(sure, here, detail=f"share={here / frame['rows'].sum():.0%}")


def short_data(seen: Evidence, name: str) -> Measure | None:
    days = seen.days[name]
    if days.empty:
        return None
    first = days["day"].iloc[0]
    return Measure(_months(first, seen.as_of), int(days["rows"].sum()), detail=f"first={first:%Y-%m-%d}")


def stale_data(seen: Evidence, name: str) -> Measure | None:
    """Days since the last row, against the longest pause of the year before it: who sells once a month is not late."""
    days = seen.days[name]["day"]
    if days.empty:
        return None
    last = days.iloc[-1]
    pauses = days[days > last - pd.Timedelta(days=366)].diff().dt.days.dropna()
    usual = float(pauses.max()) if len(pauses) else 0.0
    limit = max(CHECKS["stale_data"].limit, usual)
    return Measure((pd.Timestamp(seen.as_of) - last).days, detail=f"last={last:%Y-%m-%d}", limit=limit)


def empty_months(seen: Evidence, name: str) -> Measure | None:
    months = seen.days[name].groupby(seen.days[name]["day"].dt.to_period("M"))["rows"].sum()
    if len(months) < 3 or months.median() < FEW_ROWS:
        return None
    every = pd.period_range(months.index[0], months.index[-1], freq="M")
    empty = [str(m) for m in every if m not in months.index]
    return Measure(len(empty), detail=f"months={','.join(empty[:12])}" if empty else "")


def unseen_start(seen: Evidence, name: str) -> Measure | None:
    lines = seen.used(name)
    lines = lines.filter(lines.kind == "sale")
    first = lines.group_by("customer_id").aggregate(first=lambda t: t.ordered_at.min())
    month = first.mutate(month=first["first"].truncate("M").cast("date"))
    new = month.group_by("month").aggregate(n=lambda t: t.count()).order_by("month").to_pandas()
    if new.empty or _months(pd.Timestamp(new["month"].iloc[0]), seen.as_of) < 12:
        return None
    months = pd.to_datetime(new["month"]).dt.to_period("M")
    every = pd.period_range(months.iloc[0], pd.Timestamp(seen.as_of), freq="M")
    counts = pd.Series(new["n"].to_numpy(), index=months).reindex(every, fill_value=0)
    usual = max(float(counts.iloc[len(counts) // 2 :].mean()), 1.0)
    return Measure(float(counts.iloc[0]) / usual, detail=f"first_orders={int(counts.iloc[0])} usual={usual:.2g}")


def unlisted_customers(seen: Evidence, name: str) -> Measure | None:
    return Measure(seen.made_customers, seen.made_customers)


COST = {"order_lines": "cost_amount", "contract_terms": "monthly_cost"}


def files_without_cost(seen: Evidence, name: str) -> Measure | None:
    rows, amount, cost = seen.used(name), AMOUNT[name], COST[name]
    by_file = rows.group_by(file="file_").aggregate(
        rows=lambda t: t.count(), known=lambda t: t[cost].count(), amount=lambda t: t[amount].sum(),
        size=lambda t: t[amount].abs().sum(),
    )  # fmt: skip
    files = by_file.order_by("file").to_pandas()
    files = files.astype({"amount": "float64", "size": "float64"})
    if files.empty:
        return None
    bad = files[files["known"] == 0]
    total = files["size"].sum()
    share = float(bad["size"].sum() / total) if total else float(len(bad) == len(files))
    file = bad["file"].iloc[0] if len(bad) else None
    return Measure(share, int(bad["rows"].sum()), float(bad["amount"].sum()), f"files={len(bad)}", file=file)


def sales_at_a_loss(seen: Evidence, name: str) -> Measure | None:
    lines = _sales(seen, name)
    known = lines.filter(lines.cost_amount.notnull())
    loss = known.cost_amount > known.net_amount
    found = known.aggregate(
        rows=known.count(), bad=loss.ifelse(1, 0).sum(), amount=known.net_amount.sum(where=loss)
    ).to_pandas().iloc[0]  # fmt: skip
    if found["rows"] < FEW_LINES:
        return None
    return Measure(float(found["bad"] / found["rows"]), int(found["bad"]), _number(found["amount"]))


def amount_jump(seen: Evidence, name: str) -> Measure | None:
    """Geometric mean amount of a sale line by source and month, against the month before; only what lies SURE standard
    errors apart counts as a change."""
    lines = _sales(seen, name)
    lines = lines.mutate(
        month=lines.ordered_at.truncate("M").cast("date"), log=lines.net_amount.cast("float64").log10()
    )
    # sums of doubles differ from run to run, sums of decimals do not
    lines = lines.mutate(log=lines.log.cast("decimal(18, 8)"), square=(lines.log * lines.log).cast("decimal(18, 8)"))
    by_month = lines.group_by(["source_", "month"]).aggregate(
        n=lambda t: t.count(), log=lambda t: t.log.sum(), square=lambda t: t.square.sum(),
        amount=lambda t: t.net_amount.sum(),
    )  # fmt: skip
    frame = by_month.order_by(["source_", "month"]).to_pandas()
    frame = frame.astype({"log": "float64", "square": "float64", "amount": "float64"})
    frame = frame[frame["n"] >= FEW_LINES]
    frame["mean"] = frame["log"] / frame["n"]
    frame["variance"] = (frame["square"] / frame["n"] - frame["mean"] ** 2).clip(lower=1e-4) / frame["n"]
    before = frame.groupby("source_").shift(1)
    apart = (frame["mean"] - before["mean"]).abs()
    if apart.notna().sum() == 0:
        return None
    apart = apart.where(apart > SURE * np.sqrt(frame["variance"] + before["variance"]), 0.0).fillna(0.0)
    at = frame.loc[apart.idxmax()]
    times = 10 ** float(apart.max())
    if times == 1.0:
        return Measure(1.0)
    return Measure(times, int(at["n"]), float(at["amount"]), f"month={pd.Timestamp(at['month']):%Y-%m}")


def price_step(seen: Evidence, name: str) -> Measure | None:
    """Unit prices by product and month: in which share of the products the price moved by a rate of tax at once."""
    lines = _sales(seen, name)
    lines = lines.filter((lines.quantity > 0) & lines.product_id.notnull())
    by_month = lines.mutate(month=lines.ordered_at.truncate("M").cast("date")).group_by(["product_id", "month"])
    sums = by_month.aggregate(
        amount=lambda t: t.net_amount.sum(), units=lambda t: t.quantity.cast("decimal(18, 4)").sum()
    )
    now = sums.mutate(price=sums.amount.cast("float64") / sums.units.cast("float64"))
    in_turn = ibis.window(group_by="product_id", order_by="month")
    steps = now.mutate(ratio=now.price / now.price.lag().over(in_turn), gap=now.month.lag().over(in_turn))
    steps = steps.filter(steps.ratio.notnull() & (steps.gap + ibis.interval(months=1) >= steps.month))
    size = steps.ratio.ln().abs()
    near = [(size - math.log(step)).abs() < 0.004 for step in STEPS]
    found = steps.mutate(near_=(near[0] | near[1]).ifelse(1, 0)).group_by("month").aggregate(
        products=lambda t: t.count(), near=lambda t: t.near_.sum()
    )  # fmt: skip
    frame = found.filter(found.products >= FEW_PRODUCTS).order_by("month").to_pandas()
    if frame.empty:
        return None
    share = frame["near"] / frame["products"]
    at = frame.loc[share.idxmax()]
    return Measure(float(share.max()), detail=f"month={pd.Timestamp(at['month']):%Y-%m}")


def _sales(seen: Evidence, name: str) -> ir.Table:
    lines = seen.used(name)
    return lines.filter((lines.kind == "sale") & (lines.net_amount > 0))


def _number(value: object) -> float:
    return 0.0 if value is None or pd.isna(value) else float(value)


MEASURES: dict[str, Callable[[Evidence, str], Measure | None]] = {
    f.__name__: f
    for f in (
        closing_day_clustering, short_data, stale_data, empty_months, unseen_start, unlisted_customers,
        files_without_cost, sales_at_a_loss, amount_jump, price_step,
    )
}  # fmt: skip
