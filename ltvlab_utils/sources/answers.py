"""The tables and answers of notebook 01, computed from what staging made; sentences carry counts, never names."""

from __future__ import annotations

import ibis
import pandas as pd

from ltvlab_utils.i18n import compact, day, money, percent, say, whole
from ltvlab_utils.sources.judge import AMOUNT, DATED, MONEY, after_as_of
from ltvlab_utils.sources.stage import Staged
from ltvlab_utils.tables.ingest import UNLOCKS

MAIN = ("order_lines", "contract_terms")
FILES = ("table_name", "file")
NONE = "–"


def _main(staged: Staged) -> str:
    """The table that carries most rows of business: orders, or contracts where there are no orders."""
    return next(t for t in MAIN if t in staged.tables and not _empty(staged, t))


def _empty(staged: Staged, name: str) -> bool:
    return not int(staged.tables[name].count().to_pandas())


def came_in(staged: Staged, language: str = "en") -> str:
    report = staged.report
    said = say(
        "note.ingest_came_in",
        language,
        count=report["table_name"].nunique(),
        files=len(report),
        rows=compact(report["rows_read"].sum(), language),
    )
    if staged.made_customers:
        said += " " + say("note.ingest_made_customers", language, count=staged.made_customers)
    return said


def arrivals(staged: Staged) -> pd.DataFrame:
    """One row a file: what of its columns nothing maps, and which optional ones it does not hold."""
    columns = ["table_name", "source", "file", "rows_read", "amount_read", "columns_unknown", "columns_missing"]
    return staged.report[columns].fillna({"columns_unknown": NONE, "columns_missing": NONE})


def reconciliation(staged: Staged, by: tuple[str, ...] = ("table_name",)) -> pd.DataFrame:
    """One row a table (or what else `by` names): rows and amounts read, accepted, refused, what is unexplained."""
    parts = [
        f"{unit}_{part}" for unit in ("rows", "amount") for part in ("read", "accepted", "rejected", "after_as_of")
    ]
    sums = staged.report_table.group_by(list(by)).aggregate(**{p: staged.report_table[p].sum() for p in parts})
    off = {
        f"{u}_unexplained": sums[f"{u}_read"] - sums[f"{u}_accepted"] - sums[f"{u}_rejected"]
        for u in ("rows", "amount")
    }
    exact = sums.mutate(**off).order_by(list(by)).to_pandas()
    return exact.astype({c: "float64" for c in exact.columns if c.startswith("amount_")})


def reconciled(staged: Staged, language: str = "en") -> str:
    """Whether every row and every amount of every table is accounted for, and the amounts of orders and contracts."""
    table = reconciliation(staged)
    off = table[(table["rows_unexplained"] != 0) | (table["amount_unexplained"] != 0)]
    if len(off):
        said = [say("note.ingest_unreconciled", language, tables=", ".join(off["table_name"]))]
    else:
        said = [say("note.ingest_reconciled", language, count=len(table))]
    for row in table[table["table_name"].isin(MAIN)].to_dict("records"):
        amounts = {k: money(row[f"amount_{c}"], language, staged.currency) for k, c in _PARTS.items()}
        said.append(say("note.ingest_amounts", language, table=row["table_name"], **amounts))
    return "\n".join(said)


_PARTS = {"read": "read", "accepted": "accepted", "refused": "rejected", "later": "after_as_of"}


def refusals(staged: Staged, language: str = "en") -> pd.DataFrame:
    """One row a table, column and reason, most rows first: rows, amount, first file and row where it stands."""
    bad = staged.rejected.sort_values(["file", "row_no"], kind="stable")
    table = bad.groupby(["table_name", "column", "reason"], as_index=False).agg(
        rows=("row_no", "size"), amount=("amount", "sum"), file=("file", "first"), first_row=("row_no", "first")
    )
    table["reason"] = [say(f"refused.{r}", language) for r in table["reason"]]
    return table.sort_values(["rows", "table_name", "column"], ascending=[False, True, True], ignore_index=True)


