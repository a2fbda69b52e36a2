"""`ltvlab init`: looks at a company's files, proposes company.yaml and puts the files where a review reads them."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ltvlab_utils.sources.draft import Draft
    from ltvlab_utils.sources.propose import Proposal


def register(app: typer.Typer) -> None:
    app.command("init")(init)


def _files(what: str):
    return Annotated[list[str] | None, typer.Option(metavar="FILE", help=f"{what}; may be given again, or a folder.")]


def init(
    company: Annotated[str, typer.Argument(help="Name of the new folder: small letters, digits, - and _.")],
    orders: _files("Orders or order lines (受注・売上)") = None,
    contracts: _files("Contract terms (契約)") = None,
    contract_changes: _files("Changes of a contract's amount") = None,
    customers: _files("Customers (得意先・会員)") = None,
    owners: _files("Who looks after which customer (担当)") = None,
    products: _files("Products (商品)") = None,
    support: _files("Support work and its cost (対応)") = None,
    usage: _files("Weekly usage") = None,
    activities: _files("Visits, calls and mails (活動)") = None,
    milestones: _files("Onboarding milestones") = None,
    surveys: _files("Surveys") = None,
    deals: _files("Deals (商談)") = None,
    receivables: _files("Invoices and payments (請求・入金)") = None,
    targets: _files("Budget (予算)") = None,
    contacts: _files("People at customers") = None,
    campaigns: _files("Campaigns (施策)") = None,
    assignments: _files("Who was in which arm of a campaign") = None,
    touches: _files("Contacts of a campaign") = None,
    margin: Annotated[
        float | None,
        typer.Option(metavar="RATE", min=-1, max=1, help="Assumed margin, 0.3 = 30 %, where no file tells costs."),
    ] = None,
    copy: Annotated[
        bool | None,
        typer.Option("--copy/--no-copy", help="Copy the files into data/COMPANY/; asked on a terminal, else done."),
    ] = None,
) -> None:
    """Look at a company's files, propose params/COMPANY/company.yaml, and copy the files into data/COMPANY/.

    Nothing is overwritten or moved. Example: ltvlab init acme --orders ~/orders.csv
    """
    from ltvlab_utils.errors import Refused
    from ltvlab_utils.runner.words import shown
    from ltvlab_utils.sources import draft, look, place
    from ltvlab_utils.store import layout

    layout.check_name(company)
    target = layout.params_root() / company / "company.yaml"
    if target.exists():
        raise Refused(f"{shown(target)} is already there and is not overwritten: edit it, or choose another name.")
    given = {
        "order_lines": orders, "contract_terms": contracts, "contract_changes": contract_changes,
        "customers": customers, "customer_owners": owners, "products": products, "support_costs": support,
        "usage": usage, "activities": activities, "milestones": milestones, "surveys": surveys, "deals": deals,
        "receivables": receivables, "targets": targets, "contacts": contacts, "campaigns": campaigns,
        "assignments": assignments, "touches": touches,
    }  # fmt: skip
    if not orders and not contracts:
        raise Refused("Name at least one file of orders or contracts: --orders FILE or --contracts FILE.")
    files = {table: [f for name in names for f in place.files_of(name)] for table, names in given.items() if names}
    folders = [f for names in given.values() for name in names or () if (f := place.path_from(name)).is_dir()]
    looks = {table: [look.look(file) for file in own] for table, own in files.items()}
    home = layout.data_root() / company
    placed = place.names([file for own in files.values() for file in own], folders, home)
    place.refuse_taken(placed, home)
    made = draft.draft(company, looks, folders, placed, _today(), lambda proposal: _margin(proposal, margin))
    _show(made)
    outside = [file for file in placed if not place.is_inside(file, home)]
    if outside and (_asked_to_copy(outside, home) if copy is None else copy):
        for file in outside:
            if place.copy(file, home / placed[file]):
                typer.echo(f"Copied {_clean(file.name)} to {shown(home / placed[file])}")
        outside = []
    layout.new_company(company, made.text)
    typer.echo(f"Wrote {shown(target)}. Read it through; comments that begin with ? mark guesses.")
    for file in outside:
        typer.echo(f"Put {_clean(file.name)} into {shown(home)}/")
    typer.echo(f"Next: ltvlab check {company}")
    typer.echo(f"Then: ltvlab run {company} {made.month or 'PERIOD'}")


def _clean(text: str) -> str:
    from ltvlab_utils.runner.words import clean

    return clean(text, 100)


def _at_a_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()


def _margin(proposal: Proposal, margin: float | None) -> float | None:
    """The margin to assume: the one given, or asked for on a terminal, only where no cost is known."""
    if not proposal.lacks_cost():
        if margin is not None:
            typer.echo("The files tell costs, so --margin is not used.")
        return None
    if margin is not None or not _at_a_terminal():
        return margin
    typer.echo("No cost is known. A margin that you assume turns revenue into gross profit, labelled as assumed.")
    while True:
        said = typer.prompt("Margin in percent of revenue (Enter = none)", default="", show_default=False).strip()
        if not said:
            return None
        try:
            rate = float(said.removesuffix("%")) / 100
        except ValueError:
            rate = 2.0
        if -1 <= rate <= 1:
            return rate
        typer.echo("A number from -100 to 100, such as 30.")


def _asked_to_copy(outside: list[Path], home: Path) -> bool:
    """Yes where nobody can be asked: a review reads data/COMPANY/ alone, and the originals stay as they are."""
    from ltvlab_utils.runner.words import shown

    if not _at_a_terminal():
        return True
    what = _clean(outside[0].name) if len(outside) == 1 else f"{len(outside)} files"
    return typer.confirm(f"Copy {what} to {shown(home)}/? The original stays where it is.", default=True)


def _today() -> date:
    return datetime.now(UTC).date()


def _show(made: Draft) -> None:
    """The first rows as they were understood, what was refused, and what a person should look at."""
    from ltvlab_utils.cli import output
    from ltvlab_utils.sources import ready

    for table, rows in made.first.items():
        output.console().print(output.frame(rows, f"The first rows of {table}, as understood"))
    for table, count in made.tried.items():
        refused = made.refused.get(table, 0)
        guests = made.guests if table == "order_lines" else 0
        more = f", {guests:,} without a customer" if guests else ""
        typer.echo(f"{table}: {count:,} rows tried, {count - refused - guests:,} accepted, {refused:,} refused{more}")
    if made.problem:
        typer.echo(f"As proposed, the files cannot be read yet: {_clean(made.problem)}")
    sources = [s for own in made.params.settings.sources.values() for s in own]
    for name in dict.fromkeys(s.mapping for s in sources if s.mapping):
        known = ready.read(name)
        typer.echo(f"{known.title.en}: {known.notes.en}")
    for question in made.questions:
        typer.echo(f"  ? {_clean(question)}")
