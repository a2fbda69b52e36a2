"""What earlier forecasts teach: a common factor on future orders."""

import numpy as np
import pytest

from ltvlab_utils.value.drift import PRIOR_SD, drift


def origin(error: float, luck: float, seed: int = 0):
    """An origin whose actual total lies `error` (log scale) above draws with sd `luck`."""
    totals = 10_000 * np.exp(np.random.default_rng(seed).normal(0, luck, 4_000))
    return float(np.exp(error) * totals.mean()), totals


def test_without_origins_the_prior_stands():
    for nothing in ([], [(0.0, np.zeros(10))], [(5.0, np.ones(1))]):
        found = drift(nothing)
        assert (found.origins, found.mean) == (0, 0.0)
        assert found.sd == pytest.approx(PRIOR_SD, rel=0.05)


def test_a_large_error_is_believed_and_a_small_one_is_held_for_luck():
    large, small = drift([origin(-0.2, 0.02)] * 3), drift([origin(-0.02, 0.04)] * 3)
    assert -0.2 < large.mean < -0.17
    assert -0.01 < small.mean < 0
    assert small.sd < PRIOR_SD / 2 < PRIOR_SD


def test_the_same_luck_three_times_is_not_three_proofs():
    alone, thrice = drift([origin(-0.1, 0.05)]), drift([origin(-0.1, 0.05)] * 3)
    assert alone.sd > thrice.sd > alone.sd / np.sqrt(3)


def test_draws_have_the_moments_that_are_told():
    found = drift([origin(0.1, 0.05)])
    logs = np.log(found.sample(100_000, np.random.default_rng(1)))
    assert logs.mean() == pytest.approx(found.mean, abs=0.001)
    assert logs.std() == pytest.approx(found.sd, rel=0.02)
