"""Rules of order lines: amounts worked out from prices, returns, tax, and amounts of the order as lines of their own.

The rules are those of `Source` (`returns`, `further_lines`, `amounts_include_tax`) and of its helper columns. Amounts
are decimals: nothing is rounded before the line's four decimals.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from ltvlab_utils.sources import parse
from ltvlab_utils.sources.cells import WORDS
from ltvlab_utils.sources.files import SourceFile
from ltvlab_utils.sources.mapping import has
from ltvlab_utils.sources.tax import Tax, kept_share
from ltvlab_utils.sources.tax import spread as spread_tax
from ltvlab_utils.tables import CONTRACTS
from ltvlab_utils.tables.contract import KINDS

MONEY = KINDS["money"][1]
QUANTITY = "decimal(20, 6)"  # with the price's 18 digits the 38 that a product may have
EXACT = "decimal(26, 8)"  # of a price times a quantity, before its discount
SHARE = "decimal(8, 6)"
MORE = "struct<n: int64, kind: string, net: decimal(18, 4), on: date>"
APART = 10**15  # between the numbers of lines of the file and of lines that are amounts of the order
NONE = ibis.null("string")


def worked_out(rows: ir.Table, file: SourceFile, tax: Tax) -> ir.Table:
    """Typed rows by the rules of their source, with `more_`, the lines that they hold beside their own (where the
    source has such), and `amount_`, the amount of all lines of the row, 0 where unreadable."""
    for step in (_amounts, _back, _rest):
        rows = step(rows, file)
    rows = _without_tax(rows, file, tax)
    rows = _times(_signs(rows, file), file)
    zero = ibis.literal(0, MONEY)
    amount = rows.net_amount.cast(MONEY).fill_null(zero)
    if "more_" in rows.columns:
        amount = amount + rows.more_.map(lambda m: m["net"]).sums().cast(MONEY).fill_null(zero)
    return rows.mutate(amount_=amount)


def spread(rows: ir.Table) -> ir.Table:
    """Order lines of accepted rows: those of the file and, where rows hold them (`more_`), amounts of the order."""
    names = [*CONTRACTS["order_lines"].names]
    lines = rows.select(names)
    if "more_" not in rows.columns:
        return lines
    parts = rows.filter(rows.more_.length() > 0).mutate(one_=lambda t: t.more_.unnest())
    part = parts.one_
    own = {
        "line_no": parts.line_no + (part["n"] + 1) * APART,
        "ordered_at": ibis.coalesce(part["on"].cast("timestamp(6)"), parts.ordered_at),
        "kind": part["kind"],
        "net_amount": part["net"],
        "quantity": ibis.literal(0.0),  # an amount, not a unit: what was sent back is not known
        "returns_order_id": ibis.ifelse(part["kind"] == "return", parts.order_id, NONE),
    }
    own |= dict.fromkeys(("product_id", "category"), NONE)
    own |= {name: ibis.null(MONEY) for name in ("discount_amount", "cost_amount")}
    return lines.union(parts.select(**{n: own.get(n, parts[n]) for n in names}))


def _or(fault: ir.Value | None, wrong: ir.Value, reason: str) -> ir.Value:
    own = ibis.ifelse(wrong, reason, NONE)
    return own if fault is None else ibis.coalesce(fault, own)


def _fault(rows: ir.Table, name: str) -> ir.Value | None:
    return rows[f"fault_{name}"] if f"fault_{name}" in rows.columns else None


# --- the steps --------------------------------------------------------------------------------------------------------


def _amounts(rows: ir.Table, file: SourceFile) -> ir.Table:
    """net_amount and discount_amount from price, quantity and discounts, with tax where the file counts so."""
    if file.origin["net_amount"][0] != "made":
        return rows
    rows = rows.mutate(full_=(_quantity(rows) * rows.unit_price).try_cast(EXACT))
    nothing = ibis.literal(0, EXACT)
    off = nothing
    if has(file, "line_discount_rate"):
        share = rows.line_discount_rate.cast(SHARE).fill_null(ibis.literal(0, SHARE))
        off = off + (rows.full_ * share).try_cast(EXACT)
    if has(file, "line_discount"):
        off = off + rows.line_discount.cast(EXACT).fill_null(nothing)
    rows = rows.mutate(off_=off.try_cast(EXACT))
    net = (rows.full_ - rows.off_).try_cast(MONEY)
    # more digits than an amount can have
    beyond = net.isnull() & rows.unit_price.notnull() & rows.quantity.notnull()
    made = {"net_amount": net, "fault_net_amount": _or(_fault(rows, "net_amount"), beyond, "out_of_range")}
    if file.origin["discount_amount"][0] == "made":
        made["discount_amount"] = rows.off_.try_cast(MONEY)
    return rows.mutate(**made)


def _quantity(rows: ir.Table) -> ir.DecimalValue:
    return parse.number(rows.text_quantity, MONEY).cast(QUANTITY)


def _back(rows: ir.Table, file: SourceFile) -> ir.Table:
    """word_, the kind of the line in the file's words, back_, whether the line is a return, and undone_, whether the
    order itself came back."""
    rules, marks = file.settings.returns, []
    if rules.negative_quantity:
        marks.append(rows.quantity < 0)
    if rules.order_prefix:
        marks.append(rows.order_id.startswith(rules.order_prefix))
    for name, texts in rules.where.items():
        marks.append(parse.stripped(rows[f"cell_{name}"]).isin([t.strip() for t in texts]))
    back = rows.kind == "return"
    for mark in marks:
        back = back | ((rows.kind == "sale") & mark.fill_null(False))
    back = back.fill_null(False)
    undone = back & (rows.net_amount > 0).fill_null(False) if rules.positive == "cancelled" else ibis.literal(False)
    return rows.mutate(word_=rows.kind, back_=back & ~undone, undone_=undone)


def _rest(rows: ir.Table, file: SourceFile) -> ir.Table:
    """rest_: what the sum of its lines misses to the goods of the order, on the order's first row, null elsewhere."""
    if not has(file, "goods_amount"):
        return rows
    zero = ibis.literal(0, MONEY)
    rows = rows.mutate(own_=ibis.ifelse(rows.word_.isin(("sale", "return")), rows.net_amount, zero))
    summed = rows.own_.sum().over(group_by=rows.order_)
    unread = rows.own_.isnull().ifelse(1, 0).sum().over(group_by=rows.order_)
    rest = (rows.goods_amount - summed.cast(MONEY)).cast(MONEY)
    return rows.mutate(rest_=ibis.ifelse(rows.first_ & (unread == 0), rest, ibis.null(MONEY)))


