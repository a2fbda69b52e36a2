import pytest

from ltvlab_utils.errors import Refused
from ltvlab_utils.params import Params, load_yaml, resolve

BASE = """
time_zone: Asia/Tokyo
currency: JPY
sources:
  order_lines:
    - path: orders.csv
"""


def refused(text: str, period_text: str | None = None) -> str:
    with pytest.raises(Refused) as error:
        resolve("acme", "2025-06", text, period_text)
    sentence = str(error.value)
    assert "\n" not in sentence and "pydantic" not in sentence and "Traceback" not in sentence
    return sentence


def test_defaults_are_those_of_the_design():
    s = resolve("acme", "2025-06", BASE).settings
    assert (s.horizon_months, s.discount_rate_annual, s.fiscal_year_start_month) == (36, 0.10, 4)
    assert (s.engine, s.date_basis, s.customer_key, s.value_basis, s.language) == (
        "duckdb",
        "ordered",
        "sold_to",
        "net_profit",
        "ja",
    )


def test_params_json_is_stable_and_complete():
    params = resolve("acme", "2025-06", BASE)
    assert Params.from_json(params.to_json()) == params
    reordered = "sources:\n  order_lines:\n    - path: orders.csv\ncurrency: JPY\ntime_zone: Asia/Tokyo\n"
    assert resolve("acme", "2025-06", reordered).to_json() == params.to_json()


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("horizon_month: 24", 'unknown key "horizon_month". Did you mean "horizon_months"?'),
        ("models: {seeed: 1}", 'unknown key "models.seeed". Did you mean "seed"?'),
        ("horizon_months: '36'", 'horizon_months should be a valid integer, but is "36"'),
        ("horizon_months: 36.5", "horizon_months should be a valid integer"),
        ("horizon_months: 0", "horizon_months should be greater than or equal to 1, but is 0"),
        ("value_basis: profit", 'value_basis is "profit". Did you mean "net_profit"?'),
        ("value_basis: NO", 'value_basis is "NO".'),
        ("language: jp", 'language is "jp".'),
        ("fiscal_year_start_month: 13", "fiscal_year_start_month should be less than or equal to 12"),
        ("assumed_margin_rate: yes", 'assumed_margin_rate should be a valid number, but is "yes"'),
        ("currency: USD", 'line 7: not readable as YAML: key "currency" stands twice'),
        ("budget: " + "[" * 3000, "too deep"),
        ("name: [", "not readable as YAML"),
        ("discount_rate_annual: .nan", "discount_rate_annual"),
        ("discount_rate_annual: .inf", "discount_rate_annual"),
    ],
)
def test_a_wrong_key_or_value_is_one_sentence(line, sentence):
    assert sentence in refused(BASE + line)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("order_lines", "order_line", 'no input table is called "order_line". Did you mean "order_lines"?'),
        ("path: orders.csv", "path: ../orders.csv", "must stay below the company's data folder"),
        ("path: orders.csv", "path: /etc/passwd", "must stay below the company's data folder"),
        ("path: orders.csv", 'path: "C:\\\\x.csv"', "must stay below the company's data folder"),
        ("path: orders.csv", "pth: orders.csv", '"sources.order_lines[1].path" is missing'),
        (
            "- path: orders.csv",
            "- {path: a.csv, columns: {amount: x}}",
            'no column "amount". Did you mean "net_amount"?',
        ),
        ("Asia/Tokyo", "Asia/Tokio", "is no time zone"),
        ("JPY", "yen", "currency"),
        ("order_lines", "usage", "order_lines or contract_terms is needed"),
    ],
)
def test_a_wrong_source_is_one_sentence(old, new, sentence):
    assert sentence in refused(BASE.replace(old, new))


def test_a_period_file_holds_only_what_differs():
    changed = resolve("acme", "2025-06", BASE, "models:\n  draws: 800\nhorizon_months: 24\n").settings
    assert (changed.models.draws, changed.models.seed, changed.horizon_months) == (800, 20_250_630, 24)
    assert "2025-06.yaml: unknown key" in refused(BASE, "horizon: 24")
    assert "belongs in company.yaml" in refused(BASE, "sources: {}")


def test_yaml_keeps_dates_as_text_and_words_as_words():
    assert load_yaml("a: 2025-06\nb: 2025-06-30\nc: yes\nd: NO\ne: true\nf: 1", "x") == {
        "a": "2025-06", "b": "2025-06-30", "c": "yes", "d": "NO", "e": True, "f": 1,
    }  # fmt: skip


def test_yaml_makes_no_objects():
    with pytest.raises(Refused, match="not readable as YAML"):
        load_yaml("a: !!python/object/apply:os.system ['true']", "x")
