"""`ltvlab links`: pairs of records that may be one firm, into a file in which a person decides."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    app.command("links")(links)


def links(
    company: Annotated[str, typer.Argument(help="A folder below params/.")],
    period: Annotated[str, typer.Argument(help="A calendar month; that of the last review when left out.")] = "",
    most: Annotated[int, typer.Option(min=1, metavar="N", help="Proposals to write, most valuable first.")] = 1000,
) -> None:
    """Write what may be one firm (名寄せ) to params/COMPANY/links.csv, beside the decisions that are there.

    In that file, put same or different (or parent: the left is the parent of the right) into the column decision. The
    next run takes it; a row that is deleted undoes it. Example: ltvlab links sample 2025-06
    """
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from ltvlab_utils import sources
    from ltvlab_utils.sources import link_file
    from ltvlab_utils.store import layout

    layout.check_company(company)
    params = layout.resolve_params(company, period or _last(company))
    was = params.settings.identity
    if was.links == "off":  # one may look before numbers move
        identity = was.model_copy(update={"links": "decided"})
        params = params.model_copy(update={"settings": params.settings.model_copy(update={"identity": identity})})
    folder = layout.data_dir(company)
    sources.ensure_generated(params, folder)
    linked = sources.stage(params, folder, _engine()).linked
    today = datetime.now(ZoneInfo(params.settings.time_zone)).date()
    _, counts = link_file.update(company, linked.proposals, today, most)
    made = len(linked.links) - linked.links["customer_id"].nunique()
    typer.echo(f"{company} {params.period}: {made:,} records linked to another, {counts['decided']:,} decisions")
    more = f" ({counts['more']:,} more with less at stake: --most)" if counts["more"] else ""
    typer.echo(f"params/{company}/links.csv: {counts['waiting']:,} pairs wait for a decision{more}")
    if linked.unknown:
        typer.echo(
            f"Without effect: {linked.unknown:,} decisions that name a record which the data do not hold (a "
            "spreadsheet may have taken leading zeros off a key)"
        )
    if was.links == "off":
        typer.echo("identity.links is off: set it to decided (what persons decided) or auto (certain links too)")


def _engine():
    import ibis

    return ibis.duckdb.connect()


def _last(company: str) -> str:
    """The month of the company's last review. Raises Refused."""
    from ltvlab_utils.errors import Refused
    from ltvlab_utils.store import layout

    periods = layout.periods_with_review(company)
    if not periods:
        raise Refused(f"{company} has no review yet: name the month, ltvlab links {company} 2025-06.")
    return str(periods[-1])
