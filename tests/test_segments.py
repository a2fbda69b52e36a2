"""Segments: classes by hand, survival against an independent integration, each customer exactly once."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from ltvlab_utils import segments
from ltvlab_utils.i18n import knows
from ltvlab_utils.tables import CONTRACTS, check_frame

from .review_rows import valued, values

JUNE = date(2025, 6, 30)


def classes(*numbers):
    return list(segments.value_class(pd.Series(numbers, dtype=float)))


# --- value class ------------------------------------------------------------------------------------------------------


def test_value_classes_cut_the_value_at_half_and_four_fifths():
    """Of 100: 40 (slice 0 to 40), 20 (40 to 60, middle 50), 15 (60 to 75), 10 (75 to 85, middle 80), 10, 5."""
    assert classes(40, 20, 15, 10, 10, 5) == ["high", "middle", "middle", "low", "low", "low"]
    assert classes(5, 15, 40, 20, 10, 10) == ["low", "middle", "high", "middle", "low", "low"]


def test_one_whale_is_high_and_zero_and_less_are_low():
    assert classes(1000, 1, 1, 0, -50) == ["high", "low", "low", "low", "low"]
    assert classes(0, 0, -1) == ["low"] * 3


def test_equal_values_share_a_class_in_any_order():
    rng = np.random.default_rng(0)
    numbers = pd.Series(rng.choice([0.0, 1, 2, 3, 50], 300))
    found = segments.value_class(numbers)
    assert (found.groupby(numbers).nunique() == 1).all()
    order = rng.permutation(300)
    assert found.iloc[order].equals(segments.value_class(numbers.iloc[order]))


# --- table and moves --------------------------------------------------------------------------------------------------


@pytest.fixture
def many():
    """500 customers of all kinds, values with ties, zeros and negatives, some chances not known."""
    rng = np.random.default_rng(11)
    basis = rng.choice(["orders", "contracts", "both", "none"], 500)
    ltv = values(
        *(
            valued(f"c{i:03d}", float(rng.choice([0, -5, 10, 10, 500])) * float(rng.integers(1, 4)), b,
                   p_alive=rng.random() if b != "none" else np.nan,
                   p_renew_next=rng.random(), next_renewal_on="2026-01-01")
            for i, b in enumerate(basis)
        )
    )  # fmt: skip
    return ltv.assign(p_lost_12_months=np.where(rng.random(500) < 0.1, np.nan, rng.random(500)))


def test_each_customer_stands_in_exactly_one_cell(many):
    ltv = many
    table = segments.table(ltv, pd.Series("active", ltv.index), None)
    check_frame(CONTRACTS["segments_by_customer"], table)
    assert sorted(table["customer_id"]) == sorted(ltv["customer_id"])
    cells = {f"{v}_{r}" for v in ("high", "middle", "low") for r in ("low", "middle", "high")}
    assert set(table["value_segment"]) <= cells
    profile = segments.profile(table, ltv)
    check_frame(CONTRACTS["segment_profile"], profile)
    assert profile["customers"].sum() == 500
    assert profile["future_value"].sum() == pytest.approx(ltv["future_value"].sum())
    expected = (ltv["future_value"].clip(lower=0) * ltv["p_lost_12_months"].fillna(0)).sum()
    assert profile["value_at_risk"].sum() == pytest.approx(expected)


def test_risk_borders_and_the_unknown():
    found = segments.risk_class(pd.Series([0.0, 0.1999, 0.2, 0.4999, 0.5, 1.0, np.nan]))
    assert list(found) == ["low", "low", "middle", "middle", "high", "high", "middle"]


def test_rfm_digits_by_hand():
    """Five customers, one in each fifth; equal ones share the middle: ranks 1.5 and 1.5 of five -> digit 1."""
    h = pd.DataFrame(
        {"customer_id": list("abcde"), "days_since_last_order": [1, 10, 20, 30, 40], "frequency": [0, 0, 3, 4, 9],
         "revenue_total": [5.0, 4, 3, 2, 1]}
    )  # fmt: skip
    assert segments.rfm(h).to_dict() == {"a": "515", "b": "414", "c": "333", "d": "242", "e": "151"}


def test_lifecycle_takes_the_first_that_holds():
    rows = {
        "prospect": valued("prospect", 0, "none", p_alive=None),
        "lapsed": valued("lapsed", 0, "none", p_alive=None),
        "gone": valued("gone", 1, p_alive=0.05),
        "dormant": valued("dormant", 1, p_alive=0.3),
        "new": valued("new", 1),
        "unknown_start": valued("unknown_start", 1),
        "returned": valued("returned", 1),
        "at_risk": valued("at_risk", 1, p_alive=0.6),
        "active": valued("active", 1),
        "kept": valued("kept", 1, "both", p_alive=0.05),
    }
    ltv = values(*rows.values())
    facts = pd.DataFrame(
        [
            ("lapsed", "2023-01-01", False, None, None), ("gone", "2023-01-01", False, "2024-01-01", 10),
            ("dormant", "2025-01-01", False, "2025-01-01", None), ("new", "2024-07-01", False, "2025-06-01", 10),
            ("unknown_start", "2024-07-01", True, "2025-06-01", 10),
            ("returned", "2020-01-01", False, "2025-02-01", 400),
            ("at_risk", "2020-01-01", False, "2025-02-01", 30), ("active", "2024-06-30", False, "2025-02-01", 365),
            ("kept", "2020-01-01", False, "2021-01-01", 30),
        ],
        columns=["customer_id", "first_on", "start_unknown", "last_on", "last_gap_days"],
    ).astype({"last_gap_days": "float64"})  # fmt: skip
    ltv["p_lost_12_months"] = [np.nan, 1.0, 0.9, 0.8, 0.1, 0.1, 0.1, 0.5, 0.1, 0.1]
    stage = segments.lifecycle(ltv, facts, pd.DataFrame({"customer_id": ["kept"]}), JUNE)
    assert dict(zip(rows, stage, strict=True)) == {
        "prospect": "prospect", "lapsed": "lost", "gone": "lost", "dormant": "dormant", "new": "new",
        "unknown_start": "active", "returned": "returned", "at_risk": "at_risk", "active": "active", "kept": "active",
    }  # fmt: skip
    table = segments.table(ltv, stage, None).set_index("customer_id")
    assert table.loc["lapsed", "churn_probability"] == 1.0 and np.isnan(table.loc["prospect", "churn_probability"])
    assert all(knows(f"lifecycle.{code}") for code in set(stage))


def test_moves_keep_every_customer_of_both_reviews():
    before = pd.DataFrame({"customer_id": ["a", "b", "c"], "value_segment": ["high_low", "low_low", "low_low"]})
    after = pd.DataFrame(
        {"customer_id": ["a", "b", "d"], "value_segment": ["high_high", "low_low", "low_low"],
         "future_value": [10.0, 1, 2]}
    )  # fmt: skip
    moved = segments.moves(before, after)
    check_frame(CONTRACTS["segment_moves"], moved)
    found = moved.set_index(["from_segment", "to_segment"])
    assert found["customers"].to_dict() == {
        ("high_low", "high_high"): 1, ("low_low", "low_low"): 1, ("low_low", "none"): 1, ("none", "low_low"): 1,
    }  # fmt: skip
    assert found.loc[("high_low", "high_high"), "future_value"] == 10
    assert segments.move_words(moved) == (
        "1 of 2 customers stayed in their segment; risk rose for 1 and fell for 0. New to the review: 1."
    )
    assert segments.moves(None, after) is None


def test_the_sentence_of_the_grid():
    table = pd.DataFrame(
        {"value_class": ["high", "middle", "low"], "risk_class": ["high", "low", "low"],
         "future_value": [60.0, 30, 10], "value_at_risk": [30.0, 2, 3]}
    )  # fmt: skip
    assert segments.grid_words(table) == (
        "1 of 3 customers carry 60% of the positive future value, 1 of them at high risk; 35% of that value is at risk."
    )
    assert "nothing to rank" in segments.grid_words(table.assign(future_value=-1.0, value_at_risk=0.0))
