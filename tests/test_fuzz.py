"""Whatever a person types: a value or one sentence, never a traceback."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ltvlab_utils.errors import Refused
from ltvlab_utils.params import Params, Settings, resolve
from ltvlab_utils.periods import Period, period_range

BASE = "sources:\n  order_lines:\n    - path: orders.csv\n"
KEYS = st.sampled_from([*Settings.model_fields, "horizon", "名前", ""])
ODD = st.sampled_from(["{}", "[]", "null", "true", "{a: 1}", "[1, 2]", "~"])
VALUES = st.one_of(st.text(max_size=20), st.integers(), st.floats(), ODD)


def sentence(error: Refused) -> bool:
    return "\n" not in str(error) and len(str(error)) < 800


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_text_as_company_yaml(text):
    try:
        assert isinstance(resolve("acme", "2025-06", text), Params)
    except Refused as error:
        assert sentence(error) and "company.yaml" in str(error)


@given(KEYS, VALUES)
@settings(max_examples=300, deadline=None)
def test_any_value_for_any_key(key, value):
    try:
        params = resolve("acme", "2025-06", f"{BASE}{key}: {value}\n")
        assert Params.from_json(params.to_json()) == params
    except Refused as error:
        assert sentence(error) and "company.yaml" in str(error)


@given(st.text(max_size=12))
@settings(max_examples=300, deadline=None)
def test_any_text_as_a_period(text):
    for read in (Period.parse, period_range):
        try:
            read(text)
        except Refused as error:
            assert "YYYY-MM" in str(error) or "ends before it starts" in str(error)


@given(st.integers(1901, 2198), st.integers(1, 12), st.integers(-24, 24))
def test_shifting_months_is_arithmetic(year, month, months):
    period = Period(year, month)
    assert period.shift(months).shift(-months) == period
    assert Period.parse(str(period)) == period
    assert period.shift(1).first_day.toordinal() == period.last_day.toordinal() + 1
