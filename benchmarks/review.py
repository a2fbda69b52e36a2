"""The monthly review of the sample company, warm, nothing to reuse: seconds, and the share of kernel start-up."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.results import record
from ltvlab_utils import store

PERIODS = ("2025-05", "2025-06")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "LTVLAB_REPORTS": folder}
        command = [Path(sys.executable).with_name("ltvlab"), "run", "sample", f"{PERIODS[0]}..{PERIODS[1]}"]
        started = time.perf_counter()
        subprocess.run(command, env=environment, check=True)
        seconds = time.perf_counter() - started
        steps = [
            step
            for period in PERIODS
            for step in store.read("sample", period, reports_dir=folder).manifest["steps"].values()
        ]
        started = time.perf_counter()
        subprocess.run(command, env=environment, check=True)
        again = time.perf_counter() - started
    kernels = sum(step["kernel_start_seconds"] for step in steps)
    record(
        "review",
        {
            "seconds": round(seconds, 1),
            "again_seconds": round(again, 1),
            "kernels": len(steps),
            "kernel_start_share": round(kernels / seconds, 3),
        },
    )


if __name__ == "__main__":
    main()