def _without_tax(rows: ir.Table, file: SourceFile, tax: Tax) -> ir.Table:
    """Amounts with their tax taken off, and the amounts of the order as `more_`."""
    included = (rows.word_.isin(sorted(tax.kinds)) & rows.net_amount.notnull()).fill_null(False)
    rows = rows.mutate(kept_=kept_share(rows, file), included_=included)
    changes, needs, more = {}, [], []
    if tax.kinds:
        rows = spread_tax(rows, tax)
        needs.append(rows.included_)
        off = (rows.discount_amount.cast("float64") * rows.kept_).cast(MONEY)
        changes["discount_amount"] = ibis.ifelse(rows.included_, off, rows.discount_amount)
    for i, rule in enumerate(file.settings.further_lines):
        if (name := f"further_{i}") in rows.columns:
            there = rows.first_ & (rows[name] != 0)
            amount = (tax.off(rows[name], rows.kept_) if rule.includes_tax else rows[name]).abs()
            amount = -amount if rule.kind in ("discount", "return") else amount
            on = rows[f"{name}_on"] if f"{name}_on" in rows.columns else ibis.null("date")
            more.append((there, "fee" if rule.kind == "discount" else rule.kind, amount, on))
            needs += [there] if rule.includes_tax else []
    if "rest_" in rows.columns:
        there = rows.rest_ != 0
        amount = tax.off(rows.rest_, rows.kept_) if "sale" in tax.kinds else rows.rest_
        more.append((there, "fee", amount, ibis.null("date")))
        needs += [there] if "sale" in tax.kinds else []
    if needs:
        asked = needs[0].fill_null(False)
        for need in needs[1:]:
            asked = asked | need.fill_null(False)
        changes["fault_tax_rate"] = _or(_fault(rows, "tax_rate"), asked & rows.kept_.isnull(), "missing_value")
    if more:
        lines = [
            ibis.ifelse(there, ibis.struct({"n": n, "kind": kind, "net": net.cast(MONEY), "on": on}).cast(MORE), None)
            for n, (there, kind, net, on) in enumerate(more)
        ]
        changes["more_"] = ibis.array(lines).filter(lambda m: m.notnull())
    return rows.mutate(**changes) if changes else rows


def _signs(rows: ir.Table, file: SourceFile) -> ir.Table:
    """Kinds, signs, costs and states of returns, discounts and tax lines."""
    rules, net, returned = file.settings.returns, rows.net_amount, rows.back_
    unsigned = rules.positive == "negated"
    negated = (rows.word_ == "discount") | (returned if unsigned else ibis.literal(False))
    positive = ibis.literal(False) if unsigned else returned & (net > 0)
    changes = {
        "net_amount": ibis.cases((rows.word_ == "tax", ibis.literal(0, MONEY)), (negated, -net.abs()), else_=net),
        "fault_net_amount": _or(_fault(rows, "net_amount"), positive, "out_of_range"),
        "kind": ibis.cases(
            (rows.word_.isin(WORDS), "fee"), (rows.undone_, "sale"), (returned, "return"), else_=rows.word_
        ),
        "status": ibis.ifelse(rows.undone_, "cancelled", rows.status),
    }
    if rules != type(rules)():
        # what stands beside a sale is a memo, not the order that it reduces
        changes["returns_order_id"] = ibis.ifelse(returned, rows.returns_order_id, NONE)
        changes["quantity"] = ibis.ifelse(returned, -rows.quantity.abs(), rows.quantity)
    if file.origin["cost_amount"][0] == "made":
        cost = (_quantity(rows) * rows.unit_cost).try_cast(MONEY)
        changes["cost_amount"] = ibis.ifelse(returned, -cost.abs(), cost)
    elif unsigned:
        changes["cost_amount"] = ibis.ifelse(returned, -rows.cost_amount.abs(), rows.cost_amount)
    return rows.mutate(**changes)


def _times(rows: ir.Table, file: SourceFile) -> ir.Table:
    """Cancellations by their day, and the time of the day where it stands in a column of its own."""
    changes = {}
    if has(file, "cancelled_at"):
        changes["status"] = ibis.ifelse(rows.cancelled_at.notnull(), "cancelled", rows.status)
    if has(file, "ordered_time"):
        since = parse.seconds(rows.text_ordered_time)
        wrong = rows.text_ordered_time.notnull() & since.isnull()
        changes["fault_ordered_time"] = _or(_fault(rows, "ordered_time"), wrong, "not_a_date")
        changes["ordered_at"] = rows.ordered_at + since.fill_null(0).as_interval("s")
    return rows.mutate(**changes) if changes else rows
