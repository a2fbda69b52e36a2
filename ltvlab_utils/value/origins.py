"""The base as it stood at earlier dates, and what it ordered since (floor 2): what the drift is learned from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from ltvlab_utils import histories as hist
from ltvlab_utils.periods import add_months, months_before
from ltvlab_utils.value.calendar import Horizon
from ltvlab_utils.value.choice import Fits
from ltvlab_utils.value.drift import Drift, drift
from ltvlab_utils.value.facts import Facts, months_of, orders_only
from ltvlab_utils.value.futures import look_back
from ltvlab_utils.value.wide import PER_CUSTOMER, sampled, size_of

MONTHS = (6, 9, 12)  # before as-of
SEEN = 6  # months of data that an origin needs before it
LOOK_BACK, DRAWN = 3, 4  # name the random streams
SOME = 20_000


@dataclass(frozen=True)
class Origin:
    """`facts` of orders at an earlier date, the `horizon` from there to as-of, `actual` purchase days in it of the
    customers known by then."""

    facts: Facts
    horizon: Horizon
    actual: float


def earlier(tables: Mapping[str, ir.Table], settings, as_of: date) -> list[Origin]:
    """Origins MONTHS before as-of, as far as the data reach; none without order lines. Of a large company those of
    SOME customers drawn at random: their luck in a total is small beside the error that is looked for."""
    if "order_lines" not in tables:
        return []
    tables = {n: tables[n] for n in ("order_lines", "customers") if n in tables}
    if size_of(tables) > PER_CUSTOMER:
        seed = np.random.SeedSequence([settings.models.seed, DRAWN])
        tables, _ = sampled(tables, SOME, np.random.default_rng(seed), keep=True)
    lines, people, models = tables["order_lines"], tables.get("customers"), settings.models
    days = hist.kept_days(lines, as_of)
    by_month = hist.orders_by_month(days).to_pandas()
    if not len(by_month):
        return []
    first = pd.Timestamp(by_month["month"].min())
    found = []
    for months in MONTHS:
        cut = months_before(as_of, months)
        if pd.Timestamp(add_months(cut, -SEEN)) < first:
            continue
        then = hist.kept_days(lines, cut)
        h = hist.histories(lines, people, cut, models.time_unit, models.segment_by, then).to_pandas()
        h = h.sort_values("customer_id", ignore_index=True)
        known = days.filter(days.counts, days.day <= ibis.literal(cut)).select("customer_id").distinct()
        later = days.filter(days.counts, days.day > ibis.literal(cut)).semi_join(known, "customer_id")
        by_month = months_of(hist.orders_by_month(then).to_pandas(), h, cut, models.time_unit)
        horizon = Horizon.after(cut, months, settings.discount_rate_annual, settings.fiscal_year_start_month)
        found.append(Origin(orders_only(h, cut, by_month), horizon, float(later.count().to_pandas())))
    return found


def learned(fits: Fits, origins: list[Origin], settings) -> Drift:
    """The drift of the present fit from what happened after the origins."""
    rng = np.random.default_rng(np.random.SeedSequence([settings.models.seed, LOOK_BACK]))
    here = [o for o in origins if set(o.facts.histories["model_segment"]) <= set(fits.orders)]
    streams = rng.spawn(len(here))
    pairs = zip(here, streams, strict=True)
    return drift([(o.actual, look_back(o.facts, fits, settings, o.horizon, stream)) for o, stream in pairs])
