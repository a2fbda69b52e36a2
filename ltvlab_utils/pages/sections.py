"""The sections of the review: a finding as heading, a line on how to read, a figure or a table."""

from __future__ import annotations

import pandas as pd

from ltvlab_utils.i18n import is_known
from ltvlab_utils.pages import findings, svg
from ltvlab_utils.pages.facts import Facts
from ltvlab_utils.pages.html import Html, el
from ltvlab_utils.pages.voice import Voice

WATCH_SHOWN = 8
STALE_DAYS = 7
CLASSES = ("high", "middle", "low")


def block(heading: str, read: str, *content: object) -> Html:
    """A section: the finding, how to read it, what shows it."""
    return el("section", el("div", el("h2", heading), el("p", read, class_="read")), *content, class_="block")


def absent(title: str, sentence: str) -> Html:
    """A section whose data are not there: what cannot be known, and what would unlock it."""
    told = el("p", sentence, class_="absent") if sentence else None
    return el("section", el("div", el("h2", title), told), class_="block")


def header(facts: Facts, voice: Voice) -> Html:
    """Company, month, preliminary or final, as-of, how far the data reach; then the month in one or two sentences."""
    until = facts.data_until
    days = (facts.as_of - until).days if until else 0
    stale = until is not None and days > STALE_DAYS
    day = voice.day(until)
    fresh = (
        voice("page.data_stale", day=day, count=days) if stale else voice("page.data_until", day=day) if until else ""
    )
    return el(
        "header",
        el("div",
           el("h1", voice("page.title", month=voice.month())),
           el("bdi", facts.name(voice.language), class_="company"),
           el("span", voice(f"page.kind.{facts.kind}"), class_=f"kind {facts.kind}"),
           el("span", voice("page.as_of", day=voice.day(facts.as_of)), class_="stamp first"),
           el("span", fresh, class_="stamp stale" if stale else "stamp") if fresh else None,
           class_="bar"),
        el("p", lede(facts, voice), class_="lede"),
    )  # fmt: skip


def lede(facts: Facts, voice: Voice) -> str:
    """The month in one or two sentences: revenue against the best comparison there is, and the landing."""
    revenue, row = facts.kpi("revenue"), facts.landing()
    words = {"month": voice.month(year=False), "revenue": voice.money(revenue.value)}
    gap, last_year, prior = (revenue.against(k) for k in ("target", "last_year", "prior"))
    if not is_known(revenue.value):
        first = voice("lede.unknown", month=words["month"])
    elif is_known(gap) and findings.direction(gap) == "flat":
        first = voice("lede.met", **words)
    elif is_known(gap):
        first = voice("lede.over" if gap > 0 else "lede.short", gap=voice.percent(abs(gap)), **words)
    elif is_known(last_year):
        first = voice("lede.last_year", change=voice.percent(last_year, sign=True), **words)
    elif is_known(prior):
        first = voice("lede.prior", change=voice.percent(prior, sign=True), **words)
    else:
        first = voice("lede.plain", **words)
    if row is None:
        return first
    metric, landing = voice(f"page.metric.{row['metric_id']}"), voice.money(row["landing"])
    if is_known(row["p_reach_budget"]):
        odds = voice.percent(row["p_reach_budget"], 0)
        return voice.sentences([first, voice("lede.landing_odds", metric=metric, landing=landing, odds=odds)])
    return voice.sentences([first, voice("lede.landing", metric=metric, landing=landing)])


def _steps(bridge: pd.DataFrame, prefix: str, voice: Voice) -> list[svg.Step]:
    rows = bridge.sort_values("position").to_dict("records")
    return [
        svg.Step(
            label=voice.coded(f"{prefix}.step", row["step"]),
            note=voice.whole(row["customers"]),
            value=float(row["value"]),
            level=row["step"] in ("opening", "closing"),
            calculation=bool(row.get("calculation", False)),
        )
        for row in rows
        if row["step"] in ("opening", "closing") or row["value"] != 0 or row["customers"] > 0
    ]


