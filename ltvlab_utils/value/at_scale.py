"""Values of a company of twins (value/wide.py): totals from their weighted draws, rows of single customers by part
(floor 2).

A twin plays with the mean history and, per unit of expected spend, the mean cost of its customers. Revenue under
Gamma-Gamma is a scale family in v + x z, so a customer's revenue is its twin's times r = its expected spend over the
mean of the twin's customers; cost of sales and support are its own rates on the twin's draws. What a customer is worth
in a draw is therefore linear in its twin's draws, and the customers' values add up to the totals draw by draw:

    V_i = rest + r_i (1 - loss - share_i) R - r_i sd_i E - support_i A

R: discounted revenue; E: revenue times the standard normal that moves the cost share; A: discounted months alive times
the draw of support; rest: contracts and servicing, which are the twin's.

Customers of one twin share its dice. So w customers move a total w times as far as one, where independent ones move
sqrt(w) times as far: the draws of a segment are brought nearer to their mean until their variance is that of its
customers, variance - sum over twins (w² - sum r_i²) var(V) (for numbers of orders w in place of sum r_i²).
"""

from __future__ import annotations

from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pyarrow as pa

from ltvlab_utils.tables import contract_of
from ltvlab_utils.tables.contract import KINDS
from ltvlab_utils.value import result
from ltvlab_utils.value.calendar import Horizon
from ltvlab_utils.value.costs import Pool, Rates, pool_of, rates
from ltvlab_utils.value.facts import Facts
from ltvlab_utils.value.fits import Fits
from ltvlab_utils.value.futures import COMPONENTS, HIGH, LOW, simulate, value_of
from ltvlab_utils.value.paths import Paths, narrowed
from ltvlab_utils.value.wide import PART

HELD = 5_000  # twins whose draws wait for their customers
CHUNK = 2_000  # customers whose draws are looked at together
TOTALS = ("future_value", "fiscal_year_revenue", "fiscal_year_profit")
METRICS = {**{t: t for t in TOTALS}, "revenue": "expected_order_revenue"}
MONTHS = (3, 6, 12, 24)


def evaluate(facts: Facts, fits: Fits, settings, rng: np.random.Generator, watch=()) -> result.Valuation:
    """`result.evaluate`; of a large company ltv_by_customer and ltv_by_parent are tables of the engine. A watcher that
    has `begin` is given the `Company` first."""
    if facts.wide is None:
        return result.evaluate(facts, fits, settings, rng, watch)
    simulate_rng, alive_rng = rng.spawn(2)
    horizon = Horizon.after(
        facts.as_of, settings.horizon_months, settings.discount_rate_annual, settings.fiscal_year_start_month
    )
    company = Company.of(facts, fits, settings)
    alive = result.p_alive(facts, fits, alive_rng)
    renewals = result.next_renewals(facts, fits, alive_rng) if len(facts.contracts) else pd.DataFrame()
    for one in watch:
        if hasattr(one, "begin"):
            one.begin(company)
    paths, spread = Paths(horizon, company.rates), _Spread(company, horizon)
    rows = _Rows(company, fits, settings, facts.customers["customer_id"].map(alive).to_numpy(float), renewals)

    def tell(*block) -> None:
        for one in (paths, spread, rows, *watch):
            one(*block)

    simulated = simulate(facts, fits, company.rates, settings, simulate_rng, horizon=horizon, watch=tell)
    rows.flush()
    segments = {s: spread.narrow(s, parts, paths) for s, parts in simulated.segments.items()}
    customers = facts.customers.groupby("model_segment")["weight"].sum()
    totals = result.totals(segments, customers)
    return result.Valuation(
        rows.table, by_parent(facts, rows.table, totals), totals, result.kept_draws(segments), company.rates,
        result.noise(simulated.segments), paths, result.other_priors(simulated, fits),
    )  # fmt: skip


