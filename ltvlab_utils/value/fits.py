"""Fits of a run: order, spend and renewal models per segment, the model card (floor 2)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ltvlab_utils import histories as hist
from ltvlab_utils.models.second_opinion import second_opinion
from ltvlab_utils.value import attributes, lapse, movement, renewal_hazard
from ltvlab_utils.value.choice import ALL, ORDER_MODELS, Choice, Fits, attempt
from ltvlab_utils.value.facts import Facts
from ltvlab_utils.value.order_choice import AUTO, OrderChoice, named
from ltvlab_utils.value.order_fits import fit_orders
from ltvlab_utils.value.renewal_fits import ALIKE, fit_renewals
from ltvlab_utils.value.spend_fits import fit_spend

MIN_Q = 1.05  # draws of GammaGamma's q at or below 1 have no mean spend


def fit(facts: Facts, settings, quick: bool = False, choice: OrderChoice | None = None) -> Fits:
    """All models of a run. `settings.models.orders` names the order model that values rest on, or leaves it to the
    `choice` of a look back; both are on the card. `quick` (for looks back): no likelihood fits beside, and draws of
    order parameters from their Laplace fit alone."""
    fits = Fits()
    if len(facts.histories):
        fit_orders(fits, facts, settings, named(settings, choice), quick)
        if settings.models.orders == AUTO and choice is not None:
            fits.choice, fits.card = choice, fits.card + choice.card()
        spends = facts.histories if facts.spends is None else facts.spends
        fit_spend(fits, spends, facts.some_histories)
    if len(facts.renewals):
        fit_renewals(fits, facts)
    if not quick:
        fits.attributes, card = attributes.tested(facts, settings)
        fits.card += card
    segment_of = facts.customers.set_index("customer_id")["model_segment"]
    if facts.decisions is not None:
        fits.hazard = renewal_hazard.fit(with_segment(facts.decisions, segment_of))
        fits.card += renewal_hazard.card(fits.hazard)
    if facts.moves is not None:
        fits.movement = movement.fit(facts.moves, segment_of)
    if len(facts.contracts) and len(facts.histories):
        fits.lapse = lapse.factor(facts.lapses, settings.models.order_rate_after_lapse)
    return fits


def with_segment(rows: pd.DataFrame, segment_of: pd.Series) -> pd.DataFrame:
    return rows.assign(model_segment=rows["customer_id"].map(segment_of))


def draw(choice: Choice, draws: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Parameters of a choice, one set a draw (Laplace on the log scale). GammaGamma: sets with q <= 1 have no mean
    spend and are replaced by others of the same fit."""
    if choice.known is not None:
        theta = rng.beta(1 + choice.known[0], 1 + choice.known[1], draws)
        return {"alpha": theta * ALIKE, "beta": (1 - theta) * ALIKE}
    if choice.posterior is not None:
        sets = choice.posterior.sets
        which = rng.permutation(np.arange(draws) % len(sets))
        return dict(zip(choice.model.names, sets[which].T, strict=True))
    params = choice.model.draw_params(draws, rng)
    if choice.name == "gamma_gamma" and (bad := params["q"] <= MIN_Q).any():
        good = np.flatnonzero(~bad)
        pick = rng.choice(good, int(bad.sum())) if len(good) else None
        for key, values in params.items():
            values[bad] = values[pick] if pick is not None else choice.model.params[key]
    return params


def _with_second_opinion(card: pd.DataFrame) -> list[tuple[str, str]]:
    """(model, model_segment) of the maximum-likelihood fits of orders and spend: of each segment's own where there are
    any, else of all customers together."""
    if not len(card):
        return []
    rows = card[card["model"].isin([*ORDER_MODELS, "gamma_gamma"])]
    own = rows["model_segment"] != ALL
    rows = rows[own | ~own.groupby(rows["model"]).transform("any")]
    return list(rows[["model", "model_segment"]].drop_duplicates().itertuples(index=False))


def model_card(fits: Fits, facts: Facts) -> pd.DataFrame:
    """The model_card: every fit of this package and, for the order and spend models in use, beside it that of lifetimes
    on the same histories. `warning` of a lifetimes row says `differs` where a parameter is more than 1 % or the
    log-likelihood more than 0.1 away. Of a large company lifetimes fits a sample, and is held against this package's
    fit of that sample; `customers` tells its size."""
    single = facts.some_histories
    rows = pd.DataFrame(fits.card)
    found = [rows]
    for name, segment in _with_second_opinion(rows):
        h = single if segment == ALL else single[single["model_segment"] == segment]
        model = fits.models.get((name, segment))
        if name == "gamma_gamma":
            data, weights = h[(h["frequency"] > 0) & (h["monetary_value"] > 0)], None
        else:
            data = hist.distinct(h)
            weights = data["weight"].to_numpy()
        if len(data):
            if facts.wide is not None:
                model = attempt(name, data, weights)[0]
            theirs = second_opinion(name, data, weights, model)
            found.append(theirs.assign(model_segment=segment, chosen=False))
    card = pd.concat(found, ignore_index=True)
    return card.assign(warning=card["warning"].where(card["warning"].fillna("") != ""))
