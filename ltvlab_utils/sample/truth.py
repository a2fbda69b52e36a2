"""The truth of a generated company, which no model may read: true values, true effects, and futures to order.

`true_expected` is the mean over futures of the value of a customer, given its latent facts and its state at the end of
the data, with shocks, lives, satisfaction and the time to the next order drawn anew: it grades bias and slope.
`true_realised` is the value on the one path that happens, with shocks shared by all: it grades coverage.
Two futures that are compared share all random numbers (draws.py), so a measure that does nothing has an effect of
exactly zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from ltvlab_utils.errors import Refused, nearest
from ltvlab_utils.sample import history as hist
from ltvlab_utils.sample import measures
from ltvlab_utils.sample.futures import HORIZONS, MOST, Question, Tally, blocks, futures
from ltvlab_utils.sample.people import LINES
from ltvlab_utils.sample.state import State

PATHS = 2_000
EFFECT_PATHS = PATHS // 10  # differences of paired futures vary far less than futures
EFFECT_METRICS = ("orders", "order_revenue", "contract_revenue", "revenue", "renewals", "value")
DAYS_A_MONTH = 365.25 / 12
NO_MEASURE = "none"


def customer_ids(count: int) -> np.ndarray:
    """Ids of the customers of a generated company, in the order of its people."""
    return ("C" + pd.Series(np.arange(1, count + 1)).astype(str).str.zfill(5)).to_numpy()


@dataclass
class Truth:
    """The truth of a company at the end of its data. Nothing is computed before it is asked for."""

    history: hist.History

    @classmethod
    def of(cls, setting: hist.Setting) -> Truth:
        """Lives the company's past again from its setting; a company of 1,200 takes about two seconds."""
        return cls(hist.run(setting))

    @cached_property
    def ids(self) -> np.ndarray:
        return customer_ids(len(self.history.people))

    @property
    def rows(self) -> np.ndarray:
        return np.arange(len(self.history.people))

    def _row(self, customer_id: str) -> int:
        at = np.flatnonzero(self.ids == customer_id)
        if not len(at):
            raise Refused(f"No customer {customer_id} in this company.{nearest(customer_id, list(self.ids))}")
        return int(at[0])

    def _tallies(self, rows, question: Question, state: State | None = None, horizons=HORIZONS):
        """(rows of a block, tallies by horizon), block after block."""
        start = self.history.state if state is None else state
        for block in blocks(self.history.people, np.asarray(rows), len(question.paths)):
            yield block, futures(self.history, start, question, block, horizons)

    def _question(self, paths: int, **changes) -> Question:
        return Question(self.history.setting.months, tuple(self.history.applied), np.arange(1, paths + 1), **changes)

    def latents(self) -> pd.DataFrame:
        """One row a customer: customer_id, its latent facts (people.people), died_on (last day of the month in which it
        left, null = alive at the end of the data), fading (months of it left), satisfaction at the end of the data,
        distributor (customer_id)."""
        h, state = self.history, self.history.state
        gone = state.gone[:, 0].astype(int)
        dead = ~state.alive[:, 0] & (gone < h.setting.months)
        last = h.setting.month_day(np.where(dead, gone, 0) + 1) - np.timedelta64(1, "D")
        out = h.people.drop(columns=["candidate", "group", "leads", "through", "partner", "parent"])
        ids = np.append(self.ids, None)
        return out.assign(
            customer_id=self.ids,
            line=np.array(LINES)[h.people["line"]],
            parent_id=ids[h.people["parent"]],
            distributor=ids[h.people["through"]],
            died_on=np.where(dead, last, np.datetime64("NaT")),
            fading=state.fading[:, 0],
            satisfaction=state.satisfaction[:, 0],
        )[["customer_id", *(c for c in out.columns), "parent_id", "distributor", "died_on", "fading", "satisfaction"]]

    def expected(self, paths: int = PATHS, horizons: Sequence[int] = HORIZONS) -> pd.DataFrame:
        """true_expected: customer_id, horizon_months, value (yen), standard_error (Monte Carlo), orders,
        order_revenue, contract_revenue; one row a customer and horizon."""
        found = []
        for block, tallies in self._tallies(self.rows, self._question(paths), horizons=horizons):
            found += [self._means(block, months, tally) for months, tally in tallies.items()]
        return _sorted(found)

    def _means(self, block: np.ndarray, months: int, tally: Tally) -> pd.DataFrame:
        paths = tally.value.shape[1]
        error = {"standard_error": tally.value.std(axis=1, ddof=1) / np.sqrt(paths)} if paths > 1 else {}
        return pd.DataFrame(
            {
                "customer_id": self.ids[block],
                "horizon_months": months,
                "value": tally.value.mean(axis=1),
                **error,
                **{c: getattr(tally, c).mean(axis=1) for c in ("orders", "order_revenue", "contract_revenue")},
            }
        )

    def realised(self, horizons: Sequence[int] = HORIZONS) -> pd.DataFrame:
        """true_realised: customer_id, horizon_months, value (yen), orders, order_revenue, contract_revenue on the path
        that goes on from the data. Raises Refused for a horizon beyond it."""
        if max(horizons) > hist.AHEAD:
            raise Refused(
                f"The path that happens is known for {hist.AHEAD} months after the data, not {max(horizons)}."
            )
        question = Question(
            self.history.setting.months, tuple(self.history.applied), np.array([hist.PAST]), redraw=False, drawn=True
        )
        found = []
        for block, tallies in self._tallies(self.rows, question, horizons=horizons):
            found += [self._means(block, months, tally) for months, tally in tallies.items()]
        return _sorted(found)

    def realised_paths(self, paths: int, horizon: int = 36, first: int = 0) -> pd.DataFrame:
        """Values of other paths that might have happened, shocks shared by all customers of a line: one row a
        customer, one column a path. They never coincide with the paths of `expected`."""
        numbers = np.arange(MOST + first, MOST + first + paths)
        question = Question(self.history.setting.months, tuple(self.history.applied), numbers, drawn=True)
        out = np.empty((len(self.ids), paths))
        for block, tallies in self._tallies(self.rows, question, horizons=(horizon,)):
            out[block] = tallies[horizon].value
        return pd.DataFrame(out, index=pd.Index(self.ids, name="customer_id"), columns=range(paths))

    def campaign_effects(self, paths: int = EFFECT_PATHS, horizons: Sequence[int] = HORIZONS) -> pd.DataFrame:
        """True effects: campaign_id, action, metric (EFFECT_METRICS), horizon_months, window, effect (mean a treated
        customer), standard_error (Monte Carlo), total (over all that it reaches), spill_total (over those of them that
        were not treated), n_treatment. A campaign that treated nobody is left out.

        Futures from the campaign's first month with it and without it, the same numbers in both; what other campaigns
        had begun by then goes on. `window` True: the months of its window, counted for each customer from the month
        in which it was treated itself, as an evaluation of a staggered campaign counts; else months from the first.
        Customers that came later are not in it.
        """
        rows = []
        for one in (a for a in self.history.assigned if a.treated.any()):
            window = max(round(one.campaign.window / DAYS_A_MONTH), 1)
            reached = np.flatnonzero(one.applied.weight > 0)
            own_end = one.applied.start[reached] - one.month + window
            treated = np.isin(reached, one.rows[one.treated])
            known = [a.applied for a in self.history.assigned if a.month <= one.month and a is not one]
            with_it, without = (
                self._gather(reached, Question(one.month, tuple(c), np.arange(1, paths + 1)),
                             self.history.before[one.campaign.code], sorted({*own_end.tolist(), *horizons}))
                for c in ([*known, one.applied], known)
            )  # fmt: skip
            about = {"campaign_id": one.campaign.code, "action": one.campaign.action}
            for metric in EFFECT_METRICS:
                change = {h: getattr(with_it[h], metric) - getattr(without[h], metric) for h in with_it}
                in_window = np.stack([change[end][i] for i, end in enumerate(own_end)])
                for horizon, found in ((window, in_window), *((h, change[h]) for h in horizons)):
                    rows.append({**about, "metric": metric, "horizon_months": horizon, "window": found is in_window,
                                 **_effect(found, treated)})  # fmt: skip
        names = "campaign_id action metric horizon_months window effect standard_error total spill_total n_treatment"
        return pd.DataFrame(rows, columns=names.split())

    def _gather(self, rows: np.ndarray, question: Question, state: State | None, horizons) -> dict[int, Tally]:
        """Tallies of `rows`, in their order."""
        shape = (len(rows), len(question.paths))
        out = {h: Tally.zero(shape) for h in horizons}
        for block, tallies in self._tallies(rows, question, state, horizons):
            at = np.searchsorted(rows, block)
            for h, tally in tallies.items():
                for name, values in vars(tally).items():
                    getattr(out[h], name)[at] = values
        return out

    def decisions(self) -> pd.DataFrame:
        """Renewal decisions of the data: customer_id, month (first day), discount offered, chance of renewal with that
        offer, without one and with 10 %, satisfaction, renews."""
        kept = [e for e in self.history.log.contracts if e["kind"] == "decision" and e["month"] >= 0]
        place = pd.Series(np.arange(len(self.ids)), index=self.history.people["candidate"])
        join = lambda name: np.concatenate([e[name] for e in kept]) if kept else np.zeros(0)  # noqa: E731
        months = np.concatenate([np.full(len(e["who"]), e["month"]) for e in kept]) if kept else np.zeros(0, int)
        return pd.DataFrame(
            {
                "customer_id": self.ids[place.reindex(join("who")).to_numpy(int)],
                "month": self.history.setting.month_day(months),
                "discount": join("offer"),
                "chance": join("chance"),
                "chance_without": join("chance_without"),
                "chance_with_ten": join("chance_with"),
                "satisfaction": join("mood"),
                "renews": join("renews").astype(bool),
            }
        )

    def discount_effect(self, paths: int = EFFECT_PATHS, horizons: Sequence[int] = HORIZONS) -> pd.DataFrame:
        """quantity, horizon_months, true, standard_error, naive: the effect of a discount on the share renewed (mean
        over those who got one; exact), of 10 % for all (exact), and of 10 % at every coming renewal decision on value a
        holder (Monte Carlo). `naive` compares those with and without a discount, as a report would. NaN where the data
        hold no decision of the kind."""
        d = self.decisions()
        given = d["discount"] > 0
        naive = d.loc[given, "renews"].mean() - d.loc[~given, "renews"].mean()
        gain, ten = (d["chance"] - d["chance_without"])[given], d["chance_with_ten"] - d["chance_without"]
        rows = [
            ("renewal, those with a discount", 0, gain.mean(), 0.0, naive),
            ("renewal, 10 % for all", 0, ten.mean(), 0.0, naive),
        ]
        holders = self.history.cast.holders if self.history.state.had.any() else np.zeros(0, int)
        with_ten, without = (
            self._gather(holders, self._question(paths, discount=offer), None, horizons) for offer in (0.10, 0.0)
        )
        for h in horizons if len(holders) else ():
            change = (with_ten[h].value - without[h].value).mean(axis=0)
            rows.append(("value, 10 % at every renewal", h, change.mean(), change.std(ddof=1) / np.sqrt(paths), np.nan))
        return pd.DataFrame(rows, columns=["quantity", "horizon_months", "true", "standard_error", "naive"])

    def action_effect(self, customer_id: str, action: str, paths: int = PATHS) -> pd.DataFrame:
        """What an action begun in the month after the data brings with one customer: horizon_months, effect (value in
        yen, before the action's own cost), standard_error, cost_amount, hours. Raises Refused for an unknown one."""
        return (
            self.simulate(pd.DataFrame({"customer_id": [customer_id], "action": [action]}), paths)
            .query("customer_id == @customer_id")[
                ["horizon_months", "effect", "standard_error", "cost_amount", "hours"]
            ]
            .reset_index(drop=True)
        )

    def simulate(self, plan: pd.DataFrame, paths: int = PATHS, horizons: Sequence[int] = HORIZONS) -> pd.DataFrame:
        """The value of a plan (customer_id, action; `none` = nothing), begun in the month after the data: one row a
        customer that it reaches, spill to its group included, and horizon: customer_id, action, horizon_months,
        value_with, value_without, effect, standard_error, cost_amount, hours. Raises Refused for an unknown customer
        or action, or two actions for one customer."""
        rows = np.array([self._row(c) for c in plan["customer_id"]], dtype=int)
        for action in plan["action"]:
            if action != NO_MEASURE and action not in measures.ACTIONS:
                known = [*measures.ACTIONS, NO_MEASURE]
                raise Refused(f'No action is called "{action}".{nearest(str(action), known)}')
        if len(set(rows.tolist())) < len(rows):
            twice = plan["customer_id"][plan["customer_id"].duplicated()].iloc[0]
            raise Refused(f"Customer {twice} stands in the plan twice: one action a customer.")
        people, start = self.history.people, self.history.setting.months
        chosen = np.full(len(people), NO_MEASURE, dtype=object)
        chosen[rows] = plan["action"].to_numpy()
        response, group = people["response"].to_numpy(), people["group"].to_numpy()
        applied = []
        for action in sorted(set(chosen) - {NO_MEASURE}):
            begins = np.where(chosen == action, start, -1)
            reached = measures.with_spill(begins, response, group, self.history.knobs.spill)
            applied.append(measures.Applied(action, *reached))
        reached = np.flatnonzero(np.any([a.weight > 0 for a in applied], axis=0)) if applied else np.zeros(0, int)
        reached = np.union1d(reached, rows)
        without = self._gather(reached, self._question(paths), None, horizons)
        question = Question(start, (*self.history.applied, *applied), np.arange(1, paths + 1))
        with_plan = self._gather(reached, question, None, horizons)
        found = []
        for h in horizons:
            change = with_plan[h].value - without[h].value
            does = [measures.ACTIONS.get(a) for a in chosen[reached]]
            found.append(
                pd.DataFrame(
                    {
                        "customer_id": self.ids[reached],
                        "action": chosen[reached],
                        "horizon_months": h,
                        "value_with": with_plan[h].value.mean(axis=1),
                        "value_without": without[h].value.mean(axis=1),
                        "effect": change.mean(axis=1),
                        "standard_error": change.std(axis=1, ddof=1) / np.sqrt(paths),
                        "cost_amount": [d.cost if d else 0 for d in does],
                        "hours": [d.hours if d else 0.0 for d in does],
                    }
                )
            )
        return _sorted(found)


def _effect(change: np.ndarray, treated: np.ndarray) -> dict[str, float]:
    """Of (reached customers, paths) differences: the mean a treated customer, its error, and the totals."""
    own = change[treated].mean(axis=0)
    return {
        "effect": own.mean(), "standard_error": own.std(ddof=1) / np.sqrt(len(own)),
        "total": change.sum(axis=0).mean(), "spill_total": change[~treated].sum(axis=0).mean(),
        "n_treatment": int(treated.sum()),
    }  # fmt: skip


def _sorted(frames: list[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(frames, ignore_index=True).sort_values(["customer_id", "horizon_months"], ignore_index=True)


__all__ = ["NO_MEASURE", "PATHS", "Truth", "customer_ids"]
