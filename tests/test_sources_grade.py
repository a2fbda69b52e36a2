"""The grade: what the generator planted is found row for row; a company without faults raises no alarm."""

from __future__ import annotations

import pandas as pd
import pytest

from ltvlab_utils.tables.checks import CHECKS
from tests.checks_world import company, deliver

LOOKED_AT = (
    "customers", "order_lines", "contract_terms", "products", "usage", "support_costs", "activities", "receivables",
)  # fmt: skip
# kind of the truth: where it must stand, by the name of the check or the reason of the refusal
FOUND = {
    "month_end_invoice": "closing_day_lines",
    "future_date": "future_dates",
    "return_without_sale": "returns_without_sale",
    "overlapping_term": "overlapping_terms",
    "wrong_encoding": "garbled_names",
}
REFUSED = {
    "guest": ("customer_id", "missing_customer"),
    "missing_amount": ("net_amount", "missing_value"),
    "bad_date": ("ordered_at", "not_a_date"),
    "unknown_status": ("status", "unknown_code"),
    "duplicate": ("order_id", "duplicate_key"),
}
ELSEWHERE = {
    "entered_twice",  # one firm under two numbers: 名寄せ
    "cancelled_order",  # no fault but a fact
}
OTHERS = 5  # rows of the closing day that were ordered then, at the clock time of the batch


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    world = company(11, 150)
    frames = {n: f for n, f in world.frames.items() if n in LOOKED_AT}
    return world, deliver(tmp_path_factory.mktemp("faulty"), frames).stage()


def test_every_kind_of_fault_is_graded(faulty):
    world, _ = faulty
    assert set(world.faults["kind"]) == {*FOUND, *REFUSED, *ELSEWHERE}


@pytest.mark.parametrize("kind", FOUND)
def test_planted_rows_are_found_by_their_check(faulty, kind):
    world, staged = faulty
    planted = world.faults[world.faults["kind"] == kind]
    found = staged.findings[staged.findings["check"] == FOUND[kind]]
    assert len(planted) >= 3 and set(planted["key"]) <= set(found["key"])
    others = OTHERS if kind == "month_end_invoice" else 0
    assert len(found) <= len(planted) + others
    told = staged.checks.set_index(["check", "table_name"]).loc[(FOUND[kind], planted["table"].iloc[0])]
    assert (told["status"], told["rows"]) == ("failed", len(found))


@pytest.mark.parametrize("kind", REFUSED)
def test_planted_rows_are_refused_for_their_reason(faulty, kind):
    """By row number: the n-th line of the frame stands in row n + 2 of the file."""
    world, staged = faulty
    lines = world.frames["order_lines"]
    key = lines["order_id"].astype(str) + "/" + lines["line_no"].astype(str)
    planted = world.faults.loc[world.faults["kind"] == kind, "key"]
    at = pd.Series(range(2, len(key) + 2), index=key)[planted]
    if kind == "duplicate":  # both rows bear the key; the second is the one too many
        at = at.groupby(level=0).max()
    column, reason = REFUSED[kind]
    bad = staged.rejected[(staged.rejected["reason"] == reason) & (staged.rejected["column"] == column)]
    assert len(planted) >= 3 and sorted(at) == sorted(bad["row_no"])


def test_nothing_else_is_found(faulty):
    _, staged = faulty
    assert set(staged.findings["check"]) == set(FOUND.values())
    assert len(staged.rejected) == sum(faulty[0].faults["kind"].isin(REFUSED))


# what a check measures in companies without a fault, over the seeds below: limits lie well above
ALARMS = {"closing_day_clustering": 1.6, "price_step": 0.2, "sales_at_a_loss": 0.08, "amount_jump": 2.5}


def _clean(folder, seed: int, customers: int, world: str):
    frames = {n: f for n, f in company(seed, customers, False, world).frames.items() if n in LOOKED_AT}
    return deliver(folder, frames).stage()


def _no_alarm(staged) -> None:
    told = staged.checks
    grave = told[(told["status"] == "failed") & told["severity"].isin(["warn", "stop"])]
    assert grave.empty, grave[["check", "table_name", "rows", "measured", "detail"]].to_string()
    assert staged.findings.empty and staged.rejected.empty
    worst = told.groupby("check")["measured"].max()
    for check, most in ALARMS.items():
        assert not worst[check] > most and most < CHECKS[check].limit, check


@pytest.mark.slow
def test_a_company_without_faults_raises_no_alarm(tmp_path):
    _no_alarm(_clean(tmp_path, 12, 150, "misspecified"))


@pytest.mark.slow
@pytest.mark.parametrize("world", ["misspecified", "home"])
@pytest.mark.parametrize(("seed", "customers"), [(1, 150), (2, 400), (3, 60), (4, 150), (5, 400), (6, 60)])
def test_companies_without_faults_raise_no_alarm(tmp_path, seed, customers, world):
    _no_alarm(_clean(tmp_path, seed, customers, world))
