"""Contracts of what notebook 01 says about its work."""

from __future__ import annotations

from ltvlab_utils.tables.contract import NULL, amount, code, contract, count, money, share, text

INGEST_REPORT = contract(
    "ingest_report",
    "one row a table, source and file",
    "table_name source file",
    "01",
    text("table_name", "input table the file was mapped to"),
    text("source", "name of the source in company.yaml"),
    text("file", "file, relative to the company's data folder"),
    count("rows_read", "rows in the file", unit="rows"),
    count("rows_accepted", "rows that keep the contract", unit="rows"),
    count("rows_rejected", "rows that stand in rejected_rows; read = accepted + rejected", unit="rows"),
    count("rows_after_as_of", "accepted rows later than as-of: set aside, not staged", unit="rows"),
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

INGEST = (INGEST_REPORT, REJECTED_ROWS, LINK_PROPOSALS)
