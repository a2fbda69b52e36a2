"""The answers of notebook 02 about its own record, renewals, cohorts and the sealed forecasts (floor 2)."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from ltvlab_utils import histories as hist
from ltvlab_utils.i18n import compact, day, decimal, money, money_range, month, percent, points, say, whole
from ltvlab_utils.periods import Period
from ltvlab_utils.value.exhibits import due
from ltvlab_utils.value.ledger import COMPANY, broken

GATE_BIAS, GATE_COVERAGE = 0.10, 0.07  # mean bias of totals, distance of 80 % coverage that a look back may show


def _listed(words, language: str) -> str:
    return say("list.separator", language).join(words)


def record(ledger: pd.DataFrame, as_of: date, language: str = "en") -> str:
    """How good the earlier forecasts were; a seal that does not hold is said first."""
    bad, lines = broken(ledger), []
    if len(bad):
        names = [f"{r.forecast_of} {r.scope} {r.metric} +{int(r.horizon_months)}" for r in bad.head(3).itertuples()]
        lines.append(say("note.record_broken", language, count=len(bad), which=_listed(names, language)))
    ledger = ledger[ledger["forecast_of"] < f"{as_of:%Y-%m}"]  # its own forecasts are no record
    if not len(ledger):
        return "\n".join([*lines, say("note.record_first", language)])
    rows = due(ledger)
    rows = rows[rows["scope"] == COMPANY]
    for metric, part in rows.groupby("metric", sort=True):
        held = int(((part["low"] <= part["actual"]) & (part["actual"] <= part["high"])).sum())
        miss = lambda column, part=part: float(((part[column] - part["actual"]).abs() / part["actual"].abs()).mean())  # noqa: E731
        lines.append(
            say(
                "note.record_due", language, metric=say(f"forecast.{metric}", language), held=whole(held, language),
                count=len(part), miss=percent(miss("forecast"), language), naive=percent(miss("naive"), language),
            )
        )  # fmt: skip
    waiting = ledger[ledger["actual"].isna()]
    ends = [
        Period.parse(p).shift(int(h)) for p, h in zip(waiting["forecast_of"], waiting["horizon_months"], strict=True)
    ]
    later = [e for e in ends if e > Period(as_of.year, as_of.month)]
    if later:
        lines.append(say("note.record_waiting", language, count=len(later), month=month(min(later).last_day, language)))
    if len(later) < len(ends):
        lines.append(say("note.record_untold", language, count=len(ends) - len(later)))
    return "\n".join(lines)


def _mean(scores: pd.DataFrame, model: str, metric: str) -> float:
    part = scores[(scores["model"] == model) & (scores["metric"] == metric)]
    return float(part["value"].mean()) if len(part) else np.nan


def looked_back(found, language: str = "en") -> str:
    """How the model would have done at earlier dates (`found`: backtest.Record), quantity by quantity, with a verdict
    on bias, coverage and CRPS."""
    scores = found.scores[found.scores["model_segment"] == hist.ALL]
    if not len(scores):
        return say("note.look_short", language)
    cuts = sorted(scores["origin"].unique())
    lines = [
        say(
            "note.look_asked", language, dates=_listed((day(c, language) for c in map(pd.Timestamp, cuts)), language),
            months=found.months,
        )
    ]  # fmt: skip
    for quantity, prefix in (("purchase_days", ""), ("revenue", "revenue_")):
        if not (scores["metric"] == f"{prefix}bias").any():
            continue
        own = scores[scores["model"] == "ltvlab"]
        each = own[own["metric"] == f"{prefix}bias"].sort_values("origin")["value"]
        held = own[own["metric"] == f"{prefix}total_covered_80"]["value"]
        crps = {m: _mean(scores, m, f"{prefix}crps") for m in sorted(scores["model"].unique()) if m != "base_rate"}
        best = min((m for m in crps if m != "ltvlab"), key=lambda m: crps[m])
        coverage, bias = _mean(own, "ltvlab", f"{prefix}coverage_80"), float(each.mean())
        lines.append(
            say(
                "note.look_scores", language, what=say(f"forecast.{quantity}", language),
                bias=_listed((percent(v, language, sign=True) for v in each), language),
                held=whole(held.sum(), language), count=len(held),
                coverage=percent(coverage, language, 0), crps=compact(crps["ltvlab"], language),
                naive=say(f"model.{best}", language), naive_crps=compact(crps[best], language),
            )
        )  # fmt: skip
        faults = [
            code
            for code, wrong in (
                ("bias", abs(bias) > GATE_BIAS), ("coverage", abs(coverage - 0.8) > GATE_COVERAGE),
                ("crps", crps["ltvlab"] >= crps[best]),
            )
            if wrong
        ]  # fmt: skip
        gate = {"bias": percent(GATE_BIAS, language, 0), "points": points(GATE_COVERAGE, language, 0).lstrip("+")}
        wrong = _listed((say(f"fault.{f}", language, **gate) for f in faults), language)
        lines.append(
            say("note.look_fails", language, faults=wrong) if faults else say("note.look_passes", language, **gate)
        )
    brier = _mean(scores, "ltvlab", "renewal_brier")
    if np.isfinite(brier):
        lines.append(
            say(
                "note.look_renewals", language,
                predicted=percent(_mean(scores, "ltvlab", "renewal_predicted"), language),
                actual=percent(_mean(scores, "ltvlab", "renewal_actual"), language), brier=decimal(brier, language, 3),
                base=decimal(_mean(scores, "base_rate", "renewal_brier"), language, 3),
            )
        )  # fmt: skip
    gaps = np.diff(np.array(cuts, dtype="datetime64[M]")).astype(int)
    if len(cuts) == 1:
        lines.append(say("note.look_one", language))
    elif gaps.min() < found.months:
        lines.append(say("note.look_overlap", language))
    if found.sampled:
        lines.append(say("note.look_sampled", language, count=found.sampled))
    return "\n".join(lines)


def tracked(track: pd.DataFrame, language: str = "en") -> str:
    """How far repeat orders and the model stand apart, before the cut and after it."""
    if not len(track):
        return say("note.ltv_no_orders", language)
    seen, later = track[~track["after_cut"]], track[track["after_cut"]]
    off = lambda part: part["expected"].sum() / part["actual"].sum() - 1 if part["actual"].sum() else np.nan  # noqa: E731
    if not len(later):
        return say("note.track_seen", language, seen=percent(off(seen), language, sign=True))
    return say(
        "note.track", language, seen=percent(off(seen), language, sign=True), count=len(later),
        later=percent(off(later), language, sign=True), cut=day(seen["month_end"].max(), language),
    )  # fmt: skip


def renewals(curve: pd.DataFrame, language: str = "en") -> str:
    """Where renewal as it happened and the model stand furthest apart."""
    known = curve.dropna(subset="actual") if len(curve) else curve
    if not len(known):
        return say("note.renewals_none", language)
    apart = (known["expected"] - known["actual"]).abs().max()
    last = known.iloc[-1]
    return say(
        "note.renewals_curve", language, kind=say(f"term.{last['term_class']}", language),
        decisions=whole(last["decision"], language), actual=percent(last["actual"], language, 0),
        expected=percent(last["expected"], language, 0), apart=percent(apart, language, 1),
    )  # fmt: skip


def cohorts(table: pd.DataFrame, left_out: int, settings, language: str = "en") -> str:
    """What the channels brought: the best and the weakest over all their cohorts, and who is left out."""
    lines = []
    if len(table):
        weighted = table.assign(total=table["value"] * table["customers"])
        by = weighted.groupby("acquisition_channel")[["total", "customers"]].sum()
        mean = (by["total"] / by["customers"]).sort_values(ascending=False)
        lines.append(
            say(
                "note.cohorts", language, months=settings.horizon_months, best=mean.index[0],
                most=money(mean.iloc[0], language, settings.currency), worst=mean.index[-1],
                least=money(mean.iloc[-1], language, settings.currency), count=int(table["customers"].sum()),
            )
            if len(mean) > 1
            else say(
                "note.cohorts_one", language, months=settings.horizon_months, channel=mean.index[0],
                value=money(mean.iloc[0], language, settings.currency), count=int(table["customers"].sum()),
            )
        )  # fmt: skip
    if left_out:
        lines.append(say("note.cohorts_left_out", language, count=left_out))
    return "\n".join(lines) or say("note.cohorts_none", language)


def sealed(ledger: pd.DataFrame, new: pd.DataFrame, kind: str, settings, language: str = "en") -> str:
    """What this review forecasts for the whole company, in money, and whether it is sealed. `new`: ledger.forecasts;
    rows that `ledger` has of the same period come before them."""
    own = ledger[ledger["forecast_of"].isin(new["forecast_of"])]
    is_sealed = len(own) > 0
    own = own if is_sealed else new
    own, lines = own[own["scope"] == COMPANY], []
    for row in own[own["metric"] != "purchase_days"].sort_values(["metric", "horizon_months"]).itertuples():
        lines.append(
            say(
                "note.sealed_row", language, metric=say(f"forecast.{row.metric}", language),
                months=int(row.horizon_months), value=money(row.forecast, language, settings.currency),
                low_high=money_range(row.low, row.high, language, settings.currency),
                naive=money(row.naive, language, settings.currency),
            )
        )  # fmt: skip
    last = say("note.sealed", language)
    if not is_sealed:
        last = say("note.sealed_not", language, kind=say(f"run_kind.{kind}", language))
    return "\n".join([*lines, last])
