"""A run as a notebook or a reader sees it: parameters, tables by name, the review before it."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tempfile
import warnings
import zlib
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from ltvlab_utils.errors import ContractError, LtvLabError, Refused, StepFailed
from ltvlab_utils.params import Params
from ltvlab_utils.periods import Period
from ltvlab_utils.store import atomic, layout, parquet, publish
from ltvlab_utils.tables import check_frame, check_table, contract_of

KERNEL_VARIABLE = "LTVLAB_PREFIX"
ENGINE_MEMORY = "4GB"


class Run:
    """One execution of a company and period. Made by `open` and `read`, not directly."""

    def __init__(self, params: Params, folder: Path, period_folder: Path, writable: bool, fallback: Run | None = None):
        self.params = params
        self.company = params.company
        self.period: Period = params.month
        self.as_of: date = params.as_of
        self.folder = folder
        self._period_folder = period_folder
        self._writable = writable
        self._fallback = fallback

    def __repr__(self) -> str:
        what = "analyst's _lab, never published" if self.is_lab else f"run {self.folder.name}"
        return f"<{self.company} {self.period}: {what}, {len(self.table_names)} tables>"

    @property
    def settings(self):
        """Settings of company.yaml as resolved for this period."""
        return self.params.settings

    @property
    def run_id(self) -> str:
        return "" if self.is_lab else self.folder.name

    @property
    def is_lab(self) -> bool:
        return self.folder.name == layout.LAB

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest of this run, read anew; empty in the analyst's _lab."""
        return publish.read_manifest(self.folder)

    @property
    def kind(self) -> str:
        """final, preliminary, or lab for the analyst's own, which is never published."""
        return "lab" if self.is_lab else str(self.manifest.get("kind", "final"))

    @property
    def data_dir(self) -> Path:
        return layout.data_dir(self.company)

    @cached_property
    def connection(self) -> ibis.BaseBackend:
        """The engine of this run: DuckDB in memory, of which it takes ENGINE_MEMORY at most; what is more goes to a
        folder of its own below TMPDIR, which it removes."""
        spill = Path(tempfile.gettempdir()) / f"ltvlab-engine-{os.getpid()}-{secrets.token_hex(4)}"
        return ibis.duckdb.connect(memory_limit=ENGINE_MEMORY, temp_directory=str(spill))

    def rng(self, step: str, table: str) -> np.random.Generator:
        """The random stream of one step and table; no stream is shared."""
        key = [self.settings.models.seed, zlib.crc32(step.encode()), zlib.crc32(table.encode())]
        return np.random.default_rng(np.random.SeedSequence(key))

    # --- reading ------------------------------------------------------------------------------------------------------

    @property
    def table_names(self) -> list[str]:
        """Tables that can be read, in the _lab those of the published run included."""
        own = {p.name for p in (self.folder / "tables").glob("[!.]*") if p.is_dir()}
        return sorted(own | set(self._fallback.table_names if self._fallback else []))

    def has(self, name: str) -> bool:
        """True when the table exists and can be read."""
        contract_of(name)
        return name in self.table_names

    def _home_of(self, name: str) -> Path:
        own = self.folder / "tables" / name
        if own.is_dir() or self._fallback is None:
            return own
        return self._fallback._home_of(name)

    def table(self, name: str) -> ir.Table:
        """The table as an Ibis table of `connection`. Raises Refused when it is not there, ContractError."""
        contract = contract_of(name)
        home = self._home_of(name)
        if not home.is_dir():
            writer = "01" if contract.step == "input" else contract.step
            raise Refused(
                f'{self.company} {self.period} has no table "{name}" (notebook {writer} writes it): run notebook '
                f"{writer} first, or `ltvlab run {self.company} {self.period}`."
            )
        return parquet.read_table(self.connection, contract, home)

    def frame(self, name: str) -> pd.DataFrame:
        """The table as a pandas frame, sorted by key: dates are datetime64, money is float64. Checks every value."""
        return check_frame(contract_of(name), self.table(name).to_pandas())

    # --- writing ------------------------------------------------------------------------------------------------------

    def write(self, name: str, content: pd.DataFrame | ir.Table) -> None:
        """Writes a table, whole or not at all, replacing an earlier one of this run. Raises ContractError."""
        contract = contract_of(name)
        if not self._writable:
            raise LtvLabError(f"Run {self.folder.name} is complete and cannot be changed: leave run_id empty.")
        tables = self.folder / "tables"
        temporary = tables / f".{name}.tmp"
        try:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
            if isinstance(content, pd.DataFrame):
                parquet.write_frame(contract, content, temporary)
            else:
                parquet.write_expression(contract, content, temporary)
                check_table(contract, parquet.read_table(self.connection, contract, temporary))
            atomic.replace_folder(temporary, tables / name, f"table:{name}")
        except OSError as error:
            raise StepFailed(f'Table "{name}" could not be written: {error.strerror or error}.') from None
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    # --- neighbours ---------------------------------------------------------------------------------------------------

    @cached_property
    def prior(self) -> Run | None:
        """The published run of the period before, as it was when this run started; None before the first review."""
        period = self.period.previous
        folder = layout.reports_root(self._reports_dir) / self.company / str(period)
        named = self.manifest.get("prior") if not self.is_lab else None
        run_id = named["run_id"] if named else (publish.published_run_id(folder) if self.is_lab else None)
        return _existing(self.company, folder, run_id) if run_id else None

    @cached_property
    def replaced(self) -> Run | None:
        """The published run of this period, in whose place this run would come; None where there is none."""
        run_id = publish.standing_run_id(self._period_folder)
        return _existing(self.company, self._period_folder, run_id) if run_id and run_id != self.run_id else None

    def before(self, name: str) -> list[pd.DataFrame | None]:
        """The table as the review before holds it, and as the review of this period holds it that this one replaces;
        None where there is none. A damaged one of the latter warns and counts as none: that review is made anew."""
        found: list[pd.DataFrame | None] = [None, None]
        if self.prior is not None and self.prior.has(name):
            found[0] = self.prior.frame(name)
        if self.replaced is not None and self.replaced.has(name):
            try:
                found[1] = self.replaced.frame(name)
            except ContractError as damage:
                warnings.warn(f"What the run that this one replaces had in it is lost: {damage}", stacklevel=2)
        return found

    def table_before(self, name: str) -> ir.Table | None:
        """The table as the review before holds it, as a table of this run's engine; None where there is none."""
        if self.prior is None or not self.prior.has(name):
            return None
        return parquet.read_table(self.connection, contract_of(name), self.prior._home_of(name))

    @property
    def _reports_dir(self) -> Path:
        return self._period_folder.parents[1]


