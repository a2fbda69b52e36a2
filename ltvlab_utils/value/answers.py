"""The answers of notebook 02 as sentences, and the small tables behind its figures (floor 2)."""

from __future__ import annotations

from itertools import pairwise

import ibis.expr.types as ir
import numpy as np
import pandas as pd

from ltvlab_utils import histories as hist
from ltvlab_utils.i18n import compact, decimal, knows, money, money_range, percent, say, whole
from ltvlab_utils.value.answers_record import cohorts, looked_back, record, renewals, sealed, tracked
from ltvlab_utils.value.attributes import Attribute
from ltvlab_utils.value.choice import Fits
from ltvlab_utils.value.facts import Facts
from ltvlab_utils.value.month_clock import MONTH_END, Dating
from ltvlab_utils.value.order_choice import CLEAR, DEFAULT, RIVAL, OrderChoice
from ltvlab_utils.value.result import Valuation
from ltvlab_utils.value.sensitivity import FACTORS
from ltvlab_utils.value.summaries import concentration, leaders, notes, sums_of_bounds

__all__ = [
    "cohorts", "concentration", "fit", "frequency_check", "histories", "looked_back", "models", "opinions",
    "prior_share", "record", "remarks", "renewals", "sealed", "spend_and_frequency", "top", "total", "tracked",
    "unknown", "worth",
]  # fmt: skip

EDGES = [0, 1, 2, 3, 4, 5, 6, 11, 21, 51]  # classes of repeat purchase days: 0, 1, … 5, 6-10, 11-20, 21-50, 51+
FEW = 20  # repeat buyers below which a correlation says nothing
AGES = 150  # ages at which the expected counts are computed; customers between share the nearest
PRIOR_SMALL = 0.1  # of the width of the interval: a move below that is no news


def frequency_check(facts: Facts, fits: Fits) -> pd.DataFrame:
    """Customers by number of repeat purchase days: label, actual, expected (of new customers of the same age under the
    model that their value rests on)."""
    h = facts.histories
    labels = [str(a) if b == a + 1 else f"{a}–{b - 1}" for a, b in pairwise(EDGES)]
    labels.append(f"{EDGES[-1]}+")
    expected = np.zeros(len(EDGES))
    n = np.arange(EDGES[-1])
    for segment, choice in fits.orders.items():
        own = h[h["model_segment"] == segment]
        ages, count = own["T"], own["weight"] if "weight" in h else pd.Series(1, own.index)
        step = max(ages.max() / AGES, 1e-9) if ages.nunique() > AGES else None
        ages = (ages / step).round() * step if step else ages
        for age, customers in count.groupby(ages).sum().items():
            p = np.asarray(choice.model.probability_of_n_purchases(n, max(float(age), 1e-9)))
            classes = np.add.reduceat(p, EDGES[:-1])
            expected += customers * np.append(classes, max(1 - p.sum(), 0.0))
    actual = np.histogram(h["frequency"], bins=[*EDGES, np.inf], weights=hist.weights(h))[0]
    return pd.DataFrame({"label": labels, "actual": actual, "expected": expected})


def top(by_customer: pd.DataFrame | ir.Table, rows: int = 10) -> pd.DataFrame:
    """The most valuable customers, by id, in whole currency units."""
    columns = ["future_value", "future_value_low", "future_value_high", "realised_profit", "acquisition_cost", "ltv"]
    first = leaders(by_customer, rows)
    shown = first[["customer_id", "model_segment", "basis", "p_alive", "p_renew_next"]].round(2)
    return shown.join(first[columns].round(0)).reset_index(drop=True)


def opinions(card: pd.DataFrame) -> pd.DataFrame:
    """Estimates of this package beside those of lifetimes, a parameter a row; `chosen`: values rest on it."""
    keys = ["model", "model_segment", "parameter"]
    wide = card.pivot(index=keys, columns="engine", values=["estimate", "log_likelihood"])
    wide.columns = [f"{engine}_{what}" for what, engine in wide.columns]
    own = card[card["engine"] == "ltvlab"].set_index(keys)[["standard_error", "converged", "chosen", "warning"]]
    first = ["ltvlab_estimate", "lifetimes_estimate"] if "lifetimes_estimate" in wide else ["ltvlab_estimate"]
    found = wide[first].join(own).join(wide.drop(columns=first))
    return found.reset_index()


