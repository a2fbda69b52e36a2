"""Results of earlier runs that have the key of a step: hard links instead of a second execution."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltvlab_utils.errors import LtvLabError
from ltvlab_utils.store import parquet, publish
from ltvlab_utils.store.atomic import crash_point, link_file, link_tree


@dataclass(frozen=True)
class Earlier:
    """A run of the same period that ended, with its manifest."""

    folder: Path
    manifest: dict[str, Any]

    @property
    def steps(self) -> dict[str, dict[str, Any]]:
        return self.manifest.get("steps", {})

    def has(self, step: str, key: str) -> bool:
        """True when it completed a step under this key."""
        return bool(key) and self.steps.get(step, {}).get("key") == key

    def intact(self) -> bool:
        """True when all that its manifest names is there, tables byte for byte."""
        homes = {self.folder / "tables" / t: about for t, about in self.manifest.get("tables", {}).items()}
        files = (self.folder / f for s in self.steps.values() for f in s.get("files", []))
        return all(f.is_file() for f in files) and all(
            home.is_dir() and parquet.content_hash(home) == about["sha256"] for home, about in homes.items()
        )


def earlier_runs(period_folder: Path) -> list[Earlier]:
    """Runs whose steps may be reused: the published one, then the others, newest first; failed ones for the steps
    that they completed."""
    standing = publish.standing_run_id(period_folder)
    found = []
    for folder in reversed(publish.run_folders(period_folder)):
        try:
            manifest = publish.read_manifest(folder)
        except LtvLabError:
            continue
        if manifest.get("status") in ("complete", "failed"):
            found.append(Earlier(folder, manifest))
    return sorted(found, key=lambda run: run.folder.name != standing)


def unchanged(period_folder: Path, keys: dict[str, str], kind: str) -> str | None:
    """Id of the published run when it is what a run would make now, else None."""
    try:
        published = publish.published_run_id(period_folder)
        run = Earlier(period_folder / str(published), publish.read_manifest(period_folder / str(published)))
    except LtvLabError:  # damaged: make it again
        return None
    same = {name: record.get("key") for name, record in run.steps.items()} == keys
    usable = run.manifest.get("status") == "complete" and run.manifest.get("kind") == kind
    return published if same and usable and run.intact() else None


def link_step(
    name: str, key: str, runs: list[Earlier], folder: Path, tables: dict[str, dict[str, Any]]
) -> dict[str, Any] | None:
    """Links what an earlier run made in this step into `folder`; its step record, or None when no run has it.

    `tables` are the tables that the new run holds so far: the earlier run must have worked from the same ones. Tables
    are read again, so that a damaged one is made anew and not handed on.
    """
    for run in runs:
        theirs = run.manifest.get("tables", {})
        if not run.has(name, key) or any(theirs.get(t) != told for t, told in tables.items()):
            continue
        record = run.steps[name]
        if not all((run.folder / f).is_file() for f in record["files"]):
            continue
        sound = all(
            (run.folder / "tables" / t).is_dir()
            and parquet.content_hash(run.folder / "tables" / t) == theirs[t]["sha256"]
            for t in record["tables"]
        )
        if not sound:
            continue
        for table in record["tables"]:
            shutil.rmtree(folder / "tables" / table, ignore_errors=True)
            link_tree(run.folder / "tables" / table, folder / "tables" / table)
            crash_point("during:reuse")
        for file in record["files"]:
            link_file(run.folder / file, folder / file)
        tables.update({t: theirs[t] for t in record["tables"]})
        return {
            **record,
            "seconds": 0.0,
            "kernel_start_seconds": 0.0,
            "reused_from": record["reused_from"] or run.folder.name,
        }
    return None
