"""`ltvlab sample`: makes the extracts of a generated company."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    app.command("sample")(sample)


def sample(
    company: Annotated[str, typer.Argument(help="A company whose company.yaml has `generator`.")] = "sample",
) -> None:
    """Make the extracts of a generated company from its seed.

    Example: ltvlab sample
    """
    from ltvlab_utils import sources
    from ltvlab_utils.cli.check import any_params
    from ltvlab_utils.errors import Refused
    from ltvlab_utils.runner.words import shown
    from ltvlab_utils.store import layout

    params = any_params(layout.check_company(company))
    if params.settings.generator is None:
        raise Refused(f"{company} is not a generated company: params/{company}/company.yaml has no `generator`.")
    folder = layout.data_dir(company)
    made = sources.ensure_generated(params, folder)
    typer.echo(f"{shown(folder)}: {'made' if made else 'already up to date'}")
    for file in sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")):
        typer.echo(f"  {file.name}  {file.stat().st_size:,} bytes")
