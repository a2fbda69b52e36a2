"""What the checks look at: judged rows with the file and row they came from, and what of them the review uses."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

import ibis
import ibis.expr.types as ir
import pandas as pd

from ltvlab_utils.params import Params
from ltvlab_utils.sources import judge
from ltvlab_utils.tables import CONTRACTS


@dataclass(frozen=True)
class Evidence:
    """`rows`: every row of each delivered table as `judge` left it (contract columns, source_, file_, order_, row_no_,
    column_, value_, reason_). `foreign`: marks of rows in another currency, by table."""

    params: Params
    rows: dict[str, ir.Table]
    foreign: dict[str, ir.Table]
    made_customers: int = 0
    kept: dict[str, ir.Table] = field(default_factory=dict)

    @property
    def as_of(self) -> date:
        return self.params.as_of

    def used(self, name: str) -> ir.Table:
        """The rows that the review uses: accepted, not later than as-of, later facts masked."""
        if name not in self.kept:
            rows = self.rows[name]
            inside = rows.filter(rows.reason_.isnull() & ~judge.after_as_of(name, rows, self.as_of))
            self.kept[name] = judge.masked(name, inside, self.as_of)
        return self.kept[name]

    @cached_property
    def days(self) -> dict[str, pd.DataFrame]:
        """Of each dated table its days with a row: day, rows, in order."""
        found = {}
        for name in set(self.rows) & set(judge.DATED):
            used = self.used(name)
            day = used[judge.DATED[name]].cast("date")
            counted = used.mutate(day=day).filter(lambda t: t.day.notnull()).group_by("day")
            frame = counted.aggregate(rows=lambda t: t.count()).order_by("day").to_pandas()
            found[name] = frame.assign(day=pd.to_datetime(frame["day"]))
        return found


def marks(name: str, rows: ir.Table) -> ir.Table:
    """Rows of a table as the findings tell them: where they stand, their key, their amount, whether they count."""
    column = judge.AMOUNT.get(name)
    zero = ibis.literal(0, judge.MONEY)
    keys = [rows[k].cast("string").fill_null("") for k in CONTRACTS[name].keys]
    key = keys[0]
    for other in keys[1:]:
        key = key + "/" + other
    return rows.select(
        source=rows.source_,
        file=rows.file_,
        order=rows.order_,
        row_no=rows.row_no_,
        key=key,
        amount=(rows[column].fill_null(zero) if column else zero).cast(judge.MONEY),
        accepted=rows.reason_.isnull(),
    )
