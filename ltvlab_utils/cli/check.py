"""`ltvlab check`: are parameters and sources fit for a run, what do they hold, and what would more files unlock?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

# What a missing table or column keeps from being known. Only what this version really shows with it.
UNLOCKS = {
    "order_lines": "purchase histories, order values and the probability that a customer still buys",
    "contract_terms": "renewal rates, renewal calendar and contract values",
    "contract_changes": "expansion and contraction between renewals",
    "customers": "names, industries and acquisition costs",
    "customer_owners": "who looks after which customer",
    "support_costs": "net profit instead of gross profit",
    "targets": "budget against actual",
    "campaigns": "what measures caused (with assignments and touches)",
    "receivables": "credit loss",
}
COLUMNS = {
    ("order_lines", "cost_amount"): "gross profit instead of revenue",
    ("contract_terms", "monthly_cost"): "gross profit of contracts",
    ("contract_terms", "notice_due_on"): "notice deadlines (解約申出期限)",
    ("customers", "acquisition_cost"): "LTV after acquisition cost, payback",
    ("customers", "customer_name"): "names instead of ids",
}
READ_UP_TO = 1 << 30  # bytes that are read to say what they hold: some seconds a hundred megabytes


def register(app: typer.Typer) -> None:
    app.command("check")(check)


def check(
    company: Annotated[str, typer.Argument(help="A folder below params/.")],
    period: Annotated[str, typer.Argument(help="A calendar month; its own parameters are checked too.")] = "",
    headers_only: Annotated[bool, typer.Option("--headers-only", help="Read the header rows alone.")] = False,
) -> None:
    """Check parameters and sources, say what a run would read, what is missing and what it would unlock.

    Example: ltvlab check sample
    """
    from ltvlab_utils import sources
    from ltvlab_utils.cli import output
    from ltvlab_utils.store import layout

    layout.check_company(company)
    params = layout.resolve_params(company, period) if period else any_params(company)
    settings = params.settings
    typer.echo(
        f"Parameters of {company}: in order ({settings.currency}, {settings.time_zone}, value basis "
        f"{settings.value_basis}, horizon {settings.horizon_months} months)"
    )
    folder = layout.data_dir(company)
    sources.ensure_generated(params, folder)
    found = sources.survey(params, folder)
    made = output.table()
    for column in ("table", "file", "bytes", "columns not used", "optional columns absent"):
        made.add_column(
            column, justify="right" if column == "bytes" else "left", no_wrap=column != "optional columns absent"
        )
    for file in found:
        unused, absent = ", ".join(file.columns_unknown), ", ".join(file.columns_missing)
        made.add_row(*(output.cell(v) for v in (file.table, file.file, file.bytes)), _wide(unused), _wide(absent))
    _print(made)
    _missing(found)
    size = sum(file.bytes for file in found)
    if headers_only or size > READ_UP_TO:
        if not headers_only:
            typer.echo(f"Rows are not read here: the files have {size / 1e9:.1f} GB, which a run reads.")
        typer.echo(f"Ready: ltvlab run {company} {period or 'PERIOD'}")
        return
    month = _content(params, folder, period)
    typer.echo(f"Ready: ltvlab run {company} {period or month or 'PERIOD'}")


def _print(table) -> None:
    from ltvlab_utils.cli import output

    console = output.console()
    if not console.is_terminal:
        console.width = 140
    console.print(table)


def _content(params, folder, period: str) -> str:
    """Shows what a run would read of every table; the last full month that the data cover. Raises Refused."""
    from ltvlab_utils import sources
    from ltvlab_utils.cli import output
    from ltvlab_utils.sources import trial

    today = datetime.now(UTC).date()
    with trial.engine() as connection:
        staged = sources.stage(trial.of_all_time(params) if not period else params, folder, connection)
        covered, report = trial.overview(staged, today), staged.report
    made = output.table(f"What a run would read{f' of {period}' if period else ''}")
    for column in ("table", "rows read", "accepted", "refused", "without customer", "customers", "from", "to"):
        made.add_column(column, justify="left" if column in ("table", "from", "to") else "right")
    for name, rows in report.groupby("table_name", sort=False):
        read, accepted, rejected, guests = (
            int(rows[f"rows_{what}"].sum()) for what in ("read", "accepted", "rejected", "without_customer")
        )
        held, counts = covered[name], (read, accepted, rejected - guests, guests)
        made.add_row(*(output.cell(v) for v in (name, *counts, held.customers, held.first, held.last)))
    _print(made)
    for name, held in covered.items():
        if held.by_year:
            years = ", ".join(f"{year}: {amount:,.0f}" for year, amount in held.by_year.items())
            typer.echo(f"{name}, {params.settings.currency} by year (tax excluded, cancelled left out): {years}")
    return trial.last_full_month(covered, today)


def _wide(names: str):
    from rich.text import Text

    from ltvlab_utils.runner.words import clean

    return Text(clean(names, 400))


def _missing(found) -> None:
    have = {file.table for file in found}
    lines = [f"  {table}: {what}" for table, what in UNLOCKS.items() if table not in have]
    for (table, column), what in COLUMNS.items():
        files = [file for file in found if file.table == table]
        if files and all(column in file.columns_missing for file in files):
            lines.append(f"  {table}.{column}: {what}")
    if lines:
        typer.echo("Not delivered, and what it would unlock:")
        for line in lines:
            typer.echo(line)


def any_params(company: str):
    """Parameters of a company: those of company.yaml, every period file read on the way. Raises Refused."""
    import re

    from ltvlab_utils.errors import Refused
    from ltvlab_utils.store import layout

    files = sorted(p for p in layout.params_dir(company).glob("*.yaml") if p.name != "company.yaml")
    for file in files:
        if not re.fullmatch(r"\d{4}-\d{2}", file.stem):
            raise Refused(f"params/{company}/{file.name}: a period file is called YYYY-MM.yaml, such as 2025-06.yaml.")
        layout.resolve_params(company, file.stem)
    taken = {file.stem for file in files}
    free = next(f"{year}-01" for year in range(2000, 2100) if f"{year}-01" not in taken)
    return layout.resolve_params(company, free)
