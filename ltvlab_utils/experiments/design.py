"""What a design can see, and whether it was carried out as planned."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from ltvlab_utils.errors import Refused


def minimum_detectable_effect(
    sd: float, n_treatment: int, n_control: int, power: float = 0.8, level: float = 0.95, r2: float = 0.0
) -> float:
    """Smallest true effect that a two-sided test finds with the given power, in units of `sd`'s outcome.

    (z_(1 - alpha/2) + z_(power)) x sd x sqrt(1/n_treatment + 1/n_control) x sqrt(1 - r2), alpha = 1 - level; `r2` is
    the share of the outcome's variance that pre-period covariates explain. Raises Refused.
    """
    if not (np.isfinite(sd) and sd >= 0):
        raise Refused(f"sd is {sd}, but a standard deviation is a number of at least 0.")
    if min(n_treatment, n_control) < 1:
        raise Refused(f"There are {n_treatment} in treatment and {n_control} in control: each arm needs at least one.")
    if not (0 < power < 1 and 0 < level < 1 and 0 <= r2 <= 1):
        raise Refused(f"power ({power}) and level ({level}) lie between 0 and 1, r2 ({r2}) from 0 to 1.")
    z = stats.norm.ppf((1 + level) / 2) + stats.norm.ppf(power)
    return float(z * sd * np.sqrt(1 / n_treatment + 1 / n_control) * np.sqrt(1 - r2))


def sample_ratio_p_value(
    n_by_arm: Mapping[str, int] | np.ndarray, planned_share: Mapping[str, float] | np.ndarray
) -> float:
    """p-value of "the arms have the planned shares": a small one (below 0.001) says the assignment went wrong.

    Chi-square where at least five units are expected in each arm, exact (binomial) below that with two arms. Both
    arguments are dicts by arm, or arrays in one order; shares sum to 1. Raises Refused.
    """
    if isinstance(n_by_arm, Mapping) != isinstance(planned_share, Mapping):
        raise Refused("n_by_arm and planned_share should both be dicts by arm, or both arrays in the same order.")
    if isinstance(n_by_arm, Mapping):
        if set(n_by_arm) - set(planned_share):
            extra = sorted(set(n_by_arm) - set(planned_share))
            raise Refused(f'The arm "{extra[0]}" has units but no planned share; planned: {sorted(planned_share)}.')
        arms = sorted(planned_share)
        n_by_arm, planned_share = [n_by_arm.get(a, 0) for a in arms], [planned_share[a] for a in arms]
    n, share = np.asarray(n_by_arm, dtype=float), np.asarray(planned_share, dtype=float)
    if n.shape != share.shape or n.ndim != 1 or len(n) < 2:
        raise Refused(f"n_by_arm has the shape {n.shape} and planned_share {share.shape}: two or more arms are needed.")
    if not (np.isfinite(n).all() and (n >= 0).all() and (n == np.floor(n)).all() and n.sum() > 0):
        raise Refused(f"n_by_arm holds {n.tolist()}, but counts are whole numbers, at least 0 and not all 0.")
    if not (np.isfinite(share).all() and (share >= 0).all() and abs(share.sum() - 1) < 1e-6):
        raise Refused(f"planned_share holds {share.tolist()}, but shares are at least 0 and sum to 1.")
    if (n[share == 0] > 0).any():
        return 0.0
    n, share = n[share > 0], share[share > 0]
    if len(n) == 1:
        return 1.0
    if len(n) == 2 and (share * n.sum()).min() < 5:
        return float(stats.binomtest(int(n[0]), int(n.sum()), share[0]).pvalue)
    return float(stats.chisquare(n, share / share.sum() * n.sum()).pvalue)


def balance_p_value(covariates: np.ndarray, arm: np.ndarray, block: np.ndarray | None = None) -> float:
    """p-value of "the arms were alike before": all pre-period covariates at once, blocks kept.

    Hansen & Bowers (2008), d^2 on ranks (money has heavy tails): the sum of treated ranks against its expectation
    under re-randomisation, chi-square with the rank of its covariance. 1.0 where nothing varies.
    """
    ranks = stats.rankdata(np.asarray(covariates, dtype=float), axis=0)
    d = np.asarray(arm, dtype=float)
    strata = np.zeros(len(d), dtype=int) if block is None else pd.factorize(np.asarray(block, dtype=object))[0]
    n, treated = np.bincount(strata).astype(float), np.bincount(strata, d)
    sums = np.column_stack([np.bincount(strata, column) for column in ranks.T])
    centred = ranks - (sums / n[:, None])[strata]
    difference = d @ centred
    weight = np.divide(treated * (n - treated), n * (n - 1), out=np.zeros_like(n), where=n > 1)
    covariance = (centred * weight[strata][:, None]).T @ centred
    scale = np.sqrt(np.diag(covariance))
    keep = scale > 0
    if not keep.any():
        return 1.0
    correlation = covariance[np.ix_(keep, keep)] / np.outer(scale[keep], scale[keep])
    z = difference[keep] / scale[keep]
    rank = np.linalg.matrix_rank(correlation, hermitian=True, tol=1e-9 * len(z))
    return float(stats.chi2.sf(z @ np.linalg.pinv(correlation, rcond=1e-9, hermitian=True) @ z, rank))


def merge_thin_blocks(arm: np.ndarray, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Blocks that `estimate` can use, and which units they hold.

    Blocks with fewer than two of an arm are merged with each other where their treated shares agree to a tenth: units
    of the merged block then had nearly the same chance of treatment. Units of blocks that are still too thin carry no
    comparison: they are marked False in the second array, and the caller reports them.
    """
    d = np.asarray(arm, dtype=int)
    label = pd.Series(np.asarray(block, dtype=object)).fillna("").astype(str)
    label = "block " + label

    def thin(labels: pd.Series) -> pd.Series:
        counts = pd.crosstab(labels, d).reindex(columns=[0, 1], fill_value=0)
        return labels.map(counts.min(axis=1)) < 2

    merge = thin(label)
    share = pd.Series(d).groupby(label).transform("mean").round(1)
    label = label.where(~merge, "merged at " + share.astype(str))
    return label.to_numpy(), (~thin(label)).to_numpy()
