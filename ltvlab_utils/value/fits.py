"""Fits of a run: order, spend and renewal models per segment, the ladder of fallbacks, the model card (floor 2).

Ladder of the order model: own segment -> pooled over all segments -> "cannot tell" (exponential prior around the pooled
rate; P(alive) unknown). On each of the first two rungs: the configured model; NBD without death, only where it fits as
well; Pareto/NBD with one death rate for all, where the data do not tell how far death rates differ; the other model
with death. So customers who leave are never held to stay for ever. The pooled weight is 0 or 1: a segment rests on its
own fit or on the pooled one. Partial pooling is not done.
Renewals: own sBG -> one churn probability for the segment (where its contracts do not show that they differ) -> pooled
sBG -> one churn probability for all.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.optimize import minimize

from ltvlab_utils import histories as hist
from ltvlab_utils.errors import Refused
from ltvlab_utils.models import MBGNBD, NBD, GammaGamma, ParetoNBD, ShiftedBetaGeometric
from ltvlab_utils.models.second_opinion import second_opinion
from ltvlab_utils.value.facts import Facts
from ltvlab_utils.value.one_death import fit_one_death

ORDER_MODELS = {"pareto_nbd": ParetoNBD, "mbg_nbd": MBGNBD, "nbd": NBD}
NAMES = {**ORDER_MODELS, "gamma_gamma": GammaGamma, "shifted_beta_geometric": ShiftedBetaGeometric}
DEATH_MODELS = ("pareto_nbd", "mbg_nbd")
ONE_DEATH = "pareto_nbd_one_death"
WITH_DEATH = (*DEATH_MODELS, ONE_DEATH)
NO_DEATH = 2.0  # nats that a model with death must gain over NBD before it counts as evidence of death
MIN_CUSTOMERS, MIN_REPEATERS = 30, 10  # below, a segment takes the pooled fit
MIN_CONTRACTS, MIN_CHURNED = 20, 5
ALIKE = 1e6  # sBG parameters so large that contracts do not differ
MIN_Q = 1.05  # draws of GammaGamma's q at or below 1 have no mean spend
SAME_Q = 50.0  # beyond it customers hardly differ in their mean spend
HEAVY_Q = 1.5  # the mean of spend exists, its variance does not

ALL = hist.ALL


@dataclass(frozen=True)
class Choice:
    """The model that a segment's values rest on. `rung`: own, pooled, cannot_tell. `known`: (churned, renewed) where
    one churn probability is held for all contracts: its uncertainty is Beta(1 + churned, 1 + renewed)."""

    name: str
    model: object
    rung: str
    notes: tuple[str, ...] = ()
    known: tuple[float, float] | None = None


@dataclass
class Fits:
    """`orders` and `spend`: segment -> Choice; `renewals`: (segment, term class) -> Choice; `card`: model_card rows."""

    orders: dict[str, Choice] = field(default_factory=dict)
    spend: dict[str, Choice] = field(default_factory=dict)
    renewals: dict[tuple[str, str], Choice] = field(default_factory=dict)
    card: list[dict] = field(default_factory=list)
    models: dict[tuple[str, str], object] = field(default_factory=dict)  # (name, segment) -> fit, usable or not


def _try(name: str, data: pd.DataFrame, weights: np.ndarray | None = None):
    """A fit that always answers: on refusal or a numeric fault None and the reason as a code."""
    try:
        model = fit_one_death(data, weights) if name == ONE_DEATH else NAMES[name].fit(data, weights)
        return model, ",".join(model.warnings)
    except (Refused, ArithmeticError, ValueError, np.linalg.LinAlgError):
        return None, "fit_failed"


def _usable(model) -> bool:
    return model is not None and model.converged


def card_rows(
    name: str, engine: str, segment: str, params: dict, errors: dict, log_likelihood: float, customers: float,
    converged: bool, warning: str = "", chosen: bool = False,
) -> list[dict]:  # fmt: skip
    """model_card rows of one fit, a parameter a row."""
    symbols = list(params) or list(getattr(NAMES.get(name), "names", ())) or ["-"]
    finite = lambda v: float(v) if v is not None and np.isfinite(v) else np.nan  # noqa: E731
    return [
        {
            "model": name,
            "engine": engine,
            "model_segment": segment,
            "parameter": s,
            "estimate": finite(params.get(s)),
            "standard_error": finite(errors.get(s)),
            "log_likelihood": finite(log_likelihood),
            "customers": round(customers),
            "converged": bool(converged),
            "chosen": bool(chosen),
            "warning": warning or None,
        }
        for s in symbols
    ]


def _card(name: str, segment: str, model, warning: str, customers: float, chosen: bool, more: str = "") -> list[dict]:
    warning = ",".join(w for w in (warning, more) if w)
    if model is None:
        return card_rows(name, "ltvlab", segment, {}, {}, np.nan, customers, False, warning, False)
    return card_rows(
        name, "ltvlab", segment, model.params, model.standard_errors, model.log_likelihood, customers,
        model.converged, warning, chosen,
    )  # fmt: skip


def _too_few(h: pd.DataFrame) -> bool:
    return len(h) < MIN_CUSTOMERS or int((h["frequency"] > 0).sum()) < MIN_REPEATERS


def _cannot_tell(h: pd.DataFrame) -> Choice:
    exposure = max(float(h["T"].sum()), 1.0)
    model = NBD(r=1.0, alpha=exposure / (float(h["frequency"].sum()) + 1.0))
    return Choice("nbd", model, "cannot_tell", ("orders_cannot_tell",))


def _no_death(found: dict) -> bool:
    """True when NBD fits as well as the models with death: the data show nobody leaving."""
    others = [found[n][0].log_likelihood for n in WITH_DEATH if n in found and found[n][0] is not None]
    best = max((v for v in others if np.isfinite(v)), default=-np.inf)
    return _usable(found["nbd"][0]) and found["nbd"][0].log_likelihood > best - NO_DEATH


def _choose(found: dict, chosen: str, rung: str, notes: tuple[str, ...]) -> Choice | None:
    """The first usable model of one set of fits: the configured one (Pareto/NBD also in its limit of one death rate),
    NBD if nobody leaves, the other one with death."""
    if _usable(found[chosen][0]):
        return Choice(chosen, found[chosen][0], rung, notes)
    if _no_death(found):
        return Choice("nbd", found["nbd"][0], rung, (*notes, "fit_without_death"))
    ladder = [(ONE_DEATH, "one_death_rate"), *((n, "other_order_model") for n in DEATH_MODELS if n != chosen)]
    for name, note in ladder if chosen == "pareto_nbd" else reversed(ladder):
        if name in found and _usable(found[name][0]):
            return Choice(name, found[name][0], rung, (*notes, note))
    return None


def _order_models(h: pd.DataFrame, limit: bool = True) -> dict:
    """Name -> (model, warning); with `limit` also Pareto/NBD with one death rate where its own fit failed."""
    rows = hist.distinct(h)
    weights = rows["weight"].to_numpy()
    found = {name: _try(name, rows, weights) for name in ORDER_MODELS}
    if limit and not _usable(found["pareto_nbd"][0]):
        found[ONE_DEATH] = _try(ONE_DEATH, rows, weights)
    return found


def _fit_orders(fits: Fits, h: pd.DataFrame, chosen: str) -> None:
    parts = dict(iter(h.groupby("model_segment", sort=True)))
    pooled = _order_models(h, limit=len(parts) == 1 or any(_too_few(p) for p in parts.values()))
    found = {s: pooled if len(parts) == 1 else _order_models(p) for s, p in parts.items() if not _too_few(p)}
    for segment in parts:
        choice = _choose(found[segment], chosen, "own", ()) if segment in found else None
        if choice is None and not _too_few(h):
            choice = _choose(pooled, chosen, "pooled", ("fit_pooled",))
            if choice is None and _usable(pooled["nbd"][0]):
                choice = Choice("nbd", pooled["nbd"][0], "pooled", ("fit_pooled", "fit_without_death"))
        fits.orders[segment] = choice or _cannot_tell(h)
    if len(parts) > 1 or not found:
        found = {**found, ALL: pooled}
    for segment, models in found.items():
        size = len(h) if segment == ALL else len(parts[segment])
        for name, (model, warning) in models.items():
            fits.models[(name, segment)] = model
            users = [s for s, c in fits.orders.items() if c.model is model]
            if name in ("nbd", ONE_DEATH) and not users:
                continue  # fitted to see whether anybody leaves; shown where values rest on it
            more = f"used_by:{'+'.join(users)}" if users and segment == ALL and len(parts) > 1 else ""
            fits.card += _card(name, segment, model, warning, size, bool(users), more)


def _spend_by_moments(h: pd.DataFrame) -> Choice:
    """One mean for all customers (gamma by moments) where GammaGamma has no usable fit: q so large that customers do
    not differ."""
    amounts = h.loc[h["monetary_value"] > 0, "monetary_value"]
    if len(amounts) == 0:
        amounts = (h["revenue_total"] / (h["frequency"] + 1)).loc[lambda a: a > 0]
    mean = float(amounts.mean()) if len(amounts) else 1e-9
    spread = float(amounts.var()) if len(amounts) > 1 else mean**2
    p = float(np.clip(mean**2 / max(spread, 1e-12), 0.05, 1e4))
    return Choice("gamma_gamma", GammaGamma(p=p, q=1e6, v=mean * 1e6 / p), "prior", ("spend_pooled",))


def _spend_heavy(h: pd.DataFrame) -> Choice:
    """GammaGamma with q held at HEAVY_Q, p and v by maximum likelihood: where the free fit ends at a boundary or at a
    q whose mean spend does not exist (a whale among small customers). Customers do differ there, so each keeps to its
    own mean."""
    h = h[(h["frequency"] > 0) & (h["monetary_value"] > 0)]
    x, z = h["frequency"].to_numpy(float), h["monetary_value"].to_numpy(float)
    middle = float(np.median(z))

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        params = {"p": float(np.exp(theta[0])), "q": HEAVY_Q, "v": float(middle * np.exp(theta[1]))}
        rows, (by_p, _, by_v) = GammaGamma._log_likelihood_rows(params, x, z)
        return -rows.sum(), -np.array([params["p"] * by_p.sum(), params["v"] * by_v.sum()])

    start = np.log([2.0, (HEAVY_Q - 1) / 2])
    best = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(-3, 9), (-12, 12)]).x
    model = GammaGamma(p=float(np.exp(best[0])), q=HEAVY_Q, v=float(middle * np.exp(best[1])))
    return Choice("gamma_gamma", model, "prior", ("spend_heavy_tail",))


def _differ(model) -> bool:
    """A fit that failed although customers differ: with a large q they do not, and one mean serves all."""
    return model is not None and bool(model.params.get("q", np.nan) < SAME_Q)


def _fit_spend(fits: Fits, h: pd.DataFrame) -> None:
    segments = sorted(h["model_segment"].unique())
    usable = h[(h["frequency"] > 0) & (h["monetary_value"] > 0)]
    pooled = _try("gamma_gamma", usable) if len(usable) >= MIN_REPEATERS else (None, "too_few")
    stands_in = []
    for segment in segments:
        part = usable[usable["model_segment"] == segment]
        if len(segments) == 1:
            model, warning = pooled
        else:
            model, warning = _try("gamma_gamma", part) if len(part) >= MIN_CUSTOMERS else (None, "too_few")
        if _usable(model):
            fits.spend[segment] = Choice("gamma_gamma", model, "own")
        elif _usable(pooled[0]):
            fits.spend[segment] = Choice("gamma_gamma", pooled[0], "pooled", ("spend_pooled",))
            stands_in.append(segment)
        elif _differ(model) or _differ(pooled[0]):
            fits.spend[segment] = _spend_heavy(part if _differ(model) else usable)
        else:
            fits.spend[segment] = _spend_by_moments(h)
        fits.models[("gamma_gamma", segment)] = model
        fits.card += _card("gamma_gamma", segment, model, warning, len(part), fits.spend[segment].model is model)
    if len(segments) > 1:
        more = f"used_by:{'+'.join(stands_in)}" if stands_in else ""
        fits.models[("gamma_gamma", ALL)] = pooled[0]
        fits.card += _card("gamma_gamma", ALL, *pooled, len(usable), bool(stands_in), more)


def term_class(term_months: pd.Series) -> np.ndarray:
    """Terms that renew alike: monthly (1), short (2 to 11 months), annual (12 months and longer)."""
    return np.select([term_months <= 1, term_months < 12], ["monthly", "short"], "annual")


def _renewal_fit(rows: pd.DataFrame):
    """sBG on all contracts; those that began before the data count from their entry on (left-truncated), so that
    survivors do not pass for loyal ones."""
    if len(rows) < MIN_CONTRACTS or rows["churned"].sum() < MIN_CHURNED:
        return None, "too_few", len(rows)
    keys = ["renewals_made", "churned", "renewals_at_entry"]
    distinct = rows.groupby(keys, sort=True).size().rename("weight").reset_index()
    model, warning = _try("shifted_beta_geometric", distinct, distinct["weight"].to_numpy())
    return model, warning, len(rows)


def _one_churn(rows: pd.DataFrame, rung: str, notes: tuple[str, ...], at_least: int = MIN_CONTRACTS) -> Choice | None:
    """One churn probability for all contracts: the limit of sBG where they do not differ."""
    renewed = float((rows["renewals_made"] - rows["renewals_at_entry"]).sum())
    churned = float(rows["churned"].sum())
    if renewed + churned < at_least:
        return None
    model = ShiftedBetaGeometric(alpha=(1 + churned) * ALIKE, beta=(1 + renewed) * ALIKE)
    return Choice("shifted_beta_geometric", model, rung, (*notes, "one_churn_rate"), (churned, renewed))


def _one_churn_card(segment: str, choice: Choice) -> list[dict]:
    """The posterior mean and sd of the one churn probability."""
    if choice.known is None:
        return []
    a, b = 1 + choice.known[0], 1 + choice.known[1]
    sd = float(np.sqrt(a * b / (a + b) ** 2 / (a + b + 1)))
    warning = ",".join(choice.notes)
    return card_rows(
        "one_churn_rate", "ltvlab", segment, {"theta": a / (a + b)}, {"theta": sd}, np.nan, sum(choice.known), True,
        warning, True,
    )  # fmt: skip


def _fit_renewals(fits: Fits, facts: Facts) -> None:
    rows = facts.renewals.merge(facts.customers[["customer_id", "model_segment"]], how="left", on="customer_id")
    rows = rows.assign(kind=term_class(rows["term_months"]))
    kinds, segments = sorted(rows["kind"].unique()), sorted(rows["model_segment"].unique())
    label = lambda segment, kind: segment if len(kinds) == 1 else f"{segment}:{kind}"  # noqa: E731
    for kind in kinds:
        of_kind = rows[rows["kind"] == kind]
        pooled, pooled_warning, pooled_n = _renewal_fit(of_kind)
        stands_in = []
        for segment in sorted(of_kind["model_segment"].unique()):
            part = of_kind[of_kind["model_segment"] == segment]
            model, warning, n = (pooled, pooled_warning, pooled_n) if len(segments) == 1 else _renewal_fit(part)
            choice = Choice("shifted_beta_geometric", model, "own") if _usable(model) else _one_churn(part, "own", ())
            if choice is None and _usable(pooled):
                choice = Choice("shifted_beta_geometric", pooled, "pooled", ("renewal_pooled",))
            choice = choice or _one_churn(of_kind, "pooled", ("renewal_pooled",), at_least=0)
            if choice.model is pooled:
                stands_in.append(segment)
            fits.renewals[(segment, kind)] = choice
            fits.card += _one_churn_card(label(segment, kind), choice)
            fits.card += _card("shifted_beta_geometric", label(segment, kind), model, warning, n, choice.model is model)
        if len(segments) > 1:
            more = f"used_by:{'+'.join(stands_in)}" if stands_in else ""
            fits.card += _card(
                "shifted_beta_geometric", label(ALL, kind), pooled, pooled_warning, pooled_n, bool(stands_in), more
            )


def fit(facts: Facts, settings) -> Fits:
    """All models of a run. `settings.models.orders` names the order model that values rest on; both are on the card."""
    fits = Fits()
    if len(facts.histories):
        _fit_orders(fits, facts.histories, settings.models.orders)
        _fit_spend(fits, facts.histories)
    if len(facts.renewals):
        _fit_renewals(fits, facts)
    return fits


def draw(choice: Choice, draws: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Parameters of a choice, one set a draw (Laplace on the log scale). GammaGamma: sets with q <= 1 have no mean
    spend and are replaced by others of the same fit."""
    if choice.known is not None:
        theta = rng.beta(1 + choice.known[0], 1 + choice.known[1], draws)
        return {"alpha": theta * ALIKE, "beta": (1 - theta) * ALIKE}
    params = choice.model.draw_params(draws, rng)
    if choice.name == "gamma_gamma" and (bad := params["q"] <= MIN_Q).any():
        good = np.flatnonzero(~bad)
        pick = rng.choice(good, int(bad.sum())) if len(good) else None
        for key, values in params.items():
            values[bad] = values[pick] if pick is not None else choice.model.params[key]
    return params