@dataclass(frozen=True)
class Company:
    """`facts` of twins, what all customers say of cost (`pool`), `rates` of twins; by twin the mean expected `spend` an
    order of its customers and `squares`, the sum of their r²; `spends`: segment -> (p, q, v) of Gamma-Gamma."""

    facts: Facts
    pool: Pool
    rates: Rates
    spend: np.ndarray
    squares: np.ndarray
    spends: dict[str, tuple[float, float, float]]

    @classmethod
    def of(cls, facts: Facts, fits: Fits, settings) -> Company:
        """From two passes over all customers."""
        wide, n = facts.wide, len(facts.customers)
        spends = {s: tuple(c.model.params[k] for k in ("p", "q", "v")) for s, c in fits.spend.items()}
        pool = pool_of(wide.parts())
        sums = {k: np.zeros(n) for k in ("spend", "squares", "share", "sd", "contract", "support", "shape")}
        for part in wide.parts():
            twin, own = part.customers["twin"].to_numpy(), rates(part, settings, pool)
            spend = expected_spend(part, spends)
            of = {
                "spend": spend, "squares": spend**2, "share": spend * own.cost_share, "sd": spend * own.cost_share_sd,
                "contract": own.contract_share, "support": own.support_rate, "shape": own.support_shape,
            }  # fmt: skip
            for name, values in of.items():
                sums[name] += np.bincount(twin, values, n)
        weight = facts.customers["weight"].to_numpy(float)
        per_spend = {k: sums[k] / sums["spend"] for k in ("share", "sd")}
        mean = {k: sums[k] / weight for k in ("spend", "contract", "support", "shape")}
        found = Rates(
            own.value_basis, per_spend["share"], per_spend["sd"], mean["contract"], mean["support"], mean["shape"],
            own.credit_loss_rate, own.servicing_cost, own.notes, np.zeros(n, bool),
        )  # fmt: skip
        return cls(facts, pool, found, mean["spend"], sums["squares"] / mean["spend"] ** 2, spends)


def expected_spend(part: Facts, spends: dict[str, tuple[float, float, float]]) -> np.ndarray:
    """Expected spend an order of each customer, in the order of `part.customers`; 1 where there is no history."""
    h = part.histories
    if not len(h):
        return np.ones(len(part.customers))
    p, q, v = (h["model_segment"].map({s: params[k] for s, params in spends.items()}).to_numpy(float) for k in range(3))
    z = h["monetary_value"].clip(lower=0.0).to_numpy()
    x = np.where(z > 0, h["frequency"].to_numpy(float), 0.0)
    found = pd.Series(p * (v + x * z) / (p * x + q - 1), index=h["customer_id"])
    return part.customers["customer_id"].map(found).fillna(1.0).to_numpy(float)


class _Spread:
    """Watches `simulate` and adds up by how much the variance of a segment's draws is too large, since the customers of
    a twin share its dice: of METRICS over the horizon, and of orders and their amounts until MONTHS after as-of."""

    def __init__(self, company: Company, horizon: Horizon):
        self._weight = company.facts.customers["weight"].to_numpy(float)
        self._squares = company.squares
        self._months = np.array([*(m for m in MONTHS if m < horizon.months), horizon.months])
        self._ends, self._grid = horizon.ends[self._months], np.arange(1, horizon.months + 1)
        self._less: dict[str, dict[str, float]] = {}
        self._until: dict[str, dict[str, np.ndarray]] = {}

    def __call__(self, segment: str, rows: np.ndarray, parts: dict) -> None:
        less = self._less.setdefault(segment, dict.fromkeys(METRICS, 0.0))
        until = self._until.setdefault(segment, dict.fromkeys(("purchase_days", "revenue"), np.zeros(len(self._ends))))
        w = self._weight[rows]
        more = {"purchase_days": w**2 - w, "revenue": w**2 - self._squares[rows]}
        for metric, name in METRICS.items():
            less[metric] += float(more["revenue"] @ parts[name].var(axis=1))
        if (each := parts["each_order"]) is None:
            return
        size, draws, pieces = len(rows), parts["future_value"].shape[1], len(self._ends)
        place = each["cell"] * pieces + np.searchsorted(self._ends, each["day"]).clip(max=pieces - 1)
        for metric, amount in (("purchase_days", None), ("revenue", each["amount"])):
            by_piece = np.bincount(place, amount, size * draws * pieces).reshape(size, draws, pieces)
            until[metric] = until[metric] + more[metric] @ by_piece.cumsum(axis=2).var(axis=1)

    def narrow(self, segment: str, parts: dict[str, np.ndarray], paths: Paths) -> dict[str, np.ndarray]:
        """The segment's totals with the variance that its customers have; its paths are brought to it likewise, value
        and profit (which is not discounted) in the course of revenue."""
        less, until = self._less[segment], self._until[segment]
        own = lambda a, b: a / b if b > 0 else 0.0  # noqa: E731
        of_revenue = {
            "revenue": 1.0, "profit": own(less["future_value"], less["revenue"]),
            "value": own(less["future_value"], until["revenue"][-1]),
        }  # fmt: skip
        found = {"purchase_days": until["purchase_days"]} | {m: f * until["revenue"] for m, f in of_revenue.items()}
        for metric, at in found.items():
            paths.narrow(segment, metric, np.interp(self._grid, np.append(0, self._months), np.append(0.0, at)))
        return {name: narrowed(parts[name], less[name]) for name in TOTALS}


