"""Tiny notebooks that write tiny contract tables, and a runner in a process of its own (used by runner tests)."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PARAMETERS = 'company: str = "small"\nperiod: str = "2025-06"\nrun_id: str = ""\nreports_dir: str = ""\n'
PAGE_PARAMETERS = PARAMETERS + 'language: str = "ja"\nrole: str = ""\nowner: str = ""\n'
OPEN = "from ltvlab_utils import store\nimport pandas as pd\nrun = store.open(company, period, run_id, reports_dir)"
TOTALS = (
    'totals = pd.DataFrame({"scope": ["company"], "customers": [2], "value": [10.0], "low": [5.0], "high": [20.0]})'
)


def total(value: float = 10.0) -> str:
    """Source of a cell that writes the table ltv_totals (notebook 02's) with one value."""
    return f'{TOTALS}\nrun.write("ltv_totals", totals.assign(value={value}))'


REJECTED = (
    'names = ["table_name", "source", "file", "row_no", "column", "value", "reason", "amount"]\n'
    'run.write("rejected_rows", pd.DataFrame({name: [] for name in names}))'
)


def notebook(file: Path, *sources: str, parameters: str = PARAMETERS, tags: tuple[str, ...] = ("parameters",)) -> Path:
    """Writes a notebook: title, parameters cell, one code cell a source."""
    cells = [{"cell_type": "markdown", "id": "title", "metadata": {}, "source": f"# {file.stem}"}]
    for index, source in enumerate([parameters, *sources]):
        cells.append(
            {
                "cell_type": "code",
                "id": f"cell-{index}",
                "metadata": {"tags": list(tags)} if index == 0 else {},
                "source": source,
                "outputs": [],
                "execution_count": None,
            }
        )
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    content = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "ltvlab_utils.cli", *(str(w) for w in words)]


def ltvlab(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a verb in a process of its own, outside the checkout's folder."""
    return subprocess.run(
        command(*words), capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment}, cwd=os.environ["LTVLAB_REPORTS"],
    )  # fmt: skip


def state(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Inode, time of change and bytes of every file below."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): (p.stat().st_ino, p.stat().st_mtime_ns, p.read_bytes()) for p in files}


def folders(period_folder: Path) -> dict[str, str]:
    """Run folder -> status of its manifest."""
    return {
        p.name: json.loads((p / "manifest.json").read_text()).get("status") if (p / "manifest.json").exists() else ""
        for p in sorted(period_folder.iterdir())
        if p.is_dir()
    }


def _child(words: list[str], environment: dict[str, str], out: str, file_size: int) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.setsid()
    # A shell starts what it puts in the background with Ctrl-C ignored, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with Path(out).open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    if file_size:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    from ltvlab_utils.cli import main

    main(words)


class Child:
    """`ltvlab` in a process (and process group) of its own, forked from one that has papermill loaded: fast."""

    def __init__(self, *words: object, out: Path, file_size: int = 0, **environment: str):
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(
            ["ltvlab_utils.runner.execute", "ltvlab_utils.runner.review", "ltvlab_utils.cli"]
        )
        self._out = out
        values = {**os.environ, **environment}
        self.process = context.Process(target=_child, args=([str(w) for w in words], values, str(out), file_size))
        self.process.start()

    @property
    def said(self) -> str:
        return self._out.read_text(encoding="utf-8")

    def wait(self, seconds: float = 60) -> int:
        """Exit status, negative for a signal."""
        self.process.join(seconds)
        assert self.process.exitcode is not None, "still running"
        return self.process.exitcode


def until(true, seconds: float = 20, what: str = "") -> None:
    """Waits until true() holds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"waited {seconds} s for {what or true}"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """False for a process that is gone or waits to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
