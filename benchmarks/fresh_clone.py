"""What a newcomer waits: a fresh clone with an empty pip cache, `make review`, the same again, `make test`."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.results import record

ROOT = Path(__file__).resolve().parents[1]


def timed(target: str, clone: Path, environment: dict[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run(["make", target], cwd=clone, env=environment, check=True)
    return round(time.perf_counter() - started, 1)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "ltv-lab"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("LTVLAB_") and k != "VIRTUAL_ENV"}
        environment["PIP_CACHE_DIR"] = str(Path(folder) / "pip-cache")
        first = timed("review", clone, environment)
        again = timed("review", clone, environment)
        test = timed("test", clone, environment)
    record("fresh_clone", {"review_seconds": first, "review_again_seconds": again, "test_seconds": test})


if __name__ == "__main__":
    main()
