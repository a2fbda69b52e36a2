"""Figures of notebook 03: tables in, Axes out; nothing is computed here but positions on the page."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from ltvlab_utils.plots.theme import BLUE, INK, LINE, MUTE, ORANGE, SAND, SKY

VALUE_CLASSES, RISK_CLASSES = ["high", "middle", "low"], ["low", "middle", "high"]


def _short(value: float) -> str:
    """A number as an axis or a bar carries it: 1.2bn, 34m, 560k."""
    for step, word in ((1e9, "bn"), (1e6, "m"), (1e3, "k")):
        if abs(value) >= step:
            return f"{value / step:,.3g}{word}".replace("-", "−")
    return f"{value:,.3g}".replace("-", "−")


def _nothing(ax: Axes, title: str) -> Axes:
    ax.set_axis_off()
    ax.annotate(f"{title}: nothing to show", (0.5, 0.5), xycoords="axes fraction", ha="center", color=MUTE)
    return ax


def waterfall(bridge: pd.DataFrame | None, title: str, ax: Axes | None = None) -> Axes:
    """A bridge (position, step, value): levels in ink, gains blue, losses orange. The value axis starts near the lowest
    level, so the bars of the levels are cut below. Without a bridge an empty figure that says so."""
    ax = ax or plt.gca()
    if bridge is None:
        return _nothing(ax, title)
    rows = bridge.sort_values("position", ignore_index=True)
    ends = rows["step"].isin(["opening", "closing"])
    top = rows["value"].where(~ends, 0).cumsum() + rows["value"].iloc[0]
    low = (top - rows["value"]).where(~ends, 0)
    for i, row in rows.iterrows():
        colour = INK if ends[i] else BLUE if row["value"] >= 0 else ORANGE
        ax.bar(i, row["value"], bottom=low[i], color=colour, width=0.62)
        height = row["value"] if ends[i] else max(low[i], low[i] + row["value"])
        label = _short(row["value"]) if ends[i] or row["value"] <= 0 else "+" + _short(row["value"])
        ax.annotate(label, (i, height), xytext=(0, 3), textcoords="offset points", ha="center", fontsize=8)
    inner = pd.concat([top[~ends], low[~ends], rows.loc[ends, "value"]])
    span = inner.max() - inner.min() or abs(inner.max()) or 1.0
    floor = inner.min() - 0.35 * span
    ax.set_ylim(max(floor, 0) if inner.min() >= 0 else floor, inner.max() + 0.15 * span)
    bottom, top_ = ax.get_ylim()
    if bottom != 0:
        for i in rows.index[ends]:  # a white cut: the bar of a level goes on below the axis
            ax.plot([i - 0.4, i + 0.4], [bottom + 0.06 * (top_ - bottom), bottom + 0.1 * (top_ - bottom)], "w", lw=4)
    ax.set_xticks(range(len(rows)), rows["step"])
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.set_title(title)
    return ax


def value_risk_grid(profile: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """segment_profile as the grid value x risk: customers and future value a cell; shade by future value."""
    ax = ax or plt.gca()
    cells = profile.set_index("value_segment")
    most = max(cells["future_value"].clip(lower=0).max(), 1e-9) if len(cells) else 1.0
    for y, value in enumerate(VALUE_CLASSES):
        for x, risk in enumerate(RISK_CLASSES):
            name = f"{value}_{risk}"
            row = cells.loc[name] if name in cells.index else None
            shade = 0.0 if row is None else max(row["future_value"], 0) / most
            face = SAND if risk == "high" else SKY
            ax.add_patch(plt.Rectangle((x + 0.03, 2 - y + 0.05), 0.94, 0.9, color=face, alpha=0.15 + 0.7 * shade, lw=0))
            text = "0" if row is None else f"{int(row['customers']):,} customers\n{_short(row['future_value'])}"
            ax.annotate(text, (x + 0.5, 2 - y + 0.5), ha="center", va="center", fontsize=9, color=INK)
    ax.set_xlim(0, 3)
    ax.set_ylim(0, 3)
    ax.set_xticks([0.5, 1.5, 2.5], [f"{r} risk" for r in RISK_CLASSES])
    ax.set_yticks([2.5, 1.5, 0.5], [f"{v} value" for v in VALUE_CLASSES])
    ax.tick_params(length=0)
    for side in ax.spines.values():
        side.set_visible(False)
    ax.set_title("Value x churn risk: each customer stands in one cell")
    return ax


def landing_interval(landing: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Each metric's parts to the year's end, its 80 % interval and its budget."""
    ax = ax or plt.gca()
    if landing.empty:
        return _nothing(ax, "Landing of the fiscal year")
    rows = landing.iloc[::-1].reset_index(drop=True)
    parts = (
        ("to_date", INK, "to date"),
        ("backlog", MUTE, "backlog"),
        ("existing_customers", SKY, "existing customers"),
    )
    for y, row in rows.iterrows():
        left = 0.0
        for column, colour, label in parts:
            size = 0.0 if pd.isna(row[column]) else row[column]
            ax.barh(y, size, left=left, color=colour, height=0.5, label=label if y == 0 else None)
            left += size
        ax.plot([row["low"], row["high"]], [y, y], color=BLUE, lw=3, label="80 % interval" if y == 0 else None)
        if pd.notna(row["budget"]):
            label = "budget" if y == 0 else None
            ax.plot([row["budget"]] * 2, [y - 0.35, y + 0.35], color=ORANGE, lw=2, ls=":", label=label)
    ax.set_yticks(range(len(rows)), rows["metric_id"])
    ax.xaxis.set_major_formatter(lambda value, _: _short(value))
    ax.set_title("Landing of the fiscal year, without new business")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=5, fontsize=8)
    return ax