def _waterfall(bridge: pd.DataFrame, prefix: str, voice: Voice) -> tuple[Html, str, str]:
    """The figure, its unit, and a remark on a cut axis."""
    steps = _steps(bridge, prefix, voice)
    divisor, unit, decimals = voice.chart_unit(max(abs(s.value) for s in steps if s.level))

    def write(step: svg.Step) -> str:
        return voice.scaled(step.value, divisor, decimals, sign=not step.level)

    told = ", ".join(f"{s.label} {write(s)}" for s in steps)
    cut = voice("bridge.cut") if svg.cut_of(steps) > 0 else ""
    return svg.waterfall(steps, write, voice(f"{prefix}.title"), f"{told} ({unit})"), unit, cut


def revenue_bridge(facts: Facts, voice: Voice) -> Html:
    """What moved revenue from the month before to this month."""
    bridge = facts.table("revenue_bridge")
    if bridge is None:
        return absent(voice("bridge.title"), voice("bridge.absent"))
    moved, lost = findings.revenue_moved(bridge), findings.losses_against_gains(bridge)
    figure, unit, cut = _waterfall(bridge, "bridge", voice)
    heading = voice.sentences([voice.finding(moved), voice.finding(lost)])
    read = voice.sentences([voice("bridge.read", unit=unit), cut])
    return block(heading, read, el("figure", figure, class_="panel"))


def value_change(facts: Facts, voice: Voice) -> Html:
    """What moved future value since the prior review; without one, how concentrated it is."""
    total, bridge = facts.total(), facts.table("ltv_bridge")
    if total is None:
        return absent(voice("value_bridge.title"), voice("concentration.absent"))
    moved = findings.value_moved(total["value"], total["low"], total["high"], facts.prior_value)
    if bridge is None:
        return concentration(facts, voice, voice.finding(moved))
    figure, unit, cut = _waterfall(bridge, "value_bridge", voice)
    split = voice("value_bridge.hatched" if bridge["calculation"].any() else "value_bridge.not_split")
    read = voice.sentences([voice("value_bridge.read", unit=unit), split, cut])
    return block(voice.finding(moved), read, el("figure", figure, class_="panel"))


def concentration(facts: Facts, voice: Voice, moved: str) -> Html:
    """Future value by tenth of customers, most valuable first."""
    values = facts.table("ltv_by_customer")
    found, shares = findings.concentration(values["future_value"]) if values is not None else (None, [])
    if not shares:
        return absent(moved, voice("finding.concentration_unknown"))
    labels = [voice("concentration.first"), *(str(i) for i in range(2, 10)), voice("concentration.last")]
    words = [voice.percent(s, 0) for s in shares]
    figure = svg.columns(shares, labels, words, 1, voice("concentration.title"), ", ".join(words))
    read = voice("concentration.read", moved=moved)
    return block(voice.finding(found), read, el("figure", figure, class_="panel"))


# --- customers at risk ------------------------------------------------------------------------------------------------


def watchlist(facts: Facts, voice: Voice, owner: str = "") -> Html:
    """Customers that need someone now: why, until when, how much, what next. `owner`: only those of one person."""
    frame = facts.table("watchlist")
    if frame is None:
        empty = facts.tables.get("watchlist") is not None
        return absent(voice("finding.watch_none" if empty else "watch.title"), "" if empty else voice("watch.absent"))
    rows = frame[frame["owner"] == owner] if owner else frame
    read = voice.sentences([voice("watch.read"), voice("watch.owner_only", owner=owner) if owner else ""])
    heading = voice.finding(findings.watch(rows))
    if rows.empty:
        return block(heading, read)
    rows = rows.sort_values("rank")
    industries = facts.tables.get("industries")
    industry = (
        dict(zip(industries["customer_id"], industries["industry"], strict=True)) if industries is not None else {}
    )
    largest = float(rows["future_value"].max())
    written = [_watch_row(row, industry.get(row["customer_id"]), largest, voice) for row in rows.to_dict("records")]
    more = len(written) - WATCH_SHOWN
    rest = None
    if more > 0:
        rest = el("details", el("summary", voice("watch.more", count=more)), _watch_table(written[WATCH_SHOWN:], voice))
    return block(heading, read, _watch_table(written[:WATCH_SHOWN], voice), rest)


def _watch_table(rows: list[Html], voice: Voice) -> Html:
    names = ("customer", "reason", "deadline", "at_risk", "action")
    head = el("tr", [el("th", voice(f"watch.{name}"), scope="col", class_=name) for name in names])
    return el("table", el("thead", head), el("tbody", rows), class_="watch cards-on-phone")


