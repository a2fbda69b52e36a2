"""The six figures on top of the review: each with two to four comparisons, its history or its interval.

A card whose data are absent says what cannot be known and which table would unlock it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from ltvlab_utils.i18n import UNKNOWN, is_known, month
from ltvlab_utils.pages import findings, svg
from ltvlab_utils.pages.facts import Facts
from ltvlab_utils.pages.html import Html, el
from ltvlab_utils.pages.voice import Voice
from ltvlab_utils.periods import Period

SOON_DAYS, NOTICE_DAYS = 30, 90


@dataclass(frozen=True)
class Row:
    """One comparison: label, value, tone (gain, loss or nothing) and the mark that stands for it in the figure."""

    label: str
    value: str
    tone: str = ""
    key: str = ""


def tone(value: float | None) -> str:
    """gain or loss by sign; the sign itself stands in the text, so that colour is never alone."""
    if not is_known(value) or value == 0:
        return ""
    return "gain" if value > 0 else "loss"


def card(title: str, big: tuple[str, str, str], figure: Html | None, rows: list[Row], note: str = "") -> Html:
    """One figure: title, number with its unit, picture, comparisons, a remark."""
    before, number, after = big
    amount = el(
        "p",
        el("small", before) if before else None,
        number,
        el("small", after) if after else None,
        class_="amount" + (" unknown" if number == UNKNOWN else ""),
    )
    items = [
        el("div", el("dt", el("i", class_=f"key {row.key}") if row.key else None, row.label),
           el("dd", row.value, class_=row.tone or None))
        for row in rows
    ]  # fmt: skip
    return el(
        "section",
        el("h3", title),
        amount,
        el("div", figure, class_="picture") if figure else None,
        el("dl", items) if items else None,
        el("p", note, class_="remark") if note else None,
        class_="card",
    )


def _spark(facts: Facts, voice: Voice, metric: str, write: Callable[[float], str], title: str) -> Html | None:
    history = facts.history(metric)
    if len(history) < 2:
        return None
    first, last = (month(Period.parse(history["month"].iloc[i]), voice.language) for i in (0, -1))
    values, targets = history["value"].tolist(), history["target"].tolist()
    known = [v for v in values if is_known(v)]
    if not known:
        return None
    words = voice("card.history", first=first, last=last, low=write(min(known)), high=write(max(known)))
    return svg.sparkline(values, targets, title, words)


def _change(voice: Voice, label: str, value: float | None, key: str = "") -> Row:
    return Row(label, voice.percent(value, sign=True), tone(value), key)


def revenue(facts: Facts, voice: Voice) -> Html:
    """1 Revenue and gross profit, month and fiscal year to date, against budget and last year."""
    now, profit = facts.kpi("revenue"), facts.kpi("gross_profit")
    title = voice(
        "card.revenue_and_profit" if is_known(profit.value) else "card.revenue", month=voice.month(year=False)
    )
    if not is_known(now.value):
        return card(title, voice.parts(None), None, [], voice("card.no_revenue"))
    rows = [Row(voice("card.gross_profit"), voice.money(profit.value))] if is_known(profit.value) else []
    if is_known(now.target):
        rows.append(_change(voice, voice("card.budget"), now.against("target"), "target"))
    if is_known(now.last_year):
        rows.append(_change(voice, voice("card.last_year"), now.against("last_year"), "ring"))
    elif is_known(now.prior):
        rows.append(_change(voice, voice("card.prior"), now.against("prior")))
    year = facts.kpi("revenue_fytd")
    if is_known(year.value):
        rows.append(Row(voice("card.year_to_date"), voice.money(year.value)))
        against = "target" if is_known(year.target) else "last_year"
        if is_known(year.against(against)) and len(rows) < 5:
            label = "card.year_to_date_budget" if against == "target" else "card.year_to_date_last_year"
            rows.append(_change(voice, voice(label), year.against(against)))
    notes = [] if is_known(profit.value) else [voice("card.no_cost")]
    notes += [] if is_known(now.target) else [voice("card.no_targets")]
    figure = _spark(facts, voice, "revenue", voice.money, title)
    return card(title, voice.parts(now.value), figure, rows, voice.sentences(notes))


def landing(facts: Facts, voice: Voice) -> Html:
    """2 Landing of the fiscal year with its 80 % interval against budget."""
    row = facts.landing()
    if row is None:
        return card(voice("card.landing", metric=voice("page.metric.revenue")), voice.parts(None), None, [],
                    voice("card.no_landing"))  # fmt: skip
    title = voice("card.landing", metric=voice(f"page.metric.{row['metric_id']}"))
    interval = voice.money_range(row["low"], row["high"])
    rows = [Row(voice("card.interval"), interval, key="band")]
    if is_known(row["budget"]):
        rows.append(Row(voice("card.target"), voice.money(row["budget"]), key="target"))
        rows.append(Row(voice("card.odds"), voice.percent(row["p_reach_budget"], 0)))
    rows.append(Row(voice("card.to_date"), voice.money(row["to_date"])))
    notes = [] if is_known(row["budget"]) else [voice("card.no_targets")]
    if is_known(row["new_business"]):
        rows.append(Row(voice("card.new_business"), voice.money(row["new_business"])))
    else:
        notes.insert(0, voice("card.no_new_business"))
    figure = svg.interval_strip(row["low"], row["landing"], row["high"], title,
                                f"{voice('card.interval')} {interval}", target=row["budget"])  # fmt: skip
    return card(title, voice.parts(row["landing"]), figure, rows, voice.sentences(notes))


def future_value(facts: Facts, voice: Voice) -> Html:
    """3 Future value of existing customers with its 80 % interval, and the change since the prior review."""
    total = facts.total()
    if total is None:
        return card(voice("card.value"), voice.parts(None), None, [], voice("card.no_value"))
    interval = voice.money_range(total["low"], total["high"])
    rows = [Row(voice("card.interval"), interval, key="band")]
    note = voice("card.first_review")
    if is_known(facts.prior_value) and facts.prior_period is not None:
        change = float(total["value"]) - facts.prior_value
        label = voice("card.before", month=month(facts.prior_period, voice.language, year=False))
        inside = total["low"] <= facts.prior_value <= total["high"]  # no more than the forecast may move by itself
        rows.append(Row(label, voice.money(change, sign=True), "" if inside else tone(change), "ring"))
        note = voice("card.split_unknown")
    rows.append(Row(voice("card.horizon"), voice("card.horizon_value", months=facts.horizon_months, basis=voice.basis)))
    rows.append(Row(voice("card.customers"), voice("card.customer_count", count=int(total["customers"]))))
    figure = svg.interval_strip(total["low"], total["value"], total["high"], voice("card.value"),
                                f"{voice('card.interval')} {interval}", before=facts.prior_value)  # fmt: skip
    return card(voice("card.value"), voice.parts(total["value"]), figure, rows, note)


def retention(facts: Facts, voice: Voice) -> Html:
    """4 NRR and GRR over 12 months; with orders only, existing customers' revenue year on year."""
    now = facts.kpi("nrr")
    contracts = is_known(now.value)
    metric = "nrr" if contracts else "existing_revenue_yoy"
    now = facts.kpi(metric)
    title = voice("card.nrr" if contracts else "card.existing")
    rows = []
    if contracts:
        rows.append(Row(voice("card.grr"), voice.percent(facts.kpi("grr").value)))
    if is_known(now.target):
        rows.append(Row(voice("card.goal"), voice.percent(now.target), key="target"))
    if is_known(now.value) and is_known(now.last_year):
        change = now.value - now.last_year
        rows.append(Row(voice("card.nrr_last_year"), voice.points(change), tone(change), "ring"))
    churn, lost, active, new = (
        facts.kpi(m) for m in ("logo_churn", "churned_customers", "active_customers", "new_customers")
    )
    if contracts and is_known(churn.value):
        rows.append(Row(voice("card.logo_churn"), voice.percent(churn.value)))
    if contracts and is_known(lost.value):
        rows.append(Row(voice("card.churned"), voice("card.customer_count", count=int(lost.value))))
    if len(rows) < 3 and is_known(active.value):
        rows.append(Row(voice("card.active"), voice("card.customer_count", count=int(active.value))))
    if len(rows) < 3 and is_known(new.value):
        rows.append(Row(voice("card.new"), voice("card.customer_count", count=int(new.value))))
    notes = [] if is_known(now.value) else [voice("card.no_year")]
    notes += [] if contracts or facts.has_contracts else [voice("card.orders_only")]
    number = voice.percent(now.value)
    big = ("", number.rstrip("%"), "%" if is_known(now.value) else "")
    return card(title, big, _spark(facts, voice, metric, voice.percent, title), rows[:4], voice.sentences(notes))