def at_risk_bars(by_owner: pd.DataFrame, ax: Axes | None = None, most: int = 12) -> Axes:
    """Value at risk by owner, most first; the first `most` of them."""
    ax = ax or plt.gca()
    rows = by_owner.head(most).iloc[::-1]
    ax.barh(range(len(rows)), rows["value_at_risk"], color=ORANGE, height=0.6)
    ax.set_yticks(range(len(rows)), rows["owner"], parse_math=False)  # a name may hold a $
    for y, value in enumerate(rows["value_at_risk"]):
        ax.annotate(_short(value), (value, y), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8)
    ax.set_xticks([])
    ax.spines["bottom"].set_visible(False)
    ax.set_title("Value at risk by owner of today")
    return ax


def concentration(segments: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Share of all positive future value that the most valuable share of customers holds."""
    ax = ax or plt.gca()
    value = segments["future_value"].clip(lower=0).sort_values(ascending=False)
    total = value.sum() or 1.0
    share = [0.0, *(value.cumsum() / total)]
    ax.plot([i / max(len(value), 1) for i in range(len(share))], share, color=BLUE)
    ax.plot([0, 1], [0, 1], color=LINE, lw=1)
    ax.set_xlabel("share of customers, most valuable first")
    ax.set_ylabel("share of positive future value")
    ax.xaxis.set_major_formatter(lambda v, _: f"{v:.0%}")
    ax.yaxis.set_major_formatter(lambda v, _: f"{v:.0%}")
    ax.set_title("How concentrated future value is")
    return ax


def history_line(history: pd.DataFrame, metric_id: str, ax: Axes | None = None) -> Axes:
    """A metric month by month, with its target where there is one."""
    ax = ax or plt.gca()
    rows = history[history["metric_id"] == metric_id].sort_values("month")
    ax.plot(rows["month"], rows["value"], color=BLUE, marker="o", ms=3)
    ax.plot(rows["month"], rows["target"], color=MUTE, ls=":", lw=1)
    ax.set_xticks(rows["month"].iloc[:: max(len(rows) // 8, 1)])
    ax.yaxis.set_major_formatter(lambda value, _: _short(value))
    ax.set_title(f"{metric_id} by month (dotted: target)")
    return ax