def _with_second_opinion(card: pd.DataFrame) -> list[tuple[str, str]]:
    """(model, model_segment) of the order and spend models that values rest on, and of their rivals for the same
    customers; of all of them where values rest on none."""
    if not len(card):
        return []
    rows = card[card["model"].isin([*DEATH_MODELS, "gamma_gamma"])]
    kind = rows["model"] == "gamma_gamma"
    used = rows.groupby([kind, "model_segment"])["chosen"].transform("any")
    rows = rows[used | ~rows.groupby(kind)["chosen"].transform("any")]
    return list(rows[["model", "model_segment"]].drop_duplicates().itertuples(index=False))


def model_card(fits: Fits, facts: Facts) -> pd.DataFrame:
    """The model_card: every fit of this package and, for the order and spend models in use, beside it that of lifetimes
    on the same histories. `warning` of a lifetimes row says `differs` where a parameter is more than 1 % or the
    log-likelihood more than 0.1 away."""
    rows = pd.DataFrame(fits.card)
    found = [rows]
    for name, segment in _with_second_opinion(rows):
        h = facts.histories if segment == ALL else facts.histories[facts.histories["model_segment"] == segment]
        model = fits.models.get((name, segment))
        if name == "gamma_gamma":
            data, weights = h[(h["frequency"] > 0) & (h["monetary_value"] > 0)], None
        else:
            data = hist.distinct(h)
            weights = data["weight"].to_numpy()
        if len(data):
            theirs = second_opinion(name, data, weights, model)
            found.append(theirs.assign(model_segment=segment, chosen=False))
    card = pd.concat(found, ignore_index=True)
    return card.assign(warning=card["warning"].where(card["warning"].fillna("") != ""))
