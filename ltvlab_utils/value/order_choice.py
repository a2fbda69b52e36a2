"""Which order model the values of a company rest on, by what each would have forecast (floor 2).

The rule, for the company as a whole: Pareto/CNBD by its posterior, unless MBG/NBD would have forecast the purchase days
of customers better (CRPS) at every date to which the model is taken back, and on average by more than CLEAR standard
errors. A customer counts at several dates, so errors are those of sums a customer; what a date has in common for all
customers is why every date counts for itself. Where no look back can be made, or MBG/NBD is nowhere usable, nothing is
compared and the default stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ltvlab_utils import histories as hist
from ltvlab_utils.models.monthly import MonthlyBGBB
from ltvlab_utils.value.choice import ALL, Choice, Fits, attempt, card_rows, usable
from ltvlab_utils.value.facts import Facts
from ltvlab_utils.value.scores import crps

AUTO, DEFAULT, RIVAL = "auto", "pareto_nbd", "mbg_nbd"
CLEAR = 2.0  # standard errors by which the rival must be better
LEAST = 20  # customers whose forecasts differ, below which nothing is told


@dataclass(frozen=True)
class OrderChoice:
    """`name`: the order model that values rest on. `reason`: better (the rival by the rule), not_clearly (it is not),
    cannot_tell (nothing to compare). `crps`: model -> mean over customers and dates; `gain` of the rival, with its
    `standard_error`; `customers` that were compared, at `origins` dates, at `wins` of which the rival was better."""

    name: str
    reason: str
    crps: dict[str, float]
    gain: float = np.nan
    standard_error: float = np.nan
    customers: int = 0
    origins: int = 0
    wins: int = 0

    def card(self) -> list[dict]:
        """Rows of the model card: both scores, the gain with its standard error, the reason."""
        values = {f"crps_{name}": value for name, value in self.crps.items()} | {"crps_gain": self.gain}
        errors = {"crps_gain": self.standard_error}
        return card_rows(
            "order_model", "ltvlab", ALL, values, errors, np.nan, self.customers, self.reason != "cannot_tell",
            f"{self.reason}:{self.name}",
        )  # fmt: skip


def named(settings, choice: OrderChoice | None) -> str:
    """The order model that settings and, where they leave it open, the choice name."""
    if settings.models.orders != AUTO:
        return settings.models.orders
    return choice.name if choice is not None else DEFAULT


def rival(fits: Fits, facts: Facts) -> Fits | None:
    """The same fits with MBG/NBD in each segment where it can be used; None where it can nowhere."""
    if any(isinstance(choice.model, MonthlyBGBB) for choice in fits.orders.values()):
        return None  # dates without days
    found = {}
    for segment, part in facts.histories.groupby("model_segment", sort=True):
        rows = hist.distinct(part)
        model, _ = attempt(RIVAL, rows, rows["weight"].to_numpy())
        if usable(model):
            found[segment] = Choice(RIVAL, model, "own")
    return replace(fits, orders=fits.orders | found) if found else None


def compared(ids: np.ndarray, draws: np.ndarray, other: np.ndarray, actual: np.ndarray) -> pd.DataFrame:
    """CRPS of both models at one date, a customer a row: customer_id, DEFAULT, RIVAL. `draws` (customers, draws) of the
    default, `other` of the rival."""
    return pd.DataFrame({"customer_id": ids, DEFAULT: crps(draws, actual), RIVAL: crps(other, actual)})


def better(rows: pd.DataFrame) -> bool:
    """Whether the rival forecast better at one date (`compared`)."""
    return bool((rows[DEFAULT] - rows[RIVAL]).mean() > 0)


def choose(found: Sequence[pd.DataFrame]) -> OrderChoice:
    """The choice by the rule, from `compared` of each date at which the rival could be fitted."""
    if not found:
        return OrderChoice(DEFAULT, "cannot_tell", {})
    rows = pd.concat(found, ignore_index=True)
    gain = rows[DEFAULT] - rows[RIVAL]
    # A ratio of sums over customers: the total gain over the number of customers and dates.
    by = gain.groupby(rows["customer_id"].to_numpy()).agg(["sum", "size"])
    mean, n = float(gain.mean()), len(by)
    error = float(np.sqrt(((by["sum"] - mean * by["size"]) ** 2).sum() * n / max(n - 1, 1)) / len(rows))
    wins = sum(map(better, found))
    told = int((by["sum"] != 0).sum()) >= LEAST and error > 0
    clear = told and mean > CLEAR * error and wins == len(found)
    reason = "better" if clear else "not_clearly" if told else "cannot_tell"
    scores = {name: float(rows[name].mean()) for name in (DEFAULT, RIVAL)}
    return OrderChoice(RIVAL if clear else DEFAULT, reason, scores, mean, error, n, len(found), wins)