class _Rows:
    """Watches `simulate` and writes the rows of the twins' customers into the engine, part by part."""

    def __init__(self, company: Company, fits: Fits, settings, alive: np.ndarray, renewals: pd.DataFrame):
        self._company, self._fits, self._settings = company, fits, settings
        self._alive, self._renewals = alive, renewals
        self._wide = company.facts.wide
        contract = contract_of("ltv_by_customer")
        self._schema = ibis.schema({c.name: KINDS[c.kind][1] for c in contract.columns})
        self._backend = self._wide.customers.get_backend()
        self._name = ibis.util.gen_name(contract.name)
        self.table = self._backend.create_table(self._name, schema=self._schema, temp=True)
        self._held: list[tuple[int, int, dict[str, np.ndarray], dict[str, np.ndarray]]] = []

    def __call__(self, segment: str, rows: np.ndarray, parts: dict) -> None:
        low, high = int(rows[0]), int(rows[-1]) + 1  # twins of a segment stand together
        if self._held and self._held[-1][1] != low:
            self.flush()
        self._held.append((low, high, *_linear(rows, parts, self._company.rates)))
        first = self._wide.first
        waiting = first[high] - first[self._held[0][0]]
        if waiting >= PART or high - self._held[0][0] >= HELD:
            self.flush()

    def flush(self) -> None:
        """Writes the customers of the twins that wait."""
        if not self._held:
            return
        low, high = self._held[0][0], self._held[-1][1]
        draws, means = (
            {k: np.concatenate([held[which][k] for held in self._held]) for k in self._held[0][which]}
            for which in (2, 3)
        )
        self._held = []
        last = int(self._wide.first[high])
        for start in range(int(self._wide.first[low]), last, PART):
            self._write(self._wide.part(start, min(start + PART, last)), low, draws, means)

    def _write(self, part: Facts, low: int, draws: dict[str, np.ndarray], means: dict[str, np.ndarray]) -> None:
        company, twin = self._company, part.customers["twin"].to_numpy()
        own = rates(part, self._settings, company.pool)
        r = expected_spend(part, company.spends) / company.spend[twin]
        sim = _means(own, r, {k: v[twin - low] for k, v in means.items()})
        sim |= _bounds(own, r, draws, twin - low)
        alive = pd.Series(self._alive[twin], index=part.customers["customer_id"])
        rows = result.by_customer(part, self._fits, own, pd.DataFrame(sim), self._settings, alive, self._renewals)
        table = pa.Table.from_pandas(rows, schema=self._schema.to_pyarrow(), preserve_index=False)
        self._backend.insert(self._name, table)