def remarks(by_customer: pd.DataFrame | ir.Table, language: str = "en") -> pd.DataFrame:
    """Remarks by number of customers: note, customers, words."""
    count = notes(by_customer)
    count = count.sort_values(["customers", "note"], ascending=[False, True], ignore_index=True)
    words = [say(f"note.{c}", language) if knows(f"note.{c}") else c for c in count["note"]]
    return count.assign(words=words)


def histories(facts: Facts, settings, language: str = "en", dating: Dating | None = None) -> str:
    """How many have bought and bought again, what was left out, and whether dates have days (`month_clock.dating`)."""
    h, report = facts.histories, facts.report
    if h.empty:
        return say("note.ltv_no_orders", language)
    again = facts.some_histories
    again = again[again["frequency"] > 0]
    customers, repeaters = hist.customers(h), hist.customers(h[h["frequency"] > 0])
    unit = hist.DAYS_PER_UNIT[settings.models.time_unit]
    gap = float((again["recency"] * unit / again["frequency"]).median()) if len(again) else np.nan
    said = say(
        "note.ltv_histories",
        language,
        customers=whole(customers, language),
        repeaters=whole(repeaters, language),
        share=percent(repeaters / customers, language, 0),
        gap=compact(gap, language),
    )
    left = say(
        "note.ltv_left_out",
        language,
        cancelled=whole(report["cancelled_lines"], language),
        backlog=whole(report["backlog_lines"], language),
        returns=whole(report["return_lines"], language),
        days=whole(report["days_removed"], language),
        unmatched=whole(report["unmatched_returns"], language),
        amount=money(report["unmatched_amount"], language, settings.currency),
    )
    lines = [said, left]
    if dating is not None and (dating.clustered or dating.unit == "month"):
        lines.append(_dating(dating, language))
    if facts.renewals.empty:
        lines.append(say("note.ltv_no_contracts", language))
    if facts.moves is not None and facts.moves.unusable:
        lines.append(say("note.ltv_changes_left_out", language, count=whole(facts.moves.unusable, language)))
    if facts.wide is not None:
        twins, sample = whole(len(facts.customers), language), whole(len(facts.some_histories), language)
        lines.append(say("note.ltv_twins", language, twins=twins, sample=sample))
    return "\n".join(lines)


def _dating(dating: Dating, language: str) -> str:
    """That dates are those of invoices, and what follows."""
    code = "months" if dating.unit == "month" else "ignored"
    code = code if dating.clustered else "set"
    which = say("list.separator", language).join(
        say("day.month_end", language) if d == MONTH_END else say("day.of_month", language, day=d)
        for d in dating.closing_days
    )
    return say(
        f"note.dating_{code}", language, share=percent(dating.share, language, 0), days=which,
        calendar=percent(dating.calendar, language, 0), unit=say(f"unit.{dating.unit}", language),
    )  # fmt: skip


def models(fits: Fits, card: pd.DataFrame, language: str = "en") -> str:
    """Which order model each segment rests on, and where lifetimes does not agree."""
    lines = [
        say("note.ltv_models", language, segment=s, model=c.name, rung=say(f"rung.{c.rung}", language))
        for s, c in sorted(fits.orders.items())
    ]
    if fits.choice is not None:
        lines.append(_order_model(fits.choice, language))
    lines += [_attribute(attribute, language) for attribute in fits.attributes]
    theirs = card[card["engine"] == "lifetimes"].drop_duplicates(["model", "model_segment"])
    if len(theirs):
        bad = theirs[theirs["warning"].notna()]
        differ = ", ".join(f"{m} of {s}" for m, s in zip(bad["model"], bad["model_segment"], strict=True)) or "–"
        lines.append(
            say(
                "note.ltv_second_opinion",
                language,
                agree=len(theirs) - len(bad),
                total=len(theirs),
                differ=differ,
            )
        )
    return "\n".join(lines) or say("note.ltv_no_orders", language)


def _order_model(choice: OrderChoice, language: str) -> str:
    """Which order model was chosen, by what."""
    digits = lambda v, sign=False: decimal(v, language, 3, sign=sign)  # noqa: E731
    if choice.reason == "cannot_tell":
        return say("note.order_model_cannot_tell", language)
    return say(
        f"note.order_model_{choice.reason}", language, origins=whole(choice.origins, language),
        default=digits(choice.crps[DEFAULT]), rival=digits(choice.crps[RIVAL]), gain=digits(choice.gain, True),
        error=digits(choice.standard_error), clear=whole(CLEAR, language),
    )  # fmt: skip


