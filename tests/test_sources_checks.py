"""Each named check on a few visible rows: it finds what it is for, by file and row, and nothing beside it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from ltvlab_utils.errors import Refused
from ltvlab_utils.i18n import say
from ltvlab_utils.params import resolve
from ltvlab_utils.sources.checks import currency, names
from ltvlab_utils.tables import check_table, contract_of
from ltvlab_utils.tables.checks import CHECKS
from tests.sources_world import HEADER, params, stage, write

OFF = "checks: {" + ", ".join(f"{name}: off" for name in CHECKS) + "}"
ORDERS = "  order_lines: [{path: orders.csv}]"
HEAD = HEADER.replace("kind", "kind,product_id,shipped_on,cost_amount,returns_order_id")


def line(order: str, customer: str, day: str, amount: float = 1000, **more) -> str:
    row = {
        "order_id": order, "line_no": 1, "customer_id": customer, "ordered_at": day, "status": "confirmed",
        "quantity": 1, "net_amount": amount, "kind": "sale", "product_id": "", "shipped_on": "", "cost_amount": "",
        "returns_order_id": "", **more,
    }  # fmt: skip
    return ",".join(str(row[c]) for c in HEAD.strip().split(",")) + "\n"


def only(check: str, severity: str = "warn", **more) -> str:
    """Every check off but one."""
    own = ", ".join([f"severity: {severity}", *(f"{k}: {v}" for k, v in more.items())])
    return "checks: {" + ", ".join(f"{n}: off" for n in CHECKS if n != check) + f", {check}: {{{own}}}}}"


def looked(tmp_path, check: str, text: str, tables: str = ORDERS, more_files=None, **setting):
    files = {"orders.csv": text, **(more_files or {})}
    return stage(tmp_path, files, tables, more=only(check, **setting))


def verdict(staged, check: str, table: str = "order_lines") -> pd.Series:
    found = staged.checks.set_index(["check", "table_name"])
    assert set(found.drop(index=check, level=0)["status"]) <= {"not_applicable"}
    return found.loc[(check, table)]


def rows_of(staged, check: str) -> list[int]:
    assert set(staged.findings["check"]) <= {check}
    return sorted(staged.findings["row_no"])


FINE = HEAD + line("A1", "a", "2025-05-01") + line("A2", "b", "2025-05-02")

# text of orders.csv, rows that the check finds
FOUND = {
    "repeated_lines": (
        line("A1", "a", "2025-05-01 10:00", product_id="P")
        + line("A2", "a", "2025-05-01 10:00", product_id="P")  # row 3: the same under another number
        + line("A3", "a", "2025-05-01 10:00", product_id="Q")
        + line("A4", "b", "2025-05-01 10:00", product_id="P")
        + line("A5", "a", "2025-05-01 10:00", 0)
        + line("A6", "a", "2025-05-01 10:00", 0),  # nothing sold twice is no double count
        [3],
    ),
    "future_dates": (
        line("A1", "a", "2025-05-01") + line("A2", "a", "2025-08-01") + line("A3", "a", "2052-05-01"),
        [4],  # August belongs to an extract that was taken later
    ),
    "returns_without_sale": (
        line("A1", "a", "2025-05-02")
        + line("R1", "a", "2025-05-01", -10, kind="return")  # row 3: the day before the first sale
        + line("R2", "a", "2025-05-02", -10, kind="return")
        + line("R3", "b", "2025-05-20", -10, kind="return")  # row 5: b bought nothing that counts
        + line("A2", "b", "2025-05-10", status="cancelled"),
        [3, 5],
    ),
    "orders_of_two_customers": (
        line("A1", "a", "2025-05-01") + line("A1", "b", "2025-05-01", line_no=2) + line("A2", "b", "2025-05-01"),
        [2, 3],
    ),
    "closing_day_lines": (
        line("A1", "a", "2025-05-31", shipped_on="2025-05-12")  # row 2: shipped before
        + line("A2", "a", "2025-05-31", shipped_on="2025-06-02")
        + line("A3", "a", "2025-05-10")
        + line("A3", "a", "2025-05-31", line_no=2)  # row 5: the rest of the order is older
        + line("A4", "a", "2025-05-20", shipped_on="2025-05-12"),  # no closing day
        [2, 5],
    ),
}


@pytest.mark.parametrize("check", FOUND)
def test_a_check_of_rows_finds_its_rows(tmp_path, check):
    text, rows = FOUND[check]
    staged = looked(tmp_path, check, HEAD + text, limit=0)
    row = verdict(staged, check)
    assert rows_of(staged, check) == rows
    assert (row["status"], row["rows"], row["example_row"]) == ("failed", len(rows), rows[0])
    assert row["example_file"] == "acme/orders.csv" and row["amount"] == staged.findings["amount"].sum()


@pytest.mark.parametrize("check", FOUND)
def test_a_check_of_rows_passes_what_is_fine_and_is_silent_when_off(tmp_path, check):
    row = verdict(looked(tmp_path, check, FINE), check)
    assert (row["status"], row["rows"], row["measured"]) == ("passed", 0, 0)
    staged = stage(tmp_path, {"orders.csv": HEAD + FOUND[check][0]}, more=OFF)
    assert staged.findings.empty and set(staged.checks["status"]) == {"not_applicable"}


def test_closing_day_of_the_company(tmp_path):
    text = HEAD + line("A1", "a", "2025-05-20", shipped_on="2025-05-12")
    text += line("A2", "a", "2025-05-31", shipped_on="2025-05-12")
    staged = stage(tmp_path, {"orders.csv": text}, more=only("closing_day_lines") + "\nclosing_day: 20")
    assert rows_of(staged, "closing_day_lines") == [2]


def test_february_has_a_closing_day_too(tmp_path):
    text = HEAD + "".join(line(f"A{d}", "a", f"2025-02-{d}", shipped_on="2025-02-01") for d in (26, 27, 28))
    assert rows_of(looked(tmp_path, "closing_day_lines", text), "closing_day_lines") == [4]


def _days(months: int, times: int = 1) -> list[str]:
    return [f"{d:%Y-%m-%d}" for d in pd.bdate_range("2023-01-02", periods=months * 21) for _ in range(times)]


def test_one_clock_time_that_heaps_up_on_closing_days(tmp_path):
    usual = [line(f"A{i}", f"c{i % 40}", f"{d} {9 + i % 8:02}:{i % 60:02}") for i, d in enumerate(_days(24, 3))]
    ends = pd.date_range("2023-01-31", periods=20, freq="ME")
    batch = [line(f"B{i}", f"c{i}", f"{d:%Y-%m-%d} 18:00") for i, d in enumerate(ends)]
    staged = looked(tmp_path, "closing_day_lines", HEAD + "".join(usual + batch))
    assert rows_of(staged, "closing_day_lines") == [*range(len(usual) + 2, len(usual) + 22)]


def test_customers_whose_orders_are_month_ends(tmp_path):
    usual = [line(f"A{i}", f"c{i % 40}", d) for i, d in enumerate(_days(24, 3))]
    ends = pd.date_range("2023-01-31", periods=20, freq="ME")
    invoiced = [line(f"B{i}", "invoiced", f"{d:%Y-%m-%d}") for i, d in enumerate(ends)]
    staged = looked(tmp_path, "closing_day_lines", HEAD + "".join(usual + invoiced))
    assert set(staged.findings["key"].str[0]) == {"B"} and len(staged.findings) == 20


def test_orders_that_are_all_invoices_are_seen_and_those_that_follow_the_calendar_are_not(tmp_path):
    check = "closing_day_clustering"
    usual = [line(f"A{i}", f"c{i % 40}", d) for i, d in enumerate(_days(24, 2))]
    row = verdict(looked(tmp_path, check, HEAD + "".join(usual)), check)
    assert row["status"] == "passed" and row["measured"] == pytest.approx(1, abs=0.3)
    ends = [f"{d:%Y-%m-%d}" for d in pd.date_range("2023-01-31", periods=24, freq="ME") for _ in range(15)]
    half = [line(f"B{i}", f"c{i % 40}", d) for i, d in enumerate(ends)]
    row = verdict(looked(tmp_path, check, HEAD + "".join(usual + half)), check)
    assert row["status"] == "failed" and row["measured"] > 5 and row["rows"] >= len(half)
    row = verdict(looked(tmp_path, check, HEAD + "".join(half)), check)
    assert row["status"] == "failed"


TERMS = (
    "contract_id,customer_id,product_id,term_no,starts_on,ends_on,term_months,billing,monthly_amount,outcome,outcome_on\n"
    "K1,a,P,1,2023-01-01,2023-12-31,12,annual,1,renewed,2023-12-01\n"
    "K1,a,P,2,2024-01-01,2024-12-31,12,annual,1,open,\n"
    "K2,a,P,1,2023-01-01,2023-12-31,12,annual,1,superseded,2023-06-01\n"
    "K2,a,P,2,2023-06-01,2024-05-31,12,annual,1,open,\n"  # takes the place of the one before
    "K3,a,P,1,2023-01-01,2023-12-31,12,annual,1,renewed,2023-12-01\n"
    "K3,a,P,9,2023-04-01,2023-12-31,9,annual,1,superseded,2023-04-01\n"  # row 7: within the first
    "K3,a,P,2,2024-01-01,2024-12-31,12,annual,1,open,\n"
    "K3,a,Q,1,2023-02-01,2024-01-31,12,annual,1,open,\n"  # another product
    "K4,a,P,1,2024-02-01,2024-01-31,12,annual,5,open,\n"  # row 10: ends before it starts
)


def test_overlapping_terms(tmp_path):
    text = TERMS.replace("K3,a,Q,1", "K3,a,Q,7")
    tables = "  contract_terms: [{path: t.csv}]"
    staged = stage(tmp_path, {"t.csv": text}, tables, more=only("overlapping_terms"))
    assert rows_of(staged, "overlapping_terms") == [7] and staged.findings["key"].tolist() == ["K3/9"]
    assert verdict(staged, "overlapping_terms", "contract_terms")["status"] == "failed"


def test_terms_that_end_before_they_start_are_refused_and_named(tmp_path):
    tables = "  contract_terms: [{path: t.csv}]"
    row = verdict(
        stage(tmp_path, {"t.csv": TERMS}, tables, more=only("terms_end_before_start")),
        "terms_end_before_start", "contract_terms",
    )  # fmt: skip
    assert (row["status"], row["rows"], row["amount"], row["example_row"]) == ("failed", 1, 5, 10)


def test_unknown_products_are_asked_only_where_a_list_is_given(tmp_path):
    text = HEAD + line("A1", "a", "2025-05-01", product_id="P") + line("A2", "a", "2025-05-01", product_id="X")
    text += line("A3", "a", "2025-05-01")  # no product named
    assert verdict(looked(tmp_path, "unknown_products", text), "unknown_products")["status"] == "not_applicable"
    tables = ORDERS + "\n  products: [{path: p.csv}]"
    files = {"p.csv": "product_id,name,line,kind\nP,Pump,x,y\n"}
    staged = looked(tmp_path, "unknown_products", text, tables, files)
    assert rows_of(staged, "unknown_products") == [3]


def test_rows_of_another_currency_stop_the_run(tmp_path):
    text = HEAD.strip() + ",通貨\n" + line("A1", "a", "2025-05-01").strip() + ",JPY\n"
    text += line("A2", "a", "2025-05-01").strip() + ",円\n" + line("A3", "a", "2025-05-01", 9).strip() + ",USD\n"
    text += line("A4", "a", "2025-05-01").strip() + ",\n"
    staged = looked(tmp_path, "other_currency", text)
    assert rows_of(staged, "other_currency") == [4]
    with pytest.raises(Refused) as error:
        stage(tmp_path, {"orders.csv": text})
    assert "other_currency stops the run" in str(error.value) and "data/acme/orders.csv, row 4" in str(error.value)


def test_names_of_currency_columns():
    class File:
        header = ("Currency", "通貨コード", "currency_code", "Presentment Currency", "concurrency", "通貨換算額", "Cur")

    assert currency.columns(File) == [0, 1, 2, 3]


REAL_NAMES = [
    "株式会社山田商店", "東京ﾃｯｸ商事", "Café São Paulo", "Müller & Söhne", "ｱｻﾋ", "A?", "ﾔﾏﾀﾞ電機",
]  # fmt: skip


@pytest.mark.parametrize("name", REAL_NAMES)
@pytest.mark.parametrize("wrong", ["", "cp932", "latin-1", "cp1252"])
def test_garbled_names_are_told_from_odd_ones(name, wrong):
    assert not names.is_garbled(name)
    if wrong and any(c > "\u3000" for c in name):
        assert names.is_garbled(name.encode().decode(wrong, errors="replace"))


def test_garbled_names_by_row(tmp_path):
    tables = ORDERS + "\n  customers: [{path: c.csv}]"
    bad = "株式会社山田商店".encode().decode("cp932", errors="replace")
    files = {"c.csv": f"customer_id,customer_name\na,株式会社山田商店\nb,{bad}\nc,東京ﾃｯｸ商事\nd,????商店\n"}
    staged = looked(tmp_path, "garbled_names", FINE, tables, files)
    assert rows_of(staged, "garbled_names") == [3, 5]


def test_customers_without_a_name_and_customers_that_no_list_holds(tmp_path):
    tables = ORDERS + "\n  customers: [{path: c.csv}]"
    files = {"c.csv": "customer_id,customer_name\na,\n"}
    row = verdict(looked(tmp_path, "unnamed_customers", FINE, tables, files), "unnamed_customers", "customers")
    assert (row["status"], row["rows"], row["example_row"]) == ("failed", 1, 2)
    row = verdict(looked(tmp_path, "unlisted_customers", FINE, tables, files), "unlisted_customers", "customers")
    assert (row["status"], row["rows"]) == ("failed", 2)
    staged = looked(tmp_path, "unlisted_customers", FINE)  # no list: nothing to hold against it
    assert set(staged.checks["status"]) == {"not_applicable"}


def test_guests_repeated_keys_and_refused_rows_are_held_against_their_share(tmp_path):
    text = FINE + line("A3", "", "2025-05-01", 70) + line("A2", "b", "2025-05-02", 30) + line("A4", "b", "never", 5)
    for check, row_no, amount in (("guests", 4, 70), ("repeated_keys", 5, 30), ("refused_rows", 6, 5)):
        row = verdict(looked(tmp_path, check, text, limit=0.19), check)
        assert (row["status"], row["rows"], row["measured"]) == ("failed", 1, 0.2), check
        assert (row["example_row"], row["amount"]) == (row_no, amount), check
        assert verdict(looked(tmp_path, check, text, limit=0.2), check)["status"] == "passed", check


def test_short_data(tmp_path):
    text = HEAD + line("A1", "a", "2024-07-31") + line("A2", "a", "2025-06-01")
    assert verdict(looked(tmp_path, "short_data", text), "short_data")["status"] == "passed"  # July to June: twelve
    row = verdict(looked(tmp_path, "short_data", text.replace("2024-07-31", "2024-08-01")), "short_data")
    assert (row["status"], row["measured"]) == ("failed", 11)


def test_stale_data_is_silence_longer_than_any_before(tmp_path):
    daily = "".join(line(f"A{i}", "a", d) for i, d in enumerate(_days(32)) if d < "2025-06-21")
    row = verdict(looked(tmp_path, "stale_data", HEAD + daily), "stale_data")
    assert (row["status"], row["measured"]) == ("failed", 10)
    monthly = "".join(line(f"A{i}", "a", f"2025-0{i}-10") for i in range(1, 7))
    assert verdict(looked(tmp_path, "stale_data", HEAD + monthly), "stale_data")["status"] == "passed"


def test_empty_months_of_a_busy_and_of_a_quiet_company(tmp_path):
    busy = "".join(line(f"A{i}", "a", d) for i, d in enumerate(_days(12)) if d[:7] not in ("2023-04", "2023-05"))
    row = verdict(looked(tmp_path, "empty_months", HEAD + busy), "empty_months")
    assert (row["status"], row["measured"], row["detail"]) == ("failed", 2, "months=2023-04,2023-05")
    quiet = line("A1", "a", "2024-01-05") + line("A2", "a", "2024-06-05") + line("A3", "a", "2025-01-05")
    assert verdict(looked(tmp_path, "empty_months", HEAD + quiet), "empty_months")["status"] == "not_applicable"


@pytest.mark.parametrize(("in_first", "status"), [(30, "failed"), (2, "passed")])
def test_a_start_of_the_data_that_is_not_the_start_of_the_customers(tmp_path, in_first, status):
    text = "".join(line(f"A{i}", f"a{i}", "2024-01-05") for i in range(in_first))
    months = pd.period_range("2024-02", "2025-06", freq="M")
    text += "".join(line(f"B{m}{i}", f"b{m}{i}", f"{m}-05") for m in months for i in range(3))
    row = verdict(looked(tmp_path, "unseen_start", HEAD + text), "unseen_start")
    assert row["status"] == status and row["measured"] == pytest.approx(in_first / 3)


def test_a_file_without_any_cost_beside_one_with(tmp_path):
    dear = HEAD + line("A1", "a", "2025-05-01", 300, cost_amount=100) + line("A2", "a", "2025-05-01", 300)
    tables = "  order_lines: [{path: 'o*.csv'}]"
    row = verdict(looked(tmp_path, "files_without_cost", dear, tables), "files_without_cost")
    assert (row["status"], row["measured"]) == ("passed", 0)
    other = {"others.csv": HEAD + line("B1", "a", "2025-05-01", 200)}
    row = verdict(looked(tmp_path, "files_without_cost", dear, tables, other), "files_without_cost")
    assert (row["status"], row["measured"], row["amount"], row["rows"]) == ("failed", 0.25, 200, 1)
    assert row["example_file"] == "acme/others.csv"


def test_sales_at_a_loss_en_masse(tmp_path):
    text = "".join(line(f"A{i}", "a", "2025-05-01", cost_amount=1500 if i < 10 else 500) for i in range(40))
    row = verdict(looked(tmp_path, "sales_at_a_loss", HEAD + text), "sales_at_a_loss")
    assert (row["status"], row["measured"], row["rows"]) == ("failed", 0.25, 10)


def test_amounts_that_turn_into_thousands(tmp_path):
    days = _days(12, 3)
    same = [line(f"A{i}", "a", d, 1000 + 37 * (i % 50)) for i, d in enumerate(days)]
    row = verdict(looked(tmp_path, "amount_jump", HEAD + "".join(same)), "amount_jump")
    assert (row["status"], row["measured"]) == ("passed", 1)
    jumped = [
        line(f"A{i}", "a", d, (1000 + 37 * (i % 50)) / (1000 if d >= "2023-08" else 1)) for i, d in enumerate(days)
    ]
    row = verdict(looked(tmp_path, "amount_jump", HEAD + "".join(jumped)), "amount_jump")
    assert row["status"] == "failed" and row["measured"] == pytest.approx(1000, rel=0.15)
    assert row["detail"] == "month=2023-08"


@pytest.mark.parametrize(("rise", "status"), [(1.1, "failed"), (1.08, "failed"), (1.05, "passed")])
def test_prices_that_turn_into_prices_with_tax(tmp_path, rise, status):
    price = {p: 300 + 39 * p for p in range(12)}
    text = "".join(
        line(f"A{i}-{p}", "a", d, round(price[p] * (rise if d >= "2023-08" else 1), 2), quantity=3, product_id=p)
        for i, d in enumerate(_days(12))
        for p in price
    )
    row = verdict(looked(tmp_path, "price_step", HEAD + text), "price_step")
    assert row["status"] == status
    if status == "failed":
        assert (row["measured"], row["detail"]) == (1, "month=2023-08")


# --- what company.yaml may say ----------------------------------------------------------------------------------------


def test_a_check_may_stop_the_run_by_severity_or_past_a_value(tmp_path):
    text = HEAD + FOUND["returns_without_sale"][0]
    with pytest.raises(Refused) as error:
        looked(tmp_path, "returns_without_sale", text, severity="stop")
    said = str(error.value)
    for part in ("order_lines", "returns_without_sale stops the run", "0.4 fraction of rows", "2 rows", "row 3"):
        assert part in said
    with pytest.raises(Refused):
        looked(tmp_path, "returns_without_sale", text, severity="note", stop_at=0.39)
    staged = looked(tmp_path, "returns_without_sale", text, severity="note", stop_at=0.4)
    assert verdict(staged, "returns_without_sale")["severity"] == "note"
    short = HEAD + line("A1", "a", "2025-05-01")
    looked(tmp_path, "short_data", short, stop_at=2)
    with pytest.raises(Refused, match="less than 3"):
        looked(tmp_path, "short_data", short, stop_at=3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("checks: {return_without_sale: warn}", 'Did you mean "returns_without_sale"?'),
        ("checks: {stale_data: loud}", 'checks.stale_data.severity is "loud". Known: note, off, stop, warn.'),
        ("checks: {stale_data: {limit: a}}", "checks.stale_data.limit"),
        ("checks: {stale_data: {limits: 3}}", 'Did you mean "limit"?'),
        ("checks: {stale_data: {limit: -1}}", "greater than or equal to 0"),
        ("checks: [stale_data]", "checks"),
    ],
)
def test_what_company_yaml_may_not_say(text, said):
    with pytest.raises(Refused) as error:
        resolve("acme", "2025-06", f"{text}\nsources:\n{ORDERS}", company_file="params/acme/company.yaml")
    assert said in str(error.value) and "params/acme/company.yaml" in str(error.value)


@pytest.mark.slow
def test_a_bare_word_is_the_severity_and_leaves_the_limit(tmp_path):
    monthly = HEAD + line("A1", "a", "2025-01-10") + line("A2", "a", "2025-06-10")
    staged = stage(tmp_path, {"orders.csv": monthly}, more="checks: {stale_data: note}")
    found = staged.checks.set_index(["check", "table_name"])
    assert found.loc[("stale_data", "order_lines"), ["severity", "limit"]].tolist() == ["note", 151]
    staged = stage(tmp_path, {"orders.csv": monthly}, more="checks: {stale_data: {limit: 5}}")
    row = staged.checks.set_index(["check", "table_name"]).loc[("stale_data", "order_lines")]
    assert row[["severity", "limit", "status"]].tolist() == ["warn", 5, "failed"]


def test_the_outputs_keep_their_contracts_and_every_check_is_told(tmp_path):
    staged = stage(tmp_path, {"orders.csv": HEAD + FOUND["returns_without_sale"][0]})
    for name in ("ingest_checks", "ingest_findings"):
        check_table(contract_of(name), staged.outputs[name])
    assert set(staged.checks["check"]) == set(CHECKS)
    assert params(ORDERS).settings.checks == {} and write(tmp_path, {}).name == "acme"


def test_the_page_of_checks_is_the_catalogue():
    page = (Path(__file__).parents[1] / "docs" / "checks.md").read_text(encoding="utf-8")
    lines = page.partition("<!-- begin:checks -->")[2].partition("<!-- end:checks -->")[0].strip().splitlines()[2:]
    assert [line.split("|")[1].strip(" `") for line in lines] == list(CHECKS)
    for line, check in zip(lines, CHECKS.values(), strict=True):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        limit = f"{'<' if check.below else '>'} {check.limit:g}"
        assert cells[1] == say(f"check.{check.name}", "ja") and cells[2] == check.meaning
        assert cells[3] == (", ".join(check.tables) or "every table")
        assert cells[4:] == [check.severity, limit, check.unit]
