"""`ltvlab list`: companies, periods, what is published, what failed."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    app.command("list")(list_reviews)


def list_reviews(
    company: Annotated[str, typer.Argument(help="One company; all of them when left out.")] = "",
    reports_dir: Annotated[str, typer.Option(metavar="DIR", help="Instead of LTVLAB_REPORTS or reports/.")] = "",
) -> None:
    """List companies, their periods and published reviews, and failed runs.

    Example: ltvlab list sample
    """
    from ltvlab_utils.cli import output
    from ltvlab_utils.store import layout

    names = [layout.check_company(company)] if company else layout.companies()
    if not names:
        typer.echo("No company yet: `ltvlab init COMPANY --orders FILE` proposes params/COMPANY/company.yaml.")
        return
    made = output.table()
    for column in ("company", "period", "state", "kind", "run", "finished", "tables"):
        made.add_column(column, justify="right" if column == "tables" else "left", no_wrap=True)
    failures: list[str] = []
    for name in names:
        rows = [row for folder in _periods(name, reports_dir) for row in _rows(folder, failures)]
        for row in rows or [("–", "no review yet", "", "", "", "")]:
            made.add_row(*(output.cell(v) for v in (name, *row)))
    output.console().print(made)
    for failure in failures:
        typer.echo(f"Failed: {failure}")


def _periods(company: str, reports_dir: str) -> list:
    import re

    from ltvlab_utils.store import layout

    folder = layout.reports_root(reports_dir) / company
    found = folder.iterdir() if folder.is_dir() else []
    return sorted(p for p in found if p.is_dir() and re.fullmatch(r"\d{4}-\d{2}", p.name))


def _rows(folder, failures: list[str]) -> list[tuple[str, ...]]:
    """The published run of a period, a run that is at work, and a failed run newer than the published one."""
    from ltvlab_utils.errors import LtvLabError
    from ltvlab_utils.runner.words import clean
    from ltvlab_utils.store import publish

    rows: list[tuple[str, ...]] = []
    try:
        published = publish.published_run_id(folder) or ""
    except LtvLabError as error:
        failures.append(str(error))
        published = ""
    for run in publish.run_folders(folder):
        try:
            manifest = publish.read_manifest(run)
        except LtvLabError as error:
            failures.append(str(error))
            continue
        status = str(manifest.get("status", ""))
        state = "published" if run.name == published else status
        if state in ("", "complete") or (state == "failed" and run.name < published):
            continue
        if state == "running":
            state = "at work" if publish.is_locked(folder) else "unfinished"
        if state == "failed":
            failures.append(f"{folder.parent.name} {folder.name}: {clean(manifest.get('failure', ''), 2000)}")
        finished = str(manifest.get("finished_at", ""))[:16].replace("T", " ")
        rows.append((folder.name, state, str(manifest.get("kind", "")), run.name, finished, len(manifest["tables"])))
    return rows or [(folder.name, "not published", "", "", "", "")]
