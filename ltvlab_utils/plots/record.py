"""Figures of notebook 02 about its own record: forecasts against what happened, calibration, tracking, renewals."""

from __future__ import annotations

import matplotlib.dates as dates
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from ltvlab_utils.i18n import say, whole
from ltvlab_utils.plots.ltv import amounts, nothing, plain
from ltvlab_utils.plots.theme import BLUE, INK, LINE, MUTE, ORANGE, PAPER, SKY, use_theme

DOT = {"markersize": 7, "markeredgewidth": 1.6}


def record(track: pd.DataFrame, what: str, language: str = "en") -> Axes:
    """A forecast a row: its 80 % interval and mean, what happened, and the naive reading. What lies outside its
    interval is orange. `track`: value.exhibits.ledger_track or backtest_track; `what`: the axis, as a word."""
    use_theme()
    if not len(track):
        axis = nothing(language)
        axis.texts[0].set_text(say("figure.record_none", language))
        return axis
    rows = track.reset_index(drop=True)
    _, axis = plt.subplots(figsize=(7.2, 0.42 * len(rows) + 1.2))
    for y, row in rows.iterrows():
        inside = row["low"] <= row["actual"] <= row["high"]
        axis.plot([row["low"], row["high"]], [y, y], color=SKY, linewidth=9, solid_capstyle="butt", zorder=1)
        axis.plot(row["forecast"], y, "|", color=BLUE, markersize=13, markeredgewidth=2.2, zorder=2)
        axis.plot(row["naive"], y, "x", color=MUTE, markersize=6, markeredgewidth=1.4, zorder=3)
        axis.plot(row["actual"], y, "o", color=INK if inside else ORANGE, markeredgecolor=PAPER, zorder=4, **DOT)
    marks = [
        plt.Line2D(
            [], [], color=SKY, linewidth=9, marker="|", markersize=13, markeredgewidth=2.2, markeredgecolor=BLUE
        ),
        plt.Line2D([], [], color=INK, marker="o", linestyle="", markeredgecolor=PAPER, **DOT),
        plt.Line2D([], [], color=MUTE, marker="x", linestyle="", markersize=6, markeredgewidth=1.4),
    ]
    words = [say(f"figure.record_{code}", language) for code in ("forecast", "actual", "naive")]
    axis.legend(marks, words, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, fontsize=8, borderaxespad=0.2)
    axis.set_yticks(range(len(rows)), [plain(v) for v in rows["label"]])
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(len(rows) - 0.4, -0.6)
    amounts(axis.xaxis, language)
    axis.set_xlabel(what)
    return axis


def calibration(deciles: pd.DataFrame, what: str, language: str = "en") -> Axes:
    """Tenths of customers by predicted value: the predicted mean with its 80 % interval, and what came. `deciles`:
    decile, predicted, low, high, actual (backtest.Record.deciles of one quantity); `what`: the axis, as a word."""
    use_theme()
    if not len(deciles):
        return nothing(language)
    _, axis = plt.subplots()
    for row in deciles.to_dict("records"):
        x, inside = row["decile"], row["low"] <= row["actual"] <= row["high"]
        axis.plot([x, x], [row["low"], row["high"]], color=SKY, linewidth=9, solid_capstyle="butt", zorder=1)
        axis.plot(x, row["predicted"], "_", color=BLUE, markersize=13, markeredgewidth=2.2, zorder=2)
        axis.plot(x, row["actual"], "o", color=INK if inside else ORANGE, markeredgecolor=PAPER, zorder=3, **DOT)
    marks = [
        plt.Line2D(
            [], [], color=SKY, linewidth=9, marker="|", markersize=13, markeredgewidth=2.2, markeredgecolor=BLUE
        ),
        plt.Line2D([], [], color=INK, marker="o", linestyle="", markeredgecolor=PAPER, **DOT),
    ]
    words = [say(f"figure.record_{code}", language) for code in ("forecast", "actual")]
    axis.legend(marks, words, loc="upper left", fontsize=8)
    axis.set_xticks(deciles["decile"])
    axis.tick_params(axis="x", length=0)
    axis.set(xlabel=say("figure.decile", language), ylabel=what)
    amounts(axis.yaxis, language)
    return axis


def tracking(track: pd.DataFrame, language: str = "en") -> tuple[Axes, Axes] | Axes:
    """Repeat orders and what the model expects, cumulated and by month; months after the cut are shaded. `track`:
    value.exhibits.track."""
    use_theme()
    if not len(track):
        return nothing(language)
    _, axes = plt.subplots(1, 2, figsize=(9.4, 3.3), width_ratios=[1.15, 1])
    month, later = track["month_end"], track["after_cut"]
    kinds = (("cumulative_actual", "cumulative_expected"), ("actual", "expected"))
    for axis, (actual, expected), title in zip(axes, kinds, ("cumulative", "monthly"), strict=True):
        axis.plot(month, track[actual], color=INK, linewidth=1.8, label=say("figure.actual", language))
        axis.plot(
            month, track[expected], color=BLUE, linewidth=1.8, ls=(0, (4, 2)), label=say("figure.model", language)
        )
        axis.set_title(say(f"figure.track_{title}", language))
        axis.set_ylim(bottom=0)
        axis.set_xlim(month.iloc[0], month.iloc[-1])
        if later.any() and not later.all():
            cut = month[~later].iloc[-1]
            axis.axvspan(cut, month.iloc[-1], color=SKY, alpha=0.18, linewidth=0)
            axis.axvline(cut, color=MUTE, linewidth=1, linestyle=":")
        axis.set_xticks(month.iloc[-1 :: -max(-(-len(month) // 5), 1)])
        axis.xaxis.set_major_formatter(dates.DateFormatter("%Y-%m"))
        amounts(axis.yaxis, language)
    if later.any():
        axes[0].annotate(
            say("figure.after_cut", language), (1, 0.03), xycoords="axes fraction", ha="right", fontsize=8, color=MUTE,
            xytext=(-6, 0), textcoords="offset points",
        )  # fmt: skip
    axes[0].legend(loc="upper left", fontsize=9)
    return axes[0], axes[1]


def renewals(curve: pd.DataFrame, language: str = "en") -> Axes:
    """Contracts that got past each renewal decision: points with 80 % intervals are what happened, the line the model.
    `curve`: value.exhibits.renewal_curve."""
    use_theme()
    if not len(curve):
        return nothing(language)
    _, axis = plt.subplots(figsize=(6.4, 3.2))
    start = pd.DataFrame({"decision": [0], "expected": [1.0]})
    line = pd.concat([start, curve[["decision", "expected"]]])
    axis.plot(line["decision"], line["expected"], color=BLUE, linewidth=2, label=say("figure.model", language))
    seen = curve.dropna(subset="actual")
    for row in seen.to_dict("records"):
        axis.plot([row["decision"]] * 2, [row["low"], row["high"]], color=MUTE, linewidth=1.6, zorder=3)
        axis.annotate(
            whole(row["at_risk"], language), (row["decision"], row["actual"]), xytext=(7, 4),
            textcoords="offset points", fontsize=8, color=MUTE,
        )  # fmt: skip
    axis.plot(seen["decision"], seen["actual"], "o", color=INK, markeredgecolor=PAPER, zorder=4,
              label=say("figure.renewals_actual", language), **DOT)  # fmt: skip
    axis.axhline(0, color=LINE, linewidth=1)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axis.set(xlim=(0, None), ylim=(0, 1.04), xlabel=say("figure.decision", language))
    axis.set_ylabel(say("figure.still_there", language))
    axis.legend(loc="lower left", fontsize=8)
    return axis
