"""The keys of a source in company.yaml: one delivery of rows and how its columns are read (floor 1)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ltvlab_utils.errors import Refused
from ltvlab_utils.source_paths import checked_path, checked_sheet

LineWord = Literal["sale", "return", "shipping", "fee", "discount", "tax"]
# columns that a file may hold beside those of the contract, and from which contract columns are worked out
HELPERS: dict[str, dict[str, str]] = {
    "order_lines": {
        "unit_price": "price of one unit: net_amount = quantity x unit_price, less the discounts below",
        "unit_cost": "cost of one unit: cost_amount = quantity x unit_cost",
        "line_discount": "amount that the line's price is lowered by",
        "line_discount_rate": "share that the line's price is lowered by (0.15, 15%)",
        "ordered_time": "time of the day, where ordered_at holds the day alone (103309, 10:33)",
        "cancelled_at": "day of the cancellation: where it holds one, the order is cancelled",
        "goods_amount": "goods of the whole order after all discounts: what its lines miss becomes a discount line",
        "order_total": "the whole order with tax; with order_tax, the tax rate of orders that name none",
        "order_tax": "tax of the whole order",
    },
    "contract_terms": {
        "interval": "a subscription instead of a term: day, week, month or year, after which it renews",
        "interval_count": "how many of these intervals a term has; 1 where absent",
        "interval_amount": "amount of one interval and unit; monthly_amount follows",
        "units": "units (seats) of the subscription; 1 where absent",
        "ended_on": "day on which the subscription ended; empty while it runs",
    },
}


class Strict(BaseModel):
    """Every settings model: unknown keys refused, nothing converted in silence, never changed after reading."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Returns(Strict):
    """Which rows of order lines are returns. A return has kind return and a negative net_amount."""

    negative_quantity: bool = Field(False, description="a sale with a negative quantity is a return | | 01")
    order_prefix: str = Field("", description="a sale whose order_id starts so is a return | | 01")
    where: dict[str, list[str]] = Field(
        {}, description="contract column: texts of the file by which a sale is a return | | 01"
    )
    positive: Literal["refused", "negated", "cancelled"] = Field(
        "refused",
        description="a positive amount of a return: refused; negated, where the file writes returns without a sign; "
        "cancelled, where the order itself came back and is not counted | | 01",
    )


class FurtherLine(Strict):
    """An amount of the whole order that is a line of its own: taken from the order's first row, left out where 0."""

    kind: Literal["shipping", "fee", "discount", "return"] = Field(
        description="what the line is; discount = a fee with a negative amount | | 01"
    )
    amount: str | list[str] = Field(description="column of the file, or a list of its names, without sign | | 01")
    on: str = Field("", description="column of the file with its day; ordered_at where empty | | 01")
    includes_tax: bool = Field(False, description="true where the amount includes tax | | 01")


