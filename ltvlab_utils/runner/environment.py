"""What surrounds a run: variables that kernels get, checkout and machine, failures and signals."""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ltvlab_utils.errors import LtvLabError, StepFailed
from ltvlab_utils.runner.words import clean, shown
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


def as_sentence(error: Exception, what: str, details: Path | None = None) -> LtvLabError:
    """Surroundings that failed, as a sentence."""
    seen = f" Details: {shown(details)}." if details else ""
    if isinstance(error, OSError):
        return StepFailed(
            f"{what} could not be written: {clean(error.strerror or error)}. Free or unlock it and start again."
        )
    if isinstance(error, MemoryError):
        return StepFailed(f"{what} ran out of memory: close other programs, or use a machine with more.")
    return StepFailed(f"{what} met an unexpected {type(error).__name__}: {clean(error)}.{seen}")


@contextlib.contextmanager
def sentences(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise as_sentence(error, what) from error


@contextlib.contextmanager
def terminate_as_interrupt() -> Iterator[None]:
    """SIGTERM (a schedule that stops the run) ends kernels and marks the run as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    earlier: Callable | int | None = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, earlier)