def _watch_row(row: dict, industry: object, largest: float, voice: Voice) -> Html:
    owner = row["owner"] if isinstance(row["owner"], str) and row["owner"] else None
    who = [el("bdi", v) for v in (industry, owner or voice("watch.no_owner")) if isinstance(v, str) and v]
    small = [piece for one in who for piece in (" / ", one)][1:]
    days = row["days_left"]
    left = (
        "" if not is_known(days) else voice("watch.overdue") if days < 0 else voice("watch.days_left", count=int(days))
    )
    deadline = [voice.day(row["deadline_on"], year=False), el("small", left)] if left else ["—"]
    of_value = voice(
        "watch.of_value", value=voice.money(row["future_value"]), risk=voice.percent(row["churn_probability"], 0)
    )
    cells = (
        ("reason", [voice.coded("reason", row["reason"], row["reason_values"])]),
        ("deadline", [el("span", deadline, class_="urgent" if is_known(days) and days <= 30 else None)]),
        ("at_risk", [_risk_bar(row, largest, voice), el("small", of_value)]),
        ("action", [voice.coded("action", row["action"])]),
    )
    return el(
        "tr",
        el("th", el("bdi", row["customer_name"]), el("small", small), scope="row", class_="customer"),
        [el("td", content, class_=key, data_label=voice(f"watch.{key}")) for key, content in cells],
    )


def _risk_bar(row: dict, largest: float, voice: Voice) -> Html:
    """The customer's future value as a bar, its part at risk in orange, the amount in words."""
    width = 100 * max(row["future_value"], 0) / largest if largest > 0 else 0
    part = 100 * min(1.0, row["value_at_risk"] / row["future_value"]) if row["future_value"] > 0 else 0
    bar = el("i", el("i", style=f"width:{part:.1f}%"), class_="bar", style=f"width:{width:.1f}%", aria_hidden="true")
    return el("span", el("b", voice.money(row["value_at_risk"])), el("span", bar, class_="track"), class_="risk")


# --- value x risk -----------------------------------------------------------------------------------------------------


def grid(facts: Facts, voice: Voice) -> Html:
    """Value by risk: each customer stands in exactly one of nine cells, and the total shows it."""
    segments = facts.table("segments_by_customer")
    if segments is None:
        return absent(voice("grid.title"), voice("grid.absent"))
    sums = segments.groupby(["value_class", "risk_class"])[["future_value", "value_at_risk"]].sum()
    sums["count"] = segments.groupby(["value_class", "risk_class"]).size()
    largest, risks = float(sums["future_value"].max()), CLASSES[::-1]
    head = el("tr", el("td"), [el("th", voice(f"grid.risk_{r}"), scope="col") for r in risks])
    body = [
        el("tr", el("th", voice(f"grid.value_{v}"), scope="row"), [_cell(sums, v, r, largest, voice) for r in risks])
        for v in CLASSES
    ]
    table = el("table", el("thead", head), el("tbody", body), class_="grid")
    total = voice(
        "grid.total",
        count=len(segments),
        value=voice.money(segments["future_value"].sum()),
        at_risk=voice.money(segments["value_at_risk"].sum()),
    )
    heading = voice.finding(findings.grid(segments))
    return block(
        heading,
        voice("grid.read", count=len(segments)),
        el("div", table, el("p", total, class_="total"), class_="panel"),
    )


def _cell(sums: pd.DataFrame, value: str, risk: str, largest: float, voice: Voice) -> Html:
    found = (
        sums.loc[(value, risk)]
        if (value, risk) in sums.index
        else pd.Series({"count": 0, "future_value": 0.0, "value_at_risk": 0.0})
    )
    depth = max(0.0, found["future_value"]) / largest if largest > 0 else 0.0
    part = min(1.0, max(0.0, found["value_at_risk"]) / found["future_value"]) if found["future_value"] > 0 else 0.0
    count = int(found["count"])
    return el(
        "td",
        el("b", voice(f"grid.{value}_{risk}")),
        el("span", voice("grid.customers", count=count), class_="n"),
        el("em", voice.money(found["future_value"])) if count else None,
        el("i", el("i", style=f"width:{100 * part:.0f}%"), class_="foot", aria_hidden="true"),
        class_=None if count else "none",
        style=f"--depth:{round(100 * depth**0.6)}%",
    )
