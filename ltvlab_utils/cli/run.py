"""`ltvlab run`: makes and publishes the review of a period, or of several in order."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    app.command("run")(run)


def run(
    company: Annotated[str, typer.Argument(help="A folder below params/.")],
    period: Annotated[str, typer.Argument(metavar="PERIOD[..PERIOD]", help="A calendar month, 2025-06, or several.")],
    preliminary: Annotated[
        bool, typer.Option("--preliminary", help="速報: may run before the month has ended; a final run replaces it.")
    ] = False,
    reports_dir: Annotated[str, typer.Option(metavar="DIR", help="Instead of LTVLAB_REPORTS or reports/.")] = "",
    notebooks_dir: Annotated[str, typer.Option(metavar="DIR", help="Instead of notebooks/.", hidden=True)] = "",
) -> None:
    """Make and publish the review of a month: notebooks 01 to 04, then the pages.

    Unchanged notebooks are reused; if nothing changed, nothing is written.

    Example: ltvlab run sample 2025-05..2025-06
    """
    from ltvlab_utils import runner

    outcomes = runner.run(company, period, preliminary, reports_dir, notebooks_dir)
    _tell(outcomes)


def _tell(outcomes) -> None:
    from ltvlab_utils.runner.words import shown

    for one in outcomes:
        what = f"{one.company} {one.period}"
        if one.made:
            typer.echo(f"{what}: published the {one.kind} review {one.run_id} in {one.seconds:.1f} s")
        else:
            typer.echo(f"{what}: nothing changed; the published {one.kind} review is {one.run_id}")
        for note in one.notes:
            typer.echo(f"  Note: {note}")
    last = outcomes[-1]
    pages = sorted((last.folder / "pages").glob("*.html"))
    typer.echo("Open:")
    for page in pages:
        typer.echo(f"  {shown(page)}")
    typer.echo(f"  {shown(last.folder / 'notebooks')}  (executed notebooks)")
