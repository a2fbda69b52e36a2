"""The named checks of notebook 01 (floor 1): what each looks for, how grave it is, from which value on it fails.

A check of rows lists each row that it finds in `ingest_findings`; what is held against its limit is the share of the
table's rows that it found. A check of a table has a measure of its own, in `unit`. company.yaml may set severity,
limit and `stop_at` of each (`checks: {returns_without_sale: warn}`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ltvlab_utils.errors import nearest

SEVERITIES = ("stop", "warn", "note", "off")
ROWS = "fraction of rows"
MAIN = ("order_lines", "contract_terms")
EVENTS = ("order_lines", "support_costs", "usage", "activities", "receivables")


class CheckSetting(BaseModel):
    """How company.yaml takes a check; what is null stays as the catalogue below has it."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    severity: Literal["stop", "warn", "note", "off"] | None = Field(
        None, description="stop = a failure stops the run, off = not asked; a bare word sets this alone | | 01"
    )
    limit: float | None = Field(None, ge=0, description="value past which the check fails | as the check | 01")
    stop_at: float | None = Field(None, ge=0, description="value past which the run stops | as the check | 01")


def settings_of_checks(checks: Any) -> Any:
    """The key `checks` of company.yaml, bare words as severities. Raises ValueError for a check that is not there."""
    if not isinstance(checks, dict):
        return checks
    for name in checks:
        if name not in CHECKS:
            raise ValueError(f'no check is called "{name}".{nearest(name, CHECKS)}')
    return {name: {"severity": asked} if isinstance(asked, str) else asked for name, asked in checks.items()}


@dataclass(frozen=True)
class Check:
    """One check. `below`: it fails under its limit, not over it."""

    name: str
    meaning: str
    tables: tuple[str, ...]
    severity: str = "warn"
    limit: float = 0.0
    unit: str = ROWS
    below: bool = False

    @property
    def of_rows(self) -> bool:
        return self.unit == ROWS

    def past(self, measured: float, limit: float) -> bool:
        return measured < limit if self.below else measured > limit


ORDERS, TERMS, NAMES = ("order_lines",), ("contract_terms",), ("customers",)
_ALL = (
    # of rows
    Check("refused_rows", "rows refused for what stands in them; rows without a customer and repeated keys have checks "
          "of their own", (), limit=0.01),
    Check("guests", "rows without a customer", (), limit=0.05),
    Check("repeated_keys", "rows whose key stands in an earlier row; the earlier one counts", (), limit=0.01),
    Check("repeated_lines", "the same line (customer, moment, product, quantity, amount) under another number", ORDERS,
          limit=0.005),
    Check("other_currency", "rows whose currency is not the reporting currency, in a column called currency or 通貨",
          (), severity="stop"),
    Check("future_dates", "rows dated after half a year without any row, later than as-of", EVENTS),
    Check("returns_without_sale", "returns by a customer to whom nothing had been sold until then", ORDERS),
    Check("orders_of_two_customers", "lines of an order that names more than one customer", ORDERS),
    Check("overlapping_terms", "terms that start while an earlier term of their contract runs", TERMS),
    Check("terms_end_before_start", "terms that end before they start; they are refused", TERMS),
    Check("unknown_products", "rows whose product stands in no product list", MAIN, limit=0.01),
    Check("closing_day_lines", "order lines dated on the closing day that bear the marks of an invoice: shipped "
          "before, dated after the rest of the order, or at a clock time or by a customer seen on closing days far "
          "more often than chance allows", ORDERS),
    Check("garbled_names", "customer names that were read in a wrong encoding", NAMES),
    Check("unnamed_customers", "customers in the list without a name; they are refused", NAMES),
    # of tables
    Check("closing_day_clustering", "orders on the closing day, as a multiple of what the calendar gives", ORDERS,
          limit=2.0, unit="times"),
    Check("short_data", "months from the first row to as-of", MAIN, limit=12, unit="months", below=True),
    Check("stale_data", "days from the last row to as-of, where that is longer than any pause of the year before",
          EVENTS, limit=7, unit="days"),
    Check("empty_months", "months without a row, in a table that has many rows in every other month", ORDERS,
          unit="months"),
    Check("unseen_start", "first orders in the first month, as a multiple of a usual month: customers are older than "
          "the data", ORDERS, severity="note", limit=3.0, unit="times"),
    Check("unlisted_customers", "customers that rows name and the customer list lacks", NAMES, severity="note",
          unit="customers"),
    Check("files_without_cost", "share of amount in files that hold no cost at all", MAIN,
          unit="fraction of amount"),
    Check("sales_at_a_loss", "share of sale lines that cost more than they brought", ORDERS, limit=0.2,
          unit="fraction of sales"),
    Check("amount_jump", "largest change of the typical amount of a line from a month to the next, as a multiple",
          ORDERS, limit=5.0, unit="times"),
    Check("price_step", "share of products whose unit price changed by one tax rate (8 or 10 %) in the same month",
          ORDERS, limit=0.5, unit="fraction of products"),
)  # fmt: skip

CHECKS: dict[str, Check] = {check.name: check for check in _ALL}
