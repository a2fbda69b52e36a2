"""From simulated futures to ltv_by_customer, ltv_by_parent, ltv_totals and ltv_draws (floor 2)."""

from __future__ import annotations

from dataclasses import dataclass

import ibis.expr.types as ir
import numpy as np
import pandas as pd

from ltvlab_utils.tables import contract_of
from ltvlab_utils.value import fits as fits_
from ltvlab_utils.value import renewal_hazard, sensitivity
from ltvlab_utils.value.calendar import Horizon
from ltvlab_utils.value.costs import Rates, rates, realised
from ltvlab_utils.value.facts import Facts
from ltvlab_utils.value.futures import COMPONENTS, HIGH, LOW, Simulated, simulate
from ltvlab_utils.value.paths import Paths
from ltvlab_utils.value.renewal_fits import term_class

RENEWAL_DRAWS = 1000
ALIVE_DRAWS = 32  # parameter sets over which P(alive) is averaged
KEPT_DRAWS = 200


@dataclass(frozen=True)
class Valuation:
    """The four tables (of a large company the first two in the engine), `rates` behind them, `noise` (the Monte Carlo
    standard error of the company's total, as a share of it) and `paths`: totals by month of the same draws."""

    by_customer: pd.DataFrame | ir.Table
    by_parent: pd.DataFrame | ir.Table
    totals: pd.DataFrame
    draws: pd.DataFrame
    rates: Rates
    noise: float
    paths: Paths
    other_priors: pd.DataFrame


def p_alive(facts: Facts, fits: fits_.Fits, rng: np.random.Generator) -> pd.Series:
    """Posterior mean of P(alive) of customers with orders, by customer_id; null where the model cannot tell."""
    found = []
    for segment in sorted(fits.orders):
        choice = fits.orders[segment]
        h = facts.histories[facts.histories["model_segment"] == segment]
        if choice.rung == "cannot_tell":
            found.append(pd.Series(np.nan, index=h["customer_id"]))
            continue
        sets = fits_.draw(choice, ALIVE_DRAWS, rng)
        models = [choice.model.at({k: float(v[d]) for k, v in sets.items()}) for d in range(ALIVE_DRAWS)]
        total = sum(model.probability_alive(h) for model in models)
        found.append(pd.Series(np.clip(total / ALIVE_DRAWS, 0, 1), index=h["customer_id"]))
    return pd.concat(found) if found else pd.Series(dtype=float)


def by_tenure(facts: Facts, fits: fits_.Fits) -> pd.Series:
    """Chance of each running contract's next renewal by segment, length of term and renewals made alone (shifted
    Beta-geometric), by row of facts.contracts."""
    part = facts.contracts.merge(facts.customers[["customer_id", "model_segment"]], on="customer_id")
    kinds = term_class(part["term_months"])
    chance = np.full(len(part), np.nan)
    for (segment, kind), choice in sorted(fits.renewals.items()):
        rows = ((part["model_segment"] == segment) & (kinds == kind)).to_numpy()
        chance[rows] = choice.model.retention_rate(part["renewals_made"].to_numpy()[rows] + 1)
    return pd.Series(chance, index=facts.contracts.index)


def renewal_chances(facts: Facts, fits: fits_.Fits, rng: np.random.Generator) -> pd.Series:
    """Chance of each running contract's next open renewal, by row of facts.contracts: by the renewal hazard, given that
    the contract runs until its notice deadline (an early cancellation before is a risk of its own, in future_value)."""
    if fits.hazard is None:
        return by_tenure(facts, fits)
    looks = fits_.with_segment(facts.decisions, facts.customers.set_index("customer_id")["model_segment"])
    found = renewal_hazard.p_renew(fits.hazard, looks, fits.hazard.model.draw(RENEWAL_DRAWS, rng))
    return facts.contracts["contract_id"].map(found)


def next_renewals(facts: Facts, fits: fits_.Fits, rng: np.random.Generator) -> pd.DataFrame:
    """One row a customer under contract: the renewal that comes first, p_renew_next, next_renewal_on, notice_due_on.
    A decision that is known counts as it is."""
    part, chance = facts.contracts, renewal_chances(facts, fits, rng)
    chance = np.select([part["decided"] == "renewed", part["decided"] == "churned"], [1.0, 0.0], chance)
    part = part.assign(p_renew_next=chance).sort_values(["customer_id", "next_renewal_on", "contract_id"])
    first = part.drop_duplicates("customer_id")
    return first[["customer_id", "p_renew_next", "next_renewal_on", "notice_due_on"]]


def _said(segments: pd.Series, words: dict[str, str]) -> pd.Series:
    """The word of each segment; nothing where it has none."""
    return segments.map(words).astype("object").fillna("").astype("str")


