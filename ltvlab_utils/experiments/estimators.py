"""Effects of a randomised design: Neyman, Lin and CUPED estimates, by block and by cluster, and a randomisation test.

Sources: Neyman (1923); Imbens & Rubin (2015), ch. 6 and 9; Lin (2013); MacKinnon & White (1985) for HC2; Deng, Xu,
Kohavi & Walker (2013) for CUPED; Bell & McCaffrey (2002) for CR2; Wu & Ding (2021) for the studentised randomisation
test.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
import pandas as pd
from scipy import linalg, stats

from ltvlab_utils.errors import Refused, nearest

METHODS = ("neyman", "lin", "cuped")
SAME = 1e-12  # relative: statistics of two draws that differ by rounding alone count as equal
CELLS = 2_000_000  # permuted cells held at once


@dataclass(frozen=True)
class Effect:
    """An effect per treated unit with its interval; the p-value is two-sided."""

    estimate: float
    standard_error: float
    low: float
    high: float
    p_value: float
    n_treatment: int
    n_control: int


def estimate(
    outcome: np.ndarray,
    arm: np.ndarray,
    method: str = "neyman",
    covariates: np.ndarray | pd.DataFrame | None = None,
    block: np.ndarray | None = None,
    cluster: np.ndarray | None = None,
    level: float = 0.95,
) -> Effect:
    """Average effect of the assignment (intention to treat), in units of the outcome per unit.

    `outcome`, `arm` (0 control, 1 treatment), `block` and `cluster` have one entry a unit, `covariates` one row a unit;
    covariates must be measured before the assignment.

    - neyman: difference of means with unequal variances (no covariate is looked at); within blocks, weighted by block
      size. Interval and p-value by Student's t with Welch-Satterthwaite degrees of freedom over arms and blocks.
    - lin: least squares on treatment, centred covariates (and block indicators) and their interactions with treatment;
      HC2 variance, t with n - columns degrees of freedom. A covariate that is constant or follows from the others in
      an arm has no slope there and is left out.
    - cuped: outcome less theta x (covariates - their mean), theta from a pooled regression, then neyman.

    Blocks need two units of each arm. A cluster has one arm and lies in one block: neyman and cuped then use CR2
    (which equals the variance above when every unit is its own cluster) with Bell-McCaffrey degrees of freedom, lin
    uses CR2 with (clusters - columns). Raises Refused.
    """
    y, d = _outcome_and_arm(outcome, arm)
    if method not in METHODS:
        raise Refused(f'"{method}" is not a method of estimate.{nearest(method, METHODS)}')
    if not 0 < level < 1:
        raise Refused(f"level is {level}, but an interval's level lies between 0 and 1, such as 0.95.")
    strata = _labels(block, "block", len(y))
    groups = _labels(cluster, "cluster", len(y))
    _check_design(d, strata, groups)
    x = _covariates(covariates, len(y), method)
    if method == "lin":
        effect, variance, df = _lin(y, d, x, strata, groups)
    else:
        effect, variance, df = _neyman(adjusted(y, x) if method == "cuped" else y, d, strata, groups)
    return _effect(effect, variance, df, level, d)


def adjusted(outcome: np.ndarray, covariates: np.ndarray) -> np.ndarray:
    """Outcome less what a pooled regression on the covariates predicts around their mean, arms not looked at."""
    centred = _standardised(covariates)
    theta = np.linalg.lstsq(centred, outcome - outcome.mean(), rcond=None)[0]
    return outcome - centred @ theta


def randomisation_p_value(
    outcome: np.ndarray,
    arm: np.ndarray,
    block: np.ndarray | None = None,
    draws: int = 1999,
    rng: np.random.Generator | int = 0,
) -> float:
    """Two-sided p-value of the studentised difference of means under re-randomisation, within blocks where given.

    Exact under "no effect on anyone", and holds asymptotically for "no effect on average", which the plain difference
    does not (Wu & Ding 2021). All assignments are counted when they are no more than `draws` and there are no blocks,
    else `draws` random ones: p = (1 + as extreme) / (1 + draws). Raises Refused.
    """
    y, d = _outcome_and_arm(outcome, arm)
    strata = _labels(block, "block", len(y))
    _check_design(d, strata, None)
    if draws < 1:
        raise Refused(f"draws is {draws}, but at least one is needed; 1999 resolves a p-value of 0.0005.")
    order = np.argsort(strata, kind="stable") if strata is not None else np.arange(len(y))
    y, d = y[order] - y.mean(), d[order]
    size = np.bincount(strata) if strata is not None else np.array([len(y)])
    observed = abs(_studentised(y, d[None, :], size)[0])
    count = int(d.sum())
    if strata is None and comb(len(y), count) <= draws:
        chosen = np.array(list(combinations(range(len(y)), count)))
        arms = np.zeros((len(chosen), len(y)), dtype=np.int8)
        np.put_along_axis(arms, chosen, 1, axis=1)
        return float(np.mean(np.abs(_studentised(y, arms, size)) >= observed * (1 - SAME)))
    generator = np.random.default_rng(rng)
    within = np.repeat(np.arange(len(size)), size)
    extreme, left = 0, draws
    while left:
        now = min(left, max(1, CELLS // len(y)))
        # a random key within the block's number sorts the units of each block at random
        shuffled = np.argsort(within + generator.random((now, len(y))), axis=1)
        extreme += int((np.abs(_studentised(y, d[shuffled], size)) >= observed * (1 - SAME)).sum())
        left -= now
    return (1 + extreme) / (1 + draws)


# --- checks -----------------------------------------------------------------------------------------------------------


def _outcome_and_arm(outcome, arm) -> tuple[np.ndarray, np.ndarray]:
    try:
        y, d = np.asarray(outcome, dtype=float), np.asarray(arm, dtype=float)
    except (TypeError, ValueError):
        raise Refused("outcome and arm should hold numbers; arm is 0 for control and 1 for treatment.") from None
    if y.ndim != 1 or d.ndim != 1 or len(y) != len(d):
        raise Refused(
            f"outcome has the shape {y.shape} and arm {d.shape}, but each needs one entry a unit, of the same length."
        )
    missing = np.flatnonzero(~np.isfinite(y))
    if len(missing):
        raise Refused(
            f"outcome is missing or infinite for {len(missing):,} of {len(y):,} units, for example at position "
            f"{missing[0]}: under intention to treat every assigned unit has an outcome; decide what it is (0 for no "
            "order) before estimating."
        )
    wrong = np.flatnonzero(~np.isin(d, (0.0, 1.0)))
    if len(wrong):
        raise Refused(
            f"arm should be 0 (control) or 1 (treatment), but {len(wrong):,} of {len(d):,} units hold something else, "
            f"for example {d[wrong[0]]:g} at position {wrong[0]}."
        )
    for name, count in (("control (0)", int((d == 0).sum())), ("treatment (1)", int((d == 1).sum()))):
        if count < 2:
            raise Refused(
                f"{name} has {count} unit{'s' * (count != 1)}, but each arm needs at least two: with fewer there is "
                "no comparison and no variance."
            )
    return y, d.astype(np.int8)


def _labels(values, name: str, n: int) -> np.ndarray | None:
    """Block or cluster labels as codes 0, 1, ... in sorted order; None where not given."""
    if values is None:
        return None
    labels = pd.Series(np.asarray(values, dtype=object))
    if len(labels) != n:
        raise Refused(f"{name} has {len(labels):,} entries, but outcome has {n:,}: one entry a unit is needed.")
    if labels.isna().any():
        raise Refused(
            f"{name} is empty for {int(labels.isna().sum()):,} of {n:,} units, for example at position "
            f"{int(np.flatnonzero(labels.isna())[0])}: give every unit its {name}, or leave {name} out."
        )
    return pd.factorize(labels.astype(str), sort=True)[0]


def _check_design(d: np.ndarray, strata: np.ndarray | None, groups: np.ndarray | None) -> None:
    unit = "units" if groups is None else "clusters"
    first = np.arange(len(d))
    if groups is not None:
        first = np.unique(groups, return_index=True)[1]
        if (d != d[first][groups]).any():
            raise Refused(
                f"{len(np.unique(groups[d != d[first][groups]])):,} clusters hold both arms: units that were assigned "
                "together have one arm; if the assignment was made within them, give them as block."
            )
        if strata is not None and (strata != strata[first][groups]).any():
            raise Refused("A cluster lies in more than one block: units assigned together belong to one block.")
    held = np.zeros(len(first), dtype=int) if strata is None else strata[first]
    counts = np.array([np.bincount(held, d[first] == a, minlength=held.max() + 1) for a in (0, 1)])
    thin = np.flatnonzero(counts.min(axis=0) < 2)
    if len(thin) and strata is None:
        raise Refused("An arm has fewer than two clusters: with one there is no variance between clusters.")
    if len(thin):
        raise Refused(
            f"{len(thin):,} of {counts.shape[1]:,} blocks have fewer than two {unit} of an arm, for example one with "
            f"{int(counts[1, thin[0]])} in treatment and {int(counts[0, thin[0]])} in control: they give no variance. "
            "Merge blocks of the same treated share (merge_thin_blocks), and plan with at least two of each arm."
        )


def _covariates(covariates, n: int, method: str) -> np.ndarray | None:
    if method == "neyman":
        return None
    if covariates is None:
        raise Refused(f"The method {method} needs covariates that were measured before the assignment.")
    try:
        x = np.asarray(covariates, dtype=float)
    except (TypeError, ValueError):
        raise Refused("covariates should hold numbers: turn classes into 0/1 columns.") from None
    x = x[:, None] if x.ndim == 1 else x
    if x.ndim != 2 or len(x) != n:
        raise Refused(f"covariates have the shape {x.shape}, but {n:,} rows are needed, one a unit.")
    bad = ~np.isfinite(x).all(axis=1)
    if bad.any():
        raise Refused(
            f"covariates are missing or infinite for {int(bad.sum()):,} of {n:,} units, for example at position "
            f"{int(np.flatnonzero(bad)[0])}: fill them (with an indicator that says so), or leave the column out."
        )
    return x


# --- estimates --------------------------------------------------------------------------------------------------------


def _neyman(y, d, strata, groups) -> tuple[float, float, float]:
    """Difference of means, its variance and degrees of freedom; within blocks, weighted by block size."""
    strata = np.zeros(len(y), dtype=int) if strata is None else strata
    share = np.bincount(strata) / len(y)
    effect, variances, freedom = 0.0, [], []
    for a, sign in ((1, 1.0), (0, -1.0)):
        mean, variance, df = _means(y[d == a], strata[d == a], None if groups is None else groups[d == a], len(share))
        effect += sign * float(share @ mean)
        variances.append(share**2 * variance)
        freedom.append(df)
    parts, df = np.concatenate(variances), np.concatenate(freedom)
    total = float(parts.sum())
    return effect, total, (total**2 / float((parts**2 / df).sum()) if total > 0 else float(df.sum()))


def _means(y, strata, groups, blocks: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean by block of one arm, its CR2 variance and Bell-McCaffrey degrees of freedom.

    For an intercept alone CR2 has a closed form: sum over clusters of (sum of residuals)^2 / (1 - m/n), over n^2, with
    m units in the cluster. With one unit a cluster it is s^2/n with n - 1 degrees of freedom.
    """
    n = np.bincount(strata, minlength=blocks)
    mean = np.bincount(strata, y, minlength=blocks) / n
    residual = y - mean[strata]
    if groups is None:
        return mean, np.bincount(strata, residual**2, minlength=blocks) / (n - 1) / n, (n - 1).astype(float)
    _, first, code = np.unique(groups, return_index=True, return_inverse=True)
    home, m = strata[first], np.bincount(code)
    scale = 1 / (n[home] ** 2 * (1 - m / n[home]))
    variance = np.bincount(home, scale * np.bincount(code, residual) ** 2, minlength=blocks)
    a = scale * m**2 / n[home]
    off = np.bincount(home, a, minlength=blocks) ** 2 - np.bincount(home, a**2, minlength=blocks)
    trace_of_square = np.bincount(home, m**2, minlength=blocks) / n.astype(float) ** 4 + off
    return mean, variance, 1 / n.astype(float) ** 2 / trace_of_square


