"""Figures of notebook 01: what came in by month, what was refused and why, which checks failed, what was restated."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from ltvlab_utils.i18n import compact, money, say, whole
from ltvlab_utils.plots.review import waterfall
from ltvlab_utils.plots.theme import BLUE, INK, LINE, MUTE, ORANGE, SAND, SKY, use_theme

MONTH = 26  # days wide, so that bars of months stay apart
AHEAD = pd.DateOffset(months=6)  # how far a wrong year may stretch the axis
COLUMNS = 2  # of checks beside each other


def amounts_by_month(months: pd.DataFrame, currency: str, language: str = "en") -> Axes:
    """Above, accepted amounts by month, the last one dark, and what is later than as-of in grey; below, on a scale of
    its own, what was refused. `months`: month (null = no readable date), accepted, refused, later."""
    use_theme()
    dated = months[months["month"].notna()]
    accepted = dated[dated["accepted"] != 0]
    last = accepted["month"].max()
    if pd.notna(last):
        dated = dated[(dated["month"] >= accepted["month"].min()) & (dated["month"] <= last + AHEAD)]
    sizes = {"height_ratios": [3, 1]}
    figure, (above, below) = plt.subplots(2, 1, sharex=True, gridspec_kw=sizes, figsize=(7.2, 4.0))
    style = {"width": MONTH, "align": "edge"}
    above.bar(dated["month"], dated["accepted"], color=np.where(dated["month"] == last, BLUE, SKY), **style)
    above.bar(dated["month"], dated["later"], bottom=dated["accepted"], color=LINE, **style)
    below.bar(dated["month"], dated["refused"], color=ORANGE, **style)
    for axes, title in ((above, "ingest.axis_amount"), (below, "ingest.axis_refused_amount")):
        axes.axhline(0, color=LINE, linewidth=1)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: compact(value, language, digits=2)))
        axes.yaxis.set_major_locator(plt.MaxNLocator(5 if axes is above else 2))
        axes.set_title(say(title, language, currency=currency))
    undated = months.loc[months["month"].isna(), "refused"].sum()
    if undated:
        words = say("ingest.undated", language, amount=money(undated, language, currency))
        below.annotate(words, (1, 1.12), xycoords="axes fraction", ha="right", color=MUTE, fontsize=9)
    figure.align_ylabels()
    return above


def refused_by_reason(rows: pd.DataFrame, language: str = "en") -> Axes:
    """Bars of refused rows by table and reason. `rows`: table_name, column, reason, rows."""
    use_theme()
    axes = plt.figure(figsize=(7.2, 0.9 + 0.35 * max(len(rows), 1))).add_subplot()
    if rows.empty:
        return _nothing(axes, say("ingest.nothing_refused", language))
    names = rows["table_name"] + "." + rows["column"] + ": " + rows["reason"]
    bars = axes.barh(names, rows["rows"], color=ORANGE, height=0.6)
    axes.bar_label(bars, labels=[whole(n, language) for n in rows["rows"]], padding=4, color=MUTE, fontsize=9)
    axes.invert_yaxis()
    axes.set(xticks=[])
    axes.spines["bottom"].set_visible(False)
    axes.set_title(say("ingest.axis_refused", language))
    return axes


def checks_overview(verdicts: pd.DataFrame, language: str = "en") -> Axes:
    """A square a check: failed ones orange (those that are only noted sand), passed ones blue, the others empty, with
    the rows found. `verdicts`: check, status, severity, rows."""
    use_theme()
    deep = -(-len(verdicts) // COLUMNS)
    axes = plt.figure(figsize=(9.6, 0.7 + 0.27 * deep)).add_subplot()
    for i, row in enumerate(verdicts.itertuples()):
        x, y = divmod(i, deep)
        failed, grave = row.status == "failed", row.severity in ("stop", "warn")
        face = (ORANGE if grave else SAND) if failed else SKY if row.status == "passed" else "white"
        edge = face if face != "white" else LINE
        axes.add_patch(plt.Rectangle((x, y + 0.2), 0.028, 0.6, facecolor=face, edgecolor=edge))
        found = f"  {whole(row.rows, language)}" if failed and row.rows else ""
        colour = INK if failed else MUTE
        words = say(f"check.{row.check}", language) + found
        axes.annotate(words, (x + 0.045, y + 0.5), va="center", color=colour, fontsize=9)
    axes.set(xlim=(0, COLUMNS), ylim=(deep, 0), xticks=[], yticks=[])
    for side in axes.spines.values():
        side.set_visible(False)
    counts = {s: int((verdicts["status"] == s).sum()) for s in ("passed", "failed", "not_applicable")}
    axes.set_title(say("ingest.title_checks", language, count=len(verdicts), **counts))
    return axes


def restated(bridge: pd.DataFrame | None, currency: str, language: str = "en") -> Axes:
    """How last month's amount moved since the last review. `bridge`: position, step (opening, added, changed, gone,
    closing), value; None = it did not move."""
    use_theme()
    axes = plt.figure(figsize=(7.2, 0.9 if bridge is None else 3.2)).add_subplot()
    if bridge is None:
        return _nothing(axes, say("ingest.nothing_moved", language))
    waterfall(bridge, say("ingest.title_moved", language, currency=currency), axes)
    steps = bridge.sort_values("position")["step"]
    axes.set_xticks(range(len(steps)), [say(f"restated.{step}", language) for step in steps])
    return axes


def _nothing(axes: Axes, words: str) -> Axes:
    axes.set(xticks=[], yticks=[])
    for side in axes.spines.values():
        side.set_visible(False)
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", color=MUTE)
    return axes
