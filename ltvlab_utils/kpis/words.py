"""The answers of notebook 03 about KPIs, each computed from tables; amounts with three significant digits."""

from __future__ import annotations

import pandas as pd

from ltvlab_utils.i18n import money, percent
from ltvlab_utils.kpis.ledger import DATE_COLUMN, Ledger
from ltvlab_utils.kpis.table import missing


def opening_words(kpis: pd.DataFrame, currency: str) -> str:
    """One sentence: revenue of the month against the month before, last year and target, as far as they are known."""
    row = kpis[(kpis["metric_id"] == "revenue") & (kpis["scope_type"] == "company")].iloc[0]
    names = {"prior": "the month before", "last_year": "the same month last year", "target": "target"}
    said = [
        f"{percent(row['value'] / row[against] - 1, 'en', sign=True)} against {words}"
        for against, words in names.items()
        if pd.notna(row[against]) and row[against] > 0
    ]
    profit = kpis[(kpis["metric_id"] == "gross_profit") & (kpis["scope_type"] == "company")]["value"].iloc[0]
    known = "" if pd.notna(profit) else " Gross profit is not known: costs are missing on some or all of it."
    against = ": " + ", ".join(said) if said else ""
    return f"Revenue was {money(row['value'], 'en', currency)}{against}.{known}"


def undated_words(ledger: Ledger, date_basis: str) -> str:
    """One sentence: which date counts, and how many confirmed lines have none."""
    if ledger.undated_lines is None:
        return "There are no order lines; contracts accrue by days."
    column = DATE_COLUMN[date_basis]
    if ledger.undated_lines == 0:
        return f"Lines count on {column}; every confirmed line has that date."
    return f"Lines count on {column}; {ledger.undated_lines:,} confirmed lines have no such date and wait outside."


def missing_words(kpis: pd.DataFrame) -> str:
    """One sentence: how many metrics are empty, and which."""
    empty = missing(kpis)
    metrics = (kpis["scope_type"] == "company").sum()
    if empty.empty:
        return f"All {metrics} metrics are known."
    return f"{len(empty)} of {metrics} metrics are not known: {', '.join(empty['metric_id'])}."