def _standardised(x: np.ndarray) -> np.ndarray:
    """Columns centred and scaled, constant ones left out: counts and money then weigh alike in the numerics."""
    centred = x - x.mean(axis=0)
    spread = centred.std(axis=0)
    keep = spread > 1e-9 * np.maximum(1e-300, np.abs(x).max(axis=0))
    return centred[:, keep] / spread[keep]


def _independent(x: np.ndarray) -> np.ndarray:
    """Positions of columns that are linearly independent beside a constant."""
    if not x.size:
        return np.arange(0)
    _, r, order = linalg.qr(x - x.mean(axis=0), mode="economic", pivoting=True)
    return np.sort(order[: int((np.abs(np.diag(r)) > 1e-9 * np.sqrt(len(x))).sum())])


def _lin(y, d, x, strata, groups) -> tuple[float, float, float]:
    if strata is not None:
        x = np.column_stack([x, (strata[:, None] == np.arange(1, strata.max() + 1)).astype(float)])
    centred = _standardised(x)
    for a in (0, 1):  # a covariate has a slope in each arm, so it varies on its own in each
        centred = centred[:, _independent(centred[d == a])]
    design = np.column_stack([np.ones(len(y)), d, centred, d[:, None] * centred])
    rank = design.shape[1]
    smaller = int(min(d.sum(), len(d) - d.sum()))
    if smaller < rank / 2 + 1:
        raise Refused(
            f"lin has {centred.shape[1]} covariates (blocks included), but the smaller arm has {smaller} units: use "
            "fewer covariates, or cuped."
        )
    from statsmodels.regression.linear_model import OLS  # costs a second: only where it is asked

    fit = OLS(y, design).fit()
    if groups is None:
        if (fit.get_influence().hat_matrix_diag > 1 - 1e-9).any():
            raise Refused(
                "lin: a unit alone decides a covariate's slope in its arm (leverage 1): leave the column out."
            )
        robust = fit.get_robustcov_results("HC2")
        return float(fit.params[1]), float(robust.cov_params()[1, 1]), float(len(y) - rank)
    return float(fit.params[1]), _cr2(design, fit.resid, groups)[1, 1], float(max(1, groups.max() + 1 - rank))


