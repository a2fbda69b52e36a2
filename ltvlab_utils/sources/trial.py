"""A proposal tried on the sampled rows with the very code that a run uses, and what whole files hold.

trial(params, looks)             # what staging makes of the sample
overview(staged)                 # rows, customers, period covered, amount by year
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import ibis
import pandas as pd

from ltvlab_utils.params import Params
from ltvlab_utils.periods import LAST_YEAR, Period
from ltvlab_utils.sources.judge import AMOUNT, DATED
from ltvlab_utils.sources.look import Look
from ltvlab_utils.sources.stage import Staged, stage

FAR = f"{LAST_YEAR}-12"  # a period that sets no row aside
GRACE_DAYS = 3  # a month whose last orders are this near to its end is full: it may end on a holiday
MEMORY = "2GB"


@dataclass(frozen=True)
class Covered:
    """What one staged table holds. `by_year`: amount by year; empty where the table has no amount or day."""

    rows: int
    customers: int | None
    first: date | None
    last: date | None
    by_year: dict[int, float] = field(default_factory=dict)


@contextmanager
def engine() -> Iterator[ibis.BaseBackend]:
    """An engine of its own, with bounded memory, gone at the end."""
    with tempfile.TemporaryDirectory(prefix="ltvlab-") as folder:
        connection = ibis.duckdb.connect(memory_limit=MEMORY, temp_directory=folder)
        try:
            yield connection
        finally:
            connection.disconnect()


@contextmanager
def trial(params: Params, looks: Mapping[str, Sequence[Look]], rows: int | None = None) -> Iterator[Staged]:
    """Staging of the (first `rows`) sampled rows of each look, in the order of the sources. Raises Refused."""
    with tempfile.TemporaryDirectory(prefix="ltvlab-") as folder, engine() as connection:
        home, sources = Path(folder), {}
        for table, own in params.settings.sources.items():
            sources[table] = []
            for number, (source, look) in enumerate(zip(own, looks[table], strict=True)):
                name = f"{table}-{number}/{look.path.name.removesuffix('.gz')}"
                (home / name).parent.mkdir()
                _write(look, home / name, rows)
                plain = {"path": name, "name": look.path.name, "format": "csv", "encoding": "utf-8", "delimiter": ","}
                more = {"sheet": "", "skip": 0, "header": []}
                keys = {k: v for k, v in {**plain, **more}.items() if k in type(source).model_fields}
                sources[table].append(source.model_copy(update=keys))
        limits = params.settings.limits.model_copy(update={"rejected_share": 1.0})
        settings = params.settings.model_copy(update={"sources": sources, "limits": limits})
        yield stage(of_all_time(params.model_copy(update={"settings": settings})), home, connection)


def of_all_time(params: Params) -> Params:
    """The parameters of a period so late that no row is set aside."""
    return params.model_copy(update={"period": FAR})


def _write(look: Look, file: Path, rows: int | None) -> None:
    with file.open("w", encoding="utf-8", newline="", errors="replace") as out:
        writer = csv.writer(out, quoting=csv.QUOTE_ALL)
        writer.writerow(look.header)
        writer.writerows([c.replace("\0", "") for c in row] for row in look.rows[:rows])


def overview(staged: Staged, today: date) -> dict[str, Covered]:
    """What each delivered table holds, as staged; `last` is not after today."""
    return {name: _covered(name, table, today) for name, table in staged.tables.items()}


def _covered(name: str, table: ibis.Table, today: date) -> Covered:
    day = DATED.get(name)
    counts = {"rows": table.count()}
    if "customer_id" in table.columns:
        counts["customers"] = table.customer_id.nunique()
    if day:
        days = table[day].cast("date")
        counts |= {"first": days.min(), "last": days.max(where=days <= ibis.literal(today, "date"))}
    found = table.aggregate(**counts).to_pandas().iloc[0]
    by_year: dict[int, float] = {}
    if name == "order_lines" and day:
        counted = table.filter(table.status != "cancelled")
        sums = counted.group_by(year=counted[day].year()).aggregate(amount=lambda t: t[AMOUNT[name]].sum())
        by_year = {int(r.year): float(r.amount) for r in sums.order_by("year").to_pandas().itertuples()}
    return Covered(
        int(found["rows"]),
        int(found["customers"]) if "customers" in counts else None,
        _day(found["first"]) if day else None,
        _day(found["last"]) if day else None,
        by_year,
    )


def _day(value: object) -> date | None:
    return None if value is None or pd.isna(value) else pd.Timestamp(value).date()


def last_full_month(covered: Mapping[str, Covered], today: date) -> str:
    """The last month that the orders (or contracts) cover to its end, not after `today`; empty where none does."""
    held = covered.get("order_lines") or covered.get("contract_terms")
    if held is None or held.last is None or held.first is None:
        return ""
    if "order_lines" not in covered:  # a contract that runs covers every month up to now
        return str(Period(today.year, today.month).previous)
    after = held.last + timedelta(days=GRACE_DAYS)
    month = min(Period(after.year, after.month), Period(today.year, today.month)).previous
    return str(month) if month.last_day >= held.first else ""
