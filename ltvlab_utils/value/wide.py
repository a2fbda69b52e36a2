"""Facts of a company with more customers than are played through one by one (floor 2): twins in Python, the customers
in the engine.

A **twin** stands for customers whose purchase histories are alike: the same segment, the same number of orders (above
EXACT within a few percent), ages and times since the last order that differ by a few percent, and whether they have
spent anything. It is a row of an ordinary `Facts` with `weight` = its customers and their mean history, so fits and
simulation do for twins what they do for customers. Who has or had a contract is a twin of its own. Order models are
fitted on finer rows (`Facts.fitted`), spend on customers of one segment and number of orders whose mean spends differ
by at most 1 % (`Facts.spends`).

In Python at once: the twins (at most TWINS besides contracts), FITTED rows, one part of PART customers, every contract.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from ltvlab_utils import histories as hist
from ltvlab_utils.errors import Refused
from ltvlab_utils.tables import contract_of
from ltvlab_utils.value import facts as facts_
from ltvlab_utils.value.facts import DATES, SUMS, Facts

PER_CUSTOMER = 50_000  # customers up to which each is simulated by itself
TWINS, FITTED = 60_000, 120_000
COARSEST = 50.0
PART = 250_000
SAMPLE = 10_000  # single customers for lifetimes and for correlations
EXACT, ORDER_STEPS = 12, 12.0  # orders up to which twins share the very number; steps of ln orders above
AGE_STEPS, SILENT_STEPS = 24.0, 18.0  # of ln(age + 90 days), ln(time since the last order + 14 days)
SPEND_STEP = 0.01  # of ln mean spend
KEYS = ["model_segment", "alone", "order_class", "age_class", "silent_class", "spent"]
MONEY = "decimal(28, 6)"  # sums of doubles differ from run to run


@dataclass(frozen=True)
class Wide:
    """`customers` and `numbered` (histories): the columns of `Facts` with `row`, the customer's place by twin and id,
    and `twin`, its row of the twins' facts. `first`: row of the first customer of each twin, and the number of all.
    `facts`: what all parts share. `sample`: histories of about SAMPLE customers, spread evenly over twins."""

    customers: ir.Table
    numbered: ir.Table
    size: int
    facts: Facts
    first: np.ndarray
    sample: pd.DataFrame

    @property
    def histories(self) -> ir.Table:
        """The histories contract."""
        return self.numbered.drop("row")

    def part(self, low: int, high: int) -> Facts:
        """The facts of the customers in rows low to high - 1, in that order; `customers` with `twin`."""
        inside = lambda t: t.filter((t.row >= low) & (t.row < high)).to_pandas().sort_values("row", ignore_index=True)  # noqa: E731
        people, h, all_ = inside(self.customers), inside(self.numbered), self.facts
        for column in DATES:
            people[column] = pd.to_datetime(people[column]).astype("datetime64[us]")
        mine = lambda t: t[t["customer_id"].isin(people["customer_id"])].reset_index(drop=True) if len(t) else t  # noqa: E731
        return Facts(
            all_.as_of, people.drop(columns="row"), h.drop(columns="row"), mine(all_.contracts), mine(all_.renewals),
            all_.moves, all_.has_support, all_.has_changes, all_.credit_loss_rate, all_.report,
        )  # fmt: skip

    def drop(self) -> None:
        """Lets the engine forget the customers."""
        forget(self.customers, self.numbered)

    def parts(self, size: int = PART) -> Iterator[Facts]:
        """All customers, `size` at a time."""
        for low in range(0, self.size, size):
            yield self.part(low, min(low + size, self.size))


def stored(table: ir.Table, backend: ibis.BaseBackend) -> ir.Table:
    """The table computed once and kept by the engine as long as its connection lives."""
    return backend.create_table(ibis.util.gen_name("ltvlab"), obj=table, temp=True)


def forget(*tables: ir.Table) -> None:
    """Lets the engine drop tables that it has `stored`."""
    for table in tables:
        # not Backend.drop_table: ibis 12 writes the statement without the table's name for DuckDB 2
        table.get_backend().raw_sql(f'DROP TABLE "{table.op().name}"')


def size_of(tables: Mapping[str, ir.Table]) -> int:
    """Customers of the CRM or of the order lines, whichever are more."""
    found = [0]
    if "customers" in tables:
        found.append(int(tables["customers"].count().to_pandas()))
    if "order_lines" in tables:
        found.append(int(tables["order_lines"].customer_id.nunique().to_pandas()))
    return max(found)


def sampled(
    tables: Mapping[str, ir.Table], most: int, rng: np.random.Generator, keep: bool = False
) -> tuple[dict[str, ir.Table], int | None]:
    """The tables of at most `most` customers, those whose salted digest comes first, the same on every engine; and
    their number, None for all. `keep`: the engine keeps their rows, so that they are looked up once."""
    ids = None
    for table in tables.values():
        own = table.select("customer_id").distinct() if "customer_id" in table.columns else None
        ids = own if ids is None else ids if own is None else ids.union(own, distinct=True)
    if int(ids.count().to_pandas()) <= most:
        return dict(tables), None
    salt = f"{int(rng.integers(2**63))}:"
    order = (ibis.literal(salt) + ids.customer_id).hexdigest("md5")
    chosen = ids.mutate(place=order).order_by("place").limit(most).select("customer_id").to_pandas()
    chosen = ibis.memtable(chosen.sort_values("customer_id", ignore_index=True))
    part = {n: t.semi_join(chosen, "customer_id") if "customer_id" in t.columns else t for n, t in tables.items()}
    if keep:
        part = {n: stored(t, t.get_backend()) if "customer_id" in t.columns else t for n, t in part.items()}
    return part, most


def gather(
    tables: Mapping[str, ir.Table], settings, as_of: date, per_customer: int = PER_CUSTOMER, twins: int = TWINS
) -> Facts:
    """`facts.gather`; with more than `per_customer` customers the facts of at most `twins` twins (and of each customer
    with contracts), whose `wide` has all customers. A company without order lines is gathered whole, since each
    contract is played by itself anyway."""
    if "order_lines" not in tables or size_of(tables) <= per_customer:
        return facts_.gather(tables, settings, as_of)
    orders, models = tables["order_lines"], settings.models
    engine = orders.get_backend()
    days = stored(hist.purchase_days(orders, as_of), engine)
    base, h, shared = _people(tables, settings, as_of, days)
    report = hist.report(orders, as_of, days).to_pandas().iloc[0].to_dict() | shared.report
    by_month = hist.orders_by_month(days).to_pandas()
    forget(days)
    unit = hist.DAYS_PER_UNIT[models.time_unit]
    joined = stored(_with_days(base.left_join(h.drop("model_segment"), "customer_id"), unit), engine)
    keyed, groups = _twins(joined, twins, engine)
    frame = groups.to_pandas().sort_values("twin", ignore_index=True)
    customers = keyed.inner_join(groups.select(*KEYS, "twin"), KEYS)
    row = ibis.row_number().over(order_by=[customers.twin, customers.customer_id]).cast("int64")
    customers = stored(customers.select(*base.columns, "twin", row=row).order_by("row"), engine)
    numbered = h.inner_join(customers.select("customer_id", "row"), "customer_id")
    numbered = stored(numbered.select("row", *contract_of("histories").names).order_by("row"), engine)
    forget(joined, keyed, base, h, groups)
    first = np.concatenate([[0], np.cumsum(frame["weight"].to_numpy(np.int64))])
    step = max(int(first[-1]) // SAMPLE, 1)
    sample = numbered.filter(numbered.row % step == 0).order_by("row").to_pandas().drop(columns="row")
    wide = Wide(customers, numbered, int(first[-1]), shared, first, sample)
    histories = _twin_histories(frame, as_of, unit)
    ids = frame["alone"].where(frame["alone"] != "", [f"twin:{i:06d}" for i in range(len(frame))]).astype("str")
    histories["customer_id"] = ids
    people = frame[["model_segment", "weight", *DATES]].assign(customer_id=ids, parent_id=None)
    return Facts(
        as_of, people, histories[frame["order_class"] >= 0].reset_index(drop=True), shared.contracts, shared.renewals,
        shared.moves, shared.has_support, shared.has_changes, shared.credit_loss_rate, report, shared.decisions,
        shared.lapses, _months(numbered, by_month, as_of, models.time_unit), wide, _fitted(numbered, unit),
        _spends(numbered), facts_.attributes(tables.get("customers"), settings, _known(sample, shared)),
    )  # fmt: skip


def _known(sample: pd.DataFrame, shared: Facts) -> pd.Series:
    """Customers whose attributes are looked at: those of the sample, and those with contracts."""
    ids = [sample["customer_id"], *([shared.renewals["customer_id"]] if len(shared.renewals) else [])]
    return pd.concat(ids).drop_duplicates().sort_values(ignore_index=True)


def at(tables: Mapping[str, ir.Table], settings, as_of: date) -> Wide:
    """The customers as they stood at `as_of`, without twins: what realised profit needs."""
    base, h, shared = _people(tables, settings, as_of, hist.purchase_days(tables["order_lines"], as_of))
    engine = base.get_backend()
    customers = stored(
        base.mutate(row=ibis.row_number().over(order_by=base.customer_id).cast("int64")).order_by("row"), engine
    )
    numbered = h.inner_join(customers.select("customer_id", "row"), "customer_id")
    numbered = stored(numbered.select("row", *contract_of("histories").names).order_by("row"), engine)
    forget(base, h)
    return Wide(customers, numbered, int(customers.count().to_pandas()), shared, np.zeros(0), pd.DataFrame())


def _people(tables: Mapping[str, ir.Table], settings, as_of: date, days: ir.Table) -> tuple[ir.Table, ir.Table, Facts]:
    """Columns of `Facts.customers` and of the histories, kept by the engine; and what all customers share, in facts
    without customers. `days`: purchase days at as-of."""
    orders, people, models = tables["order_lines"], tables.get("customers"), settings.models
    engine = orders.get_backend()
    h = stored(hist.histories(orders, people, as_of, models.time_unit, models.segment_by, days), engine)
    _refuse_all_returned(h)
    frames = [facts_.order_money(orders, as_of)]
    under = facts_.under_contract(tables, as_of, days)
    if under.money is not None:
        frames.append(ibis.memtable(under.money))
    rate, observed = settings.credit_loss_rate, None
    if "support_costs" in tables:
        frames.append(facts_.support(tables["support_costs"], as_of))
    if "receivables" in tables:
        off, observed = _losses(tables["receivables"], as_of)
        frames.append(off)
        rate = observed if rate is None else rate
    shared = Facts(
        as_of, pd.DataFrame(), pd.DataFrame(), under.running, under.renewals, under.moves, "support_costs" in tables,
        under.has_changes, rate, under.report, under.looks, under.lapses,
    )  # fmt: skip
    return stored(_customers(people, frames, models.segment_by, observed is not None), engine), h, shared


def _losses(receivables: ir.Table, as_of: date) -> tuple[ir.Table, float | None]:
    """Per customer the amount written off, and the share of invoiced amounts that was; null where no write-off is
    kept."""
    lost = facts_.losses(receivables, as_of)
    exact = lambda v: v.cast(MONEY).sum().cast("float64")  # noqa: E731
    all_ = lost.aggregate(n=lost.written_off.count(), invoiced=exact(lost.invoiced), off=exact(lost.written_off))
    found = all_.to_pandas().iloc[0]
    if not (found["n"] > 0 and found["invoiced"] > 0):
        return lost.select("customer_id", written_off=ibis.null().cast("float64")), None
    return lost.select("customer_id", written_off=lost.written_off.fill_null(0.0)), found["off"] / found["invoiced"]


def _refuse_all_returned(h: ir.Table) -> None:
    found = h.aggregate(n=h.count(), plus=(h.revenue_total > 0).sum(), minus=(h.revenue_total < 0).sum())
    found = found.to_pandas().iloc[0]
    if found["minus"] > 0 and not found["plus"]:
        raise Refused(
            f"order_lines: none of {int(found['n']):,} customers has bought for more than it returned. Look at the "
            "sign of net_amount, and at kind."
        )


def _customers(people: ir.Table | None, frames: list[ir.Table], segment_by: str, written: bool) -> ir.Table:
    """All customers that any table knows, with the sums of each frame: the columns of `Facts.customers`. `written`:
    write-offs are kept, so who has none has lost nothing."""
    ids = frames[0].select("customer_id")
    for frame in [*frames[1:], *([people] if people is not None else [])]:
        ids = ids.union(frame.select("customer_id"))
    out = ids.distinct()

    def joined(left: ir.Table, right: ir.Table) -> ir.Table:
        both = left.left_join(right, "customer_id")
        return both.drop("customer_id_right") if "customer_id_right" in both.columns else both

    if people is not None:
        out = joined(out, people.select("customer_id", "parent_id", "acquisition_cost"))
    split = hist.segments(people, segment_by)
    out = joined(out, split) if split is not None else out.mutate(model_segment=ibis.literal(hist.ALL))
    for frame in frames:
        out = joined(out, frame)
    null = lambda kind: ibis.null().cast(kind)  # noqa: E731
    has = lambda name: name in out.columns  # noqa: E731
    return out.select(
        "customer_id",
        parent_id=out.parent_id if has("parent_id") else null("string"),
        acquisition_cost=out.acquisition_cost.cast("float64") if has("acquisition_cost") else null("float64"),
        model_segment=out.model_segment.fill_null(hist.UNKNOWN),
        **{c: out[c].cast("float64").fill_null(0.0) if has(c) else ibis.literal(0.0) for c in SUMS},
        **{c: out[c].cast("timestamp(6)") if has(c) else null("timestamp(6)") for c in DATES},
        written_off=out.written_off.fill_null(0.0) if written else null("float64"),
    )


def _with_days(t: ir.Table, unit: float) -> ir.Table:
    age, last = ((t[c] * unit).round().cast("int64") for c in ("T", "recency"))
    return t.mutate(age=age, last=last, silent=age - last)


def _classes(t: ir.Table, coarse: float) -> dict[str, ir.Value]:
    """What makes histories (with `_with_days`) alike; -1 without one. `coarse`: 1 or more times the finest steps."""
    steps = lambda days, start, number: ((days + start).cast("float64").ln() * (number / coarse)).floor()  # noqa: E731
    many = EXACT + ((t.frequency / EXACT).ln() * (ORDER_STEPS / coarse)).ceil()
    found = {
        "order_class": (t.frequency > EXACT).ifelse(many, t.frequency.cast("float64")),
        "age_class": steps(t.age, 90, AGE_STEPS), "silent_class": steps(t.silent, 14, SILENT_STEPS),
        "spent": (t.monetary_value > 0).cast("float64"),
    }  # fmt: skip
    return {name: values.fill_null(-1.0).cast("int64") for name, values in found.items()}


def _finest(t: ir.Table, most: int, classes: Callable[[ir.Table, float], dict[str, ir.Value]]) -> float:
    """The finest steps by which `t` falls into at most `most` classes, by segment."""
    coarse = 1.0
    while coarse < COARSEST:
        if t.select("model_segment", **classes(t, coarse)).distinct().count().to_pandas() <= most:
            break
        coarse *= 1.25
    return coarse


def _fit_classes(t: ir.Table, coarse: float) -> dict[str, ir.Value]:
    found = _classes(t, coarse)
    return {"frequency": t.frequency, **{name: found[name] for name in ("age_class", "silent_class")}}


SUMS_OF_HISTORIES = {
    "weight": lambda g: g.count(),
    "orders": lambda g: g.frequency.sum(),
    "age": lambda g: g.age.sum(),
    "last": lambda g: g["last"].sum(),
    "log_interval_sum": lambda g: g.log_interval_sum.cast("decimal(28, 8)").sum().cast("float64"),
}


def _twins(t: ir.Table, most: int, engine) -> tuple[ir.Table, ir.Table]:
    """`t` (customers with their histories) with KEYS, and the twins: KEYS, twin, weight, sums and extremes. Both are
    kept by the engine."""
    alone = t.first_contract_on.notnull()
    coarse = _finest(t.filter(~alone), most, _classes)
    keyed = stored(t.mutate(alone=alone.ifelse(t.customer_id, ""), **_classes(t, coarse)), engine)
    exact = lambda v: v.cast(MONEY).sum().cast("float64")  # noqa: E731
    groups = keyed.group_by(KEYS).aggregate(
        **SUMS_OF_HISTORIES,
        spent_sum=lambda g: exact(g.monetary_value * g.frequency),
        top=lambda g: g.monetary_value.max(),
        revenue_total=lambda g: exact(g.revenue_total),
        **{c: (lambda g, c=c: g[c].max() if c == "last_contract_on" else g[c].min()) for c in DATES},
    )
    number = ibis.row_number().over(order_by=[groups[k] for k in KEYS]).cast("int64")
    return keyed, stored(groups.mutate(twin=number), engine)


def _fitted(h: ir.Table, unit: float) -> pd.DataFrame:
    """Weighted rows for the fits of orders: model_segment, frequency (the very number), recency, T (means), weight,
    log_interval_sum (of all); finer than twins."""
    t = _with_days(h, unit)
    classes = _fit_classes(t, _finest(t, FITTED, _fit_classes))
    keys = ["model_segment", *classes]
    t = t.select("model_segment", "age", "last", "log_interval_sum", **classes)
    rows = t.group_by(keys).aggregate(**SUMS_OF_HISTORIES).to_pandas().sort_values(keys, ignore_index=True)
    n = rows["weight"] * unit
    rows = rows.assign(recency=rows["last"] / n, T=rows["age"] / n)
    return rows[["model_segment", "frequency", "recency", "T", "weight", "log_interval_sum"]]


def _twin_histories(frame: pd.DataFrame, as_of: date, unit: float) -> pd.DataFrame:
    """The twins' histories: means of their customers; log_interval_sum of all of them together; `top`: the largest mean
    spend among them."""
    n, end = frame["weight"].to_numpy(float), pd.Timestamp(as_of)
    orders = frame["orders"].to_numpy(float)
    age, last = frame["age"].to_numpy(float) / n, frame["last"].to_numpy(float) / n
    first_on = end - pd.to_timedelta(np.rint(np.nan_to_num(age)), unit="D")
    last_on = end - pd.to_timedelta(np.rint(np.nan_to_num(age - last)), unit="D")
    return pd.DataFrame(
        {
            "customer_id": "", "model_segment": frame["model_segment"].astype("str"),
            "frequency": np.rint(np.nan_to_num(orders / n)).astype(np.int64), "recency": last / unit, "T": age / unit,
            "monetary_value": np.divide(frame["spent_sum"], orders, out=np.zeros(len(n)), where=orders > 0),
            "first_order_on": first_on, "last_order_on": last_on, "days_since_last_order": (end - last_on).days,
            "revenue_total": frame["revenue_total"] / n, "start_unknown": False,
            "log_interval_sum": frame["log_interval_sum"].fillna(0.0), "weight": frame["weight"].astype("int64"),
            "top": frame["top"],
        }
    )  # fmt: skip


def _months(h: ir.Table, by_month: pd.DataFrame, as_of: date, time_unit: str):
    ends = []
    for day, rows in (("first_order_on", h), ("last_order_on", h.filter(h.frequency > 0))):
        count = rows.group_by(month=rows[day].cast("date").truncate("month")).aggregate(n=lambda g: g.count())
        count = count.to_pandas()
        ends.append(pd.Series(count["n"].to_numpy(), index=pd.PeriodIndex(facts_.month(count["month"]))))
    return facts_.middle_orders(by_month, ends, as_of, time_unit) if len(by_month) else None


def _spends(h: ir.Table) -> pd.DataFrame:
    """Weighted rows for the fit of spend: model_segment, frequency, monetary_value, revenue_total (means), weight."""
    level = (h.monetary_value > 0).ifelse((h.monetary_value.nullif(0).abs().ln() / SPEND_STEP).floor(), -1e9)
    exact = lambda v: v.cast(MONEY).sum().cast("float64")  # noqa: E731
    keys = ["model_segment", "frequency", "level"]
    rows = (
        h.mutate(level=level.fill_null(-1e9).cast("int64"))
        .group_by(keys)
        .aggregate(
            weight=lambda g: g.count(),
            spend=lambda g: exact(g.monetary_value),
            revenue=lambda g: exact(g.revenue_total),
        )
        .to_pandas()
        .sort_values(keys, ignore_index=True)
    )
    n = rows["weight"]
    rows = rows.assign(monetary_value=rows["spend"] / n, revenue_total=rows["revenue"] / n)
    return rows[["model_segment", "frequency", "monetary_value", "revenue_total", "weight"]]
