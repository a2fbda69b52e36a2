"""The answers of notebook 04 as sentences, computed from its tables; plain text, with campaign ids cleaned."""

from __future__ import annotations

import pandas as pd

from ltvlab_utils.experiments.campaigns import headline, left_out
from ltvlab_utils.experiments.outcomes import METRICS, CampaignOutcomes
from ltvlab_utils.i18n import say
from ltvlab_utils.i18n.formats import compact

LONGEST = 40


def clean(name: str) -> str:
    """A name from an extract as one short line of printable characters; it is still not safe as HTML."""
    line = "".join(c if c.isprintable() else " " for c in str(name)).strip()
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def _number(value: float, language: str, sign: bool = True) -> str:
    return compact(value, language, digits=3, sign=sign)


def _metric(name: str, language: str) -> str:
    return say(f"outcome.{name if name in METRICS else 'other'}", language)


def designs(outcomes: CampaignOutcomes, language: str = "en") -> str:
    """Which measures are there, how customers were chosen, and who is left out; or which files are missing."""
    if outcomes.campaigns.empty:
        return say("note.effects_no_campaigns", language)
    if outcomes.customers["orders"].isna().all():
        return say("note.effects_no_orders", language)
    count = outcomes.campaigns["design"].value_counts()
    by_design = {d: int(count.get(d, 0)) for d in ("randomised", "staggered", "targeted")}
    possible = by_design["randomised"] + by_design["staggered"]
    said = say("note.effects_designs", language, total=int(count.sum()), possible=possible, **by_design)
    return f"{said}\n{_use(outcomes, language)}"


def _use(outcomes: CampaignOutcomes, language: str) -> str:
    """Which assigned customers are not in the comparison, and why."""
    rows = left_out(outcomes).to_dict("records")
    said = [say(r["reason"], language, campaign=clean(r["campaign_id"]), count=r["customers"]) for r in rows]
    return "\n".join(said) or say("note.effects_all_used", language)


def alike(outcomes: CampaignOutcomes, balance: pd.DataFrame, language: str = "en") -> str:
    """A line a campaign: how far apart the arms were before."""
    lines = []
    for row in outcomes.campaigns.to_dict("records"):
        own = balance[balance["campaign_id"] == row["campaign_id"]]
        size = own["standardised_difference"].abs()
        words = {"campaign": clean(row["campaign_id"]), "design": say(f"design.{row['design']}", language)}
        if size.notna().any():
            most = own.loc[size.idxmax()]
            words |= {"largest": _number(size.max(), language, sign=False), "covariate": most["covariate"]}
            lines.append(say("note.effects_balance", language, **words))
        else:
            lines.append(say("note.effects_balance_none", language, **words))
    return "\n".join(lines) or say("note.effects_no_campaigns", language)


def caused(effects: pd.DataFrame, language: str = "en") -> str:
    """A line a campaign with a causal effect: effect, interval, verdict, what it could have found."""
    rows = headline(effects)
    lines = [
        say(
            "note.effects_effect",
            language,
            campaign=clean(r["campaign_id"]),
            metric=_metric(r["metric"], language),
            effect=_number(r["effect"], language),
            low=_number(r["low"], language),
            high=_number(r["high"], language),
            verdict=say(f"verdict.{r['verdict']}", language),
            mde=_number(r["minimum_detectable"], language, sign=False),
        )
        for r in rows[rows["causal"].astype(bool)].to_dict("records")
    ]
    return "\n".join(lines) or say("note.effects_none_judged", language)


def without_control(effects: pd.DataFrame, language: str = "en") -> str:
    """A line a campaign: what a reading without a control says, beside what it caused."""
    lines = []
    for r in headline(effects).dropna(subset=["naive"]).to_dict("records"):
        words = {"campaign": clean(r["campaign_id"]), "metric": _metric(r["metric"], language)}
        words |= {"naive": _number(r["naive"], language, sign=False)}
        if r["causal"]:
            lines.append(say("note.effects_naive", language, **words, effect=_number(r["effect"], language)))
        else:
            lines.append(say("note.effects_naive_only", language, **words))
    return "\n".join(lines) or say("note.effects_none_judged", language)


def unjudged(effects: pd.DataFrame, language: str = "en") -> str:
    """A line a campaign that cannot be judged: why, and what to do so that the next one can."""
    lines = []
    rows = headline(effects)
    for r in rows[~rows["verdict"].isin(["works", "harms"])].to_dict("records"):
        kind = "no_estimate" if r["verdict"] == "cannot_tell" and not r["causal"] else r["verdict"]
        lesson = say(
            f"note.effects_lesson_{kind}",
            language,
            mde=_number(r["minimum_detectable"], language, sign=False),
            window_ends_on=f"{r['window_ends_on']:%Y-%m-%d}",
        )
        words = {"campaign": clean(r["campaign_id"]), "verdict": say(f"verdict.{r['verdict']}", language)}
        lines.append(say("note.effects_unjudged", language, **words, lesson=lesson))
    nothing = "note.effects_all_judged" if len(effects) else "note.effects_no_campaigns"
    return "\n".join(lines) or say(nothing, language)


def next_plan(actions: pd.DataFrame, effects: pd.DataFrame, language: str = "en") -> str:
    """A line an action that the next plan reads, and what its number counts."""
    lines = [
        say(
            "note.effects_action",
            language,
            action=clean(r["action"]),
            effect=_number(r["effect"], language),
            low=_number(r["low"], language),
            high=_number(r["high"], language),
            campaigns=clean(r["campaigns"]),
        )
        for r in actions.to_dict("records")
    ]
    if not lines:
        return say("note.effects_action_none", language)
    profit = (effects["causal"].astype(bool) & (effects["metric"] == "gross_profit")).any()
    basis = "note.effects_action_profit" if profit else "note.effects_action_revenue"
    return "\n".join([*lines, say(basis, language)])