def deadlines(facts: Facts, voice: Voice) -> Html:
    """5 Contract amount whose notice deadline falls within 90 days, and the part of it at risk."""
    amount = facts.kpi("notice_90_amount")
    if not is_known(amount.value):
        return _risk(facts, voice)
    contracts, risk = facts.kpi("notice_90_contracts"), facts.kpi("notice_90_at_risk")
    rows = []
    if is_known(contracts.value):
        rows.append(Row(voice("card.contracts"), voice("card.contracts_value", count=int(contracts.value))))
    rows.append(Row(voice("card.at_risk"), voice.money(risk.value), "loss" if (risk.value or 0) > 0 else ""))
    due = facts.table("renewal_calendar")
    if due is not None:
        near = due[due["days_left"].between(0, NOTICE_DAYS)]
        soon = int((near["days_left"] <= SOON_DAYS).sum())
        rows.append(Row(voice("card.within_30"), voice("card.contracts_value", count=soon)))
        untouched = near["contacted"].dropna()
        if len(untouched):
            count = int((~untouched.astype(bool)).sum())
            value = voice("card.contracts_value", count=count)
            rows.append(Row(voice("card.not_contacted"), value, "loss" if count else ""))
    figure = _spark(facts, voice, "notice_90_amount", voice.money, voice("card.notice"))
    return card(voice("card.notice"), voice.parts(amount.value), figure, rows)


