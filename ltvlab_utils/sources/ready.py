"""Ready mappings: how the exports of known products are read, one YAML file each in `ready/` beside this module.

names()                      # every ready mapping
read("eccube4_orders")       # its title, sources, settings and notes
recognise(header)            # the ready mappings that a file with this header fits, best first
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

from pydantic import Field, ValidationError

from ltvlab_utils.errors import Refused, nearest
from ltvlab_utils.params import Name, Source, Strict, load_yaml

ENDING = ".yaml"


class Ready(Strict):
    """A ready mapping. `sources`: input table: the keys of its source without path; `settings`: other keys of
    company.yaml that the product implies; `notes`: what the export does not hold."""

    name: str
    title: Name
    recognised_by: list[str] = Field(min_length=1)
    sources: dict[str, dict[str, Any]] = Field(min_length=1)
    settings: dict[str, Any] = Field(default_factory=dict)
    notes: Name


def names() -> list[str]:
    """Every ready mapping, by name."""
    return sorted(f.name.removesuffix(ENDING) for f in _folder().iterdir() if f.name.endswith(ENDING))


@cache
def read(name: str) -> Ready:
    """The ready mapping of that name. Raises Refused for an unknown name, with the nearest one."""
    if name not in names():
        raise Refused(f'no ready mapping is called "{name}".{nearest(name, names())}')
    file = _folder() / f"{name}{ENDING}"
    found = load_yaml(file.read_text(encoding="utf-8"), file.name)
    try:
        ready = Ready.model_validate({"name": name, **found})
        for keys in ready.sources.values():
            Source.model_validate({"path": "any", **keys})
    except ValidationError as error:
        raise Refused(
            f"{file.name} is no ready mapping: {error.errors()[0]['loc']} {error.errors()[0]['msg']}"
        ) from None
    return ready


def keys_of(name: str, table: str) -> dict[str, Any]:
    """The keys of the source of a table in a ready mapping. Raises Refused where the mapping has no such table."""
    ready = read(name)
    if table not in ready.sources:
        raise Refused(
            f"the ready mapping {name} holds nothing for {table}: it feeds {', '.join(ready.sources)}. Name it there."
        )
    return ready.sources[table]


def recognise(header: Sequence[str]) -> list[str]:
    """Names of the ready mappings whose `recognised_by` columns all stand in the header, the most telling first."""
    columns = {c.strip() for c in header}
    fits = [r for r in map(read, names()) if columns.issuperset(r.recognised_by)]
    return [r.name for r in sorted(fits, key=lambda r: (-len(r.recognised_by), r.name))]


def _folder():
    return resources.files("ltvlab_utils.sources") / "ready"
