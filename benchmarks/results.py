"""results.json: what was measured, on which machine."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("results.json")


def load() -> dict[str, Any]:
    return json.loads(FILE.read_text(encoding="utf-8")) if FILE.is_file() else {}


def record(name: str, figures: dict[str, float]) -> None:
    """Stores the figures of one benchmark, with the machine they were measured on."""
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()}
    results = load() | {name: {"figures": figures, "machine": machine}}
    FILE.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    for key, value in figures.items():
        print(f"{name}.{key}: {value:g}")
