"""Does the choice of the order model by looks back (value.order_choice) pay? Light worlds of three kinds.

`python -m benchmarks.order_choice [home, mbg_nbd or misspecified] [customers] [seeds] [first seed]`: how often MBG/NBD
is chosen, and the CRPS of the coming year under the default, the rival and the chosen model.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd

from benchmarks.coverage import AHEAD, WEEKS, earlier_facts, horizon_of, months_of, settings
from benchmarks.results import record
from ltvlab_utils import value
from ltvlab_utils.sample.light import light_world
from ltvlab_utils.value.drift import drift
from ltvlab_utils.value.facts import orders_only
from ltvlab_utils.value.futures import order_draws
from ltvlab_utils.value.order_choice import DEFAULT, RIVAL, choose, compared, rival
from ltvlab_utils.value.scores import crps

CUTS, WINDOW, DRAWS = (26, 39, 52), 26, 200  # weeks before as-of, weeks ahead


def both(facts, chosen, horizon, seed: int) -> dict[str, np.ndarray]:
    """Draws of purchase days of each model that can be fitted, with the same dice."""
    fits = {DEFAULT: value.fit(facts, chosen, quick=True)}
    if (other := rival(fits[DEFAULT], facts)) is not None:
        fits[RIVAL] = other
    play = lambda f: order_draws(facts, replace(f, drift=drift([])), chosen, horizon, np.random.default_rng(seed))  # noqa: E731
    return {name: play(f) for name, f in fits.items()}


def graded(seed: int, kind: str, customers: int) -> dict[str, float]:
    how = {"kind": "home", "process": "mbg_nbd"} if kind == "mbg_nbd" else {"kind": kind}
    world, chosen, found = light_world(seed, customers, weeks=WEEKS, horizons=(AHEAD,), **how), settings(DRAWS), []
    for cut in CUTS:
        facts, rows = earlier_facts(world, cut)
        at = WEEKS - cut
        log = world.orders[(world.orders["week"] > at) & (world.orders["week"] <= at + WINDOW)]
        actual = np.bincount(log["customer"], minlength=customers)[rows].astype(float)
        draws = both(facts, chosen, horizon_of(world, WINDOW, at), seed)
        if RIVAL in draws:
            found.append(compared(rows, draws[DEFAULT], draws[RIVAL], actual))
    choice = choose(found)
    blank = {"model_segment": "all", "revenue_total": 0.0, "monetary_value": 0.0}
    facts = orders_only(world.histories.assign(**blank), date(2025, 6, 30), months_of(world))
    draws = both(facts, chosen, horizon_of(world, AHEAD), seed)
    actual = world.futures["orders"].to_numpy(float)
    scores = {name: float(crps(d, actual).mean()) for name, d in draws.items()}
    out = {"chosen": float(choice.name == RIVAL), "told": float(choice.reason != "cannot_tell")}
    out |= {"crps_default": scores[DEFAULT], "crps_rival": scores.get(RIVAL, scores[DEFAULT])}
    return out | {"crps_chosen": scores.get(choice.name, scores[DEFAULT])}


def main(kind: str = "home", customers: str = "300", seeds: str = "60", first: str = "20001") -> None:
    found = pd.DataFrame([graded(s, kind, int(customers)) for s in range(int(first), int(first) + int(seeds))])
    print(found.groupby("chosen").mean().round(4).to_string())
    record(f"order_choice_{kind}_{customers}", {k: round(float(v), 4) for k, v in found.mean().items()})


if __name__ == "__main__":
    main(*sys.argv[1:])
