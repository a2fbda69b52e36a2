"""Group-time average treatment effects of a staggered roll-out (Callaway & Sant'Anna 2021), without covariates.

Two-way fixed effects compare late groups with groups already treated and are biased when effects grow or differ; here
every group is compared with units that are not treated (yet).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy import stats

from ltvlab_utils.errors import Refused, nearest

CONTROLS = ("never", "notyet")
LEVEL = 0.95
KINDS = {"simple": None, "dynamic": "event_time", "group": "first_treated", "calendar": "time"}


@dataclass(frozen=True)
class GroupTimeATT:
    """`.table`: first_treated, time, att, standard_error, low, high; one row a group and time, before and after.

    Rows with time < first_treated are the pre-trend: each is the change since the time before it. Intervals are
    pointwise 95 %, normal, from influence functions clustered by unit.
    """

    table: pd.DataFrame
    control: str
    n_units: int
    n_by_group: dict
    n_always_treated: int  # units treated at or before the first time: left out, nothing was seen before
    _influence: np.ndarray = field(repr=False)  # units x rows of table
    _group: np.ndarray = field(repr=False)  # first treated of each unit, inf = never

    def __repr__(self) -> str:
        return (
            f"<GroupTimeATT: {self.n_units:,} units, {len(self.n_by_group)} groups, control {self.control}, "
            f"{self.n_always_treated:,} always treated left out>"
        )

    def aggregate(self, kind: str = "simple") -> pd.DataFrame:
        """Averages of the table weighted by group size: att, standard_error, low, high.

        simple: one row, over all group-times after treatment; dynamic: a row an event_time (time since first treated,
        negative = pre-trend); group: a row a group, its mean after treatment; calendar: a row a time. Raises Refused.
        """
        if kind not in KINDS:
            raise Refused(f'"{kind}" is not a kind of aggregate.{nearest(kind, KINDS)}')
        if kind == "simple":
            return _frame([self._average(self._post)], {})
        key = KINDS[kind]
        values = self._elapsed if kind == "dynamic" else self.table[key].to_numpy()
        chosen = np.ones(len(self.table), dtype=bool) if kind == "dynamic" else self._post
        levels = pd.unique(pd.Series(np.sort(values[chosen])))
        return _frame([self._average(chosen & (values == v)) for v in levels], {key: levels})

    def overall(self, kind: str = "simple") -> pd.DataFrame:
        """One row: the mean of `aggregate(kind)` after treatment; by group size for group, equal weights for others."""
        if kind == "simple":
            return self.aggregate(kind)
        levels = self.aggregate(kind)[KINDS[kind]].to_numpy()
        if kind == "group":
            cells = [self._average(self._post & (self.table["first_treated"] == v).to_numpy()) for v in levels]
            return _frame([self._weighted(cells, levels)], {})
        values = self._elapsed if kind == "dynamic" else self.table["time"].to_numpy()
        levels = [v for v in levels if kind == "calendar" or v >= 0]
        cells = [self._average(self._post & (values == v)) for v in levels]
        return _frame([(np.mean([c[0] for c in cells]), np.mean([c[1] for c in cells], axis=0))], {})

    def total(self, n_times: int) -> pd.DataFrame:
        """One row: the effect summed over the first `n_times` times of treatment, per treated unit.

        The sum over event times 0 .. n_times - 1 of the dynamic effects. Raises Refused where one was not seen.
        """
        cells = []
        for e in range(n_times):
            chosen = self._post & (self._elapsed == e)
            if not chosen.any():
                raise Refused(f"No group was seen {e} times after its start, so a sum over {n_times} is not known.")
            cells.append(self._average(chosen))
        return _frame([(sum(c[0] for c in cells), np.sum([c[1] for c in cells], axis=0))], {})

    @property
    def _post(self) -> np.ndarray:
        return (self.table["time"] >= self.table["first_treated"]).to_numpy()

    @property
    def _elapsed(self) -> np.ndarray:
        return (self.table["time"] - self.table["first_treated"]).to_numpy()

    def _average(self, chosen: np.ndarray) -> tuple[float, np.ndarray]:
        groups = self.table["first_treated"].to_numpy()[chosen]
        parts = [
            (a, self._influence[:, i]) for a, i in zip(self.table["att"][chosen], np.flatnonzero(chosen), strict=True)
        ]
        return self._weighted(parts, groups)

    def _weighted(self, parts: list[tuple[float, np.ndarray]], groups) -> tuple[float, np.ndarray]:
        """Mean of parts by the share of their groups, with the influence of estimating those shares."""
        att = np.array([p[0] for p in parts])
        member = self._group[:, None] == np.asarray(groups, dtype=float)[None, :]
        share = member.mean(axis=0)
        weight = share / share.sum()
        error = member - share
        of_shares = (error - error.sum(axis=1, keepdims=True) * weight) / share.sum()
        return float(weight @ att), np.column_stack([p[1] for p in parts]) @ weight + of_shares @ att


def group_time_att(
    panel: pd.DataFrame, unit: str, time: str, first_treated: str, outcome: str, control: str = "never"
) -> GroupTimeATT:
    """ATT(g, t) of every group g (units first treated at g) and time t from a balanced panel.

    `panel` has one row a unit and time; `time` and `first_treated` are whole numbers of one scale (years, month
    indices); first_treated 0, null or after the last time = never treated. `control`: "never", or "notyet" (never, and
    units not treated by that time). After treatment the base is the last time before g; before it, the time before
    (varying base, as the R package `did` by default). Standard errors as there: influence functions, no small-sample
    factor. Without a never-treated unit "notyet" takes the last group as control only. Raises Refused.
    """
    if control not in CONTROLS:
        raise Refused(f'"{control}" is not a control group.{nearest(control, CONTROLS)}')
    wide, group = _wide(panel, unit, time, first_treated, outcome)
    times = wide.columns.to_numpy()
    always = group <= times[0]
    wide, group = wide.to_numpy()[~always], group[~always]
    starts = np.unique(group[np.isfinite(group)])
    if control == "never" and not np.isinf(group).any():
        raise Refused('No unit is never treated: use control="notyet", which compares with units treated later.')
    if not np.isinf(group).any() and len(starts):
        group = np.where(group == starts[-1], np.inf, group)
        times, starts = times[times < starts[-1]], starts[:-1]
    if not len(starts):
        raise Refused(
            "No group starts treatment after the first time and has others to compare with: no effect is known."
        )
    rows, influence = [], []
    for g in starts:
        for i in range(1, len(times)):
            before = int(np.flatnonzero(times < g)[-1]) if times[i] >= g else i - 1
            others = np.isinf(group)
            if control == "notyet":
                others = others | ((group > times[max(i, before)]) & (group != g))
            if others.any():
                att, psi = _difference(wide[:, i] - wide[:, before], group == g, others)
                rows.append((_plain(g), _plain(times[i]), att))
                influence.append(psi)
    table = pd.DataFrame(rows, columns=["first_treated", "time", "att"])
    psi = np.column_stack(influence)
    bounds = _frame(list(zip(table["att"], psi.T, strict=True)), {})
    table = table.assign(**{c: bounds[c] for c in ("standard_error", "low", "high")})
    sizes = {_plain(g): int((group == g).sum()) for g in starts}
    return GroupTimeATT(table, control, len(group), sizes, int(always.sum()), psi, group)


def _plain(value: float) -> int | float:
    return int(value) if float(value).is_integer() else float(value)


def _difference(change: np.ndarray, treated: np.ndarray, others: np.ndarray) -> tuple[float, np.ndarray]:
    """Difference in mean change, and each unit's influence on it (mean 0 over units)."""
    psi = np.zeros(len(change))
    means = change[treated].mean(), change[others].mean()
    psi[treated] = (change[treated] - means[0]) / treated.mean()
    psi[others] = -(change[others] - means[1]) / others.mean()
    return float(means[0] - means[1]), psi


