"""What changed in months that were already reviewed: the staged tables of now against those of an earlier review.

Both are seen as of the earlier review's as-of: what is dated later is no restatement, and what became known later about
a row (a shipment, an outcome) is taken out of both by the same rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date

import ibis
import ibis.expr.types as ir
import pandas as pd

from ltvlab_utils.sources import judge
from ltvlab_utils.tables import CONTRACTS
from ltvlab_utils.tables.ingest import RESTATED

PARTS = ("added", "changed", "gone")
COLUMNS = CONTRACTS["restatements"].names


def compare(
    now: Mapping[str, ir.Table],
    before: Mapping[str, ir.Table | None],
    as_of: date,
    made: Mapping[str, Iterable[str]] | None = None,
) -> pd.DataFrame:
    """The contract `restatements`: one row a table and month up to `as_of` in which a row was added, changed or lost.

    `now`, `before`: staged tables by name, of one connection; a table that either lacks is not compared. `made`: key
    columns of a table that staging made from file and row, which a new export moves: rows are then told by content, so
    that a changed one is one gone and one added.
    """
    found = []
    for name in RESTATED:
        if now.get(name) is not None and before.get(name) is not None:
            own = _compared(name, now[name], before[name], as_of, set((made or {}).get(name, ())))
            found.append(own.assign(table_name=name))
    frame = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=COLUMNS)
    return frame[COLUMNS].sort_values(["table_name", "month"], ignore_index=True)


def _seen(name: str, table: ir.Table, as_of: date, made: set[str]) -> ir.Table:
    """key columns, month_, amount_ (what counts: confirmed orders), print_ of all that staging did not make."""
    rows = table.mutate(row_no_=ibis.literal(0, "int64"))
    rows = judge.masked(name, rows.filter(~judge.after_as_of(name, rows, as_of)), as_of)
    contract, amount = CONTRACTS[name], rows[judge.AMOUNT[name]].fill_null(ibis.literal(0, judge.MONEY))
    if name == "order_lines":
        amount = ibis.ifelse(rows.status == "confirmed", amount, ibis.literal(0, judge.MONEY))
    cells = [rows[c].cast("string").fill_null("\x1e") for c in contract.names if c not in made]
    return rows.select(
        *contract.keys,
        month_=rows[judge.DATED[name]].truncate("M").cast("date"),
        amount_=amount.cast(judge.MONEY),
        print_=ibis.literal("\x1f").join(cells).hash(),
    )


def _months(rows: ir.Table) -> pd.DataFrame:
    """Rows, amount and a fingerprint of each month."""
    sums = rows.group_by("month_").aggregate(
        n=lambda t: t.count(), amount=lambda t: t.amount_.sum(), print=lambda t: t.print_.cast("decimal(38, 0)").sum()
    )
    return sums.order_by("month_").to_pandas().set_index("month_")


def _compared(name: str, now: ir.Table, before: ir.Table, as_of: date, made: set[str]) -> pd.DataFrame:
    after, then = _seen(name, now, as_of, made), _seen(name, before, as_of, made)
    both = _months(then).add_suffix("_before").join(_months(after).add_suffix("_after"), how="outer")
    same = (both["n_before"] == both["n_after"]) & (both["print_before"] == both["print_after"])
    months = both.index[~same].tolist()
    if not months:
        return pd.DataFrame(columns=COLUMNS)
    # months with equal fingerprints hold equal rows: only the others are joined
    after, then = (t.filter(t.month_.isin(months)) for t in (after, then))
    effects = _by_content(after, then) if made else _by_key(after, then, CONTRACTS[name].keys)
    sums = effects.group_by("month").aggregate(
        **{f"rows_{p}": effects[f"rows_{p}"].sum() for p in PARTS},
        **{f"amount_{p}": effects[f"amount_{p}"].sum() for p in PARTS},
    )
    frame = sums.to_pandas().set_index("month").reindex(months, fill_value=0)
    frame["amount_before"], frame["amount_after"] = both["amount_before"], both["amount_after"]
    money = [c for c in frame.columns if c.startswith("amount_")]
    frame = frame.astype(dict.fromkeys(money, "float64")).fillna(dict.fromkeys(money, 0.0))
    frame = frame.astype({f"rows_{p}": "int64" for p in PARTS})
    return frame.rename_axis("month").reset_index().assign(month=lambda t: pd.to_datetime(t["month"]))


def _effect(rows: ir.Table, month: str, part: str, count: ir.Value, amount: ir.Value) -> ir.Table:
    none = {f"rows_{p}": ibis.literal(0, "int64") for p in PARTS}
    none |= {f"amount_{p}": ibis.literal(0, "decimal(38, 4)") for p in PARTS}
    own = {f"rows_{part}": count.cast("int64"), f"amount_{part}": amount.cast("decimal(38, 4)")}
    return rows.select(month=rows[month], **{**none, **own})


def _by_key(after: ir.Table, then: ir.Table, keys: tuple[str, ...]) -> ir.Table:
    """Effects by row: months and what each row adds to the counts and amounts of a month."""
    new = after.select(**{f"a{i}": after[k] for i, k in enumerate(keys)}, **_facts(after, "now"))
    old = then.select(**{f"b{i}": then[k] for i, k in enumerate(keys)}, **_facts(then, "old"))
    both = old.outer_join(new, [old[f"b{i}"] == new[f"a{i}"] for i in range(len(keys))])
    added, gone = both.filter(both.b0.isnull()), both.filter(both.a0.isnull())
    moved = both.filter(both.a0.notnull() & both.b0.notnull() & (both.print_now != both.print_old))
    return ibis.union(
        _effect(added, "month_now", "added", ibis.literal(1), added.amount_now),
        _effect(gone, "month_old", "gone", ibis.literal(1), -gone.amount_old),
        # a row may have moved to another month: each month has its part
        _effect(moved, "month_now", "changed", ibis.literal(1), moved.amount_now),
        _effect(moved, "month_old", "changed", ibis.literal(0), -moved.amount_old),
    )


def _facts(table: ir.Table, suffix: str) -> dict[str, ir.Value]:
    return {f"{c}_{suffix}": table[f"{c}_"] for c in ("month", "amount", "print")}


def _by_content(after: ir.Table, then: ir.Table) -> ir.Table:
    """As `_by_key`, for rows without a lasting key: how often each content stands there now and then."""
    signed = [t.select("month_", "print_", "amount_", turn_=ibis.literal(s)) for t, s in ((after, 1), (then, -1))]
    sums = ibis.union(*signed).group_by(["month_", "print_", "amount_"]).aggregate(more=lambda t: t.turn_.sum())
    added, gone = sums.filter(sums.more > 0), sums.filter(sums.more < 0)
    return ibis.union(
        _effect(added, "month_", "added", added.more, added.amount_ * added.more),
        _effect(gone, "month_", "gone", -gone.more, gone.amount_ * gone.more),
    )


def deliveries(report: pd.DataFrame, before: pd.DataFrame | None) -> pd.DataFrame:
    """One row a table and file of either review: state (new, replaced, same, gone), rows_before, rows_now. `report`,
    `before`: ingest_report of now and of the earlier review (None = there is none: every file is new)."""
    keys, facts = ["table_name", "source", "file"], ["rows_read", "fingerprint"]
    earlier = report.iloc[:0] if before is None else before
    both = earlier[keys + facts].merge(report[keys + facts], on=keys, how="outer", suffixes=("_before", "_now"))
    same = both["fingerprint_before"] == both["fingerprint_now"]
    both["state"] = "replaced"
    both.loc[same, "state"] = "same"
    both.loc[both["fingerprint_before"].isna(), "state"] = "new"
    both.loc[both["fingerprint_now"].isna(), "state"] = "gone"
    both = both.rename(columns={"rows_read_before": "rows_before", "rows_read_now": "rows_now"})
    return both[[*keys, "state", "rows_before", "rows_now"]].sort_values(keys, ignore_index=True)
