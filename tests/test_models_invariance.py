"""What must not matter: the order of rows, names, how weights are split, what else stands in the table, its dtypes."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from ltvlab_utils.errors import Refused
from ltvlab_utils.models import BGBB, BGNBD, MBGNBD, NBD, BetaDiscreteWeibull, GammaGamma, ParetoNBD
from ltvlab_utils.models import ShiftedBetaGeometric as SBG
from tests.models_worlds import cdnow, history, lifetimes_file
from tests.test_models_renewals import HIGH_END, cohort

KNOWN = [
    ParetoNBD(r=0.5533, alpha=10.578, s=0.6062, beta=11.669),
    ParetoNBD(r=1.5, alpha=0.01, s=40.0, beta=900.0),
    MBGNBD(r=0.525, alpha=6.183, a=0.891, b=1.614),
    BGNBD(r=0.243, alpha=4.414, a=0.793, b=2.426),
    NBD(r=0.385, alpha=12.072),
]
BY_NAME = {"ids": lambda m: type(m).__name__}


def donors() -> pd.DataFrame:
    return pd.read_csv(lifetimes_file("donations.csv")).rename(columns={"periods": "n_periods", "weights": "count"})


def contracts() -> pd.DataFrame:
    """Two cohorts, one of them seen only from its second renewal on."""
    late = cohort([700, 600, 530, 480]).assign(renewals_at_entry=2)
    late["renewals_made"] += 2
    return pd.concat([cohort(HIGH_END).assign(renewals_at_entry=0), late]).rename(columns={"customers": "count"})


DATA = {
    ParetoNBD: lambda: cdnow().assign(count=1.0),
    MBGNBD: lambda: cdnow().assign(count=1.0),
    BGNBD: lambda: cdnow().assign(count=1.0),
    NBD: lambda: cdnow().assign(count=1.0),
    GammaGamma: lambda: cdnow().assign(count=1.0),
    BGBB: donors,
    SBG: contracts,
    BetaDiscreteWeibull: contracts,
}


@pytest.mark.parametrize("model", DATA, ids=lambda m: m.__name__)
def test_a_refit_after_shuffling_renaming_and_splitting_weights(model):
    rows = DATA[model]()
    fit = model.fit(rows, rows["count"])
    split = pd.concat([rows.assign(count=rows["count"] * share) for share in (0.1, 0.2, 0.7)])
    split = (
        split.sample(frac=1, random_state=4)
        .set_index(pd.Index([0] * len(split)))
        .assign(customer=lambda t: [f"=x{i}" for i in range(len(t))])
    )
    keys = [c for c in rows if c not in ("count", "customer") and (c != "monetary_value" or model is GammaGamma)]
    grouped = rows.groupby(keys, as_index=False)["count"].sum()
    for other in (model.fit(t, t["count"]) for t in (split, grouped)):
        assert (other.converged, other.warnings) == (fit.converged, fit.warnings) == (True, [])
        assert other.params == pytest.approx(fit.params, rel=1e-8)
        assert other.standard_errors == pytest.approx(fit.standard_errors, rel=1e-6)
        assert other.log_likelihood == pytest.approx(fit.log_likelihood, rel=1e-12)
        assert other.covariance_log == pytest.approx(fit.covariance_log, rel=1e-5, abs=1e-9)


# Rows whose integrals differ in length (16 decades of T - recency), so that a shared grid would show.
MIXED = pd.DataFrame(
    [(0, 0, 0.0), (0, 0, 39.0), (1, 0.001, 3000.0), (2, 30.43, 38.86), (26, 30.86, 31.0), (5, 31.0, 31.0),
     (5000, 31, 31), (5000, 1, 31), (0, 0, 1e6), (3, 1e-4, 1e8), (1, 5, 9)], columns=["frequency", "recency", "T"],
)  # fmt: skip
PREDICTIONS = [
    lambda m, h: m.probability_alive(h),
    lambda m, h: m.conditional_expected_purchases(h, 26),
    lambda m, h: m.conditional_expected_purchases(h, np.full(len(h), 26.0)),
    lambda m, h: m.discounted_expected_transactions(h, 0.0019),
    lambda m, h: m.discounted_expected_transactions(h, 0.0019, 52),
    lambda m, h: m.discounted_expected_transactions(h, 0, 52),
]


def parts_agree(predict, model, table):
    """Every row alone, every second row, and rows in reverse: the same to 1e-12."""
    whole = predict(model, table)
    alone = np.concatenate([predict(model, table.iloc[[i]]) for i in range(len(table))])
    assert alone == pytest.approx(whole, rel=1e-12, abs=0)
    assert predict(model, table.iloc[::2]) == pytest.approx(whole[::2], rel=1e-12, abs=0)
    assert predict(model, table.iloc[::-1]) == pytest.approx(whole[::-1], rel=1e-12, abs=0)


@pytest.mark.parametrize("model", KNOWN, **BY_NAME)
@pytest.mark.parametrize("predict", PREDICTIONS)
def test_filter_then_predict_is_predict_then_filter(model, predict):
    parts_agree(predict, model, MIXED)


@pytest.mark.parametrize("predict", PREDICTIONS[:2] + PREDICTIONS[3:])
def test_filter_then_predict_at_discrete_opportunities(predict):
    rows = pd.DataFrame(
        {"frequency": [0, 0, 1, 4, 6, 30], "recency": [0, 0, 1, 5, 6, 50], "n_periods": [0, 6, 6, 6, 6, 60]}
    )
    parts_agree(predict, BGBB(alpha=1.204, beta=0.750, gamma=0.657, delta=2.783), rows)


def test_filter_then_predict_spend_and_renewals():
    spend = cdnow().head(12)
    parts_agree(lambda m, h: m.conditional_expected_spend(h), GammaGamma(p=6.25, q=3.74, v=15.44), spend)
    made = pd.DataFrame({"m": [0, 1, 7, 40, 600]})
    for model in (SBG(alpha=0.7, beta=3.8), BetaDiscreteWeibull(alpha=0.7, beta=3.8, c=1.6)):
        parts_agree(lambda m, h: m.discounted_expected_residual_lifetime(h["m"], 0.01), model, made)
        parts_agree(lambda m, h: m.survival(h["m"]), model, made)


# ---- dtypes, indexes, empty and single rows

ROWS = pd.DataFrame({"frequency": [2, 0, 5], "recency": [30.0, 0.0, 31.0], "T": [38.0, 38.0, 31.0]})
DRESSED = {
    "integers": ROWS.astype("int64"),
    "unsigned": ROWS.astype({"frequency": "uint8"}),
    "nullable": ROWS.convert_dtypes(),
    "arrow": ROWS.convert_dtypes(dtype_backend="pyarrow"),
    "objects": ROWS.astype(object),
    "decimals": ROWS.assign(recency=[Decimal("30"), Decimal("0"), Decimal("31")]),
    "named rows": ROWS.set_index(pd.Index(["a", "b", "c"])),
    "one name for all": ROWS.set_index(pd.Index([0, 0, 0])),
    "two-level names": ROWS.set_index(pd.MultiIndex.from_tuples([(1, 2), (1, 3), (2, 2)])),
    "categories": ROWS.set_index(pd.CategoricalIndex(["x", "y", "x"])),
    "more columns": ROWS.assign(customer="a", r=9, alpha=None, weight="x"),
}


@pytest.mark.parametrize("dress", DRESSED)
def test_what_else_a_table_carries_does_not_matter(dress):
    table = DRESSED[dress]
    for model in KNOWN:
        assert (model.conditional_expected_purchases(table, 26) == model.conditional_expected_purchases(ROWS, 26)).all()
        plain, other = (model.sample_future_purchases(h, 9, 50, np.random.default_rng(1)) for h in (ROWS, table))
        assert (plain == other).all()
    weights = pd.Series([3, 8, 4], index=table.index, dtype="Int64")
    assert NBD.fit(table, weights).params == NBD.fit(ROWS, [3, 8, 4]).params


def test_dressed_spend_and_renewals():
    spend = pd.DataFrame({"frequency": [2, 0, 1], "monetary_value": [22.35, 0.0, 11.77]})
    known, expected = GammaGamma(p=6.25, q=3.74, v=15.44), None
    for table in (
        spend,
        spend.assign(monetary_value=[Decimal("22.35"), None, Decimal("11.77")]),
        spend.assign(monetary_value=pd.array([22.35, pd.NA, 11.77], dtype="Float64")),
        spend.convert_dtypes(dtype_backend="pyarrow"),
    ):
        found = known.conditional_expected_spend(table)
        expected = found if expected is None else expected
        assert (found == expected).all()
    rows = contracts()
    fit = SBG.fit(rows, rows["count"])
    for table in (rows.convert_dtypes(), rows.astype({"churned": "int8"}), rows.astype(object)):
        assert SBG.fit(table, rows["count"]).params == fit.params


@pytest.mark.parametrize("model", KNOWN, **BY_NAME)
def test_no_row_gives_no_row(model):
    for nothing in (ROWS.head(0), pd.DataFrame({"frequency": [], "recency": [], "T": []})):
        for predict in PREDICTIONS:
            assert predict(model, nothing).shape == (0,)
        assert model.sample_future_purchases(nothing, 9, 4, np.random.default_rng(1)).shape == (0, 4)


@pytest.mark.parametrize("model", KNOWN, **BY_NAME)
def test_numbers_of_orders_and_times_come_in_any_shape(model):
    n, times = np.arange(6).reshape(2, 3), np.array([0.0, 1.0, 39.0])
    table = model.probability_of_n_purchases(n, times)
    one_by_one = [[model.probability_of_n_purchases(int(k), t) for k, t in zip(r, times, strict=True)] for r in n]
    assert table == pytest.approx(np.array(one_by_one), rel=1e-12)
    assert model.probability_of_n_purchases([0, 1], 0) == pytest.approx([1, 0])
    assert isinstance(model.probability_of_n_purchases(0, 39), float)
    assert model.expected_purchases([0, 1, 39])[0] == 0 and isinstance(model.expected_purchases(39), float)
    at = np.array([0.0, 5.0, 52.0])
    each = [model.conditional_expected_purchases(ROWS.iloc[[i]], at[i])[0] for i in range(3)]
    assert model.conditional_expected_purchases(ROWS, at) == pytest.approx(each, rel=1e-12) and each[0] == 0
    for bad in (-1, np.nan, np.inf):
        with pytest.raises(Refused, match="t must be 0 or more"):
            model.conditional_expected_purchases(ROWS, bad)
    with pytest.raises(Refused, match="n counts orders"):
        model.probability_of_n_purchases(0.5, 39)


def test_renewals_come_in_any_shape():
    for model in (SBG(alpha=0.7, beta=3.8), BetaDiscreteWeibull(alpha=0.7, beta=3.8, c=1.5)):
        assert model.survival([[0, 1], [2, 3]]).shape == (2, 2) and isinstance(model.survival(3), float)
        assert model.discounted_expected_residual_lifetime(pd.Series([0, 5]), 0.1).shape == (2,)
        assert model.discounted_expected_residual_lifetime([], 0.1).shape == (0,)
        assert model.sample_lifetimes(pd.Series([0, 1]), 5, np.random.default_rng(1)).shape == (2, 5)
        assert model.sample_lifetimes([], 5, np.random.default_rng(1)).shape == (0, 5)
        for call in (model.survival, lambda m: model.discounted_expected_residual_lifetime(m, 0.1)):  # noqa: B023
            with pytest.raises(Refused, match="must be 0 or more, not -1"):
                call(-1)


def test_opportunities_come_in_any_shape():
    model = BGBB(alpha=1.204, beta=0.750, gamma=0.657, delta=2.783)
    assert model.probability_of_n_purchases([[0, 1, 7]], 6).shape == (1, 3)
    assert model.probability_of_n_purchases(1, [1, 6])[0] == pytest.approx(model.expected_purchases(1))
    rows = pd.DataFrame({"frequency": [2], "recency": [3], "n_periods": [6]})
    with pytest.raises(Refused, match="give one t"):
        model.conditional_expected_purchases(rows, [1, 2])
    assert model.sample_future_purchases(rows.head(0), 3, 4, np.random.default_rng(1)).shape == (0, 4)


def test_one_customer_is_no_population():
    """A fit of one row answers with a verdict, not with an error or a silent success."""
    for model in (MBGNBD, NBD):
        fit = model.fit(history(5, 20, 30))
        assert not fit.converged and fit.warnings
    assert not GammaGamma.fit(pd.DataFrame({"frequency": [4], "monetary_value": [50.0]})).converged
    assert not SBG.fit(pd.DataFrame({"renewals_made": [2], "churned": [True]})).converged
