"""`ltvlab sample`: makes a generated company, its parameters, its extracts and its truth."""

from __future__ import annotations

from typing import Annotated

import typer

KEYS = ("seed", "customers", "months", "last_period", "world", "lines")


def register(app: typer.Typer) -> None:
    app.command("sample")(sample)


def sample(
    company: Annotated[str, typer.Argument(help="A generated company; a new name makes params/NAME/.")] = "sample",
    customers: Annotated[int | None, typer.Option(min=20, help="Customers, 20 to 5 million.")] = None,
    months: Annotated[int | None, typer.Option(min=12, max=240, help="Months of history.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed: another seed, another company.")] = None,
    last_period: Annotated[str | None, typer.Option(help="Last month of the extracts, YYYY-MM.")] = None,
    world: Annotated[str | None, typer.Option(help="misspecified (as in life) or home (as the models assume).")] = None,
    lines: Annotated[int | None, typer.Option(min=1, help="Order lines of a company above 50,000 customers.")] = None,
    paths: Annotated[int, typer.Option(min=0, max=10**6, help="Futures a customer, for the truth; 0 = none.")] = 2000,
    also: Annotated[list[str] | None, typer.Option(help="Write the extracts as well as csv, parquet, xlsx, eccube, "
                                                         "shopify or uriage, below data/NAME/exports/.")] = None,
) -> None:  # fmt: skip
    """Make a generated company whose truth is known: extracts, truth (data/.truth/NAME/) and parameters.

    Example: ltvlab sample acme --customers 300 --months 48 --seed 7
    """
    from ltvlab_utils import sources
    from ltvlab_utils.cli.check import any_params
    from ltvlab_utils.errors import Refused, nearest
    from ltvlab_utils.params import generator_of
    from ltvlab_utils.runner.words import shown
    from ltvlab_utils.store import layout

    values = (seed, customers, months, last_period, world, lines)
    asked = {k: v for k, v in zip(KEYS, values, strict=True) if v is not None}
    for form in also or []:
        if form not in sources.FORMS:
            raise Refused(f'--also is "{form}".{nearest(form, sources.FORMS)}')
    if company not in layout.companies():
        settings = generator_of(asked)
        sources.refuse_strangers(settings, layout.data_root() / layout.check_name(company))
        file = layout.new_company(company, sources.company_yaml(company, settings))
        typer.echo(f"{shown(file)}: made")
    params = any_params(layout.check_company(company))
    generator = params.settings.generator
    if generator is None:
        raise Refused(f"{company} is not a generated company: params/{company}/company.yaml has no `generator`.")
    differs = {k: v for k, v in asked.items() if getattr(generator, k) != v}
    if differs:
        have = ", ".join(f"{k} {getattr(generator, k)} (asked for {v})" for k, v in differs.items())
        raise Refused(
            f"params/{company}/company.yaml has {have}: change its `generator`, or choose a name that no "
            "company has yet."
        )
    if also and sources.is_at_scale(generator):
        raise Refused("--also is for companies of at most 50,000 customers; a larger one is written as Parquet.")
    folder = layout.data_dir(company)
    made = sources.ensure_generated(params, folder, facts=True)
    typer.echo(f"{shown(folder)}: {'made' if made else 'already up to date'}")
    for file in sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")):
        typer.echo(f"  {file.name}  {file.stat().st_size:,} bytes")
    for form in dict.fromkeys(also or []):
        written = sources.export(params, folder, form)
        typer.echo(f"{shown(folder / 'exports' / form)}: {', '.join(written)}")
        if written.replaced:
            typer.echo(f"  {written.replaced:,} characters that the encoding lacks are written as 〓")
        if written.left_out:
            typer.echo(f"  {written.left_out:,} lines ({written.left_out_amount:,} yen) have no place in this form")
    if paths and not sources.is_at_scale(generator):
        truth = sources.write_futures(params, folder, paths, tell=lambda name: typer.echo(f"  {name} …", err=True))
        effects = sources.effect_paths(paths)
        typer.echo(f"{shown(truth)}: the truth, {paths:,} futures a customer, {effects:,} pairs for effects")
    last = generator.last_period
    typer.echo(f"Next: ltvlab run {company} {last}")
