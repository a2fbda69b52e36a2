"""Consumption tax taken off amounts that include it: rounded once an order and rate, spread by largest remainder.

An order stands for its invoice, since order lines name no other. The rate is that of the line, else the share that tax
has of its order (order_total, order_tax).
"""

from __future__ import annotations

from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from ltvlab_utils.sources.files import SourceFile
from ltvlab_utils.sources.mapping import has
from ltvlab_utils.tables.contract import KINDS

MONEY = KINDS["money"][1]
NOISE = 6  # decimals that are certain in a float of this size: 100.00000000000001 is no reason to round up


@dataclass(frozen=True)
class Tax:
    """Kinds of lines whose amounts include tax, how the tax of an order is rounded (down, half_up, up), and decimals of
    the currency."""

    kinds: frozenset[str] = frozenset()
    rounding: str = "down"
    decimals: int = 0

    def rounded(self, amount: ir.FloatingValue) -> ir.FloatingValue:
        """A tax, without sign, rounded to the currency's unit."""
        units = (amount * 10**self.decimals).round(NOISE)
        whole = {"down": units.floor, "up": units.ceil, "half_up": (units + 0.5).floor}[self.rounding]()
        return whole / 10**self.decimals

    def off(self, amount: ir.Value, kept: ir.FloatingValue) -> ir.DecimalValue:
        """An amount without its tax, `kept` being the share of it that is no tax."""
        tax = self.rounded(amount.cast("float64").abs() * (1 - kept))
        return amount.cast(MONEY) - (ibis.ifelse(amount < 0, -tax, tax)).cast(MONEY)


def kept_share(rows: ir.Table, file: SourceFile) -> ir.FloatingValue:
    """The share of a row's amounts that is no tax; null where neither rate nor tax of the order is known."""
    by_rate = 1 / (1 + rows.tax_rate.cast("float64"))
    if not has(file, "order_total", "order_tax"):
        return by_rate
    total = rows.order_total.cast("float64").nullif(0)
    return ibis.coalesce(by_rate, (total - rows.order_tax.cast("float64")) / total)


def spread(rows: ir.Table, tax: Tax) -> ir.Table:
    """The rows with net_amount without tax where `included_`: the tax of an order and rate is rounded once, and its
    lines get whole units by largest remainder, so that they add up to it.

    Reads order_, row_no, tax_rate, kept_ (share that is no tax), included_.
    """
    scale = 10**tax.decimals
    group = {"group_by": ["order_", "tax_rate", "included_"]}
    exact = (rows.net_amount.cast("float64") * rows.kept_ * scale).round(NOISE)
    rows = rows.mutate(floor_=exact.floor(), part_=exact - exact.floor(), kept_all_=rows.kept_.min().over(**group))
    gross = rows.net_amount.sum().over(**group)
    rows = rows.mutate(
        whole_=tax.off(gross, rows.kept_all_),
        floors_=rows.floor_.sum().over(**group),
        rank_=ibis.row_number().over(**group, order_by=[ibis.desc("part_"), "row_no"]),
    )
    units = (rows.whole_.cast("float64") * scale).round(NOISE)
    more = (units - rows.floors_ + 0.5).floor()
    share = (rows.floor_ + (rows.rank_ < more).ifelse(1, 0)) / scale
    # an amount in parts of a unit leaves a rest that no whole unit holds
    rest = rows.whole_ - ((rows.floors_ + more) / scale).cast(MONEY)
    net = share.cast(MONEY) + ibis.ifelse(rows.rank_ == 0, rest, ibis.literal(0, MONEY))
    return rows.mutate(net_amount=ibis.ifelse(rows.included_, net.cast(MONEY), rows.net_amount))
