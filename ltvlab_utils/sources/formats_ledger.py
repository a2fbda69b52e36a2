"""Sales as an order system prints them into Excel (売上明細): title rows, a header, a row a line, real days."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from ltvlab_utils.sources.formats_shop import checked_lines, people_of

LEDGER = "売上明細"


@dataclass(frozen=True)
class Ledger:
    """The sheet without its titles, the titles, and the lines that are no sales, with their amount (yen)."""

    rows: pd.DataFrame
    titles: tuple[str, ...]
    left_out: int
    left_out_amount: int


def uriage(frames: Mapping[str, pd.DataFrame]) -> Ledger:
    """The ledger of confirmed lines: 売上日 (day of the order), 伝票No, 得意先コード, 得意先名, 商品, 数量, 金額
    (without tax, after discount; negative like 数量 for a return), 担当者.

    Backlog and cancelled lines are no sales: they are left out and counted. Raises Refused for amounts that are no
    whole yen and times that are none.
    """
    lines = checked_lines(frames, LEDGER)
    sold = lines["status"] == "confirmed"
    left, lines = lines[~sold], lines[sold].sort_values("ordered_at", kind="stable", ignore_index=True)
    people = people_of(frames, lines)
    owner = lines["sales_owner"] if "sales_owner" in lines else pd.Series(None, lines.index, dtype=object)
    rows = {
        "売上日": pd.to_datetime(lines["ordered_at"]).dt.date,
        "伝票No": lines["order_id"],
        "得意先コード": lines["customer_id"],
        "得意先名": people["customer_name"].reindex(lines["customer_id"]).set_axis(lines.index),
        "商品": lines["product_id"].astype(object).fillna(lines["item"]),
        "数量": pd.to_numeric(lines["quantity"]),
        "金額": lines["net"],
        "担当者": owner,
    }
    days = rows["売上日"]
    reach = f"{days.min():%Y/%m/%d}～{days.max():%Y/%m/%d}" if len(days) else "0件"
    return Ledger(pd.DataFrame(rows), (LEDGER, f"期間：{reach}"), len(left), int(left["net"].sum()))
