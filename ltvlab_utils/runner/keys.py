"""Keys of steps: two executions with equal keys would give equal results, so the earlier one can be reused."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import ltvlab_utils
from ltvlab_utils.errors import StepFailed
from ltvlab_utils.runner.steps import Step, read_cells

# Floor 5 starts notebooks and listens; it changes no result.
NOT_IN_KEY = ("runner", "cli", "server", "server.py", "__pycache__")


def digest(*parts: Any) -> str:
    """SHA-256 of JSON values, order kept."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def code_hash(folder: Path | None = None) -> str:
    """SHA-256 over the files of floors 0 to 4: names and bytes."""
    root = folder or Path(ltvlab_utils.__file__).parent
    files = sorted(
        (p.relative_to(root).as_posix(), p)
        for p in root.rglob("*")
        if p.suffix != ".pyc" and p.is_file() and p.relative_to(root).parts[0] not in NOT_IN_KEY
    )
    total = hashlib.sha256()
    for name, file in files:
        total.update(f"{name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def cells_hash(notebook: dict[str, Any]) -> str:
    """SHA-256 of what a notebook does: kind, source and tags of its cells; outputs and other metadata are noise."""
    cells = []
    for cell in notebook["cells"]:
        tags = cell["metadata"].get("tags", [])
        if "injected-parameters" not in tags:
            cells.append([cell["cell_type"], "".join(cell["source"]), sorted(tags)])
    return digest(cells)


def notebook_hash(notebook: Path) -> str:
    return cells_hash(read_cells(notebook))


def package_versions() -> dict[str, str]:
    """Installed versions of this package's direct dependencies. Raises StepFailed."""
    try:
        wanted = importlib.metadata.requires("ltv-lab") or []
        names = [re.match(r"[\w.-]+", line)[0] for line in wanted if "extra ==" not in line]
        return {name: importlib.metadata.version(name) for name in sorted(names, key=str.lower)}
    except importlib.metadata.PackageNotFoundError as missing:
        raise StepFailed(f"The package {missing} is not installed: set the environment up (`make setup`).") from None


def step_keys(
    steps: Sequence[Step],
    code: str,
    packages: dict[str, str],
    params_json: str,
    fingerprints: Iterable[Sequence[str]],
    prior_hash: str | None,
    kind: str,
    sealed: tuple[str, str] | None = None,
    staged_before: str | None = None,
) -> dict[str, str]:
    """Key of each step by name.

    01 rests on the sources and on what the prior had staged (`staged_before`), which it compares with; 02 on 01, the
    prior's tables, the kind of the run (a preliminary one seals no forecast) and on `sealed`: (02's key, hash of the
    forecasts) of the published run of this period, whose seal a run with another key keeps; 03 and 04 on the steps
    before and the prior's tables; pages on all of these and on the kind, which they show. Every key holds the notebook,
    the code, the parameters and the versions.
    """
    common = digest(code, packages, platform.python_version(), params_json)
    keys: dict[str, str] = {}
    before: list[str] = []
    for step in steps:
        own = notebook_hash(step.notebook)
        if step.is_page:
            keys[step.name] = digest("page", common, own, before, prior_hash, step.language, kind)
            continue
        inputs = prior_hash
        if step.number == "01":
            inputs = [sorted(list(f) for f in fingerprints), staged_before]
        key = digest("step", common, own, before, inputs)
        if step.number == "02":
            key = digest(key, kind)
            if sealed and sealed[0] != key:
                key = digest(key, sealed[1])
        keys[step.name] = key
        before.append(keys[step.name])
    return keys
