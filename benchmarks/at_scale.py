"""The generated company at scale, 100 million order lines of 5 million customers: seconds, peak memory, disk."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.results import record
from ltvlab_utils.sources.at_scale import write_at_scale

CUSTOMERS, LINES, MONTHS, LAST_PERIOD = 5_000_000, 100_000_000, 36, "2025-06"
ROOM = 6 * 10**9  # bytes that must be free
IN_KILOBYTES = 1 if sys.platform == "darwin" else 1024  # the unit of ru_maxrss


def write(folder: Path) -> None:
    """The work itself, in a process of its own, so that its peak is its own."""
    rows = write_at_scale(
        folder / "data",
        folder / "truth",
        seed=7,
        customers=CUSTOMERS,
        lines=LINES,
        months=MONTHS,
        last_period=LAST_PERIOD,
    )
    print(rows["order_lines"])


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        free = shutil.disk_usage(folder).free
        if free < ROOM:
            sys.exit(f"{ROOM / 1e9:g} GB are needed for temporary files, {free / 1e9:.1f} GB are free.")
        started = time.perf_counter()
        command = [sys.executable, "-m", "benchmarks.at_scale", str(folder)]
        lines = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        seconds = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * IN_KILOBYTES
        size = sum(file.stat().st_size for file in folder.rglob("*.parquet"))
    record(
        "at_scale",
        {
            "customers": CUSTOMERS,
            "lines": lines,
            "seconds": round(seconds, 1),
            "peak_memory_gb": round(peak / 1e9, 2),
            "disk_gb": round(size / 1e9, 2),
        },
    )


if __name__ == "__main__":
    write(Path(sys.argv[1])) if len(sys.argv) > 1 else main()
