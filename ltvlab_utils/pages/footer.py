"""Footer: run, kind, and how each figure was computed, with the notebook that holds the cells."""

from __future__ import annotations

from ltvlab_utils.pages.facts import Facts
from ltvlab_utils.pages.html import Html, el
from ltvlab_utils.pages.voice import Voice
from ltvlab_utils.tables.ingest import UNLOCKS


def footer(facts: Facts, voice: Voice) -> Html:
    """One line of provenance and a list that opens."""
    run = voice("footer.run", run=facts.run_id) if facts.run_id else voice("footer.no_run")
    marks = [
        voice(f"page.kind.{facts.kind}"),
        run,
        voice("page.as_of", day=voice.day(facts.as_of)),
        voice("footer.program", version=facts.version),
    ]
    return el(
        "footer",
        el("p", [el("span", mark) for mark in marks]),
        el("p", voice("footer.unlock", names=names)) if (names := unlocks(facts, voice)) else None,
        el("details", el("summary", voice("footer.how")), el("ul", [el("li", line) for line in how(facts, voice)])),
    )


def unlocks(facts: Facts, voice: Voice) -> str:
    """Tables and columns that were not delivered, each with what it would unlock; "" where nothing is missing."""
    report = facts.table("ingest_report")
    if report is None:
        return ""
    lacking: dict[str, set[str]] = {}
    for table, columns in zip(report["table_name"], report["columns_missing"], strict=True):
        own = set() if columns is None or columns != columns else set(str(columns).split(", "))
        lacking[table] = lacking.get(table, own) & own  # a column that another file of the table holds is there
    found = []
    for what in UNLOCKS:
        table, _, column = what.partition(".")
        absent = column in lacking[table] if table in lacking and column else table not in lacking and not column
        if absent:
            found.append(voice("footer.unlocks", what=what, unlocks=voice(f"unlock.{what}")))
    return voice("mark.semicolon").join(found)


def how(facts: Facts, voice: Voice) -> list[str]:
    """Where each part of the page is computed, and what it assumes."""
    lines = []
    report = facts.table("ingest_report")
    if report is not None:
        counts = {k: voice.whole(report[f"rows_{k}"].sum()) for k in ("read", "accepted", "rejected")}
        lines.append(voice("footer.ingest", **counts))
    rate = voice.percent(facts.discount_rate, 0)
    lines.append(voice("footer.ltv", months=facts.horizon_months, basis=voice.basis, rate=rate))
    if facts.margin_assumed:
        lines.append(voice("footer.assumed"))
    lines.append(voice("footer.review"))
    lines.append(voice("footer.effects"))
    return lines
