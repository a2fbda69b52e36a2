"""What a run would do, found out before anything is written: parameters, sources, notebooks, prior, keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from ltvlab_utils.errors import LtvLabError, Refused
from ltvlab_utils.params import Params
from ltvlab_utils.periods import Period
from ltvlab_utils.runner import keys
from ltvlab_utils.runner.steps import Step
from ltvlab_utils.store import layout, parquet, publish
from ltvlab_utils.tables.ingest import RESTATED

FINAL, PRELIMINARY = "final", "preliminary"


@dataclass
class Plan:
    """One company and period, checked. `look` fixes prior and keys, which a run of the period before may change."""

    params: Params
    kind: str
    period_folder: Path
    reports_dir: str
    steps: tuple[Step, ...]
    sources: list[dict[str, Any]]
    packages: dict[str, str]
    prior: dict[str, Any] | None = None
    code: str = ""
    keys: dict[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return f"{self.params.company} {self.params.period}"

    @property
    def params_json(self) -> str:
        return self.params.to_json()

    def look(self) -> None:
        """Reads the prior review and the notebooks as they are now."""
        self.prior = find_prior(self.period_folder)
        self.code = keys.code_hash()
        prints = [(s["table"], s["source"], s["file"], s["fingerprint"]) for s in self.sources]
        prior_hash = self.prior["tables_hash"] if self.prior else None
        self.keys = keys.step_keys(
            self.steps, self.code, self.packages, self.params_json, prints, prior_hash, self.kind,
            find_sealed(self.period_folder), find_staged(self.period_folder, self.prior),
        )  # fmt: skip

    @property
    def inputs_hash(self) -> str:
        return keys.digest(self.params_json, self.sources)

    def seeds(self) -> dict[str, int]:
        settings = self.params.settings
        made = {"generator": settings.generator.seed} if settings.generator else {}
        return {"models": settings.models.seed, **made}


def make(params: Params, kind: str, reports_dir: str, steps: Sequence[Step]) -> Plan:
    """Checks kind and sources of one period; writes nothing but the extracts of a generated company. Raises Refused."""
    folder = layout.period_dir(params.company, params.month, reports_dir)
    check_kind(folder, kind)
    found = survey(params)
    return Plan(params, kind, folder, str(reports_dir), tuple(steps), found, keys.package_versions())


def check_period(params: Params, kind: str, now: datetime) -> None:
    """A final review needs a month that is over in the company's time zone. Raises Refused."""
    month, zone = params.month, params.settings.time_zone
    today = now.astimezone(ZoneInfo(zone)).date()
    if today < month.first_day:
        raise Refused(f"{month} has not begun in {zone} (it is {today} there): choose an earlier month.")
    if kind == FINAL and not month.has_ended(zone, now):
        raise Refused(
            f"{month} has not ended in {zone} (it is {today} there): wait for its end, or use --preliminary (速報) for "
            "a review of what is known so far."
        )


def check_kind(period_folder: Path, kind: str) -> None:
    """A preliminary review never takes the place of a final one. Raises Refused."""
    current = publish.standing_run_id(period_folder)
    if kind == PRELIMINARY and current and publish.read_manifest(period_folder / current).get("kind") == FINAL:
        raise Refused(
            f"{period_folder.parent.name} {period_folder.name} already has the final review {current}: a preliminary "
            "one may not replace it. Leave out --preliminary to make a new final one."
        )


def survey(params: Params) -> list[dict[str, Any]]:
    """The source files with fingerprints, sorted. Makes the extracts of a generated company. Raises Refused."""
    from ltvlab_utils import sources

    data_dir = layout.data_dir(params.company)
    sources.ensure_generated(params, data_dir)
    found = [
        {"table": s.table, "source": s.source, "file": str(s.file), "fingerprint": s.fingerprint}
        for s in sources.survey(params, data_dir)
    ]
    return sorted(found, key=lambda s: (s["table"], s["source"], s["file"]))


def find_prior(period_folder: Path) -> dict[str, Any] | None:
    """The published review of the period before, as the manifest keeps it; None before the first."""
    before = Period.parse(period_folder.name).previous
    folder = period_folder.parent / str(before)
    run_id = publish.published_run_id(folder)
    if not run_id:
        return None
    tables_hash = publish.read_manifest(folder / run_id).get("tables_hash")
    if not tables_hash:
        raise LtvLabError(f"{folder.parent.name} {before}: the manifest of run {run_id} is damaged: run it again.")
    return {"period": str(before), "run_id": run_id, "tables_hash": tables_hash}


def find_staged(period_folder: Path, prior: dict[str, Any] | None) -> str | None:
    """Hash of the prior's tables that 01 compares its own with; None without a prior."""
    if prior is None:
        return None
    told = publish.read_manifest(period_folder.parent / prior["period"] / prior["run_id"]).get("tables", {})
    return keys.digest({name: told[name]["sha256"] for name in (*RESTATED, "ingest_report") if name in told})


def find_sealed(period_folder: Path) -> tuple[str, str] | None:
    """Of the final run of this period that readers see: the key of its 02 and a hash of the forecasts that it sealed;
    None without one."""
    run_id = publish.standing_run_id(period_folder)
    manifest = publish.read_manifest(period_folder / run_id) if run_id else {}
    if manifest.get("kind") != FINAL or "forecast_ledger" not in manifest.get("tables", {}):
        return None
    step = next((s for name, s in manifest["steps"].items() if name.startswith("02")), {})
    home = period_folder / run_id / "tables" / "forecast_ledger"
    own = parquet.values_where(home, "sealed_hash", "forecast_of", period_folder.name)
    return (step.get("key", ""), keys.digest(own)) if own else None