def _attribute(attribute: Attribute, language: str) -> str:
    """Whether a declared attribute tells customers apart."""
    what, test = say(f"attribute.{attribute.what}", language), attribute.test
    if test is None:
        return say("note.attribute_cannot_tell", language, name=attribute.name, what=what)
    code = "note.attribute_tells" if test.p_value < 0.05 else "note.attribute_does_not"
    return say(
        code, language, name=attribute.name, what=what, statistic=decimal(test.statistic, language, 1),
        df=whole(test.degrees_of_freedom, language), p=decimal(test.p_value, language, 3),
    )  # fmt: skip


def spend_and_frequency(facts: Facts, language: str = "en") -> str:
    """Whether those who buy often spend more or less per purchase day: Spearman's rank correlation within segments."""
    h = facts.some_histories
    h = h[(h["frequency"] > 0) & (h["monetary_value"] > 0)]
    ranks = h.groupby("model_segment")[["frequency", "monetary_value"]].rank(pct=True)
    if len(h) < FEW or ranks.std().min() == 0:
        return say("note.ltv_spend_frequency_short", language)
    rho = float(np.corrcoef(ranks["frequency"], ranks["monetary_value"])[0, 1])
    return say(
        "note.ltv_spend_frequency", language, rho=decimal(rho, language, 2, sign=True), n=whole(len(h), language)
    )


def fit(check: pd.DataFrame, language: str = "en") -> str:
    """How many customers stand in another class than the model expects."""
    total = check["actual"].sum()
    if not total:
        return say("note.ltv_no_orders", language)
    share = (check["actual"] - check["expected"]).abs().sum() / 2 / total
    return say("note.ltv_fit", language, share=percent(share, language, 1))


def worth(valuation: Valuation, settings, language: str = "en") -> str:
    """How concentrated value is."""
    by = valuation.by_customer
    curve = concentration(by)
    first = leaders(by, 1)
    if first.empty or not first["future_value"].iloc[0] > 0:
        return say("note.nothing_to_value", language)
    first = first.iloc[0]
    return say(
        "note.ltv_concentration",
        language,
        share=percent(float(np.interp(0.1, curve["customers"], curve["value"])), language, 0),
        top=money(first["future_value"], language, settings.currency, 2),
        low_high=money_range(first["future_value_low"], first["future_value_high"], language, settings.currency, 2),
    )


def total(valuation: Valuation, settings, language: str = "en") -> str:
    """What the base is worth with its interval, and why bounds do not add up."""
    row = valuation.totals.set_index("scope").loc["company"]
    return say(
        "note.ltv_total",
        language,
        months=settings.horizon_months,
        basis=say(f"basis.{valuation.rates.value_basis}", language),
        value=money(row["value"], language, settings.currency),
        low_high=money_range(row["low"], row["high"], language, settings.currency),
        naive=money_range(*sums_of_bounds(valuation.by_customer), language, settings.currency),
        noise=percent(valuation.noise, language, 1),
    )


def prior_share(valuation: Valuation, settings, language: str = "en") -> str:
    """What the base would be worth had the prior held customers to leave faster or slower."""
    row = valuation.totals.set_index("scope").loc["company"]
    other = valuation.other_priors.set_index("factor")["value"]
    if other.isna().any():
        return say("note.prior_cannot_tell", language)
    move = abs(other - row["value"]).max()
    code = "note.prior_small" if move < PRIOR_SMALL * (row["high"] - row["low"]) else "note.prior_large"
    fast, slow = (money(other[factor], language, settings.currency) for factor in FACTORS)
    return say(code, language, fast=fast, slow=slow)


def unknown(by_customer: pd.DataFrame | ir.Table, language: str = "en") -> str:
    """What the values do not know, by number of customers."""
    lines = [
        say("note.ltv_unknown", language, count=whole(r.customers, language), words=r.words)
        for r in remarks(by_customer, language).itertuples()
    ]
    return "\n".join([*lines, say("note.ltv_not_modelled", language)])
