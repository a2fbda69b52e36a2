"""Room for what a source is turned into on its way to the engine: one folder of this process, gone with it."""

from __future__ import annotations

import tempfile
from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=1)
def _home() -> tempfile.TemporaryDirectory:
    return tempfile.TemporaryDirectory(prefix="ltvlab-")


def scratch(name: str) -> Path:
    """A path of that name in a new folder that only this user can read."""
    return Path(tempfile.mkdtemp(dir=_home().name)) / name
