"""Time-invariant covariates of Pareto/NBD and sBG: the same as without where they do nothing, as separate fits where
they say everything, and the truth of simulated customers."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltvlab_utils.errors import Refused
from ltvlab_utils.models import BGNBD, ParetoNBD, ShiftedBetaGeometric
from ltvlab_utils.models.covariates import WithCovariates, dummies
from tests.models_worlds import pareto_customers

TRUE = {"r": 1.2, "alpha": 6.0, "s": 0.9, "beta": 25.0}
SHIFTS = {"order_rate:web": 0.5, "order_rate:fair": -0.4, "death_rate:web": -0.6, "death_rate:fair": 0.5}


def shifted_customers(n: int, rng: np.random.Generator, shifts: dict[str, float]) -> pd.DataFrame:
    """Half of them by neither channel, a quarter by each: mean rates times the exponential of their shifts."""
    parts = []
    for channel, share in (("", 0.5), ("web", 0.25), ("fair", 0.25)):
        orders, deaths = (np.exp(-shifts.get(f"{scale}:{channel}", 0.0)) for scale in ("order_rate", "death_rate"))
        h, _ = pareto_customers(
            int(n * share), TRUE["r"], TRUE["alpha"] * orders, TRUE["s"], TRUE["beta"] * deaths, rng
        )
        parts.append(h.assign(web=float(channel == "web"), fair=float(channel == "fair")))
    return pd.concat(parts, ignore_index=True)


positive = st.floats(0.2, 5.0)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(positive, st.floats(1, 50), positive, st.floats(1, 50), st.integers(0, 30))
def test_with_zero_coefficients_it_is_the_model_without(r, alpha, s, beta, seed):
    rng = np.random.default_rng(seed)
    h = shifted_customers(40, rng, {})
    known = {"r": r, "alpha": alpha, "s": s, "beta": beta}
    ours = WithCovariates(ParetoNBD, ["web", "fair"], known | dict.fromkeys(SHIFTS, 0.0))
    plain = ParetoNBD(**known)
    assert ours.predict("probability_alive", h) == pytest.approx(plain.probability_alive(h), rel=1e-12)
    expected = plain.conditional_expected_purchases(h, 26.0)
    assert ours.predict("conditional_expected_purchases", h, 26.0) == pytest.approx(expected, rel=1e-12)


def test_a_coefficient_is_the_log_of_a_ratio_of_mean_rates():
    model = WithCovariates(ParetoNBD, ["web", "fair"], TRUE | SHIFTS)
    web = model.of([1, 0])
    plain = model.of([0, 0])
    ratio = lambda a, b: (web.params[a] / web.params[b]) / (plain.params[a] / plain.params[b])  # noqa: E731
    assert ratio("r", "alpha") == pytest.approx(np.exp(0.5)) and ratio("s", "beta") == pytest.approx(np.exp(-0.6))


def test_sbg_with_one_covariate_is_two_fits_of_the_published_cohorts():
    """One 0/1 covariate on alpha and beta says everything: the High End and Regular customers of Fader & Hardie (2007),
    alpha 0.668, beta 3.806, LL -1611.16 and alpha 0.704, beta 1.182, LL -1680.27."""
    left = {
        1.0: [1000, 869, 743, 653, 593, 551, 517, 491], 0.0: [1000, 631, 468, 382, 326, 289, 262, 241],
    }  # fmt: skip
    rows = [(m, True, high, alive[m] - alive[m + 1]) for high, alive in left.items() for m in range(7)] + [
        (7, False, high, alive[7]) for high, alive in left.items()
    ]
    table = pd.DataFrame(rows, columns=["renewals_made", "churned", "high_end", "n"])
    found = ShiftedBetaGeometric.fit(table, table["n"].to_numpy(), covariates=["high_end"])
    assert found.converged
    assert found.log_likelihood == pytest.approx(-1611.16 - 1680.27, abs=0.02)
    assert found.of([1.0]).params == pytest.approx({"alpha": 0.668, "beta": 3.806}, abs=2e-3)
    assert found.of([0.0]).params == pytest.approx({"alpha": 0.704, "beta": 1.182}, abs=2e-3)
    test = found.against()
    assert test.degrees_of_freedom == 2 and test.statistic > 200 and test.p_value < 1e-40
    again = ShiftedBetaGeometric.fit(
        table.sample(frac=1.0, random_state=1), table.sample(frac=1.0, random_state=1)["n"].to_numpy(),
        covariates=["high_end"],
    )  # fmt: skip
    assert again.params == pytest.approx(found.params, rel=1e-8)


def test_pareto_finds_the_truth_and_the_test_its_effect():
    """1,500 customers: within three standard errors of the truth; more than without covariates; nothing where there is
    nothing; a part of the covariates stands between all and none."""
    rng = np.random.default_rng(8)
    h = shifted_customers(1_500, rng, SHIFTS)
    found = ParetoNBD.fit(h, covariates=["web", "fair"])
    assert found.converged and found.customers == 1_500
    for name, truth in (TRUE | SHIFTS).items():
        assert abs(found.params[name] - truth) < 3 * found.standard_errors[name], name
    some = ParetoNBD.fit(h, covariates=["web"])
    assert found.against().p_value < 1e-6 and found.against(some).degrees_of_freedom == 2
    assert found.plain.log_likelihood < some.log_likelihood < found.log_likelihood
    one = h.assign(noise=rng.integers(0, 2, len(h)).astype(float))
    assert ParetoNBD.fit(one, covariates=["noise"]).against().p_value > 0.01
    split = pd.concat([h, h], ignore_index=True)
    halves = ParetoNBD.fit(split, np.full(len(split), 0.5), covariates=["web", "fair"])
    assert halves.params == pytest.approx(found.params, rel=1e-7)


def test_what_cannot_be_fitted_is_refused_or_told():
    h = shifted_customers(200, np.random.default_rng(1), {}).assign(same=1.0)
    with pytest.raises(Refused, match='"same" is the same in all rows'):
        ParetoNBD.fit(h, covariates=["same"])
    wide = pd.concat([h] * 6).assign(size=np.arange(1200.0))
    with pytest.raises(Refused, match=r"1,200 distinct rows of covariates \(size\)"):
        ParetoNBD.fit(wide, covariates=["size"])
    with pytest.raises(Refused, match='needs the column "web"'):
        ParetoNBD.fit(h.drop(columns="web"), covariates=["web"])
    lost = ParetoNBD.fit(h.assign(frequency=0, recency=0.0), covariates=["web"])
    assert not lost.converged and lost.warnings == ["no_repeats"]
    assert not BGNBD.scales


def test_dummies_have_a_reference_and_gather_what_is_rare():
    text = pd.Series(["web"] * 5 + ["fair"] * 3 + [None] * 2 + ["x", "y"])
    assert list(dummies(text, 2).columns) == ["fair", "other", "unknown"]
    assert dummies(text, 2).sum().to_dict() == {"fair": 3, "other": 2, "unknown": 2}
    assert dummies(text, 3).sum().to_dict() == {"fair": 3, "other": 4}
    # seven others are the commonest then
    assert list(dummies(text, 5).columns) == ["web"] and not len(dummies(text, 13).columns)
