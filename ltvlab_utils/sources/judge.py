"""Which rows of a file keep the contract: typed values and the first fault of every row, as one Ibis expression."""

from __future__ import annotations

from datetime import date
from typing import get_args

import ibis
import ibis.expr.types as ir

from ltvlab_utils.source_keys import LineWord
from ltvlab_utils.sources import mapping, order_lines, subscriptions
from ltvlab_utils.sources.cells import typed_rows
from ltvlab_utils.sources.files import SourceFile
from ltvlab_utils.sources.tax import Tax
from ltvlab_utils.tables import CONTRACTS, Contract
from ltvlab_utils.tables.contract import KINDS

MONEY = KINDS["money"][1]

AMOUNT = {
    "order_lines": "net_amount",
    "contract_terms": "monthly_amount",
    "support_costs": "cost_amount",
    "receivables": "amount",
    "deals": "amount",
}
# amounts that include tax where a company says so; cost is always taken as it stands
SOLD = ("order_lines", "contract_terms", "receivables")
TAXED = ("order_lines",)  # tables with a tax_rate
EVERY_KIND = frozenset(get_args(LineWord))

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


def worked_out(raw: ir.Table, file: SourceFile, order: int, zone: str, currency: str, tax: Tax) -> ir.Table:
    """The rows of a file by the rules of its source: contract columns, texts and faults as `typed_rows` names them, and
    amount_, what a row carries of the table's amount, 0 where that is unreadable or the table has none."""
    contract = CONTRACTS[file.table]
    lacking = [name for name in contract.names if not mapping.has(file, name)]
    rows = typed_rows(raw, file, zone, currency, lambda t: {n: _made(t, file, order, n, contract) for n in lacking})
    if file.table == "order_lines":
        return order_lines.worked_out(rows, file, tax)
    if mapping.has(file, "interval"):
        rows = subscriptions.worked_out(rows, file)
    if file.settings.repeats and "fault_customer_name" in rows.columns:  # another row of the customer may have it
        rows = rows.drop("fault_customer_name")
    zero = ibis.literal(0, MONEY)
    amount = rows[AMOUNT[file.table]].cast(MONEY).fill_null(zero) if file.table in AMOUNT else zero
    return rows.mutate(**_row_rules(contract, rows), amount_=amount)


def judged(rows: ir.Table, file: SourceFile, order: int) -> ir.Table:
    """Contract columns in their types, and of each row source_, file_, order_, row_no_, repeats_, amount_, what
    `spread` needs (more_; every_, ended_), and of its first fault column_, value_, reason_ (null = accepted)."""
    contract = CONTRACTS[file.table]
    faulty = [c.removeprefix("fault_") for c in rows.columns if c.startswith("fault_")]
    names = [*(n for n in contract.names if n in faulty), *(n for n in faulty if n not in contract.column)]
    bad = [rows[f"fault_{name}"].notnull() for name in names]
    cells = {name: rows[f"cell_{name}"] for name in names if f"cell_{name}" in rows.columns}
    shown = {name: file.header[file.further[int(name.split("_")[1])][-1]] for name in names if "further_" in name}
    return rows.select(
        **{name: rows[name].cast(KINDS[contract.column[name].kind][1]) for name in contract.names},
        **{name: rows[name] for name in ("every_", "ended_", "more_") if name in rows.columns},
        amount_=rows.amount_,
        source_=ibis.literal(file.source),
        file_=ibis.literal(file.file),
        order_=ibis.literal(order, "int64"),
        repeats_=ibis.literal(file.settings.repeats),
        row_no_=rows.row_no,
        column_=ibis.cases(*((b, shown.get(n, n)) for b, n in zip(bad, names, strict=True)), else_=ibis.null("string")),
        value_=ibis.cases(
            *((b, cells.get(n, ibis.null("string"))) for b, n in zip(bad, names, strict=True)),
            else_=ibis.null("string"),
        ),
        reason_=ibis.coalesce(*(rows[f"fault_{name}"] for name in names)),
    )


def united(files: list[ir.Table]) -> ir.Table:
    """The judged rows of several files; what only some of them hold is null in the others."""
    types = {name: kind for rows in files for name, kind in rows.schema().items()}
    order = list(types)
    full = [rows.select(**{n: rows[n] if n in rows.columns else ibis.null(types[n]) for n in order}) for rows in files]
    return ibis.union(*full) if len(full) > 1 else full[0]


