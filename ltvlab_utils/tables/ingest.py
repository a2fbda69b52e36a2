"""Contracts of what notebook 01 says about its work."""

from __future__ import annotations

from ltvlab_utils.tables.checks import CHECKS, SEVERITIES
from ltvlab_utils.tables.contract import NULL, OPT, amount, code, contract, count, day, money, number, share, text

# what a review can do more with: a table, or a column of a table that is there
UNLOCKS = (
    "order_lines", "contract_terms", "contract_changes", "customer_owners", "support_costs", "receivables", "targets",
    "campaigns", "order_lines.cost_amount", "contract_terms.monthly_cost", "contract_terms.notice_due_on",
    "customers.industry", "customers.acquisition_cost",
)  # fmt: skip

INGEST_REPORT = contract(
    "ingest_report",
    "one row a table, source and file",
    "table_name source file",
    "01",
    text("table_name", "input table the file was mapped to"),
    text("source", "name of the source in company.yaml"),
    text("file", "file, relative to the company's data folder"),
    count("rows_read", "rows of the file that are meant for the table", unit="rows"),
    count("rows_accepted", "rows that keep the contract", unit="rows"),
    count("rows_rejected", "rows that stand in rejected_rows; read = accepted + rejected", unit="rows"),
    count("rows_after_as_of", "accepted rows later than as-of: set aside, not staged", unit="rows"),
    count("rows_passed_over", "rows beside rows_read that are not meant for the table (`only`)", unit="rows", **OPT),
    count("rows_without_customer", "rejected rows that name no customer (guests)", unit="rows"),
    money("amount_read", "sum of the table's amount over all rows; an unreadable amount counts 0"),
    money("amount_accepted", "part of it on accepted rows"),
    money("amount_rejected", "part of it on rejected rows; read = accepted + rejected"),
    money("amount_after_as_of", "part of amount_accepted that lies after as-of"),
    text("fingerprint", "SHA-256 of the file's bytes"),
    text("columns_unknown", "columns of the file that nothing maps, comma-separated", **NULL),
    text("columns_missing", "optional columns that the file does not hold, comma-separated", **NULL),
)

REJECTED_ROWS = contract(
    "rejected_rows",
    "one row a refused row",
    "table_name source file row_no",
    "01",
    text("table_name", "input table the row was meant for"),
    text("source", "name of the source in company.yaml"),
    text("file", "file, relative to the company's data folder"),
    count("row_no", "row in the file as a spreadsheet counts (the header is row 1)", unit="number"),
    text("column", "first column that was refused"),
    text("value", "value as it stands in the file", **NULL),
    text("reason", "code of the reason"),
    money("amount", "the row's amount; 0 where unreadable"),
)

LINK_PROPOSALS = contract(
    "link_proposals",
    "one row a pair of records that may be one firm, or firms of one group, and that nobody has decided on",
    "left_source left_key right_source right_key",
    "01",
    text("left_source", "source system of the first record"),
    text("left_key", "its customer key in that source"),
    text("left_name", "its name; hostile until escaped", **NULL),
    text("left_customer_id", "the customer it counts to now"),
    text("right_source", "source system of the second record"),
    text("right_key", "its customer key in that source"),
    text("right_name", "its name; hostile until escaped", **NULL),
    text("right_customer_id", "the customer it counts to now"),
    code("relation", "what the pair may be: same = one firm, group = parent and subsidiary", "same group"),
    text("evidence", "codes of what speaks for and against it, between blanks"),
    share("confidence", "order in which pairs are worth a look; no frequency"),
    amount("amount_at_stake", "the smaller of the two records' orders and contract terms up to as-of: what would move"),
    amount("amount_of_both", "orders and contract terms of both"),
)

INGEST_CHECKS = contract(
    "ingest_checks",
    "one row a named check and table that it looks at",
    "check table_name",
    "01",
    code("check", "the check, as company.yaml names it", " ".join(CHECKS)),
    text("table_name", "input table it looks at"),
    code("severity", "how grave a failure is, as set for this company", " ".join(SEVERITIES)),
    code("status", "not_applicable: switched off, or nothing that it could look at", "passed failed not_applicable"),
    count("rows", "rows that it found; of a check of tables, rows that it concerns", unit="rows"),
    money("amount", "their amount"),
    number("measured", "what is held against the limit", "as the check", **NULL),
    number("limit", "value past which the check fails", "as the check", **NULL),
    text("example_file", "file of the first row found", **NULL),
    count("example_row", "its row in the file as a spreadsheet counts", unit="number", **NULL),
    text("detail", "what else there is to know, in codes (month=2025-01)", **NULL),
)

INGEST_FINDINGS = contract(
    "ingest_findings",
    "one row a check and accepted row that it found; rows that are refused stand in rejected_rows alone",
    "check table_name source file row_no",
    "01",
    code("check", "the check that found it", " ".join(CHECKS)),
    text("table_name", "input table of the row"),
    text("source", "name of the source in company.yaml"),
    text("file", "file, relative to the company's data folder"),
    count("row_no", "row in the file as a spreadsheet counts (the header is row 1)", unit="number"),
    text("key", "the row's key; its parts joined by /"),
    money("amount", "the row's amount"),
)

# staged tables that are held against those of the review before; notebook 01 also reads its ingest_report
RESTATED = ("order_lines", "contract_terms", "support_costs", "receivables")
RESTATEMENTS = contract(
    "restatements",
    "one row a table and month that the review before had seen, and in which rows were added, changed or lost since",
    "table_name month",
    "01",
    text("table_name", "staged table"),
    day("month", "first day of the month, by the day that counts for the table"),
    count("rows_added", "rows that the review before did not have", unit="rows"),
    count("rows_changed", "rows of the same key that say something else now", unit="rows"),
    count("rows_gone", "rows that the review before had and that are not delivered any more", unit="rows"),
    amount("amount_before", "the month's amount in the review before; of order_lines, confirmed orders alone"),
    amount("amount_added", "part of the difference that added rows bring"),
    amount("amount_changed", "part that changed rows bring, those that moved to another month included"),
    amount("amount_gone", "part that lost rows take; after = before + added + changed + gone"),
    amount("amount_after", "the month's amount now, as of the review before"),
)

INGEST = (INGEST_REPORT, REJECTED_ROWS, LINK_PROPOSALS, INGEST_CHECKS, INGEST_FINDINGS, RESTATEMENTS)