def _cr2(design: np.ndarray, residual: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """CR2 covariance of least squares: residuals of a cluster times (I - its block of the hat matrix)^(-1/2)."""
    bread = np.linalg.pinv(design.T @ design)
    order = np.argsort(groups, kind="stable")
    meat = np.zeros_like(bread)
    for rows in np.split(order, np.cumsum(np.bincount(groups))[:-1]):
        part = design[rows]
        values, vectors = np.linalg.eigh(np.eye(len(rows)) - part @ bread @ part.T)
        root = np.where(values > 1e-9, 1 / np.sqrt(np.maximum(values, 1e-9)), 0.0)
        score = part.T @ ((vectors * root) @ (vectors.T @ residual[rows]))
        meat += np.outer(score, score)
    return bread @ meat @ bread


def _effect(effect: float, variance: float, df: float, level: float, d: np.ndarray) -> Effect:
    error = float(np.sqrt(max(variance, 0.0)))
    n = int(d.sum()), int(len(d) - d.sum())
    if error == 0:
        if effect == 0:  # nobody differs from anybody: nothing was seen, and nothing is claimed
            return Effect(0.0, 0.0, 0.0, 0.0, 1.0, *n)
        raise Refused(
            "The outcome is the same for all units of each arm: no standard error can be estimated. "
            "Use randomisation_p_value."
        )
    half = float(stats.t.ppf((1 + level) / 2, df)) * error
    return Effect(effect, error, effect - half, effect + half, float(2 * stats.t.sf(abs(effect) / error, df)), *n)


def _studentised(y: np.ndarray, arms: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Neyman's difference over its standard error for each row of `arms` (rows: assignments; units sorted by block)."""
    starts = np.concatenate([[0], np.cumsum(size)[:-1]])
    n1 = np.add.reduceat(arms[0], starts, dtype=float)
    n0 = size - n1
    first, second = (np.add.reduceat(arms * v, starts, axis=1) for v in (y, y**2))
    all_first, all_second = np.add.reduceat(y, starts), np.add.reduceat(y**2, starts)

    def variance(total, square, n):
        return np.maximum(square - total**2 / n, 0) / (n - 1) / n

    share = size / size.sum()
    difference = (first / n1 - (all_first - first) / n0) @ share
    spread = (variance(first, second, n1) + variance(all_first - first, all_second - second, n0)) @ share**2
    floor = 1e-14 * float((y**2).sum())
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(spread > floor, difference / np.sqrt(spread), np.sign(difference) * np.inf)
    return np.where(np.abs(difference) <= 1e-12 * np.abs(y).max(initial=0), 0.0, t)