def _linear(rows: np.ndarray, parts: dict, rates: Rates) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Of a block of twins: the draws (float32) that a customer's value is linear in, revenue, uncertain, support, rest;
    and means of the components with everything that a customer has of its own taken out."""
    revenue, zero = parts["expected_order_revenue"], np.zeros_like(parts["expected_order_revenue"])
    loss = float(np.nan_to_num(rates.credit_loss_rate)) if "expected_credit_loss" in parts else 0.0
    uncertain, support, rest = zero, zero, parts["future_value"] - revenue * (1 - loss)
    means = {name: parts[name].mean(axis=1) for name in ("p_lost", *COMPONENTS) if name in parts}
    if "cost_share" in parts:
        share, sd = rates.cost_share[rows][:, None], rates.cost_share_sd[rows][:, None]
        uncertain = revenue * np.divide(parts["cost_share"] - share, sd, out=np.zeros_like(revenue), where=sd > 0)
        goods = share * revenue + sd * uncertain
        rest = rest + goods
        means["expected_cogs"] = (parts["expected_cogs"] - goods).mean(axis=1)
    if "expected_support_cost" in parts:
        monthly = rates.support_rate[rows][:, None]
        support = np.divide(parts["expected_support_cost"], monthly, out=zero.copy(), where=monthly > 0)
        rest = rest + parts["expected_support_cost"]
    if "expected_credit_loss" in parts:
        means["expected_credit_loss"] = means["expected_credit_loss"] - loss * means["expected_order_revenue"]
    means |= {"uncertain": uncertain.mean(axis=1), "support": support.mean(axis=1)}
    draws = {"revenue": revenue, "uncertain": uncertain, "support": support, "rest": rest}
    return {k: v.astype(np.float32) for k, v in draws.items()}, means


def _means(own: Rates, r: np.ndarray, twin: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """p_lost, components and value of customers from the means of their twins (`twin`, by customer)."""
    out = {name: twin.get(name, np.full(len(r), np.nan)) for name in ("p_lost", *COMPONENTS)}
    out["expected_order_revenue"] = revenue = r * twin["expected_order_revenue"]
    if "expected_cogs" in twin:
        out["expected_cogs"] = twin["expected_cogs"] + own.cost_share * revenue
        out["expected_cogs"] += r * own.cost_share_sd * twin["uncertain"]
    if "expected_support_cost" in twin:
        out["expected_support_cost"] = own.support_rate * twin["support"]
    if "expected_credit_loss" in twin:
        out["expected_credit_loss"] = twin["expected_credit_loss"] + own.credit_loss_rate * revenue
    known = {name: values for name, values in out.items() if name in twin}
    return {**out, "future_value": value_of(known)}


def _bounds(own: Rates, r: np.ndarray, draws: dict[str, np.ndarray], place: np.ndarray) -> dict[str, np.ndarray]:
    """future_value_low and _high of customers; `place`: row of each one's twin in `draws`."""
    single = np.float32
    loss = np.nan_to_num(own.credit_loss_rate)
    each = {
        "revenue": (r * (1 - loss - np.nan_to_num(own.cost_share))).astype(single),
        "uncertain": (-r * np.nan_to_num(own.cost_share_sd)).astype(single),
        "support": (-np.nan_to_num(own.support_rate)).astype(single),
    }
    out = {f"future_value_{side}": np.empty(len(r)) for side in ("low", "high")}
    n = draws["rest"].shape[1]
    at = np.array([LOW, HIGH]) * (n - 1)
    below, part = np.floor(at).astype(int), at % 1
    kth = sorted({*below, *np.minimum(below + 1, n - 1)})
    for i in range(0, len(r), CHUNK):
        rows = slice(i, i + CHUNK)
        values = draws["rest"][place[rows]]
        for name, factor in each.items():
            values += factor[rows][:, None] * draws[name][place[rows]]
        values = np.partition(values, kth, axis=1)
        for k, side in enumerate(("low", "high")):
            a, b = values[:, below[k]], values[:, min(below[k] + 1, n - 1)]
            out[f"future_value_{side}"][rows] = a + (b - a) * part[k]
    return out


def by_parent(facts: Facts, by: ir.Table, totals: pd.DataFrame) -> ir.Table:
    """ltv_by_parent. Bounds of a parent of several customers: their distances from the mean add up in squares, but for
    the part that all customers share, which adds up as it is; how large that is shows the company's total."""
    company = totals.set_index("scope").loc["company"]
    people = facts.wide.customers
    people = people.select("customer_id", parent_id=ibis.coalesce(people.parent_id, people.customer_id))
    rows = by.inner_join(people, "customer_id")
    value = rows.future_value
    step = {}
    for side, sign in (("low", -1.0), ("high", 1.0)):
        far = (rows[f"future_value_{side}"] - value) * sign
        rate = max(sign * (company[side] - company["value"]) / company["value"], 0.0) if company["value"] > 0 else 0.0
        shared = value.abs() * rate
        step[f"{side}_own"] = ibis.greatest(far * far - shared * shared, 0.0)
        step[f"{side}_shared"] = shared
    rows = rows.mutate(**step)
    exact = lambda v: v.cast("decimal(38, 6)").sum().cast("float64")  # noqa: E731
    found = rows.group_by("parent_id").aggregate(
        customers=lambda t: t.count(),
        value=lambda t: exact(t.future_value),
        only_low=lambda t: t.future_value_low.min(),
        only_high=lambda t: t.future_value_high.max(),
        low=lambda t: (exact(t.low_own) + exact(t.low_shared).pow(2)).sqrt(),
        high=lambda t: (exact(t.high_own) + exact(t.high_shared).pow(2)).sqrt(),
        realised_profit=lambda t: exact(t.realised_profit),
        ltv_sum=lambda t: exact(t.ltv),
        known=lambda t: t.ltv.count(),
    )
    one = found.customers == 1
    return found.select(
        "parent_id",
        "customers",
        future_value=found.value,
        future_value_low=one.ifelse(found.only_low, found.value - found.low),
        future_value_high=one.ifelse(found.only_high, found.value + found.high),
        realised_profit=found.realised_profit,
        ltv=(found.known == found.customers).ifelse(found.ltv_sum, ibis.null().cast("float64")),
    )