def _frame(cells: list[tuple[float, np.ndarray]], key: dict) -> pd.DataFrame:
    att = np.array([c[0] for c in cells])
    error = np.array([np.sqrt((c[1] ** 2).sum()) / len(c[1]) for c in cells])
    half = stats.norm.ppf((1 + LEVEL) / 2) * error
    return pd.DataFrame({**key, "att": att, "standard_error": error, "low": att - half, "high": att + half})


def _wide(panel: pd.DataFrame, unit: str, time: str, first: str, outcome: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Outcome by unit and time, and the first treated time of each unit (inf = never). Raises Refused."""
    names = {"unit": unit, "time": time, "first_treated": first, "outcome": outcome}
    for what, column in names.items():
        if column not in panel.columns:
            raise Refused(f'The panel has no column "{column}" ({what}).{nearest(column, panel.columns)}')
    try:
        frame = pd.DataFrame(
            {
                "unit": panel[unit].to_numpy(),
                "time": pd.to_numeric(panel[time]).to_numpy(dtype=float),
                "first": pd.to_numeric(panel[first]).to_numpy(dtype=float, na_value=np.nan),
                "outcome": pd.to_numeric(panel[outcome]).to_numpy(dtype=float, na_value=np.nan),
            }
        )
    except (TypeError, ValueError):
        raise Refused(
            f"{time}, {first} and {outcome} should hold numbers: give months as whole numbers (year x 12 + month)."
        ) from None
    if frame.empty:
        raise Refused("The panel has no row: one row a unit and time is needed.")
    if frame["unit"].isna().any() or not np.isfinite(frame[["time", "outcome"]]).all(axis=None):
        bad = frame["unit"].isna() | ~np.isfinite(frame[["time", "outcome"]]).all(axis=1)
        raise Refused(f"{int(bad.sum()):,} of {len(frame):,} rows of the panel lack a unit, time or outcome.")
    double = frame.duplicated(["unit", "time"])
    if double.any():
        row = frame[double].head(1).to_dict("records")[0]
        raise Refused(f"The panel has two rows for {unit} {row['unit']} at {time} {row['time']:g}: one is needed.")
    wide = frame.pivot(index="unit", columns="time", values="outcome").sort_index(axis=1)
    if wide.isna().any(axis=None):
        holes = wide.isna()
        who = holes.index[holes.any(axis=1)][0]
        raise Refused(
            f"{int(holes.any(axis=1).sum()):,} of {len(wide):,} units are not seen at every time, for example {unit} "
            f"{who} at {holes.columns[holes.loc[who]][0]:g}: fill what is known to be 0, or leave these units out."
        )
    if wide.shape[1] < 2:
        raise Refused("The panel has one time only: at least one before and one after the start are needed.")
    start = frame["first"].where(frame["first"].notna() & (frame["first"] != 0), np.inf)
    by_unit = start.groupby(frame["unit"], sort=True).agg(["min", "max"]).reindex(wide.index)
    changed = by_unit.index[by_unit["min"] != by_unit["max"]]
    if len(changed):
        raise Refused(
            f"{len(changed):,} units have more than one {first}, for example {unit} {changed[0]}: one is needed."
        )
    group = by_unit["min"].to_numpy()
    return wide, np.where(group <= wide.columns[-1], group, np.inf)
