"""Extracts into staged tables: every row is accepted, set aside as later than as-of, or refused with a reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cached_property
from pathlib import Path

import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa
from babel.numbers import get_currency_precision

from ltvlab_utils.errors import Refused, StepFailed, nearest
from ltvlab_utils.params import Params
from ltvlab_utils.sources import cells, checks, files, judge, linking, mapping, order_lines, readers, subscriptions
from ltvlab_utils.sources.files import SourceFile
from ltvlab_utils.sources.judge import MONEY
from ltvlab_utils.sources.linking import Linked
from ltvlab_utils.sources.tax import Tax
from ltvlab_utils.tables import CONTRACTS
from ltvlab_utils.tables.contract import KINDS


@dataclass(frozen=True)
class Staged:
    """What staging made. `tables`: input tables by name, as Ibis tables of the connection, every contract column there
    and nothing later than as-of; `outputs`: the same with what else notebook 01 writes of them; `made_keys`: columns of
    keys that staging made, by table; `judged`: every row of each delivered table with its judgement; `linked`: None if
    identity.links is off."""

    tables: dict[str, ir.Table]
    report_table: ir.Table
    rejected_table: ir.Table
    made_customers: int
    as_of: date
    currency: str
    checks_table: ir.Table
    findings_table: ir.Table
    made_keys: dict[str, tuple[str, ...]]
    judged: dict[str, ir.Table]
    linked: Linked | None = None

    @property
    def outputs(self) -> dict[str, ir.Table | pd.DataFrame]:
        linked = self.linked.outputs if self.linked else {}
        return {
            **self.tables,
            "ingest_report": self.report_table,
            "rejected_rows": self.rejected_table,
            "ingest_checks": self.checks_table,
            "ingest_findings": self.findings_table,
            **linked,
        }

    @cached_property
    def report(self) -> pd.DataFrame:
        return _plain(self.report_table, "ingest_report")

    @cached_property
    def rejected(self) -> pd.DataFrame:
        return _plain(self.rejected_table, "rejected_rows")

    @cached_property
    def checks(self) -> pd.DataFrame:
        return _plain(self.checks_table, "ingest_checks")

    @cached_property
    def findings(self) -> pd.DataFrame:
        return _plain(self.findings_table, "ingest_findings")


@dataclass(frozen=True)
class _Read:
    """What was read of a file: rows that are meant for its table, rows that are not, and the amount of the former."""

    rows: int
    passed_over: int
    amount: Decimal


def _plain(table: ir.Table, name: str) -> pd.DataFrame:
    money = [c.name for c in CONTRACTS[name].columns if c.kind == "money"]
    frame = table.order_by(list(CONTRACTS[name].keys)).to_pandas()
    return frame.astype(dict.fromkeys(money, "float64"))


def survey(params: Params, data_dir: str | Path) -> list[SourceFile]:
    """The files that a run would read, their headers mapped; reads no row.

    Raises Refused in one sentence for what is missing (file, column), empty, matched twice, or asked but not supported.
    """
    refuse_unsupported(params)
    found = files.find(params, Path(data_dir))
    surveyed = [mapping.mapped(file, readers.read_header(file)) for file in found]
    for file in surveyed:
        if _taxed(params, file) and not (mapping.has(file, "tax_rate") or mapping.has(file, "order_tax")):
            raise Refused(
                f"{file.where}: amounts include tax, but the table {file.table} has no tax_rate here: map or set "
                "tax_rate (or order_total and order_tax), or deliver amounts without tax."
            )
    return surveyed


def refuse_unsupported(params: Params) -> None:
    """Raises Refused for settings that would change numbers and that staging does not carry out."""
    settings, where = params.settings, f"params/{params.company}/company.yaml"
    if settings.date_basis != "ordered":
        raise Refused(
            f"{where}: date_basis {settings.date_basis} is not supported: revenue is counted on ordered_at alone. "
            "Set date_basis: ordered, or map the date that counts to ordered_at and say so in the source's name."
        )
    if settings.customer_key != "sold_to":
        raise Refused(
            f"{where}: customer_key {settings.customer_key} is not supported: the customer is who ordered. Set "
            "customer_key: sold_to, or map the column of the wanted customer to customer_id."
        )


def _tax(params: Params, file: SourceFile) -> Tax:
    """How tax is taken off the amounts of a file."""
    decimals = get_currency_precision(params.settings.currency)
    return Tax(_taxed(params, file), params.settings.tax.rounding, decimals)


def _taxed(params: Params, file: SourceFile) -> frozenset[str]:
    """Kinds of lines whose amounts include tax in this file; none where none do."""
    by_source = file.settings.amounts_include_tax
    by_company = params.settings.tax.basis == "included" and file.table in judge.SOLD
    if (by_source or by_company) and file.table not in judge.TAXED:
        raise Refused(
            f"{file.where}: amounts of {file.table} include tax, but that table has no tax_rate: deliver its amounts "
            "without tax."
        )
    if isinstance(by_source, list) and by_source:
        return frozenset(by_source)
    return judge.EVERY_KIND if by_source or by_company else frozenset()


def stage(params: Params, data_dir: str | Path, connection: ibis.BaseBackend) -> Staged:
    """Reads, maps and checks every source and returns the staged tables as of the end of the period.

    Raises Refused for what `survey` refuses, for a broken file (file and row), and when a table's share of refused rows
    passes limits.rejected_share.
    """
    surveyed = survey(params, data_dir)
    tables, judged, foreign, reports, rejected = {}, {}, {}, [], []
    for name in dict.fromkeys(file.table for file in surveyed):
        own = [file for file in surveyed if file.table == name]
        rows, read, other = _judged(params, own, connection)
        judged[name] = rows
        if other:
            foreign[name] = _union(other)
        report = _report(params, name, own, read, rows)
        _refuse_past_limit(params, name, rows, report)
        tables[name] = _staged(params, name, own, rows)
        reports.append(report)
        rejected.append(_rejected(name, rows))
    report = pa.concat_tables(reports)
    if not _facts(report, ("order_lines", "contract_terms")):
        raise Refused(
            f"{params.company} {params.period}: no order and no contract up to {params.as_of} was accepted: there is "
            "nothing to review. Choose a period that the extracts cover, or look at what they hold."
        )
    tables["customers"], made = _customers(tables, connection)
    report, refused, linked = _loaded(connection, report), _union(rejected), None
    if params.settings.identity.links != "off":
        linked = linking.link(params, tables, judged, connection)
        tables, (report, refused) = linked.tables, linked.reported(report, refused)
    tables = linking.with_parents(params, tables)
    found = checks.run(params, judged, foreign, report, refused, made, connection)
    return Staged(
        tables, report, refused, made, params.as_of, params.settings.currency, found.checks, found.findings,
        _made_keys(surveyed), judged, linked,
    )  # fmt: skip


def _made_keys(surveyed: list[SourceFile]) -> dict[str, tuple[str, ...]]:
    """Key columns that staging makes from file and row, by table: a new export moves them."""
    keys = {(f.table, k) for f in surveyed for k in CONTRACTS[f.table].keys if f.origin[k][0] == "made"}
    return {table: tuple(sorted(k for t, k in keys if t == table)) for table in {t for t, _ in keys}}


def _union(tables: list[ir.Table]) -> ir.Table:
    return ibis.union(*tables) if len(tables) > 1 else tables[0]


def _rows(table: ir.Table) -> int:
    return int(table.count().to_pandas())


def _kept(connection: ibis.BaseBackend, expression: ir.Table) -> ir.Table:
    """The expression computed once, as a temporary table. In one statement: Ibis writes its own out twice."""
    name = ibis.util.gen_name("ltvlab_stage")
    connection.raw_sql(f'CREATE TEMP TABLE "{name}" AS {connection.compile(expression)}').fetchall()
    return connection.table(name)


def _dropped(connection: ibis.BaseBackend, *tables: ir.Table) -> None:
    for table in tables:
        connection.raw_sql(f'DROP TABLE "{table.get_name()}"').fetchall()


def _loaded(connection: ibis.BaseBackend, table: pa.Table) -> ir.Table:
    """A small table of Python as a temporary table of the engine. By DuckDB: Ibis 12 cannot drop what it registers."""
    name = ibis.util.gen_name("ltvlab_stage")
    connection.con.register(f"{name}_view", table)
    connection.raw_sql(f'CREATE TEMP TABLE "{name}" AS SELECT * FROM "{name}_view"').fetchall()
    connection.con.unregister(f"{name}_view")
    return connection.table(name)


def _staged(params: Params, name: str, own: list[SourceFile], rows: ir.Table) -> ir.Table:
    """The accepted rows as they were known at as-of, in the columns of the contract."""
    accepted = rows.filter(rows.reason_.isnull())
    if any(file.settings.repeats for file in own):
        accepted = judge.one_a_key(CONTRACTS[name], accepted)
    if name == "contract_terms":
        accepted = subscriptions.spread(accepted, params.as_of)
    if name == "order_lines":
        accepted = order_lines.spread(accepted)
    accepted = accepted.filter(~judge.after_as_of(name, accepted, params.as_of))
    return judge.masked(name, accepted, params.as_of).select(CONTRACTS[name].names)


def _judged(
    params: Params, own: list[SourceFile], connection: ibis.BaseBackend
) -> tuple[ir.Table, list[_Read], list[ir.Table]]:
    """Every row of a table's files with its judgement; rows and amount of each file as they were read; rows in another
    currency."""
    zone, currency = params.settings.time_zone, params.settings.currency
    parts, steps, read, foreign = [], [], [], []
    with cells.staged_in_steps():
        for order, file in enumerate(own):
            loaded = readers.load(connection, file)
            cells.refuse_unequal(loaded, file)
            own_rows = cells.meant(loaded, file)
            passed_over = _rows(loaded) - _rows(own_rows) if file.only else 0
            tax = _tax(params, file)
            raw = cells.prepared(cells.without_point_zero(own_rows, file), file, bool(tax.kinds))
            worked_out = _kept(connection, judge.worked_out(raw, file, order, zone, currency, tax))
            if (other := checks.foreign(raw, file, currency)) is not None:
                foreign.append(_kept(connection, other))
            _dropped(connection, loaded)
            found = worked_out.aggregate(rows=worked_out.count(), amount=worked_out.amount_.sum()).to_pandas().iloc[0]
            read.append(_Read(int(found["rows"]), passed_over, Decimal(found["amount"] if found["rows"] else 0)))
            parts.append(judge.judged(worked_out, file, order))
            steps.append(worked_out)
        rows = _kept(connection, judge.without_duplicates(CONTRACTS[own[0].table], judge.united(parts)))
    _dropped(connection, *steps)
    return rows, read, foreign


def _report(params: Params, name: str, own: list[SourceFile], read: list[_Read], rows: ir.Table) -> pa.Table:
    """ingest_report of one table: what was read as counted on the files, what became of it as counted on the rows.

    Raises StepFailed where the two do not meet.
    """
    zero = ibis.literal(0, MONEY)
    accepted, later = rows.reason_.isnull(), judge.after_as_of(name, rows, params.as_of)
    where = {"accepted": accepted, "rejected": ~accepted, "after_as_of": accepted & later}
    guests = (rows.reason_ == "missing_customer").fill_null(False)
    counted = rows.group_by(source="source_", file="file_").aggregate(
        **{f"rows_{k}": ibis.ifelse(w, 1, 0).sum() for k, w in where.items()},
        rows_without_customer=ibis.ifelse(guests, 1, 0).sum(),
        amount_accepted=ibis.ifelse(accepted, rows.amount_, zero).sum(),
        amount_rejected=ibis.ifelse(accepted, zero, rows.amount_).sum(),
        amount_after_as_of=ibis.ifelse(accepted, judge.amount_after(name, rows, params.as_of), zero).sum(),
    )
    found = {(c.pop("source"), c.pop("file")): c for c in counted.to_pyarrow().to_pylist()}
    contract, lines = CONTRACTS["ingest_report"], []
    for file, counts in zip(own, read, strict=True):
        line = {
            "table_name": name,
            "source": file.source,
            "file": file.file,
            "rows_read": counts.rows,
            "rows_passed_over": counts.passed_over,
            "amount_read": counts.amount,
            "fingerprint": file.fingerprint,
            "columns_unknown": ", ".join(file.columns_unknown) or None,
            "columns_missing": ", ".join(file.columns_missing) or None,
            **found.get((file.source, file.file), {}),
        }
        for column in contract.columns:  # a file with no row at all counts zero
            if column.kind == "money":
                line[column.name] = Decimal(line.get(column.name) or 0).quantize(Decimal("0.0001"))
            elif column.kind == "integer":
                line[column.name] = int(line.get(column.name) or 0)
        if (
            line["rows_read"] != line["rows_accepted"] + line["rows_rejected"]
            or line["amount_read"] != line["amount_accepted"] + line["amount_rejected"]
        ):
            raise StepFailed(
                f"{name}: what was read is not what was accepted and refused. This is a fault of the package."
            )
        lines.append({c: line[c] for c in contract.names})
    schema = ibis.schema({c.name: KINDS[c.kind][1] for c in contract.columns}).to_pyarrow()
    return pa.Table.from_pylist(lines, schema=schema)


def _facts(report: pa.Table, names: tuple[str, ...]) -> int:
    """Accepted rows of these tables that were facts by as-of."""
    lines = [line for line in report.to_pylist() if line["table_name"] in names]
    return sum(line["rows_accepted"] - line["rows_after_as_of"] for line in lines)


def _rejected(name: str, rows: ir.Table) -> ir.Table:
    return rows.filter(rows.reason_.notnull()).select(
        table_name=ibis.literal(name),
        source="source_",
        file="file_",
        row_no="row_no_",
        column="column_",
        value="value_",
        reason="reason_",
        amount=rows.amount_.cast(MONEY),
    )


def _refuse_past_limit(params: Params, name: str, rows: ir.Table, report: pa.Table) -> None:
    bad = rows.filter(rows.reason_.notnull())
    total, refused = (sum(report[column].to_pylist()) for column in ("rows_read", "rows_rejected"))
    limit = params.settings.limits.rejected_share
    if not total or refused <= limit * total:
        return
    counts = bad.group_by(["column_", "reason_"]).aggregate(n=lambda t: t.count()).to_pandas()
    worst = counts.sort_values(["n", "column_"], ascending=[False, True]).iloc[0]
    first = bad.filter((bad.column_ == worst["column_"]) & (bad.reason_ == worst["reason_"]))
    example = first.order_by(["order_", "row_no_"]).limit(1).to_pandas().iloc[0]
    value = "" if pd.isna(example["value_"]) else f' holds "{str(example["value_"])[:60]}"'
    known = CONTRACTS[name].column[worst["column_"]].values
    options = nearest(str(example["value_"]), known) if known and not pd.isna(example["value_"]) else ""
    raise Refused(
        f"{name}: {refused:,} of {total:,} rows are refused, more than limits.rejected_share {limit:g} allows. Most "
        f"often ({worst['n']:,} rows) {worst['column_']} is {worst['reason_']}: data/{example['file_']}, row "
        f"{example['row_no_']}{value}.{options} Correct the mapping (columns, values, date_format) or the extract, or "
        "raise the limit knowingly."
    )


def _customers(tables: dict[str, ir.Table], connection: ibis.BaseBackend) -> tuple[ir.Table, int]:
    """The customers table with a row for every customer that any other table names; how many of them were made."""
    contract = CONTRACTS["customers"]
    named = [t.select("customer_id") for n, t in tables.items() if n != "customers" and "customer_id" in t.columns]
    ids = _union(named).filter(lambda t: t.customer_id.notnull()).distinct()
    known = tables.get("customers")
    if known is not None:
        ids = ids.anti_join(known, "customer_id")
    ids = _kept(connection, ids)
    made = ids.select(
        customer_id=ids.customer_id,
        customer_name=ids.customer_id,
        **{c.name: ibis.null(KINDS[c.kind][1]) for c in contract.columns[2:]},
    )
    return (made if known is None else ibis.union(known, made)), _rows(ids)