def _existing(company: str, period_folder: Path, run_id: str) -> Run:
    folder = period_folder / run_id
    if Path(run_id).name != run_id or run_id.startswith((".", "_")) or not (folder / publish.PARAMS).is_file():
        raise Refused(
            f'{company} {period_folder.name} has no run "{run_id}": leave run_id empty for the published one.'
        )
    params = Params.from_json((folder / publish.PARAMS).read_text(encoding="utf-8"))
    running = publish.read_manifest(folder).get("status") == "running"
    return Run(params, folder, period_folder, writable=running)


def _assert_kernel() -> None:
    wanted = os.environ.get(KERNEL_VARIABLE)
    if wanted and wanted != sys.prefix:
        raise StepFailed(
            f"The notebook runs in the environment {sys.prefix}, but the run was started from {wanted}: a kernel of "
            "another environment took the name python3. Remove that kernel (`jupyter kernelspec list`)."
        )


def open(company: str, period: str, run_id: str = "", reports_dir: str | Path = "") -> Run:
    """The run that a notebook works in.

    With a `run_id`: that run, under its frozen params.json; tables can be written while it runs. With none: the
    analyst's _lab of the period, under the parameters as they are now, reading what it lacks from the published run;
    nothing in it can be published. Raises Refused.
    """
    _assert_kernel()
    period_folder = layout.period_dir(layout.check_company(company), Period.parse(period), reports_dir)
    if run_id:
        return _existing(company, period_folder, run_id)
    params = layout.resolve_params(company, period)
    published = publish.published_run_id(period_folder)
    lab = period_folder / layout.LAB
    lab.mkdir(parents=True, exist_ok=True)
    atomic.write_text(lab / publish.PARAMS, params.to_json(), "lab_params")
    fallback = _existing(company, period_folder, published) if published else None
    return Run(params, lab, period_folder, writable=True, fallback=fallback)


def read(company: str, period: str, run_id: str = "", reports_dir: str | Path = "") -> Run:
    """A run to read: the published one of the period, or the one named. Raises Refused when there is none."""
    period_folder = layout.period_dir(layout.check_company(company), Period.parse(period), reports_dir)
    chosen = run_id or publish.published_run_id(period_folder)
    if not chosen:
        have = ", ".join(str(p) for p in layout.periods_with_review(company, reports_dir)) or "none yet"
        raise Refused(
            f"{company} {period} has no published review (published: {have}). `ltvlab run {company} {period}` makes it."
        )
    run = _existing(company, period_folder, chosen)
    run._writable = False
    return run
