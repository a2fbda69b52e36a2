"""What surrounds a run: variables that kernels get, the state of the checkout, the machine."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from ltvlab_utils.store.layout import workspace
from ltvlab_utils.store.run import KERNEL_VARIABLE

FOLDERS = ("LTVLAB_REPORTS", "LTVLAB_DATA", "LTVLAB_PARAMS")


def kernel_variables() -> dict[str, str]:
    """The environment of kernels. They work in another folder, so that moved folders must be absolute."""
    moved = {name: str(Path(os.environ[name]).expanduser().resolve()) for name in FOLDERS if os.environ.get(name)}
    return {
        **os.environ,
        **moved,
        KERNEL_VARIABLE: sys.prefix,
        "JUPYTER_PREFER_ENV_PATH": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # else every kernel prints a warning of its debugger
    }


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], cwd=workspace(), capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def checkout() -> dict[str, Any] | None:
    """Commit of the checkout and whether it had changes; None outside a checkout."""
    commit = _git("rev-parse", "HEAD")
    return {"commit": commit, "dirty": bool(_git("status", "--porcelain"))} if commit else None


def machine() -> dict[str, str]:
    return {"python": platform.python_version(), "platform": platform.platform()}
