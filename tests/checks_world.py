"""Generated companies for the tests of checks: extracts with or without planted faults, staged."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import ibis
import pandas as pd

from ltvlab_utils import sample, sources
from ltvlab_utils.params import Generator, resolve
from ltvlab_utils.sources import generated


@cache
def company(seed: int, customers: int, faulty: bool = True, world: str = "misspecified", months: int = 36):
    setting = sample.Setting(seed=seed, customers=customers, months=months, last_period="2025-06", world=world)
    return sample.generate(setting, faulty=faulty)


@dataclass(frozen=True)
class Delivered:
    """A company as delivered: parameters as text, folder of its extracts."""

    yaml: str
    folder: Path

    def stage(self, period: str = "2025-06", more: str = "") -> sources.Staged:
        return sources.stage(resolve("acme", period, self.yaml + more), self.folder, ibis.duckdb.connect())


def deliver(folder: Path, frames: dict[str, pd.DataFrame], seed: int = 1) -> Delivered:
    """Writes the frames as extracts and the parameters that read them; tables that are left out are no source."""
    text = generated.company_yaml("acme", Generator(seed=seed, customers=20))
    settings = generated.yaml.safe_load(text)
    settings["sources"] = {name: of for name, of in settings["sources"].items() if name in frames}
    for name, sources_of_table in settings["sources"].items():
        for source in sources_of_table:  # only what the frame holds is mapped
            mapped = source.get("columns", {})
            source["columns"] = {column: named for column, named in mapped.items() if column in frames[name]}
    del settings["generator"]
    home = folder / "acme"
    home.mkdir(parents=True, exist_ok=True)
    for name, frame in frames.items():
        generated._write(home, name, frame)
    return Delivered(generated.yaml.safe_dump(settings, allow_unicode=True), home)
