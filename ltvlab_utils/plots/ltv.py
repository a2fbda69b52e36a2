"""Figures of notebook 02: fit of the order models, concentration of value, totals with their intervals."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, PercentFormatter

from ltvlab_utils.i18n import compact, say
from ltvlab_utils.plots.theme import BLUE, INK, LINE, MUTE, ORANGE, use_theme


def frequencies(check: pd.DataFrame, language: str = "en") -> Axes:
    """Customers by repeat purchase days: bars are what happened, dots what the model expects.

    `check`: label, actual, expected (value.answers.frequency_check).
    """
    use_theme()
    _, axis = plt.subplots()
    axis.bar(check["label"], check["actual"], color=LINE, width=0.7)
    axis.plot(check["label"], check["expected"], "o", color=BLUE, markersize=6, clip_on=False)
    axis.set_title(say("figure.ltv_marks", language), color=MUTE, fontsize=9)
    axis.set(xlabel=say("figure.ltv_frequency", language), ylabel=say("figure.ltv_customers", language))
    return axis


def concentration(curve: pd.DataFrame, language: str = "en") -> Axes:
    """Share of future value carried by the first customers. `curve`: customers, value (value.answers.concentration)."""
    use_theme()
    _, axis = plt.subplots(figsize=(4.6, 3.2))
    axis.plot([0, 1], [0, 1], color=LINE, linewidth=1)
    axis.plot(curve["customers"], curve["value"], color=BLUE, linewidth=2)
    for edge in (axis.xaxis, axis.yaxis):
        edge.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axis.set(
        xlim=(0, 1),
        ylim=(0, 1.02),
        xlabel=say("figure.ltv_share_customers", language),
        ylabel=say("figure.ltv_share_value", language),
    )
    return axis


def totals(table: pd.DataFrame, currency: str = "JPY", language: str = "en") -> Axes:
    """A dot and its 80 % interval a scope, the company first. `table`: the contract ltv_totals."""
    use_theme()
    order = table.sort_values("value", ascending=False, kind="stable").reset_index(drop=True)
    _, axis = plt.subplots(figsize=(7.2, 0.5 * len(order) + 0.9))
    for y, row in enumerate(order.to_dict("records")):
        hue = INK if row["scope"] == "company" else BLUE if row["low"] > 0 else ORANGE
        axis.plot([row["low"], row["high"]], [y, y], color=hue, linewidth=2.5, solid_capstyle="butt")
        axis.plot(row["value"], y, "o", color=hue, markersize=6)
    names = [str(s).removeprefix("segment:").replace("$", r"\$") for s in order["scope"]]
    axis.set_yticks(range(len(order)), names)
    axis.set_ylim(len(order) - 0.5, -0.5)
    axis.xaxis.set_major_formatter(FuncFormatter(lambda v, _: compact(v, language)))
    axis.set_xlim(left=min(0.0, float(order["low"].min())) if len(order) else 0.0)
    axis.set_xlabel(say("figure.ltv_future_value", language, currency=currency))
    return axis
