"""The named checks of notebook 01 (floor 3): run on judged rows, told in ingest_checks and ingest_findings.

outcome = checks.run(params, rows, foreign, report, rejected, made_customers, connection)
outcome.checks, outcome.findings     # Ibis tables under their contracts; Refused where a check stops the run
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa

from ltvlab_utils.errors import Refused
from ltvlab_utils.i18n import say, whole
from ltvlab_utils.params import Params
from ltvlab_utils.sources.checks.currency import foreign
from ltvlab_utils.sources.checks.evidence import Evidence, marks
from ltvlab_utils.sources.checks.levels import MEASURES
from ltvlab_utils.sources.checks.rows import FINDERS, REFUSED
from ltvlab_utils.tables import CONTRACTS
from ltvlab_utils.tables.checks import CHECKS, Check, CheckSetting
from ltvlab_utils.tables.contract import KINDS

__all__ = ["Outcome", "foreign", "run"]


@dataclass(frozen=True)
class Outcome:
    """`checks`: the contract ingest_checks; `findings`: the contract ingest_findings."""

    checks: ir.Table
    findings: ir.Table


def run(
    params: Params,
    rows: dict[str, ir.Table],
    foreign: dict[str, ir.Table],
    report: ir.Table,
    rejected: ir.Table,
    made_customers: int,
    connection: ibis.BaseBackend,
) -> Outcome:
    """Every check that is not off, on every table that it looks at.

    `rows`: judged rows by table; `foreign`: row numbers (file_, row_no, other_) of rows in another currency by table,
    for tables with a column that names it; `report`, `rejected`: ingest_report and rejected_rows. Raises Refused for
    the first check that stops the run.
    """
    seen = Evidence(params, rows, foreign, made_customers)
    read = report.group_by("table_name").aggregate(n=report.rows_read.sum()).to_pandas()
    read, refused = read.set_index("table_name")["n"], _refused(rejected)
    told, found = [], []
    for check in CHECKS.values():
        setting = params.settings.checks.get(check.name, CheckSetting())
        severity = setting.severity or check.severity
        for name in check.tables or tuple(rows):
            line = {"check": check.name, "table_name": name, "severity": severity}
            if severity == "off" or name not in rows:
                told.append({**line, "status": "not_applicable"})
                continue
            if check.name in REFUSED:
                result = _of_refused(check, refused, name, read[name])
            elif check.of_rows:
                result, listed = _of_rows(check, seen, name, read[name], connection)
                found += [listed] if listed is not None else []
            else:
                result = _of_table(check, seen, name)
            told.append({**line, **_judged(check, setting, result)})
            _refuse(params, check, setting, told[-1])
    return Outcome(_checks_table(told), _findings_table(found))


def _refused(rejected: ir.Table) -> pd.DataFrame:
    """Refused rows by table_name, column and reason: rows, amount, file and row_no of the first."""
    first = {n: rejected[n].first(order_by=[rejected.file, rejected.row_no]) for n in ("file", "row_no")}
    sums = rejected.group_by(["table_name", "column", "reason"]).aggregate(
        rows=rejected.count(), amount=rejected.amount.sum(), **first
    )
    return sums.order_by(["table_name", "file", "row_no"]).to_pandas()


def _of_refused(check: Check, refused: pd.DataFrame, name: str, read: int) -> dict:
    own = refused[(refused["table_name"] == name) & REFUSED[check.name](refused)]
    result = {"rows": int(own["rows"].sum()), "amount": sum(own["amount"], Decimal(0))}
    if len(own):
        result |= {"example_file": own["file"].iloc[0], "example_row": int(own["row_no"].iloc[0])}
    return {**result, "measured": result["rows"] / max(int(read), 1)}


def _of_rows(check: Check, seen: Evidence, name: str, read: int, connection) -> tuple[dict | None, ir.Table | None]:
    """Counts of the rows that a check found, with the first of them, and the accepted ones as findings."""
    found = FINDERS[check.name](seen, name)
    if found is None:
        return None, None
    marked = connection.create_table(ibis.util.gen_name("ltvlab_found"), marks(name, found), temp=True)
    sums = marked.aggregate(rows=marked.count(), amount=marked.amount.sum()).to_pandas().iloc[0]
    count = int(sums["rows"])
    result = {"rows": count, "amount": sums["amount"] if count else Decimal(0), "measured": count / max(int(read), 1)}
    if not count:
        return result, None
    first = marked.order_by(["order", "row_no"]).limit(1).to_pandas().iloc[0]
    result |= {"example_file": first["file"], "example_row": int(first["row_no"])}
    listed = marked.filter(marked.accepted).mutate(check=ibis.literal(check.name), table_name=ibis.literal(name))
    return result, listed.drop("accepted", "order")


def _of_table(check: Check, seen: Evidence, name: str) -> dict | None:
    measure = MEASURES[check.name](seen, name)
    if measure is None:
        return None
    return {
        "measured": float(measure.value), "rows": measure.rows, "amount": Decimal(repr(measure.amount)),
        "detail": measure.detail or None, "example_file": measure.file, "limit": measure.limit,
    }  # fmt: skip


def _judged(check: Check, setting: CheckSetting, result: dict | None) -> dict:
    if result is None:
        return {"status": "not_applicable"}
    # the limit of company.yaml, else one that the data gave, else that of the catalogue
    limit = next(v for v in (setting.limit, result.get("limit"), check.limit) if v is not None)
    status = "failed" if check.past(result["measured"], limit) else "passed"
    return {**result, "limit": float(limit), "status": status}


def _refuse(params: Params, check: Check, setting: CheckSetting, line: dict) -> None:
    """Raises Refused where a check that failed is to stop the run, or its measure lies past `stop_at`."""
    if line["status"] == "not_applicable":
        return
    past = setting.stop_at is not None and check.past(line["measured"], setting.stop_at)
    if not past and not (line["severity"] == "stop" and line["status"] == "failed"):
        return
    where = f"data/{line['example_file']}" if line.get("example_file") else ""
    where += f", row {line['example_row']}" if line.get("example_row") else ""
    rows = f" ({whole(line['rows'], 'en')} rows{', first ' + where if where else ''})" if line["rows"] else ""
    limit = setting.stop_at if past else line["limit"]
    detail = f", {line['detail']}" if line.get("detail") else ""
    raise Refused(
        f"{line['table_name']}: the check {check.name} stops the run: {say(f'check.{check.name}', 'en')}: "
        f"{line['measured']:.3g} {check.unit}{detail}, {'less' if check.below else 'more'} than {limit:g}{rows}. "
        f"{say(f'check.{check.name}.remedy', 'en')} Or set `checks: {{{check.name}: warn}}` in "
        f"params/{params.company}/company.yaml knowingly."
    )


def _arrow(name: str) -> pa.Schema:
    return ibis.schema({c.name: KINDS[c.kind][1] for c in CONTRACTS[name].columns}).to_pyarrow()


def _checks_table(told: list[dict]) -> ir.Table:
    schema = _arrow("ingest_checks")
    lines = [{**dict.fromkeys(schema.names), "rows": 0, "amount": Decimal(0), **line} for line in told]
    for line in lines:
        line["amount"] = Decimal(line["amount"] if not pd.isna(line["amount"]) else 0).quantize(Decimal("0.0001"))
    return ibis.memtable(pa.Table.from_pylist([{n: line[n] for n in schema.names} for line in lines], schema=schema))


def _findings_table(found: list[ir.Table]) -> ir.Table:
    names = CONTRACTS["ingest_findings"].names
    if not found:
        return ibis.memtable(_arrow("ingest_findings").empty_table())
    parts = [f.select(names) for f in found]
    return ibis.union(*parts) if len(parts) > 1 else parts[0]