class Source(Strict):
    """One delivery of rows for one input table."""

    path: str = Field(
        description="file, folder or glob below data/<company>/, package:NAME/FILE, or database:NAME/TABLE | | 01"
    )
    name: str = Field("", description="name on reports; the path where empty | | 01")
    mapping: str = Field("", description="ready mapping of a product; own keys win over its keys | | 01")
    format: Literal["", "csv", "text", "parquet", "workbook"] = Field(
        "",
        description="csv; text = columns split by blanks; parquet; workbook (.xlsx, .xls, .ods); by the name of the "
        "file where empty | | 01",
    )
    encoding: str = Field("", description="encoding of a csv or text file; looked at where empty | | 01")
    delimiter: str = Field("", description="delimiter of a csv file; tab for .tsv, else a comma where empty | | 01")
    sheet: str = Field("", description="sheet of a workbook; its first where empty | | 01")
    skip: int = Field(
        0, ge=0, le=1000, description="rows before the header row of a csv file or workbook, such as titles | rows | 01"
    )
    header: list[str] = Field([], description="names of the columns where the file has no header row | | 01")
    columns: dict[str, str | list[str]] = Field(
        {},
        description="contract or helper column: column of the file, or a list of them, of which the first that holds "
        "something counts; same name where absent | | 01",
    )
    may_lack: list[str] = Field([], description="optional columns of `columns` that a file may lack | | 01")
    constants: dict[str, str | int | float | bool] = Field(
        {}, description="contract or helper column: value for every row | | 01"
    )
    values: dict[str, dict[str, str]] = Field(
        {},
        description="contract or helper column: {value in the file: code}; kind knows discount (a negative fee) and "
        "tax (counts 0) too | | 01",
    )
    date_format: str = Field(
        "", description="strptime form of dates where they are not ISO (2025-06-30, 2025/6/30) | strptime | 01"
    )
    time_zone: str = Field("", description="zone of times that carry none; the company's where empty | IANA name | 01")
    amounts_include_tax: bool | list[LineWord] = Field(
        False,
        description="true where amounts of the file include tax, or the kinds of lines of which they do; needs "
        "tax_rate, or order_total and order_tax | | 01",
    )
    amount_unit: Literal["major", "minor"] = Field(
        "major", description="minor where amounts are in the currency's smallest unit (cents) | | 01"
    )
    only: dict[str, list[str]] = Field(
        {},
        description="column of the file: texts of the rows that are meant for this table, * = any text; other rows are "
        "passed over and counted | | 01",
    )
    fill_down: list[str] = Field(
        [], description="columns that stand on the first line of an order alone, carried to its further lines | | 01"
    )
    repeats: bool = Field(
        False,
        description="true where a key comes again and again (customers among orders): of each column the last value "
        "counts | | 01",
    )
    returns: Returns = Field(Returns(), description="which order lines are returns | | 01")
    further_lines: list[FurtherLine] = Field([], description="amounts of the order as lines of their own | | 01")

    @field_validator("date_format")
    @classmethod
    def _strptime(cls, form: str) -> str:
        unknown = re.sub(r"%[YymdbBHIMSfpzjaAe%-]", "", form)
        if "%" in unknown:
            raise ValueError(
                f'"%{unknown.partition("%")[2][:1]}" is no part of a date form; %Y, %m, %d, %H, %M, %S are'
            )
        return form

    _path = field_validator("path")(checked_path)
    _sheet = field_validator("sheet")(checked_sheet)

    @property
    def named(self) -> list[str]:
        """Contract and helper columns that any key names."""
        parts = (self.columns, self.constants, self.values, self.may_lack, self.fill_down, self.returns.where)
        return list(dict.fromkeys(name for part in parts for name in part))


def with_ready(
    data: dict[str, Any], ready: Callable[[str, str], Mapping[str, Any]] | None, file: str
) -> dict[str, Any]:
    """The text of company.yaml with the keys of each source's ready mapping laid under its own.

    `ready`: name of a mapping and table -> keys of the source. Raises Refused for a name that it does not know.
    """
    tables = data.get("sources")
    if not isinstance(tables, dict):
        return data
    merged = {}
    for table, sources in tables.items():
        if not isinstance(sources, list):
            return data
        merged[table] = [_merged(s, table, ready, f"{file}: sources.{table}[{i}]") for i, s in enumerate(sources, 1)]
    return {**data, "sources": merged}


def _merged(own: Any, table: str, ready: Callable | None, where: str) -> Any:
    if not isinstance(own, dict) or not isinstance(name := own.get("mapping"), str):
        return own
    if ready is None:
        raise Refused(f'{where}: the ready mapping "{name}" is not known here.')
    try:
        base = dict(ready(name, table))
    except Refused as error:
        raise Refused(f"{where}: {error}") from None
    parts = ("columns", "constants", "values", "returns")
    mine = {part: own.get(part, {}) for part in parts}
    if not all(isinstance(keys, dict) for keys in mine.values()):
        return own  # its keys are refused where they are checked
    replaced = {*mine["columns"], *mine["constants"]}
    for part in ("columns", "constants"):
        base[part] = {k: v for k, v in base.get(part, {}).items() if k not in replaced}
    lacks = [*base.get("may_lack", []), *base["columns"]]
    merged = {part: {**base.get(part, {}), **mine[part]} for part in parts}
    whole = {"may_lack": [c for c in dict.fromkeys(lacks) if c not in replaced], **own}
    return {**base, **whole, **{part: keys for part, keys in merged.items() if keys}}