def _notes(facts: Facts, fits: fits_.Fits, rates: Rates, c: pd.DataFrame) -> pd.Series:
    """Codes of remarks of each customer, comma-separated, the company's first."""
    codes = [pd.Series(",".join(rates.notes), index=c.index)]
    orders, under = c["has_orders"], c["has_contracts"]
    of = lambda group: _said(c["model_segment"], {s: ",".join(ch.notes) for s, ch in group.items()})  # noqa: E731
    codes.append(of(fits.orders).where(orders, ""))
    codes.append(of(fits.spend).where(orders, ""))
    if len(facts.contracts) and fits.hazard is not None:
        few = fits.hazard.left < renewal_hazard.MIN_LEFT
        codes.append(pd.Series(np.where(under & few, "renewals_cannot_tell", ""), index=c.index))
    elif len(facts.contracts):
        part = facts.contracts.merge(facts.customers[["customer_id", "model_segment"]], on="customer_id")
        kinds = term_class(part["term_months"])
        words = {f"{s}:{k}": ",".join(choice.notes) for (s, k), choice in fits.renewals.items()}
        part["code"] = _said(part["model_segment"].astype("str") + ":" + pd.Series(kinds, part.index), words)
        codes.append(c["customer_id"].map(part.groupby("customer_id")["code"].first()).fillna("").where(under, ""))
    if len(facts.contracts):
        late = set(facts.contracts.loc[facts.contracts["overdue"], "customer_id"])
        leaving = set(facts.contracts.loc[facts.contracts["decided"] == "churned", "customer_id"])
        codes.append(pd.Series(np.where(c["customer_id"].isin(late), "outcome_overdue", ""), index=c.index))
        codes.append(pd.Series(np.where(c["customer_id"].isin(leaving), "notice_given", ""), index=c.index))
    flag = lambda code, where: codes.append(pd.Series(np.where(where, code, ""), index=c.index))  # noqa: E731
    flag("expansion_unknown", under & (not facts.has_changes))
    flag("margin_of_segment", rates.pooled_margin)
    flag("lapse_assumed", orders & under & (fits.lapse is None or fits.lapse.weight < 0.5))
    flag("shock_from_prior", orders)
    flag("start_unknown", c["start_unknown"])
    flag("acquisition_cost_unknown", c["acquisition_cost"].isna())
    flag("nothing_to_value", ~orders & ~under)
    joined = codes[0].str.cat(codes[1:], sep=",")
    once = {text: ",".join(dict.fromkeys(filter(None, text.split(",")))) for text in joined.unique()}
    joined = joined.map(once)
    return joined.where(joined != "")


def by_customer(
    facts: Facts, fits: fits_.Fits, rates: Rates, sim: pd.DataFrame, settings, alive: pd.Series, renewals: pd.DataFrame
) -> pd.DataFrame:
    """The ltv_by_customer contract. `sim`: by row of facts.customers as `Simulated.by_customer`; `alive`: `p_alive`;
    `renewals`: `next_renewals`."""
    c = facts.customers[["customer_id", "model_segment", "acquisition_cost"]].copy()
    h = facts.histories
    c["has_orders"] = c["customer_id"].isin(h["customer_id"])
    c["has_contracts"] = c["customer_id"].isin(facts.contracts["customer_id"])
    unknown = set(h.loc[h["start_unknown"].astype(bool), "customer_id"]) if len(h) else set()
    c["start_unknown"] = c["customer_id"].isin(unknown)
    both = np.select(
        [c["has_orders"] & c["has_contracts"], c["has_orders"], c["has_contracts"]],
        ["both", "orders", "contracts"], "none",
    )  # fmt: skip
    c["p_alive_orders"] = c["customer_id"].map(alive).astype("float64")
    c["p_alive"] = c["p_alive_orders"].mask(c["has_contracts"], 1.0)
    cannot_tell = c["model_segment"].isin([s for s, ch in fits.orders.items() if ch.rung == "cannot_tell"])
    lost = pd.Series(sim["p_lost"].to_numpy(), c.index)
    lost = lost.mask(c["has_orders"] & cannot_tell)
    gone = facts.customers["last_contract_on"].notna().to_numpy()  # a contract that ended, and nothing since
    c["p_lost_12_months"] = lost.where(both != "none", np.where(gone, 1.0, np.nan))
    if len(facts.contracts):
        c = c.merge(renewals, how="left", on="customer_id")
    else:
        c = c.assign(p_renew_next=np.nan, next_renewal_on=pd.NaT, notice_due_on=pd.NaT)
    first = facts.customers[["first_order_line_on", "first_contract_on"]].min(axis=1)
    done = realised(facts, rates)
    future = sim["future_value"].to_numpy()
    shift = done - c["acquisition_cost"].to_numpy()
    order_names = _said(c["model_segment"], {s: ch.name for s, ch in fits.orders.items()})
    renewals = "shifted_beta_geometric" if fits.hazard is None else renewal_hazard.NAME
    names = np.select(
        [both == "both", both == "orders", both == "contracts"],
        [order_names + "+gamma_gamma+" + renewals, order_names + "+gamma_gamma", renewals],
        "none",
    )
    pooled = c["model_segment"].map({s: ch.pooled_weight for s, ch in fits.orders.items()})
    kinds_pooled = pd.Series({s: float(ch.rung != "own") for (s, _), ch in sorted(fits.renewals.items())}, dtype=float)
    if fits.hazard is not None:
        kinds_pooled = renewal_hazard.pooled(fits.hazard, c["model_segment"].unique())
    pooled = pooled.where(c["has_orders"], c["model_segment"].map(kinds_pooled).where(c["has_contracts"]))
    out = c.assign(
        as_of=pd.Timestamp(facts.as_of),
        basis=both,
        value_basis=rates.value_basis,
        horizon_months=settings.horizon_months,
        **{name: sim[name].to_numpy() for name in COMPONENTS},
        future_value=future,
        future_value_low=sim["future_value_low"].to_numpy(),
        future_value_high=sim["future_value_high"].to_numpy(),
        realised_profit=done,
        realised_since=first.to_numpy(),
        ltv=future + shift,
        ltv_low=sim["future_value_low"].to_numpy() + shift,
        ltv_high=sim["future_value_high"].to_numpy() + shift,
        model=names,
        pooled_weight=pooled.fillna(0.0),
        note=_notes(facts, fits, rates, c),
    )
    return out[contract_of("ltv_by_customer").names]


