"""Light worlds of both kinds in two processes: seconds for 400 of 1,000 customers, and the largest memory of one."""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from benchmarks.results import record
from ltvlab_utils.sample.light import light_world

WORLDS, CUSTOMERS, PROCESSES = 400, 1_000, 2


def made(seed: int) -> int:
    """Customers of the world of a seed; even seeds are home."""
    return len(light_world(seed, CUSTOMERS, "misspecified" if seed % 2 else "home").histories)


def peak_megabytes() -> float:
    """Of the largest of the processes that have ended, its interpreter and libraries included."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return used / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> None:
    started = time.perf_counter()
    with ProcessPoolExecutor(PROCESSES, mp_context=multiprocessing.get_context("spawn")) as pool:
        customers = sum(pool.map(made, range(WORLDS), chunksize=20))
    seconds = time.perf_counter() - started
    assert customers == WORLDS * CUSTOMERS
    record(
        "light_worlds",
        {
            "seconds": round(seconds, 1),
            "worlds": WORLDS,
            "milliseconds_a_world_and_process": round(1000 * seconds * PROCESSES / WORLDS, 1),
            "peak_megabytes": round(peak_megabytes()),
        },
    )


if __name__ == "__main__":
    main()
