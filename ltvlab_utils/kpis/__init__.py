"""KPIs of the review: one metric dictionary, one ledger behind it (floor 2).

ledger = open_ledger(tables, as_of, date_basis)      # Ibis expressions over the staged tables
past = figures(ledger, tables, fiscal_year_start)    # metric_id, month, value, n: every month since the data begin
table(ledger, tables, past, ...)                     # the `kpis` table
history(past, ...)                                   # the `kpi_history` table
"""

from ltvlab_utils.kpis.ledger import Ledger, open_ledger, owner_on, owners_then, running_now
from ltvlab_utils.kpis.metrics import METRICS, NOTICE_DAYS, figures, lapses, notices, retention
from ltvlab_utils.kpis.table import (
    READS,
    READS_BEFORE,
    forward,
    history,
    missing,
    owner_figures,
    renewal_chance,
    table,
    targets_of,
)
from ltvlab_utils.kpis.words import missing_words, opening_words, undated_words

__all__ = [
    "METRICS",
    "NOTICE_DAYS",
    "READS",
    "READS_BEFORE",
    "Ledger",
    "figures",
    "forward",
    "history",
    "lapses",
    "missing",
    "missing_words",
    "notices",
    "open_ledger",
    "opening_words",
    "owner_figures",
    "owner_on",
    "owners_then",
    "renewal_chance",
    "retention",
    "running_now",
    "table",
    "targets_of",
    "undated_words",
]
