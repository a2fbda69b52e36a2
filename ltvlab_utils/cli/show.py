"""`ltvlab show`: tables of a review, or the contract of a table."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from typing import Annotated

import typer


class Format(StrEnum):
    table = "table"
    csv = "csv"
    json = "json"


def register(app: typer.Typer) -> None:
    app.command("show")(show)


def show(
    company: Annotated[str, typer.Argument(help="A folder below params/.")] = "",
    period: Annotated[str, typer.Argument(help="A calendar month, 2025-06.")] = "",
    table: Annotated[str, typer.Argument(help="A table; all names when left out.")] = "",
    head: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Rows to show; 20 on a terminal, else all.")
    ] = None,
    format: Annotated[Format, typer.Option(help="How to print.")] = Format.table,
    run: Annotated[str, typer.Option(metavar="ID", help="Another run than the published one.")] = "",
    contract: Annotated[str, typer.Option(metavar="TABLE", help="What a table holds: grain, columns, units.")] = "",
    reports_dir: Annotated[str, typer.Option(metavar="DIR", help="Instead of LTVLAB_REPORTS or reports/.")] = "",
) -> None:
    """Show the tables of a review, or what a table holds.

    Examples: ltvlab show sample 2025-06 ltv_by_customer --head 5; ltvlab show --contract ltv_by_customer
    """
    from ltvlab_utils.errors import Refused

    if contract:
        _contract(contract, format)
    elif not company or not period:
        raise Refused("Name a company and a period (ltvlab show sample 2025-06), or --contract TABLE.")
    elif not table:
        _tables(company, period, run, reports_dir, format)
    else:
        _rows(company, period, table, head, format, run, reports_dir)


def _contract(name: str, format: Format) -> None:
    import pandas as pd

    from ltvlab_utils.tables import contract_of
    from ltvlab_utils.tables.check import describe

    found = contract_of(name)
    rows = describe(found)
    if format is not Format.table:
        _print(pd.DataFrame(rows), format)
        return
    from ltvlab_utils.cli import output

    writer = "staged by notebook 01" if found.step == "input" else f"written by notebook {found.step}"
    typer.echo(f"{found.name} (version {found.version}): {found.grain}; {writer}. * marks the key.")
    made = output.table()
    for column in rows[0]:
        made.add_column(column, no_wrap=column == "column")
    for row in rows:
        made.add_row(*(output.cell(v) for v in row.values()))
    console = output.console()
    if not console.is_terminal:
        console.width = 140
    console.print(made)


def _tables(company: str, period: str, run_id: str, reports_dir: str, format: Format) -> None:
    import pandas as pd

    from ltvlab_utils import store
    from ltvlab_utils.store import parquet
    from ltvlab_utils.tables import CONTRACTS

    run = store.read(company, period, run_id, reports_dir)
    rows = [
        {
            "table": name,
            "notebook": "01" if CONTRACTS[name].step == "input" else CONTRACTS[name].step,
            "rows": parquet.row_count(run.folder / "tables" / name),
            "one row is": CONTRACTS[name].grain.removeprefix("one row "),
        }
        for name in run.table_names
        if name in CONTRACTS
    ]
    rows.sort(key=lambda row: (row["notebook"], row["table"]))
    kind = run.manifest.get("kind", "")
    _print(
        pd.DataFrame(rows, columns=["table", "notebook", "rows", "one row is"]),
        format,
        f"{company} {period}, {kind} run {run.run_id}",
    )


def _rows(
    company: str, period: str, table: str, head: int | None, format: Format, run_id: str, reports_dir: str
) -> None:
    from ltvlab_utils import store
    from ltvlab_utils.tables import contract_of

    found = contract_of(table)
    run = store.read(company, period, run_id, reports_dir)
    content = run.table(table)
    total = int(content.count().to_pandas())
    wanted = head or (20 if format is Format.table and sys.stdout.isatty() else total)
    rows = content.order_by(list(found.keys)).limit(wanted).to_pandas()
    for column in found.columns:
        if column.kind == "money":
            rows[column.name] = rows[column.name].astype("float64")
    _print(rows, format, f"{company} {period} {table}: {len(rows):,} of {total:,} rows, {found.grain}")


def _print(frame, format: Format, title: str = "") -> None:
    if format is Format.csv:
        sys.stdout.write(_guarded(frame).to_csv(index=False))
    elif format is Format.json:
        typer.echo(json.dumps(_values(frame), ensure_ascii=False, indent=2))
    else:
        _print_table(frame, title)


UPRIGHT = 22  # characters of a row that stands upright


def _print_table(frame, title: str) -> None:
    """Wide tables stand upright, a column a line, where they do not fit across."""
    from ltvlab_utils.cli import output

    console = output.console()
    if title:
        typer.echo(title)
    across = output.frame(frame)
    if console.measure(across, options=console.options.update(width=100_000)).maximum <= console.width:
        console.print(across)
        return
    names = max(len(str(name)) for name in frame.columns)
    beside = max(1, (min(console.width, 160) - names) // (UPRIGHT + 2))
    places = [output.decimals(frame[c]) if frame[c].dtype.kind == "f" else None for c in frame.columns]
    for first in range(0, len(frame), beside):
        part = frame.iloc[first : first + beside]
        made = output.table()
        made.add_column("", no_wrap=True)
        for number in range(first + 1, first + len(part) + 1):
            made.add_column(f"row {number}", justify="right", overflow="fold", max_width=UPRIGHT)
        for name, decimals in zip(frame.columns, places, strict=True):
            made.add_row(str(name), *(output.cell(value, decimals) for value in part[name]))
        console.print(made)


def _values(frame) -> list[dict]:
    import pandas as pd

    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [
        {k: v.isoformat() if isinstance(v, pd.Timestamp) or hasattr(v, "isoformat") else v for k, v in r.items()}
        for r in rows
    ]


def _guarded(frame):
    """Harmless text; what a spreadsheet would take for a formula gets an apostrophe in front."""
    import re

    from ltvlab_utils.runner.words import harmless

    starts = tuple("=+-@＝＋－＠")

    def guard(value: object) -> object:
        if not isinstance(value, str):
            return value
        text = harmless(re.sub(r"[\t\r\n]+", " ", value))
        return f"'{text}" if text.strip().startswith(starts) else text

    return frame.assign(**{c: frame[c].map(guard) for c in frame.columns if frame[c].dtype.kind not in "iufbM"})
