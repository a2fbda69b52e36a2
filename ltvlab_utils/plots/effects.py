"""Effects of campaigns: a dot and its interval, an open diamond for the reading without a control group."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ltvlab_utils.i18n import knows, say
from ltvlab_utils.plots.theme import BLUE, INK, LINE, MUTE, ORANGE, use_theme

HUE = {"works": BLUE, "harms": ORANGE}
LONGEST = 22
ROW = 0.55  # inches a campaign


def forest(rows: pd.DataFrame, language: str = "en") -> np.ndarray:
    """Forest plot of campaigns, a panel a metric; blue works, orange harms, grey cannot tell, no dot = no effect known.

    `rows`: one row a campaign of the contract campaign_effects (experiments.headline). Returns an array of Axes.
    """
    use_theme()
    metrics = list(dict.fromkeys(rows["metric"])) or [""]
    counts = [max(1, int((rows["metric"] == m).sum())) for m in metrics]
    height = ROW * sum(counts) + 0.9 * len(metrics)
    _, axes = plt.subplots(len(metrics), 1, figsize=(7.6, height), height_ratios=counts, squeeze=False)
    for axis, metric in zip(axes[:, 0], metrics, strict=True):
        _panel(axis, rows[rows["metric"] == metric], metric, language)
    return axes[:, 0]


def _panel(axis: Axes, rows: pd.DataFrame, metric: str, language: str) -> None:
    axis.set(yticks=[], ylim=(len(rows) - 0.4, -0.6))
    axis.spines["left"].set_visible(False)
    if rows.empty:
        axis.set(xticks=[])
        axis.text(0.5, 0.5, say("effects.nothing", language), transform=axis.transAxes, ha="center", color=MUTE)
        return
    axis.axvline(0, color=LINE, linewidth=1.2, zorder=0)
    for y, row in enumerate(rows.to_dict("records")):
        hue = HUE.get(row["verdict"], MUTE)
        if pd.notna(row["effect"]):
            axis.plot([row["low"], row["high"]], [y, y], color=hue, linewidth=2, solid_capstyle="butt")
            axis.plot(row["effect"], y, "o", color=hue, markersize=6)
        if pd.notna(row["naive"]):
            axis.plot(row["naive"], y, "D", markersize=6, markerfacecolor="none", markeredgecolor=ORANGE)
        _words(axis, y, row, language)
    word = say(f"outcome.{metric}" if knows(f"outcome.{metric}") else "outcome.other", language)
    axis.set_xlabel(say("effects.axis", language, metric=word) + "   " + say("effects.naive_mark", language))
    axis.margins(x=0.08)


def _words(axis: Axes, y: int, row: dict, language: str) -> None:
    """Name and size of the control group on the left, the verdict in words on the right."""
    name = "".join(c if c.isprintable() else " " for c in str(row["campaign_name"]))
    name = name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"
    control = say("effects.controls", language, count=int(row["n_control"]))
    place = {"xycoords": axis.get_yaxis_transform(), "textcoords": "offset points", "annotation_clip": False}
    # names come from extracts: "$" is a letter in them, not mathematics
    plain = {"parse_math": False, **place}
    axis.annotate(name, (0, y), (-8, 2), ha="right", va="bottom", fontsize=9, color=INK, **plain)
    axis.annotate(control, (0, y), (-8, 0), ha="right", va="top", fontsize=7.5, color=MUTE, **plain)
    verdict = say(f"verdict.{row['verdict']}", language)
    axis.annotate(verdict, (1, y), (8, 0), ha="left", va="center", fontsize=9, color=INK, **plain)