def _made(rows: ir.Table, file: SourceFile, order: int, name: str, contract: Contract) -> ir.Value:
    if name == "customer_name":
        return rows.customer_id
    if name == "term_months" and file.origin[name][0] == "made" and not mapping.has(file, "interval"):
        after = (rows.ends_on.cast("timestamp(6)") + ibis.interval(days=1)).date()
        months = (after.year() - rows.starts_on.year()) * 12 + after.month() - rows.starts_on.month()
        return ibis.greatest(months + (after.day() > rows.starts_on.day()).ifelse(1, 0), 1)
    if file.origin[name][0] == "absent" or name not in mapping.MADE.get(file.table, ()):
        return ibis.null(KINDS[contract.column[name].kind][1])
    if name == "line_no":
        # an order may go on in a later file: its lines there must not repeat the numbers of this one
        return ibis.literal(1, "int64") if file.origin["order_id"][0] == "made" else rows.row_no + order * 10**9
    short = file.file.rsplit("/", 1)[-1]
    head = file.source if short in file.source else f"{file.source}/{short}"
    return ibis.literal(f"{head}:") + rows.row_no.cast("string")


def _row_rules(contract: Contract, rows: ir.Table) -> dict[str, ir.Value]:
    """Faults that need two columns of a row."""
    none = ibis.null("string")
    rules = {}
    if contract.name == "contract_terms":
        open_end = (rows.outcome != "open") & rows.outcome_on.isnull()
        rules["outcome_on"] = (open_end, "missing_value")
        rules["ends_on"] = (rows.ends_on < rows.starts_on, "out_of_range")
    if contract.name == "campaigns":
        rules["ends_on"] = (rows.ends_on < rows.starts_on, "out_of_range")
    return {
        f"fault_{name}": ibis.coalesce(
            rows[f"fault_{name}"] if f"fault_{name}" in rows.columns else none, ibis.ifelse(wrong, reason, none)
        )
        for name, (wrong, reason) in rules.items()
    }


def without_duplicates(contract: Contract, rows: ir.Table) -> ir.Table:
    """The rows with every accepted one that repeats the key of an earlier accepted one refused."""
    accepted = rows.reason_.isnull() & ~rows.repeats_
    keys = [rows[k] for k in contract.keys]
    window = ibis.window(group_by=[*keys, accepted], order_by=[rows.order_, rows.row_no_])
    numbered = rows.mutate(nth_=ibis.row_number().over(window))
    again = numbered.reason_.isnull() & ~numbered.repeats_ & (numbered.nth_ > 0)
    key = numbered[contract.keys[0]].cast("string")
    return numbered.mutate(
        column_=ibis.ifelse(again, contract.keys[0], numbered.column_),
        value_=ibis.ifelse(again, key, numbered.value_),
        reason_=ibis.ifelse(again, "duplicate_key", numbered.reason_),
    ).drop("nth_")


def one_a_key(contract: Contract, rows: ir.Table) -> ir.Table:
    """Accepted rows, one a key: of files in which keys come again and again (`repeats`) the last value of each column,
    and nothing of a key that another file has."""
    window = {"group_by": [rows[k] for k in contract.keys]}
    order = [rows.repeats_, rows.order_.desc(), rows.row_no_.desc()]
    first = ibis.row_number().over(**window, order_by=order)
    others = [c for c in contract.names if c not in contract.keys]

    def last_of(name: str) -> ir.Value:
        """The last value there is: nulls come last in this order, since the engine's FIRST_VALUE sees them."""
        in_order = ibis.window(**window, order_by=[rows[name].isnull(), *order], preceding=None, following=None)
        return ibis.ifelse(rows.repeats_, rows[name].first(include_null=True).over(in_order), rows[name])

    last = {name: last_of(name) for name in others}
    if "customer_name" in last:
        last["customer_name"] = ibis.coalesce(last["customer_name"], rows.customer_id)
    return rows.mutate(nth_=first, **last).filter(lambda t: t.nth_ == 0).drop("nth_")


def amount_after(table: str, rows: ir.Table, as_of: date) -> ir.Value:
    """The part of a row's amount that became a fact after as-of."""
    zero = ibis.literal(0, MONEY)
    later = zero
    if "more_" in rows.columns:
        late = rows.more_.filter(lambda m: m["on"] > ibis.literal(as_of, "date"))
        later = late.map(lambda m: m["net"]).sums().cast(MONEY).fill_null(zero)
    return ibis.ifelse(after_as_of(table, rows, as_of), rows.amount_, later)


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
