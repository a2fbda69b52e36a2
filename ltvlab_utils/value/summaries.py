"""What the answers read from ltv_by_customer, a frame or of a large company a table of the engine (floor 2)."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

POINTS = 1000  # points of a curve of a table in the engine


def leaders(by: pd.DataFrame | ir.Table, rows: int) -> pd.DataFrame:
    """The first rows by future value, then by id."""
    if isinstance(by, ir.Table):
        return by.order_by([ibis.desc("future_value"), "customer_id"]).limit(rows).to_pandas()
    return by.sort_values(["future_value", "customer_id"], ascending=[False, True]).head(rows)


def concentration(by: pd.DataFrame | ir.Table) -> pd.DataFrame:
    """Cumulated share of positive future value by share of customers, most valuable first: customers, value. Of a table
    in the engine at POINTS customers' shares."""
    if not isinstance(by, ir.Table):
        values = np.sort(by["future_value"].clip(lower=0).to_numpy())[::-1]
        share = np.arange(len(values) + 1) / max(len(values), 1)
    else:
        value = ibis.greatest(by.future_value, 0.0).cast("decimal(28, 4)")
        rows = by.select(value=value, place=ibis.ntile(POINTS).over(order_by=[ibis.desc(value), by.customer_id]))
        points = rows.group_by("place").aggregate(n=rows.count(), value=rows.value.sum().cast("float64")).to_pandas()
        points = points.sort_values("place")
        values, number = points["value"].to_numpy(), points["n"].to_numpy()
        share = np.append(0.0, np.cumsum(number)) / max(number.sum(), 1)
    return pd.DataFrame({"customers": share, "value": np.append(0.0, np.cumsum(values)) / (values.sum() or 1.0)})


def notes(by: pd.DataFrame | ir.Table) -> pd.DataFrame:
    """Codes of remarks with their number of customers: note, customers."""
    if not isinstance(by, ir.Table):
        codes = by["note"].dropna().str.split(",").explode()
        return codes.value_counts().rename_axis("note").reset_index(name="customers")
    rows = by.filter(by.note.notnull()).group_by("note").aggregate(customers=lambda t: t.count()).to_pandas()
    codes = rows.assign(note=rows["note"].astype("object").str.split(",")).explode("note")
    return codes.groupby("note", as_index=False)["customers"].sum()


def sums_of_bounds(by: pd.DataFrame | ir.Table) -> tuple[float, float]:
    """What the bounds of single customers add up to: no interval of anything."""
    names = ("future_value_low", "future_value_high")
    if not isinstance(by, ir.Table):
        return tuple(by[name].sum() for name in names)
    found = by.aggregate(**{n: by[n].cast("decimal(28, 4)").sum().cast("float64") for n in names}).to_pandas()
    return tuple(float(found[name].iloc[0]) for name in names)
