"""Contracts: what design documents promise, what is refused, and with which sentence."""

import ibis
import pandas as pd
import pytest

from ltvlab_utils.errors import ContractError, Refused
from ltvlab_utils.tables import CONTRACTS, check_frame, check_table, contract_of
from ltvlab_utils.tables.check import describe

TOTALS = contract_of("ltv_totals")
GOOD = pd.DataFrame(
    {"scope": ["segment:a", "company"], "customers": [3, 5], "value": [1.0, 2.0], "low": [0.5, 1.0], "high": [2.0, 3.0]}
)


def test_every_column_says_what_it_is():
    for contract in CONTRACTS.values():
        assert contract.grain and contract.keys, contract.name
        for column in contract.columns:
            assert column.meaning, f"{contract.name}.{column.name}"
            if column.kind in ("number", "integer", "money"):
                assert column.unit, f"{contract.name}.{column.name} has no unit"
        assert all(not contract.column[k].nullable for k in contract.keys)


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("ltv_by_customer", "customer_id as_of basis value_basis horizon_months p_alive p_renew_next next_renewal_on "
         "notice_due_on expected_orders expected_order_revenue expected_contract_revenue expected_expansion "
         "expected_cogs expected_servicing_cost expected_support_cost expected_credit_loss future_value "
         "future_value_low future_value_high realised_profit realised_since acquisition_cost ltv ltv_low ltv_high "
         "model pooled_weight note"),
        ("model_card", "model engine model_segment parameter estimate standard_error log_likelihood converged warning"),
        ("ingest_report", "source file rows_read rows_accepted rows_rejected amount_read amount_accepted "
         "amount_rejected"),
        ("rejected_rows", "source file row_no column value reason"),
        ("kpis", "metric_id scope_type scope_id value prior last_year target n"),
        ("campaign_effects", "campaign_id metric estimator effect low high n_treatment n_control causal verdict"),
        ("action_effects", "action model_segment effect low high n half_life_months half_life_source grade"),
        ("histories", "customer_id frequency recency T monetary_value"),
        ("contract_terms", "contract_id customer_id product_id term_no starts_on ends_on term_months billing "
         "monthly_amount monthly_cost discount_rate auto_renew notice_due_on notice_given_on end_user_id paused_from "
         "paused_to outcome outcome_on outcome_reason"),
    ],
)  # fmt: skip
def test_the_agreed_columns_are_there(table, columns):
    assert set(columns.split()) <= set(contract_of(table).names)


def test_a_good_frame_is_typed_ordered_and_sorted():
    checked = check_frame(TOTALS, GOOD[["value", "scope", "high", "low", "customers"]])
    assert list(checked.columns) == TOTALS.names
    assert list(checked["scope"]) == ["company", "segment:a"]
    assert GOOD["scope"].iloc[0] == "segment:a"  # the argument is untouched


BAD = [
    (lambda f: f.drop(columns="value").assign(valeu=1.0), "lacks the column value", 'Did you mean "valeu"'),
    (lambda f: f.assign(extra=1), 'has a column "extra"', ""),
    (lambda f: f.assign(scope=["company", "company"]), "2 of 2 rows share a key", "scope=company"),
    (lambda f: f.assign(low=[None, 1.0]), '"low": 1 of 2 rows are empty', "scope=segment:a"),
    (lambda f: f.assign(customers=[-1, 5]), '"customers": 1 of 2 rows lie outside the range', "at least 0"),
    (lambda f: f.assign(high=[float("inf"), 1.0]), '"high": 1 of 2 rows are infinite', "scope=segment:a"),
]


@pytest.mark.parametrize(("damage", "what", "more"), BAD)
def test_a_violation_is_a_sentence_in_frames(damage, what, more):
    with pytest.raises(ContractError) as error:
        check_frame(TOTALS, damage(GOOD))
    assert 'Table "ltv_totals"' in str(error.value) and what in str(error.value) and more in str(error.value)


@pytest.mark.parametrize(("damage", "what", "more"), BAD)
def test_the_engine_says_the_same(damage, what, more):
    with pytest.raises(ContractError) as error:
        check_table(TOTALS, ibis.memtable(damage(GOOD)))
    assert 'Table "ltv_totals"' in str(error.value) and what in str(error.value) and more in str(error.value)


def test_unknown_codes_are_named():
    frame = pd.DataFrame(
        {
            "campaign_id": ["c1"], "customer_id": ["a"], "arm": ["treated"], "assigned_at": ["2025-01-01"],
            "block": [None], "cluster": [None], "starts_on": [None], "version": ["1"],
        }
    )  # fmt: skip
    with pytest.raises(ContractError, match=r"unknown code.*arm=treated.*treatment, control, a, b"):
        check_frame(contract_of("assignments"), frame)


def test_text_where_a_number_belongs():
    with pytest.raises(ContractError, match=r'"value" should hold number .*abc'):
        check_frame(TOTALS, GOOD.assign(value=["abc", "1"]))


def test_an_unknown_table_has_a_nearest_name():
    with pytest.raises(Refused, match='Did you mean "order_lines"'):
        contract_of("orderlines")


def test_the_contract_prints_as_documentation():
    rows = {r["column"]: r for r in describe(contract_of("order_lines"))}
    assert rows["order_id *"]["value"] == "always"
    assert rows["cost_amount"]["value"] == "optional" and rows["cost_amount"]["unit"] == "currency"
    assert "cancelled" in rows["status"]["meaning"]
