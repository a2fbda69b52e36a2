"""Totals of the simulated futures month by month (floor 2): what a forecast of 3, 6 or 12 months and a fan rest on."""

from __future__ import annotations

import numpy as np

from ltvlab_utils.value.calendar import Horizon
from ltvlab_utils.value.costs import Rates

METRICS = ("purchase_days", "revenue", "profit", "value")


def _in_force(draw: np.ndarray, months: np.ndarray, weights: np.ndarray, draws: int, grid: int) -> np.ndarray:
    """(draws, grid) sum over elements of weight x share of the month that lies before `months` after as-of."""
    whole = np.minimum(months.astype(np.int64), grid)
    place = draw * (grid + 1) + whole
    add = lambda w: np.bincount(place, w, draws * (grid + 1)).reshape(draws, grid + 1)  # noqa: E731
    later = np.cumsum(add(weights)[:, ::-1], axis=1)[:, ::-1]
    return later[:, 1:] + add(weights * (months - whole))[:, :-1]


LEAST = 0.05  # of the variance of draws that is left at least


def narrowed(draws: np.ndarray, less: np.ndarray | float) -> np.ndarray:
    """Draws (along the first axis) at the same mean with `less` variance."""
    mean, found = draws.mean(axis=0), draws.var(axis=0)
    share = np.divide(less, found, out=np.zeros(np.shape(found)), where=found > 0)
    return mean + (draws - mean) * np.sqrt(np.maximum(1 - share, LEAST))


class Paths:
    """Watches `simulate` and keeps, by segment, draw and month after as-of: purchase_days, revenue and profit (not
    discounted; profit on the value basis, revenue where cost is unknown) and value (discounted, as future_value). A row
    counts as often as its weight says."""

    def __init__(self, horizon: Horizon, rates: Rates):
        self.horizon, self.rates = horizon, rates
        self._months: dict[str, dict[str, np.ndarray]] = {}

    def __call__(self, segment: str, rows: np.ndarray, parts: dict) -> None:
        draws = parts["future_value"].shape[1]
        grid = self.horizon.months
        if segment not in self._months:
            self._months[segment] = {m: np.zeros((draws, grid)) for m in METRICS}
        found = self._months[segment]
        if parts["each_order"] is not None:
            self._orders(found, parts, draws)
        if parts["each_contract"] is not None:
            self._contracts(found, parts, draws)
        if "support_a_month" in parts:
            monthly, alive = parts["support_a_month"], parts["months_alive"]
            draw = np.tile(np.arange(draws), len(alive))
            if "weight" in parts:
                monthly = monthly * parts["weight"][:, None]
            support = _in_force(draw, alive.ravel(), monthly.ravel(), draws, grid)
            found["profit"] -= support
            found["value"] -= support * self._discount

    @property
    def _discount(self) -> np.ndarray:
        return self.horizon.discount(self.horizon.ends[1:])

    def _contracts(self, found: dict[str, np.ndarray], parts: dict, draws: int) -> None:
        grid = self.horizon.months
        for s in parts["each_contract"]:
            draw, amount = s["cell"] % draws, s["amount"]
            if "weight" in parts:
                amount = amount * parts["weight"][s["cell"] // draws]

            def lasting(w, draw=draw, begin=s["begin"], end=s["end"]):
                return _in_force(draw, end, w, draws, grid) - _in_force(draw, begin, w, draws, grid)

            revenue = lasting(amount)
            profit = revenue * (1 - self._loss)
            if "cost_share" in parts:
                profit = profit - lasting(amount * s["share"])
            found["revenue"] += revenue
            found["profit"] += profit
            found["value"] += profit * self._discount

    @property
    def _loss(self) -> float:
        net = self.rates.value_basis == "net_profit"
        return float(np.nan_to_num(self.rates.credit_loss_rate)) if net else 0.0

    def _orders(self, found: dict[str, np.ndarray], parts: dict, draws: int) -> None:
        cell, day, amount = (parts["each_order"][k] for k in ("cell", "day", "amount"))
        grid = self.horizon.months
        month = np.clip(np.searchsorted(self.horizon.ends, day, side="left") - 1, 0, grid - 1)
        place = (cell % draws) * grid + month
        add = lambda w=None: np.bincount(place, w, draws * grid).reshape(draws, grid)  # noqa: E731
        profit = amount * (1 - self._loss)
        if "cost_share" in parts:
            profit = profit - amount * parts["cost_share"].ravel()[cell]
        if self.rates.value_basis == "net_profit":
            profit = profit - np.nan_to_num(self.rates.servicing_cost)
        number = None
        if "weight" in parts:
            number = parts["weight"][cell // draws]
            amount, profit = amount * number, profit * number
        found["purchase_days"] += add(number)
        found["revenue"] += add(amount)
        found["profit"] += add(profit)
        found["value"] += add(profit * self.horizon.discount(day))

    def narrow(self, segment: str, metric: str, less: np.ndarray) -> None:
        """Takes `less` (months,) from the variance of a segment's draws, cumulated until each month."""
        total = narrowed(np.cumsum(self._months[segment][metric], axis=1), less)
        self._months[segment][metric] = np.diff(total, axis=1, prepend=0.0)

    @property
    def segments(self) -> list[str]:
        return sorted(self._months)

    def cumulative(self, metric: str, segment: str | None = None) -> np.ndarray:
        """(draws, months + 1) total from as-of to the end of each month; of the company without a segment."""
        parts = [self._months[s][metric] for s in ([segment] if segment else self.segments)]
        months = np.cumsum(sum(parts), axis=1)
        return np.concatenate([np.zeros((len(months), 1)), months], axis=1)
