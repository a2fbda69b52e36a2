"""Which rows of a file keep the contract: typed values and the first fault of every row, as one Ibis expression."""

from __future__ import annotations

from datetime import date

import ibis
import ibis.expr.types as ir

from ltvlab_utils.sources import parse, systems
from ltvlab_utils.sources.files import SourceFile
from ltvlab_utils.tables import CONTRACTS, Column, Contract
from ltvlab_utils.tables.contract import KINDS

MONEY = KINDS["money"][1]

AMOUNT = {
    "order_lines": "net_amount",
    "contract_terms": "monthly_amount",
    "support_costs": "cost_amount",
    "receivables": "amount",
    "deals": "amount",
}
# amounts that include tax where a source says so; cost is always taken as it stands
SOLD = ("order_lines", "contract_terms", "receivables")
TAXED = {"order_lines": ("net_amount", "discount_amount")}

# the day a row became a fact: rows later than as-of are set aside (plans and master data have none)
DATED = {
    "customers": "acquired_on",
    "customer_links": "valid_from",
    "customer_owners": "valid_from",
    "order_lines": "ordered_at",
    "contract_terms": "starts_on",
    "contract_changes": "changed_on",
    "support_costs": "occurred_on",
    "usage": "week",
    "activities": "occurred_on",
    "surveys": "sent_on",
    "deals": "opened_on",
    "receivables": "invoiced_on",
    "campaigns": "starts_on",
    "assignments": "assigned_at",
    "touches": "touched_at",
}
# facts inside a row that become null while their day lies after as-of: day column -> columns that fall with it
LATER = {
    "customer_links": {"valid_to": ()},
    "customer_owners": {"valid_to": ()},
    "order_lines": {"shipped_on": (), "recognised_on": (), "invoiced_on": ()},
    "contract_terms": {
        "notice_given_on": (),
        "paused_from": ("paused_to",),
        "outcome_on": ("outcome", "outcome_reason"),
    },
    "milestones": {"done_on": ()},
    "surveys": {"answered_on": ("score",)},
    "deals": {"closed_on": ("lost_reason",)},
    # a write-off carries no day of its own: it cannot be known before the invoice is due
    "receivables": {"paid_on": (), "due_on": ("written_off",)},
    "contacts": {"left_on": ()},
    "assignments": {"starts_on": ()},
}
KEPT = {("receivables", "due_on")}  # days that are known ahead: only what hangs on them is masked


def judged_file(raw: ir.Table, file: SourceFile, order: int, zone: str, taxed: bool) -> ir.Table:
    """Contract columns in their types, and of each row source_, file_, order_, row_no_, and of its first fault column_,
    value_, reason_ (null = accepted)."""
    contract = CONTRACTS[file.table]
    texts, values, faults = {}, {}, {}
    for column in contract.columns:
        if file.origin[column.name][0] in ("absent", "made"):
            values[column.name] = _made(raw, file, order, column.name, contract)
            continue
        texts[column.name], text, value = _cell(raw, file, column, zone)
        values[column.name] = value
        rule = parse.fault(column, text, value)
        if rule is not None:
            faults[column.name] = rule
    if file.table == "customers" and file.origin["customer_name"][0] == "made":
        values["customer_name"] = values["customer_id"]
    if taxed:
        for name in TAXED[file.table]:
            values[name] = _net(values[name], values["tax_rate"])
        faults.setdefault("tax_rate", ibis.null("string"))
        missing = values["tax_rate"].isnull().ifelse("missing_value", ibis.null("string"))
        faults["tax_rate"] = ibis.coalesce(faults["tax_rate"], missing)
    faults.update(_row_rules(contract, values, faults))
    rules = {name: faults[name] for name in contract.names if name in faults}
    typed = raw.select(
        "row_no",
        **{name: values[name].cast(KINDS[contract.column[name].kind][1]) for name in contract.names},
        **{f"fault_{i}": rule for i, rule in enumerate(rules.values())},
        **{f"cell_{i}": texts.get(name, ibis.null("string")) for i, name in enumerate(rules)},
    )
    bad = [typed[f"fault_{i}"].notnull() for i in range(len(rules))]
    return typed.select(
        *contract.names,
        source_=ibis.literal(file.source),
        file_=ibis.literal(file.file),
        order_=ibis.literal(order, "int64"),
        row_no_=typed.row_no,
        column_=ibis.cases(*zip(bad, rules, strict=True), else_=ibis.null("string")),
        value_=ibis.cases(*((b, typed[f"cell_{i}"]) for i, b in enumerate(bad)), else_=ibis.null("string")),
        reason_=ibis.coalesce(*(typed[f"fault_{i}"] for i in range(len(rules)))),
    )