def refused(staged: Staged, language: str = "en") -> str:
    """A line a table with refused rows: how many, which share, which amount, why."""
    reasons, report = refusals(staged, language), staged.report.groupby("table_name")["rows_read"].sum()
    lines = []
    for table, own in reasons.groupby("table_name"):
        why = own.groupby("reason", sort=False)["rows"].sum()
        lines.append(
            say(
                "note.ingest_refused",
                language,
                count=int(own["rows"].sum()),
                table=table,
                share=percent(own["rows"].sum() / report[table], language, decimals=2),
                amount=money(own["amount"].sum(), language, staged.currency),
                reasons=", ".join(f"{reason} {whole(n, language)}" for reason, n in why.items()),
            )
        )
    return "\n".join(lines) or say("note.ingest_none_refused", language)


def unlocks(staged: Staged, language: str = "en") -> pd.DataFrame:
    """What is missing or partly filled, and what it would unlock: what, state, unlocks."""
    filled = _filled(staged)
    rows = []
    for what in UNLOCKS:
        share = filled[what]
        if pd.isna(share) or share == 1:  # a column of a table that is not there says nothing of its own
            continue
        partly = say("state.partly", language, share=percent(share, language, decimals=0))
        state = partly if share else say("state.absent", language)
        rows.append({"what": what, "state": state, "unlocks": say(f"unlock.{what}", language)})
    return pd.DataFrame(rows, columns=["what", "state", "unlocks"])


def _filled(staged: Staged) -> dict[str, float]:
    """Share of rows that hold a value; 1 or 0 for a table that is there or not; NaN where that cannot be asked."""
    shares: dict[str, float] = {}
    for what in UNLOCKS:
        table, _, column = what.partition(".")
        there = table in staged.tables and not _empty(staged, table)
        if not column:
            shares[what] = float(there)
        elif there:
            shares[what] = float(staged.tables[table][column].notnull().ifelse(1, 0).mean().to_pandas())
        else:
            shares[what] = float("nan")
    return shares


def missing(staged: Staged, language: str = "en") -> str:
    table = unlocks(staged, language)
    if table.empty:
        return say("note.ingest_nothing_missing", language)
    names = (table["what"] + " (" + table["state"] + ")").str.cat(sep=", ")
    return say("note.ingest_missing", language, count=len(table), names=names)


def reach(staged: Staged) -> pd.DataFrame:
    """One row a dated table: first and last day, months between them (both included), months without a row."""
    rows = []
    for name in sorted(set(staged.tables) & set(DATED)):
        table = staged.tables[name]
        month = table[DATED[name]].truncate("M")
        found = table.aggregate(first=table[DATED[name]].min(), last=table[DATED[name]].max(), seen=month.nunique())
        first, last, seen = found.to_pandas().iloc[0]
        if pd.notna(first):
            first, last = pd.Timestamp(first).normalize(), pd.Timestamp(last).normalize()
            months = (last.year - first.year) * 12 + last.month - first.month + 1
            rows.append(
                {"table_name": name, "first": first, "last": last, "months": months, "empty": months - int(seen)}
            )
    return pd.DataFrame(rows, columns=["table_name", "first", "last", "months", "empty"])


def reached(staged: Staged, language: str = "en") -> str:
    table = reach(staged)
    lines = [
        say(
            "note.ingest_reach",
            language,
            table=row["table_name"],
            first=day(row["first"], language),
            last=day(row["last"], language),
            months=row["months"],
            empty=row["empty"],
            days=(pd.Timestamp(staged.as_of) - row["last"]).days,
        )
        for row in table[table["table_name"].isin(MAIN)].to_dict("records")
    ]
    return "\n".join(lines)


def flow(staged: Staged) -> pd.DataFrame:
    """Amounts of the main table by month of order (or of the term's start where there are no orders): month, accepted,
    refused, later (after as-of). The last row, without a month, holds rows whose date cannot be read. The columns add
    up to what the report says."""
    name = _main(staged)
    rows = staged.judged[name]
    zero = ibis.literal(0, MONEY)
    amount, ahead = rows[AMOUNT[name]].fill_null(zero), after_as_of(name, rows, staged.as_of)
    fine = rows.reason_.isnull()
    parts = {"accepted": fine & ~ahead, "refused": ~fine, "later": fine & ahead}
    cells = rows.select(
        month=rows[DATED[name]].truncate("M").cast("date"),
        **{part: ibis.ifelse(where, amount, zero) for part, where in parts.items()},
    )
    sums = cells.group_by("month").aggregate(**{part: cells[part].sum() for part in parts})
    frame = sums.order_by(ibis.asc("month", nulls_first=False)).to_pandas()
    return frame.astype(dict.fromkeys(parts, "float64")).astype({"month": "datetime64[us]"})
