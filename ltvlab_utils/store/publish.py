"""Manifest, lock and publication of runs.

A run lives in reports/<company>/<period>/<run_id>/ from its first moment; its manifest says `running` until it is
`complete` or `failed`. Readers follow published.json, which is replaced atomically and only by a complete run, so a
crash at any instant leaves the earlier review readable.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ltvlab_utils.errors import Busy, LtvLabError, StepFailed
from ltvlab_utils.store.atomic import crash_point, sync, write_json, write_text

MANIFEST, PARAMS, PUBLISHED, LOCK = "manifest.json", "params.json", "published.json", ".lock"
PROBE_SECONDS = 0.5  # longer than `is_locked` holds the lock, so that a look never refuses a run
RUN_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]+")


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Holds a period for one run; the system frees it when the process dies. Raises Busy."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK)
        lock.acquire(timeout=PROBE_SECONDS, poll_interval=0.05)
    except Timeout:
        raise Busy(
            f"Another run of {folder.parent.name} {folder.name} is at work. Wait until it ends, then start again."
        ) from None
    except OSError as error:
        raise StepFailed(f"The reports folder cannot be written: {error.strerror or error} ({folder.name}).") from None
    try:
        yield
    finally:
        lock.release()


def read_json(file: Path) -> dict[str, Any] | None:
    """A JSON object, or None where the file is absent. Raises LtvLabError for one that is damaged or locked away."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StepFailed(f"{file.parent.name}/{file.name} cannot be read: {error.strerror or error}.") from None
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise LtvLabError(f"{file.parent.name}/{file.name} is damaged: run the period again.")
    return content


def read_manifest(run_folder: Path) -> dict[str, Any]:
    """The manifest of a run; empty where there is none."""
    return read_json(run_folder / MANIFEST) or {}


def write_manifest(run_folder: Path, manifest: dict[str, Any]) -> None:
    write_json(run_folder / MANIFEST, manifest, f"manifest:{manifest.get('status', '')}")


def published_run_id(period_folder: Path) -> str | None:
    """Id of the run that readers see, or None before the first. Raises LtvLabError for a damaged published.json."""
    content = read_json(period_folder / PUBLISHED)
    run_id = str((content or {}).get("run_id") or "")
    inside = run_id == Path(run_id).name and not run_id.startswith((".", "_"))
    return run_id if run_id and inside and (period_folder / run_id / MANIFEST).is_file() else None


def standing_run_id(period_folder: Path) -> str | None:
    """As published_run_id, for a run that is about to replace it: where published.json is damaged, the newest complete
    run, a final one first, so that the period can be run again and a final review is still protected."""
    try:
        return published_run_id(period_folder)
    except LtvLabError:
        complete = [p for p in run_folders(period_folder) if _status(p) == "complete"]
        return max(complete, key=lambda p: (_kind(p) == "final", p.name)).name if complete else None


def run_folders(period_folder: Path) -> list[Path]:
    """Folders of runs, oldest first; the analyst's _lab is none."""
    if not period_folder.is_dir():
        return []
    return sorted(p for p in period_folder.iterdir() if p.is_dir() and not p.name.startswith((".", "_")))


def publish(period_folder: Path, run_id: str) -> None:
    """Makes a complete run the one that readers see. A final review never gives way to a preliminary one."""
    new = read_manifest(period_folder / run_id)
    if new.get("status") != "complete":
        raise LtvLabError(f"Run {run_id} is not complete and cannot be published.")
    current = standing_run_id(period_folder)
    if current and _kind(period_folder / current) == "final" and new.get("kind") != "final":
        raise LtvLabError(f"Run {run_id} is preliminary and may not replace the final run {current}.")
    write_json(period_folder / PUBLISHED, {"run_id": run_id}, "published")


def start_run(period_folder: Path, run_id: str, params_json: str, manifest: dict[str, Any]) -> Path:
    """Makes the folder of a new run with its frozen parameters and a manifest that says `running`."""
    folder = period_folder / run_id
    for part in ("tables", "notebooks", "pages"):
        (folder / part).mkdir(parents=True)
    write_text(folder / PARAMS, params_json, "params")
    write_manifest(folder, {**manifest, "run_id": run_id, "status": "running"})
    return folder


def clean_leftovers(period_folder: Path) -> list[str]:
    """Removes runs that a crash left unfinished, and failed runs but the newest. Call it under the lock.

    A folder without a readable manifest is removed only when it bears the name of a run: a crash may leave one so,
    and a person's own folder is not ours.
    """
    standing = standing_run_id(period_folder)
    runs = [p for p in run_folders(period_folder) if p.name != standing]
    states = {p: _status(p) for p in runs}
    failed = [p for p in runs if states[p] == "failed"]
    unfinished = [p for p in runs if states[p] == "running" or (not states[p] and _may_be_ours(p))]
    for folder in (removed := unfinished + failed[:-1]):
        (folder / MANIFEST).unlink(missing_ok=True)  # first, so that what a crash leaves of it is never read as a run
        crash_point("during:clean")
        shutil.rmtree(folder, ignore_errors=True)
    return [p.name for p in removed]


def _may_be_ours(run_folder: Path) -> bool:
    """Without a manifest, and empty or named as a run. A damaged manifest may belong to a review once published."""
    content = [p.name for p in run_folder.iterdir()]
    return not content or (bool(RUN_ID.fullmatch(run_folder.name)) and MANIFEST not in content)


def _status(run_folder: Path) -> str:
    try:
        return str(read_manifest(run_folder).get("status", ""))
    except LtvLabError:
        return ""


def _kind(run_folder: Path) -> str:
    try:
        return str(read_manifest(run_folder).get("kind", ""))
    except LtvLabError:
        return ""


def seal(run_folder: Path) -> None:
    """Makes a complete run a record before it is published: its bytes on the disk, so that no power cut leaves a
    published run with empty tables, and its files without write permission."""
    for file in [run_folder, *run_folder.rglob("*")]:
        sync(file)
        if file.is_file():
            file.chmod(0o444)
            crash_point("during:seal")


def is_locked(period_folder: Path) -> bool:
    """True while a run of this period is at work; makes nothing."""
    if not (period_folder / LOCK).is_file():
        return False
    try:
        with FileLock(period_folder / LOCK, blocking=False):
            return False
    except Timeout:
        return True
    except OSError:  # a reader without write permission cannot tell
        return False