def _cell(raw: ir.Table, file: SourceFile, column: Column, zone: str) -> tuple[ir.Value, ir.Value, ir.Value]:
    """A cell as it stands, stripped and with the codes of the contract, and typed."""
    (kind, at), source = file.origin[column.name], file.settings
    cell = raw[f"c{at}"] if kind == "column" else ibis.literal(at, "string")
    text = parse.stripped(cell)
    if known := source.values.get(column.name):
        text = ibis.cases(*((text == old.strip(), new) for old, new in known.items()), else_=text)
    value = parse.typed(column, text, source.date_format, zone, source.time_zone)
    return cell, text, systems.qualified(source.system, column.name, value)


def _net(amount: ir.Value, tax_rate: ir.Value) -> ir.Value:
    return (amount.cast("float64") / (1 + tax_rate)).cast(MONEY)


def amount_read(raw: ir.Table, file: SourceFile, taxed: bool) -> ir.Scalar:
    """Sum of the table's amount over the rows as they came in, before any judgement; an unreadable one counts 0."""
    zero, name = ibis.literal(0, MONEY), AMOUNT.get(file.table)
    if name is None:
        return zero
    column = CONTRACTS[file.table].column
    amount = _cell(raw, file, column[name], "UTC")[2]
    if taxed:
        amount = _net(amount, _cell(raw, file, column["tax_rate"], "UTC")[2])
    return amount.cast(MONEY).fill_null(zero).sum().fill_null(zero)


def _made(raw: ir.Table, file: SourceFile, order: int, name: str, contract: Contract) -> ir.Value:
    if file.origin[name][0] == "absent" or name == "customer_name":
        return ibis.null(KINDS[contract.column[name].kind][1])
    if name == "line_no":
        # an order may go on in a later file: its lines there must not repeat the numbers of this one
        return ibis.literal(1, "int64") if file.origin["order_id"][0] == "made" else raw.row_no + order * 10**9
    short = file.file.rsplit("/", 1)[-1]
    head = file.source if short in file.source else f"{file.source}/{short}"
    return ibis.literal(f"{head}:") + raw.row_no.cast("string")


def _row_rules(contract: Contract, values: dict, faults: dict) -> dict:
    """Rules that need two columns of a row."""
    none = ibis.null("string")
    rules = {}
    if contract.name == "contract_terms":
        open_end = (values["outcome"] != "open") & values["outcome_on"].isnull()
        rules["outcome_on"] = (open_end, "missing_value")
        rules["ends_on"] = (values["ends_on"] < values["starts_on"], "out_of_range")
    if contract.name == "campaigns":
        rules["ends_on"] = (values["ends_on"] < values["starts_on"], "out_of_range")
    return {
        name: ibis.coalesce(faults.get(name, none), ibis.ifelse(wrong, reason, none))
        for name, (wrong, reason) in rules.items()
    }


def without_duplicates(contract: Contract, rows: ir.Table) -> ir.Table:
    """The rows with every accepted one that repeats the key of an earlier accepted one refused."""
    accepted = rows.reason_.isnull()
    keys = [rows[k] for k in contract.keys]
    window = ibis.window(group_by=[*keys, accepted], order_by=[rows.order_, rows.row_no_])
    numbered = rows.mutate(nth_=ibis.row_number().over(window))
    again = numbered.reason_.isnull() & (numbered.nth_ > 0)
    key = numbered[contract.keys[0]].cast("string")
    return numbered.mutate(
        column_=ibis.ifelse(again, contract.keys[0], numbered.column_),
        value_=ibis.ifelse(again, key, numbered.value_),
        reason_=ibis.ifelse(again, "duplicate_key", numbered.reason_),
    ).drop("nth_")


def after_as_of(table: str, rows: ir.Table, as_of: date) -> ir.BooleanValue:
    """True where a row became a fact after as-of."""
    name = DATED.get(table)
    if name is None:
        return rows.row_no_ < 0  # never, as a column
    value = rows[name]
    day = value.date() if value.type().is_timestamp() else value
    return (day > ibis.literal(as_of, "date")).fill_null(False)


def masked(table: str, rows: ir.Table, as_of: date) -> ir.Table:
    """The rows with what became known after as-of taken out: a later outcome reads as open."""
    changes = {}
    for name, others in LATER.get(table, {}).items():
        later = (rows[name] > ibis.literal(as_of, "date")).fill_null(False)
        for column in (*(() if (table, name) in KEPT else (name,)), *others):
            unknown = ibis.literal("open") if column == "outcome" else ibis.null(rows[column].type())
            changes[column] = ibis.ifelse(later, unknown, rows[column])
    return rows.mutate(**changes) if changes else rows