def _risk(facts: Facts, voice: Voice) -> Html:
    segments = facts.table("segments_by_customer")
    if segments is None:
        return card(voice("card.notice"), voice.parts(None), None, [], voice("card.nothing_known"))
    risk, total = float(segments["value_at_risk"].sum()), float(segments["future_value"].sum())
    endangered = int((segments["risk_class"] == "high").sum())
    rows = [Row(voice("card.risk_customers"), voice("card.customer_count", count=endangered))]
    if total > 0:
        rows.append(Row(voice("card.risk_share"), voice.percent(risk / total)))
    note = "" if facts.has_contracts else voice("card.no_deadlines")
    return card(voice("card.risk"), voice.parts(risk), None, rows, note)


def effect(facts: Facts, voice: Voice) -> Html:
    """6 Incremental effect of measures after cost with its 80 % interval, and what is decided about them."""
    rows = findings.measures(facts.table("campaign_effects"))
    if rows.empty:
        return card(voice("card.effect_plain"), voice.parts(None), None, [], voice("card.no_campaigns"))
    total, counts = findings.net_total(rows), decisions(rows)
    decided = Row(voice("card.decisions"), voice("card.decisions_value", **counts))
    if total is None:
        return card(voice("card.effect_plain"), voice.parts(None), None, [decided], voice("card.effect_unknown"))
    after_cost = rows["money_metric"].iloc[0] == "gross_profit"
    title = voice("card.effect" if after_cost else "card.effect_revenue")
    interval = voice.money_range(total["low"], total["high"])
    figure = svg.interval_strip(total["low"], total["net"], total["high"], title,
                                f"{voice('card.interval')} {interval}", zero=True)  # fmt: skip
    lines = [
        Row(voice("card.interval"), interval, key="band"),
        Row(voice("card.cost"), voice.money(total["cost"])),
        decided,
    ]
    note = voice("card.effect_part" if after_cost else "card.effect_part_revenue", count=total["campaigns"])
    return card(title, voice.parts(total["net"], sign=True), figure, lines, note)


def decisions(rows: pd.DataFrame) -> dict[str, int]:
    """How many measures are to be continued (go), stopped, or cannot be told."""
    count = rows["decision"].value_counts()
    return {"go": int(count.get("continue", 0)), "stop": int(count.get("stop", 0)),
            "cannot_tell": int(count.get("cannot_tell", 0))}  # fmt: skip


CARDS = (revenue, landing, future_value, retention, deadlines, effect)


def cards(facts: Facts, voice: Voice) -> Html:
    """All six, in the order of the glossary."""
    return el(
        "div",
        [make(facts, voice) for make in CARDS],
        class_="cards",
        role="group",
        aria_label=voice("page.six_figures"),
    )
