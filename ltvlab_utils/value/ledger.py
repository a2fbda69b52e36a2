"""The record of forecasts (floor 2): sealed when first published, held against what happened, never changed.

Each final review seals what it expects of its customers in the next 3, 6 and 12 months, for the company and each
segment, from totals of the same draws as the values. The next reviews carry the rows on as they are and fill in
`actual` once a horizon has passed. A preliminary review (速報) carries them on untouched and seals nothing; a final
review made again keeps the seal of the first.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import date

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from ltvlab_utils.periods import Period
from ltvlab_utils.tables import contract_of
from ltvlab_utils.value import wide
from ltvlab_utils.value.costs import pool_of, rates, realised
from ltvlab_utils.value.facts import Facts, gather
from ltvlab_utils.value.outcomes import contract_outcomes, order_outcomes, outcomes, year_seen
from ltvlab_utils.value.paths import Paths
from ltvlab_utils.value.result import HIGH, LOW

HORIZONS = (3, 6, 12)
KEYS = ["forecast_of", "scope", "metric", "horizon_months"]
SEALED = [*KEYS, "forecast", "low", "high", "naive"]
COMPANY = "company"
FINAL, PRELIMINARY = "final", "preliminary"
PROFITS = ("net_profit", "gross_profit")


def seal(rows: pd.DataFrame) -> pd.Series:
    """SHA-256 of the sealed fields of each row: JSON of SEALED, numbers by their shortest exact form."""
    plain = rows[SEALED].astype({"horizon_months": int, **dict.fromkeys(SEALED[4:], float)})
    told = [json.dumps(list(row), ensure_ascii=False) for row in plain.itertuples(index=False, name=None)]
    return pd.Series([hashlib.sha256(t.encode()).hexdigest() for t in told], index=rows.index, dtype="str")


def broken(ledger: pd.DataFrame) -> pd.DataFrame:
    """Rows whose sealed fields are no longer those that were sealed."""
    return ledger[seal(ledger) != ledger["sealed_hash"]] if len(ledger) else ledger


def _profit(tables, settings, facts: Facts, start: date, end: date, basis: str) -> pd.Series | None:
    """Value on `basis` that each customer brought in (start, end], by customer_id; None where cost is not known."""
    chosen = settings.model_copy(update={"value_basis": basis})
    found = []
    for day in (end, start):
        then = facts if day == facts.as_of else gather(tables, settings, day)
        known = rates(then, chosen)
        if known.value_basis != basis:
            return None
        found.append(pd.Series(realised(then, known), then.customers["customer_id"]))
    return found[0].sub(found[1], fill_value=0.0)


def happened(
    tables: Mapping[str, ir.Table], settings, facts: Facts, window: tuple[date, date], born: date, bases: Sequence[str]
) -> pd.DataFrame:
    """What the customers that were there at `born` (an order or a contract by then) brought in a window: a row a scope,
    a column a metric (purchase_days, revenue, and the `bases` that cost allows). `facts` are of today: its segments
    count."""
    if facts.wide is not None:
        return _by_scope(_happened_at_scale(tables, settings, facts, window, born, bases))
    c = facts.customers
    begun = c[["first_order_line_on", "first_contract_on"]].min(axis=1)
    who = c.loc[begun <= pd.Timestamp(born), ["customer_id", "model_segment"]]
    came = outcomes(tables, [window], facts.as_of)[0].set_index("customer_id").reindex(who["customer_id"]).fillna(0.0)
    of = who.assign(
        purchase_days=came["purchase_days"].to_numpy(),
        revenue=(came["order_revenue"] + came["contract_revenue"]).to_numpy(),
    )
    for basis in bases:
        profit = _profit(tables, settings, facts, *window, basis)
        if profit is not None:
            of[basis] = of["customer_id"].map(profit).fillna(0.0)
    return _by_scope(of.drop(columns="customer_id").groupby("model_segment").sum())


def _by_scope(sums: pd.DataFrame) -> pd.DataFrame:
    sums.index = "segment:" + sums.index.astype("str")
    sums.loc[COMPANY] = sums.sum()
    return sums


def _happened_at_scale(tables, settings, facts: Facts, window, born: date, bases: Sequence[str]) -> pd.DataFrame:
    """`happened` by segment, of a large company."""
    c = facts.wide.customers
    by_then = lambda day: (day <= ibis.literal(born)).fill_null(False)  # noqa: E731
    who = c.filter(by_then(c.first_order_line_on) | by_then(c.first_contract_on))
    who = who.select("customer_id", "model_segment")
    came = who.left_join(order_outcomes(tables, [window], facts.as_of), "customer_id")
    came = came.group_by("model_segment").aggregate(
        purchase_days=lambda t: t.n0.sum().cast("float64").fill_null(0.0),
        revenue=lambda t: t.m0.cast("decimal(28, 6)").sum().cast("float64").fill_null(0.0),
    )
    of = came.to_pandas().set_index("model_segment").sort_index()
    for frame in contract_outcomes(tables, [window], facts.as_of):
        mine = _there(facts.customers, born).merge(frame, on="customer_id")
        of["revenue"] = of["revenue"].add(mine.groupby("model_segment")["contract_revenue"].sum(), fill_value=0.0)
    for basis in bases:
        profit = _profit_at_scale(tables, settings, facts, window, born, basis)
        if profit is not None:
            of[basis] = profit.reindex(of.index).fillna(0.0)
    return of


def _there(customers: pd.DataFrame, born: date) -> pd.DataFrame:
    begun = customers[["first_order_line_on", "first_contract_on"]].min(axis=1)
    return customers[begun <= pd.Timestamp(born)]


def _profit_at_scale(tables, settings, facts: Facts, window, born: date, basis: str) -> pd.Series | None:
    """`_profit` of the customers that were there at `born`, by segment."""
    chosen, found = settings.model_copy(update={"value_basis": basis}), []
    for day in reversed(window):
        then = facts.wide if day == facts.as_of else wide.at(tables, settings, day)
        pool, sums = pool_of(then.parts()), []
        for part in then.parts():
            known = rates(part, chosen, pool)
            if known.value_basis != basis:
                return None
            own = part.customers.assign(value=realised(part, known))
            sums.append(_there(own, born).groupby("model_segment")["value"].sum())
        found.append(pd.concat(sums).groupby(level=0).sum())
        if then is not facts.wide:
            then.drop()
    return found[0].sub(found[1], fill_value=0.0)


def forecasts(tables: Mapping[str, ir.Table], settings, facts: Facts, paths: Paths) -> pd.DataFrame:
    """Rows of this period, sealed: mean and 80 % interval of totals of draws; `naive`: the last 12 months of the same
    customers go on. Profit on the value basis where cost is known."""
    period = Period(facts.as_of.year, facts.as_of.month)
    basis = paths.rates.value_basis if paths.rates.value_basis in PROFITS else None
    year = (period.shift(-12).last_day, facts.as_of)  # of the customers of today, those won during the year too
    level = happened(tables, settings, facts, year, facts.as_of, [basis] if basis else [])
    rows = []
    scopes = {COMPANY: None, **{f"segment:{s}": s for s in paths.segments}}
    scopes = {scope: segment for scope, segment in scopes.items() if scope in level.index}  # not of prospects alone
    for metric in [c for c in level.columns if c != "purchase_days" or len(facts.histories)]:
        for scope, segment in scopes.items():
            path = paths.cumulative("profit" if metric == basis else metric, segment)
            for months in (h for h in HORIZONS if h < path.shape[1]):
                total = path[:, months]
                low, high = np.quantile(total, [LOW, HIGH])
                naive = level.loc[scope, metric] * months / year_seen(facts)
                rows.append((str(period), scope, metric, months, total.mean(), low, high, naive))
    out = pd.DataFrame(rows, columns=SEALED).dropna(subset="naive").assign(actual=np.nan)
    return out.assign(sealed_hash=seal(out)).reset_index(drop=True)


def carried(prior: pd.DataFrame | None, replaced: pd.DataFrame | None, period: str) -> pd.DataFrame:
    """The rows that this review finds: those of the review before, and of the review of this very period that it
    replaces what that one sealed (and what it carried, where the review before is gone)."""
    columns = contract_of("forecast_ledger").names
    found = [t[columns] for t in (prior, replaced) if t is not None and len(t)]
    if not found:
        return pd.DataFrame({c: pd.Series([], dtype="f8" if c in SEALED[4:] or c == "actual" else "str")
                             for c in columns}).astype({"horizon_months": "int64"})  # fmt: skip
    rows = pd.concat(found, ignore_index=True).drop_duplicates(KEYS)
    return rows[rows["forecast_of"] <= period].sort_values(KEYS, ignore_index=True)


def settle(ledger: pd.DataFrame, tables: Mapping[str, ir.Table], settings, facts: Facts) -> pd.DataFrame:
    """The ledger with `actual` filled in where a horizon has passed and it is still empty; null stays where today's
    tables do not tell (cost no longer known, segment no longer there). Sealed fields stay as they are."""
    out = ledger.copy()
    now = Period(facts.as_of.year, facts.as_of.month)
    due = [Period.parse(p).shift(int(h)) <= now for p, h in zip(out["forecast_of"], out["horizon_months"], strict=True)]
    open_ = out[np.array(due, dtype=bool) & out["actual"].isna()]
    for (forecast_of, months), rows in open_.groupby(["forecast_of", "horizon_months"], sort=True):
        start = Period.parse(forecast_of)
        window = (start.last_day, start.shift(int(months)).last_day)
        bases = [m for m in PROFITS if (rows["metric"] == m).any()]
        came = happened(tables, settings, facts, window, window[0], bases).stack()
        keys = pd.MultiIndex.from_frame(rows[["scope", "metric"]])
        out.loc[rows.index, "actual"] = came.reindex(keys).to_numpy()
    return out


def opened(
    prior: pd.DataFrame | None, replaced: pd.DataFrame | None, kind: str, tables: Mapping[str, ir.Table], settings,
    facts: Facts,
) -> pd.DataFrame:  # fmt: skip
    """The record as this review finds it: `carried`, and settled unless the review is preliminary, since its data are
    not yet all there."""
    found = carried(prior, replaced, str(Period(facts.as_of.year, facts.as_of.month)))
    return found if kind == PRELIMINARY else settle(found, tables, settings, facts)


def close(ledger: pd.DataFrame, new: pd.DataFrame, kind: str) -> pd.DataFrame:
    """The ledger as this review leaves it: with its own rows, if it is final and none of its period is sealed yet."""
    sealed = set(ledger["forecast_of"])
    if kind != FINAL or not len(new) or set(new["forecast_of"]) & sealed:
        return ledger
    parts = [t for t in (ledger, new) if len(t)]
    return pd.concat(parts, ignore_index=True).sort_values(KEYS, ignore_index=True)