def _by_parent(facts: Facts, by: pd.DataFrame, simulated: Simulated) -> pd.DataFrame:
    parent = facts.customers["parent_id"].fillna(facts.customers["customer_id"]).rename("parent_id")
    grouped = by.assign(parent_id=parent.to_numpy()).groupby("parent_id", sort=True)
    out = grouped.agg(
        customers=("customer_id", "size"),
        future_value=("future_value", "sum"),
        future_value_low=("future_value_low", "sum"),
        future_value_high=("future_value_high", "sum"),
        realised_profit=("realised_profit", "sum"),
    )
    out["ltv"] = grouped["ltv"].sum(min_count=1).where(grouped["ltv"].count() == out["customers"])
    for name, draws in simulated.parents.items():  # parents of several customers: from totals of draws
        out.loc[name, ["future_value_low", "future_value_high"]] = np.quantile(draws, [LOW, HIGH])
    return out.reset_index()


def totals(segments: dict[str, dict[str, np.ndarray]], customers: pd.Series) -> pd.DataFrame:
    """ltv_totals from the draws of each segment (`Simulated.segments`) and its number of customers."""
    company = sum(parts["future_value"] for parts in segments.values())
    scopes = {"company": (company, int(customers.sum()))}
    for segment, parts in segments.items():
        scopes[f"segment:{segment}"] = (parts["future_value"], int(customers[segment]))
    rows = [
        {
            "scope": scope,
            "customers": n,
            "value": draws.mean(),
            "low": np.quantile(draws, LOW),
            "high": np.quantile(draws, HIGH),
        }
        for scope, (draws, n) in scopes.items()
    ]
    return pd.DataFrame(rows)


def evaluate(facts: Facts, fits: fits_.Fits, settings, rng: np.random.Generator, watch=()) -> Valuation:
    """Values all customers: simulation, realised profit, LTV, totals from totals of draws. Each of `watch` sees the
    blocks of the simulation (`simulate`)."""
    simulate_rng, alive_rng = rng.spawn(2)
    found = rates(facts, settings)
    horizon = Horizon.after(
        facts.as_of, settings.horizon_months, settings.discount_rate_annual, settings.fiscal_year_start_month
    )
    paths = Paths(horizon, found)

    def tell(*block) -> None:
        for one in (paths, *watch):
            one(*block)

    simulated = simulate(facts, fits, found, settings, simulate_rng, horizon=horizon, watch=tell)
    alive = p_alive(facts, fits, alive_rng)
    renewals = next_renewals(facts, fits, alive_rng) if len(facts.contracts) else pd.DataFrame()
    by = by_customer(facts, fits, found, simulated.by_customer, settings, alive, renewals)
    return Valuation(
        by, _by_parent(facts, by, simulated), totals(simulated.segments, by["model_segment"].value_counts()),
        kept_draws(simulated.segments), found, noise(simulated.segments), paths, other_priors(simulated, fits),
    )  # fmt: skip


def other_priors(simulated: Simulated, fits: fits_.Fits) -> pd.DataFrame:
    """`sensitivity.of_prior` of a simulation."""
    values = {segment: parts["future_value"] for segment, parts in simulated.segments.items()}
    return sensitivity.of_prior(values, fits, simulated.params)


def kept_draws(segments: dict[str, dict[str, np.ndarray]]) -> pd.DataFrame:
    """ltv_draws."""
    kept = [
        pd.DataFrame(
            {"model_segment": s, "draw": np.arange(KEPT_DRAWS), **{k: v[:KEPT_DRAWS] for k, v in parts.items()}}
        )
        for s, parts in segments.items()
    ]
    return pd.concat(kept, ignore_index=True)


def noise(segments: dict[str, dict[str, np.ndarray]]) -> float:
    """What more draws would still move: independent parts of customers, and the shared part of all."""
    company = sum(parts["future_value"] for parts in segments.values())
    return float(company.std() / np.sqrt(len(company)) / abs(company.mean())) if company.mean() else 0.0
