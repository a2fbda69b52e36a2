"""Figures of notebook 01: what came in by month, what was refused and why."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from ltvlab_utils.i18n import compact, say
from ltvlab_utils.plots.theme import BLUE, LINE, MUTE, ORANGE, SKY, use_theme

MONTH = 26  # days wide, so that bars of months stay apart


def accepted_by_month(months: pd.DataFrame, currency: str, language: str = "en") -> Axes:
    """Bars of the accepted amount by month, the last one dark. `months`: month, amount."""
    use_theme()
    axes = plt.figure().add_subplot()
    colors = [SKY] * (len(months) - 1) + [BLUE]
    axes.bar(months["month"], months["amount"], width=MONTH, color=colors[-len(months) :], align="edge")
    axes.axhline(0, color=LINE, linewidth=1)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: compact(value, language, digits=2)))
    axes.set_title(say("ingest.axis_amount", language, currency=currency))
    return axes


def refused_by_reason(rows: pd.DataFrame, language: str = "en") -> Axes:
    """Bars of refused rows by table and reason. `rows`: table_name, reason, rows."""
    use_theme()
    axes = plt.figure(figsize=(7.2, 0.9 + 0.35 * max(len(rows), 1))).add_subplot()
    if rows.empty:
        axes.set(xticks=[], yticks=[])
        axes.text(0.5, 0.5, say("ingest.nothing_refused", language), transform=axes.transAxes, ha="center", color=MUTE)
        return axes
    names = rows["table_name"] + "." + rows["column"] + ": " + rows["reason"]
    bars = axes.barh(names, rows["rows"], color=ORANGE, height=0.6)
    axes.bar_label(bars, padding=4, color=MUTE, fontsize=9)
    axes.invert_yaxis()
    axes.set(xticks=[])
    axes.spines["bottom"].set_visible(False)
    axes.set_title(say("ingest.axis_refused", language))
    return axes
