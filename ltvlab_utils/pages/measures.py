"""Measures: the effect against the control group with its interval, the naive reading beside it, the decision."""

from __future__ import annotations

import pandas as pd

from ltvlab_utils.i18n import is_known
from ltvlab_utils.pages import findings, svg
from ltvlab_utils.pages.facts import Facts
from ltvlab_utils.pages.html import Html, el
from ltvlab_utils.pages.sections import absent, block
from ltvlab_utils.pages.voice import Voice

SHOWN = 8
TURNED = {"continue": "gain", "stop": "loss", "cannot_tell": "open"}
SIGNS = {"continue": "▲", "stop": "■", "cannot_tell": "？"}


def measures(facts: Facts, voice: Voice) -> Html:
    """The forest of measures; a measure without a control group has no effect, only the naive reading."""
    rows = findings.measures(facts.table("campaign_effects"))
    if rows.empty:
        return absent(voice("measure.title"), voice("measure.absent"))
    after_cost = rows["money_metric"].iloc[0] == "gross_profit"
    rows = rows.assign(_order=rows["decision"].map({"continue": 0, "stop": 1, "cannot_tell": 2}))
    rows = rows.sort_values(["_order", "net"], ascending=[True, False], na_position="last")
    shown, more = rows.head(SHOWN), len(rows) - SHOWN
    domain = domain_of(shown)
    names = ("name", "effect" if after_cost else "effect_revenue", "net", "verdict")
    head = el("tr", [el("th", _head(name, domain, voice), scope="col", class_=name.split("_")[0]) for name in names])
    body = [_row(row, domain, voice) for row in shown.to_dict("records")]
    table = el("table", el("thead", head), el("tbody", body), class_="forest cards-on-phone")
    rest = el("p", voice("measure.more", count=more), class_="total") if more > 0 else None
    read = voice("measure.read_net" if after_cost else "measure.read_revenue")
    return block(voice.finding(findings.evaluated(rows)), read, el("div", table, rest))


def domain_of(rows: pd.DataFrame) -> tuple[float, float]:
    """The axis: zero and all intervals; naive readings only as far as they leave the intervals readable."""
    ends = [float(v) for column in ("net_low", "net_high") for v in rows[column] if is_known(v)]
    naive = [float(v) for v in rows["naive_net"] if is_known(v)]
    if not ends:
        ends = naive
    low, high = min([0.0, *ends]), max([0.0, *ends])
    reach = 1.2 * (high - low)
    low = min([low, *(v for v in naive if v >= low - reach)])
    high = max([high, *(v for v in naive if v <= high + reach)])
    return (low, high) if high > low else (-1.0, 1.0)


def _head(name: str, domain: tuple[float, float], voice: Voice) -> object:
    if not name.startswith("effect"):
        return voice(f"measure.{name}")
    at = svg.pct(svg.scale(*domain, 3, 97)(0.0))
    zero = el("span", el("span", "0", style=f"left:{at}"), class_="axis", aria_hidden="true")
    return [voice(f"measure.{name}"), zero]


def _row(row: dict, domain: tuple[float, float], voice: Voice) -> Html:
    kind, known = TURNED[row["decision"]], is_known(row["net"])
    code = "measure.groups" if row["n_control"] else "measure.no_control"
    sizes = {"treated": voice.whole(row["n_treatment"])}
    groups = voice(code, **sizes, **({"control": voice.whole(row["n_control"])} if row["n_control"] else {}))
    naive = voice.money(row["naive_net"], sign=True) if is_known(row["naive_net"]) else ""
    amount = voice.money(row["net"], sign=True) if known else voice("measure.not_known")
    second = voice.money_range(row["net_low"], row["net_high"])
    if not known:
        second = voice("measure.cost", amount=voice.money(row["cost_amount"]))
    told = [amount, second, voice("measure.naive_word", amount=naive) if naive else ""]
    title = voice.sentences([str(row["campaign_name"]), *told])
    picture = svg.effect_row(row["net_low"], row["net"], row["net_high"], row["naive_net"], domain, kind, title)
    sign = el("i", SIGNS[row["decision"]], aria_hidden="true")
    turn = el("span", sign, voice(f"measure.decision.{row['decision']}"), class_=f"turn {kind}")
    cells = (
        ("effect", [picture]),
        ("net", [el("b", amount, class_=None if known else "mute"), el("small", second),
                 el("small", f"◇ {naive}", title=told[2]) if naive else None]),
        ("verdict", [turn, el("small", voice(f"measure.why.{why(row)}"))]),
    )  # fmt: skip
    return el(
        "tr",
        el("th", el("bdi", row["campaign_name"]), el("small", groups), scope="row", class_="name"),
        [el("td", content, class_=key, data_label=voice(f"measure.{key}")) for key, content in cells],
    )


def why(row: dict) -> str:
    """Code of the reason behind a decision."""
    if row["decision"] == "stop":
        return "harms" if row["verdict"] == "harms" else "cost"
    if row["decision"] == "cannot_tell" and row["verdict"] == "works":
        return "pays_unclear"
    return row["verdict"]
