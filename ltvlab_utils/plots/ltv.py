"""Figures of notebook 02 about values: fit of the order models, maps, concentration, cohorts, totals, fan."""

from __future__ import annotations

import re

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from ltvlab_utils.i18n import compact, decimal, say, whole
from ltvlab_utils.plots.theme import BLUE, INK, LINE, MUTE, ORANGE, PAPER, SKY, use_theme

DEPTH = LinearSegmentedColormap.from_list("depth", [PAPER, "#dbe9f6", SKY, BLUE, "#123a63"])


def plain(name: object) -> str:
    """A name as text: a $ in it starts no formula."""
    return str(name).replace("$", r"\$")


def short(value: float, language: str) -> str:
    """A number as it is said, without zeros after the point: 5億 and 1.25億, 120m."""
    bare = re.sub(r"(\.\d*?)0+(?=\D|$)", r"\1", compact(value, language))
    return re.sub(r"\.(?=\D|$)", "", bare)


def amounts(axis, language: str) -> None:
    """Writes the numbers of an axis as they are said."""
    axis.set_major_formatter(FuncFormatter(lambda v, _: short(v, language)))


def nothing(language: str) -> Axes:
    """An empty figure that says so."""
    _, axis = plt.subplots(figsize=(7.2, 0.7))
    axis.set_axis_off()
    axis.annotate(say("figure.nothing", language), (0, 0.5), xycoords="axes fraction", color=MUTE, va="center")
    return axis


def frequencies(check: pd.DataFrame, language: str = "en") -> Axes:
    """Customers by number of repeat purchase days: bars are what happened, dots what the model expects.

    `check`: label, actual, expected (value.answers.frequency_check).
    """
    use_theme()
    _, axis = plt.subplots()
    axis.bar(check["label"], check["actual"], color=LINE, width=0.7)
    axis.plot(check["label"], check["expected"], "o", color=BLUE, markersize=6, clip_on=False)
    axis.set_title(say("figure.ltv_marks", language), color=MUTE, fontsize=9)
    axis.set(xlabel=say("figure.ltv_frequency", language), ylabel=say("figure.ltv_customers", language))
    return axis


def history_maps(grid: pd.DataFrame, language: str = "en") -> tuple[Axes, Axes] | Axes:
    """P(alive) and the expected purchase days of the next 12 months over repeat purchase days and months since the
    last order. `grid`: value.exhibits.history_map."""
    use_theme()
    if not len(grid):
        return nothing(language)
    figure, axes = plt.subplots(1, 2, figsize=(9.0, 3.6), sharey=True)
    segment, known = plain(grid["model_segment"].iloc[0]), decimal(grid["months_known"].iloc[0], language, 0)
    for axis, column in zip(axes, ("p_alive", "expected_orders"), strict=True):
        wide = grid.pivot(index="months_silent", columns="frequency", values=column)
        top = 1.0 if column == "p_alive" else float(wide.max().max())
        mesh = axis.pcolormesh(wide.columns, wide.index, wide, cmap=DEPTH, vmin=0, vmax=top, shading="nearest")
        mesh.set_rasterized(True)
        levels = [0.25, 0.5, 0.75, 0.9] if column == "p_alive" else MaxNLocator(5).tick_values(0, top)[1:-1]
        hues = [PAPER if v > 0.45 * top else INK for v in levels]  # on dark ground light, on light ground dark
        lines = axis.contour(wide.columns, wide.index, wide, levels=levels, colors=hues, linewidths=0.9)
        word = "{:.0%}" if column == "p_alive" else "{:g}"
        axis.clabel(lines, fmt=word.format, fontsize=8, colors=hues)
        axis.set_title(say("figure.map_alive" if column == "p_alive" else "figure.map_orders", language))
        axis.set_xlabel(say("figure.map_frequency", language))
        axis.tick_params(length=0)
        for side in axis.spines.values():
            side.set_visible(False)
        bar = figure.colorbar(
            mesh, ax=axis, pad=0.02, aspect=30, format=FuncFormatter(lambda v, _, word=word: word.format(v))
        )
        bar.outline.set_visible(False)
        bar.ax.tick_params(length=0)
    axes[0].set_ylabel(say("figure.map_silent", language))
    who = say("figure.map_who", language, segment=segment, months=known)
    figure.suptitle(who, x=0.01, ha="left", fontsize=9, color=MUTE)
    return axes[0], axes[1]


