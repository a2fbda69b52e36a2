"""Do estimates and intervals of Pareto/NBD with covariates hold? Simulated customers, many seeds.

`python -m benchmarks.covariates [customers] [seeds] [first seed]`: of each coefficient the mean error in its errors
and the share of 95 % intervals that hold the truth; how often the test at 5 % sees what is not there.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd

from benchmarks.results import record
from ltvlab_utils.models import ParetoNBD
from tests.test_models_covariates import SHIFTS, shifted_customers


def graded(seed: int, customers: int) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    found = ParetoNBD.fit(shifted_customers(customers, rng, SHIFTS), covariates=["web", "fair"])
    out = {"converged": float(found.converged)}
    for name, truth in SHIFTS.items():
        z = (found.params[name] - truth) / found.standard_errors[name]
        out |= {f"z_{name}": z, f"inside_{name}": float(abs(z) < 1.96), f"error_{name}": found.params[name] - truth}
    none = ParetoNBD.fit(shifted_customers(customers, rng, {}), covariates=["web"])
    return out | {"rejected": float(none.against().p_value < 0.05)}


def main(customers: str = "600", seeds: str = "200", first: str = "20001") -> None:
    found = pd.DataFrame([graded(s, int(customers)) for s in range(int(first), int(first) + int(seeds))])
    record(f"covariates_{customers}", {k: round(float(v), 4) for k, v in found.mean().items()})


if __name__ == "__main__":
    main(*sys.argv[1:])