def concentration(curve: pd.DataFrame, language: str = "en") -> Axes:
    """Share of future value carried by the first customers. `curve`: customers, value (value.answers.concentration)."""
    use_theme()
    _, axis = plt.subplots(figsize=(4.6, 3.2))
    axis.plot([0, 1], [0, 1], color=LINE, linewidth=1)
    axis.fill_between(curve["customers"], curve["value"], curve["customers"], color=SKY, alpha=0.25, linewidth=0)
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
    names = [plain(str(s).removeprefix("segment:")) for s in order["scope"]]
    axis.set_yticks(range(len(order)), names)
    axis.set_ylim(len(order) - 0.5, -0.5)
    amounts(axis.xaxis, language)
    axis.set_xlim(left=min(0.0, float(order["low"].min())) if len(order) else 0.0)
    axis.set_xlabel(say("figure.ltv_future_value", language, currency=currency))
    return axis


def cohorts(table: pd.DataFrame, months: int, currency: str = "JPY", language: str = "en") -> Axes:
    """Value a customer by channel and cohort with its 80 % interval, acquisition cost beside it. `table`: the contract
    cohort_ltv; `months`: its horizon."""
    use_theme()
    if not len(table):
        return nothing(language)
    rows = table.sort_values(["acquisition_channel", "cohort"], ignore_index=True)
    _, axis = plt.subplots(figsize=(7.2, 0.27 * len(rows) + 1.1))
    told = {"label": say("figure.cohort_interval", language)}
    cost_told = {"label": say("figure.cohort_cost", language)}
    channels = list(rows["acquisition_channel"].unique())
    spots = [y + 0.6 * channels.index(c) for y, c in enumerate(rows["acquisition_channel"])]
    for y, row in zip(spots, rows.to_dict("records"), strict=True):
        axis.plot([row["low"], row["high"]], [y, y], color=BLUE, linewidth=2.5, solid_capstyle="butt")
        axis.plot(row["value"], y, "o", color=BLUE, markersize=5, **told)
        told = {}
        if pd.notna(row["acquisition_cost"]):
            axis.plot(row["acquisition_cost"], y, "|", color=ORANGE, markersize=9, markeredgewidth=2, **cost_told)
            cost_told = {}
        count = whole(row["customers"], language)
        axis.annotate(
            f"n={count}", (row["high"], y), xytext=(6, 0), textcoords="offset points", va="center", fontsize=8,
            color=MUTE,
        )  # fmt: skip
    names = [f"{plain(c)}  {k}" for c, k in zip(rows["acquisition_channel"], rows["cohort"], strict=True)]
    axis.set_yticks(spots, names)
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(spots[-1] + 0.6, -0.6)
    axis.set_xlim(left=min(0.0, float(rows["low"].min())))
    amounts(axis.xaxis, language)
    axis.set_xlabel(say("figure.cohort_value", language, months=months, currency=currency))
    axis.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, fontsize=8, handletextpad=0.4, borderaxespad=0.2)
    return axis


def fan(path: pd.DataFrame, currency: str = "JPY", language: str = "en") -> Axes:
    """Cumulated future value of the whole base by month. `path`: value.exhibits.fan."""
    use_theme()
    _, axis = plt.subplots()
    month = path["month_end"]
    axis.fill_between(month, path["low_80"], path["high_80"], color=SKY, alpha=0.35, linewidth=0)
    axis.fill_between(month, path["low_50"], path["high_50"], color=SKY, alpha=0.8, linewidth=0)
    axis.plot(month, path["expected"], color=BLUE, linewidth=2)
    last = path.iloc[-1]
    for column, size in (("high_80", 8), ("expected", 9), ("low_80", 8)):
        axis.annotate(
            compact(last[column], language), (last["month_end"], last[column]), xytext=(5, 0),
            textcoords="offset points", va="center", fontsize=size, color=INK if column == "expected" else MUTE,
        )  # fmt: skip
    axis.set_title(say("figure.fan_bands", language), color=MUTE, fontsize=9)
    axis.set_ylabel(say("figure.fan_value", language, currency=currency))
    axis.set_xlim(month.iloc[0], last["month_end"])
    axis.set_ylim(bottom=min(0.0, float(path["low_80"].min())))
    amounts(axis.yaxis, language)
    return axis
