"""`ltvlab init`: from a stranger's files to parameters that read them, with no hand edit.

The truth of each file is computed here from the rows that the test writes; the proposal is compared on its meaning.
"""

import gzip
import io
import re
from datetime import date
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ltvlab_utils import cli, sources, store
from ltvlab_utils.cli import init
from ltvlab_utils.errors import Refused
from ltvlab_utils.sources import formats, place, proposal_text, ready, trial
from ltvlab_utils.sources.guess import guess
from ltvlab_utils.sources.look import Look, look
from ltvlab_utils.sources.propose import propose
from ltvlab_utils.sources.proposed import code_of
from ltvlab_utils.sources.traits import trait

TODAY = date(2026, 1, 15)


@pytest.fixture
def say(capsys, monkeypatch):
    """Runs a verb in this process, nobody at the terminal: exit status, stdout, stderr."""
    monkeypatch.setattr(init, "_today", lambda: TODAY)

    def run(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            cli.main([str(w) for w in words])
        out, err = capsys.readouterr()
        return stop.value.code, out, err

    return run


@pytest.fixture
def introduced(workspace, say, tmp_path):
    """init of the company acme with files by option; its parameters, staged tables as frames, report and output."""

    def run(*words, **files):
        options = [part for option, file in files.items() for part in (f"--{option.replace('_', '-')}", file)]
        status, out, err = say("init", "acme", *options, *words)
        assert status == 0, err
        params = store.resolve_params("acme", "2199-12")
        assert sources.survey(params, store.data_dir("acme"))
        with trial.engine() as connection:
            staged = sources.stage(params, store.data_dir("acme"), connection)
            frames = {name: table.to_pandas() for name, table in staged.tables.items()}
            return params, frames, staged.report, out

    return run


def accepted(report, table="order_lines") -> float:
    own = report[report.table_name == table]
    return own.rows_accepted.sum() / own.rows_read.sum()


def revenue(frames) -> Decimal:
    lines = frames["order_lines"]
    return lines.loc[lines.status != "cancelled", "net_amount"].sum()


def days(frames) -> list[str]:
    return sorted({str(pd.Timestamp(d).date()) for d in frames["order_lines"].ordered_at})


# --- strangers' files ------------------------------------------------------------------------------------------------

SALES = [  # 売上日, 伝票No, 得意先コード, 得意先名, 商品, 数量, 単価, 金額, 担当者
    ("2024/4/1", "1001", "0001", "株式会社アオバ商事", "ネジM4", 10, 120, 1200, "佐藤"),
    ("2024/4/1", "1001", "0001", "株式会社アオバ商事", "ナットM4", 10, 80, 800, "佐藤"),
    ("2024/5/13", "1002", "0002", "㈲ミドリ", "ネジM4", 5, 120, 600, "鈴木"),
    ("2024/6/3", "1003", "0003", "Blue合同会社", "ワッシャー", 100, 5, 500, "鈴木"),
    ("2024/6/28", "1004", "0001", "株式会社アオバ商事", "ネジM4", -2, 120, -240, "佐藤"),
    ("2024/6/29", "1005", "0002", "㈲ミドリ", "ネジM4", 1, 120, 120, "鈴木"),
]
SALES_HEADER = ["売上日", "伝票No", "得意先コード", "得意先名", "商品名", "数量", "単価", "金額", "担当者"]


def workbook(file: Path, *rows, sheets: dict | None = None) -> Path:
    from openpyxl import Workbook

    book = Workbook()
    for sheet, content in (sheets or {"売上明細": rows}).items():
        page = book.create_sheet(sheet)
        for row in content:
            page.append(list(row))
    book.remove(book.worksheets[0])
    book.save(file)
    return file


def csv_file(file: Path, *rows, encoding="utf-8", delimiter=",") -> Path:
    out = io.StringIO()
    pd.DataFrame(rows[1:], columns=rows[0]).to_csv(out, index=False, sep=delimiter, lineterminator="\r\n")
    file.write_bytes(out.getvalue().encode(encoding))
    return file


def test_a_japanese_sales_list_in_excel_below_two_title_rows(introduced, tmp_path):
    titles = [("売上明細表", *[None] * 8), ("2024年度 上期", *[None] * 8)]
    file = workbook(tmp_path / "売上明細.xlsx", *titles, SALES_HEADER, *SALES)
    params, frames, report, out = introduced(orders=file)
    assert accepted(report) == 1.0 and revenue(frames) == sum(row[7] for row in SALES)
    assert days(frames)[0] == "2024-04-01" and "ltvlab run acme 2024-06" in out
    lines = frames["order_lines"]
    assert lines[lines.kind == "return"].net_amount.tolist() == [Decimal(-240)]
    assert set(lines.customer_id) == {"0001", "0002", "0003"} and set(lines.order_id) == {r[1] for r in SALES}
    names = frames["customers"].set_index("customer_id").customer_name
    assert names["0002"] == "㈲ミドリ", "names come from the file of orders"
    assert (params.settings.currency, params.settings.time_zone, params.settings.language) == (
        "JPY",
        "Asia/Tokyo",
        "ja",
    )
    assert params.settings.value_basis == "revenue", "no cost: nothing is called profit"


@pytest.mark.slow
def test_cp932_with_costs_is_gross_profit(introduced, tmp_path):
    rows = [("受注番号", "得意先コード", "受注日", "数量", "金額(税抜)", "原価"),
            ("A1", "T1", "2025/06/01", 2, 1000, 600), ("A2", "T2", "2025/06/30", 1, 500, 350)]  # fmt: skip
    params, frames, report, _ = introduced(orders=csv_file(tmp_path / "受注.csv", *rows, encoding="cp932"))
    assert accepted(report) == 1.0 and revenue(frames) == 1500
    assert frames["order_lines"].cost_amount.sum() == 950 and params.settings.value_basis == "gross_profit"
    text = (store.params_dir("acme") / "company.yaml").read_text(encoding="utf-8")
    assert "# ?" not in text.split("sources:")[1], "tax is named, every column is certain: nothing is asked of it"


def test_day_before_month_is_told_from_the_values(introduced, tmp_path):
    rows = [("Date", "Customer", "Price", "Qty"), ("01/06/2025", "Acme", 10.5, 3), ("13/06/2025", "Beta", 5.25, 2),
            ("02/07/2025", "Acme", 10.5, 1), ("05/07/2025", "Gamma", 3.0, 10),
            ("30/07/2025", "Beta", 5.25, 1)]  # fmt: skip
    params, frames, report, _ = introduced(orders=csv_file(tmp_path / "orders.csv", *rows))
    assert days(frames) == ["2025-06-01", "2025-06-13", "2025-07-02", "2025-07-05", "2025-07-30"]
    assert accepted(report) == 1.0 and revenue(frames) == Decimal("87.75"), "quantity x unit price"
    assert params.settings.sources["order_lines"][0].date_format == "%d/%m/%Y"


@pytest.mark.slow
def test_dates_that_do_not_decide_are_asked(introduced, tmp_path):
    rows = [("Date", "Customer", "Amount"), ("01/06/2025", "A", 1), ("02/01/2025", "B", 2), ("01/05/2025", "A", 3)]
    _, _, _, out = introduced(orders=csv_file(tmp_path / "orders.csv", *rows))
    text = (store.params_dir("acme") / "company.yaml").read_text(encoding="utf-8")
    [line] = [line for line in text.splitlines() if "date_format" in line]
    assert "# ?" in line and "%d/%m/%Y" in line and "%m/%d/%Y" in line
    assert "? order_lines: date_format" in out


@pytest.mark.slow
def test_an_invoice_list_like_online_retail(introduced, tmp_path):
    rows = [("InvoiceNo", "StockCode", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")]
    rows += [(536365 + i // 3, f"P{i % 4}", 6, f"2010-12-{1 + i:02d} 08:26:00", 2.55, 17850 + i % 3, "UK")
             for i in range(27)]  # fmt: skip
    rows += [("C536390", "P1", -2, "2010-12-28 10:00:00", 2.55, 17850, "UK")]
    rows += [(536391, "P1", 1, "2010-12-29 10:00:00", 2.55, None, "UK")]
    file = tmp_path / "retail.csv.gz"
    plain = csv_file(tmp_path / "retail.csv", *rows)
    file.write_bytes(gzip.compress(plain.read_bytes()))
    _, frames, report, out = introduced(orders=file)
    assert revenue(frames) == Decimal("2.55") * (27 * 6 - 2)
    own = report[report.table_name == "order_lines"].iloc[0]
    assert (own.rows_read, own.rows_accepted, own.rows_without_customer) == (29, 28, 1)
    lines = frames["order_lines"]
    assert lines[lines.kind == "return"].order_id.tolist() == ["C536390"] and "1 without a customer" in out


@pytest.mark.slow
def test_orders_without_number_and_quantity(introduced, tmp_path):
    rows = [("得意先名", "日付", "売上"), ("甲社", "令和6年4月1日", "￥12,000"), ("乙社", "令和6年4月30日", "▲3,000"),
            ("甲社", "令和6年5月31日", "￥８，０００")]  # fmt: skip
    _, frames, report, out = introduced(orders=csv_file(tmp_path / "売上.csv", *rows, encoding="cp932"))
    assert accepted(report) == 1.0 and revenue(frames) == 17_000
    assert frames["order_lines"].order_id.nunique() == 3 and set(frames["order_lines"].quantity.abs()) == {1.0}
    assert days(frames) == ["2024-04-01", "2024-04-30", "2024-05-31"] and "ltvlab run acme 2024-05" in out


def test_a_contract_list_in_japanese(introduced, tmp_path):
    header = (
        "契約番号",
        "得意先コード",
        "得意先名",
        "プラン",
        "契約開始日",
        "契約終了日",
        "月額",
        "自動更新",
        "契約状態",
        "解約日",
    )
    rows = [
        ("K1", "T1", "甲社", "標準", "2023/4/1", "2024/3/31", "50,000", "有", "更新済", None),
        ("K2", "T1", "甲社", "標準", "2024/4/1", "2025/3/31", "52,000", "有", "契約中", None),
        ("K3", "T2", "乙社", "上級", "2023/7/1", "2024/6/30", "150,000", "無", "解約", "2024/6/30"),
        ("K4", "T3", "丙社", "標準", "2023/7/1", "2024/6/30", "50,000", "無", "中途解約", "2024/1/31"),
    ]
    file = workbook(tmp_path / "契約一覧.xlsx", ("契約一覧", *[None] * 9), header, *rows)
    _, frames, report, _ = introduced(contracts=file)
    assert accepted(report, "contract_terms") == 1.0
    terms = frames["contract_terms"].set_index("contract_id")
    assert terms.monthly_amount.sum() == 302_000 and set(terms.term_months) == {12}
    assert terms.outcome.to_dict() == {"K1": "renewed", "K2": "open", "K3": "churned", "K4": "cancelled_early"}
    assert str(pd.Timestamp(terms.outcome_on["K4"]).date()) == "2024-01-31"
    assert terms.auto_renew.to_dict() == {"K1": True, "K2": True, "K3": False, "K4": False}


@pytest.fixture(scope="module")
def company():
    """A small company with every kind of line, as frames of the contracts: whole yen, net of tax."""
    lines = [("O1", 1, "c1", "2025-04-02 10:00:00", "confirmed", "P1", 2, 2000, "sale"),
             ("O1", 2, "c1", "2025-04-02 10:00:00", "confirmed", "P2", 1, 1500, "sale"),
             ("O2", 1, "c2", "2025-05-07 11:30:00", "confirmed", "P1", 4, 4000, "sale"),
             ("O3", 1, "c3", "2025-05-20 09:00:00", "cancelled", "P1", 1, 1000, "sale"),
             ("O4", 1, "c2", "2025-06-12 16:00:00", "confirmed", "P2", 2, 3000, "sale"),
             ("O5", 1, "c3", "2025-06-30 12:00:00", "confirmed", "P2", 1, 1500, "sale")]  # fmt: skip
    names = [
        "order_id",
        "line_no",
        "customer_id",
        "ordered_at",
        "status",
        "product_id",
        "quantity",
        "net_amount",
        "kind",
    ]
    orders = pd.DataFrame(lines, columns=names).assign(tax_rate=0.1)
    people = pd.DataFrame({"customer_id": ["c1", "c2", "c3"], "customer_name": ["甲社", "乙社", "丙社"]})
    return {"order_lines": orders, "customers": people}


@pytest.mark.parametrize("form", ["eccube", "shopify"])
def test_shop_exports_give_the_truth_by_month(introduced, company, tmp_path, form):
    files = formats.write(company, tmp_path / "in", form)
    given = {"orders": tmp_path / "in" / files[0]}
    if form == "eccube":
        given["customers"] = tmp_path / "in" / "customer.csv"
    params, frames, report, out = introduced(**given)
    truth = company["order_lines"]
    truth = truth[truth.status == "confirmed"]
    by_month = truth.groupby(truth.ordered_at.str[:7]).net_amount.sum()
    lines = frames["order_lines"]
    lines = lines[lines.status == "confirmed"]
    made = lines.groupby(lines.ordered_at.dt.strftime("%Y-%m")).net_amount.sum()
    assert made.astype("int64").to_dict() == by_month.to_dict() and accepted(report) >= 0.95
    mapping = params.settings.sources["order_lines"][0].mapping
    assert mapping, "the product is recognised"
    assert ready.read(mapping).notes.en in out, "what its export does not hold is said"
    assert "ltvlab run acme 2025-06" in out


@pytest.mark.slow
def test_monthly_files_in_a_folder_are_one_source(introduced, tmp_path):
    folder = tmp_path / "exports"
    folder.mkdir()
    header = ("order_id", "customer_id", "order_date", "amount")
    for month in range(1, 4):
        rows = [(f"{month}-{i}", f"c{i % 3}", f"2025-{month:02d}-{i + 1:02d}", 100) for i in range(28)]
        csv_file(folder / f"2025-{month:02d}.csv", header, *rows)
    params, frames, report, _ = introduced(orders=folder)
    [source] = params.settings.sources["order_lines"]
    assert source.path == "exports" and len(report[report.table_name == "order_lines"]) == 3
    assert revenue(frames) == 3 * 28 * 100


# --- what init does with files and answers ---------------------------------------------------------------------------

PLAIN = [("customer", "date", "amount"), ("A", "2025-01-02", 100), ("B", "2025-02-03", 200), ("A", "2025-06-28", 50)]


def test_three_commands_lead_from_a_file_to_a_run(workspace, say, tmp_path):
    file = csv_file(tmp_path / "orders.csv", *PLAIN)
    before = file.read_bytes()
    status, out, _ = say("init", "acme", "--orders", file)
    assert status == 0 and out.rstrip().endswith("Then: ltvlab run acme 2025-06")
    assert (workspace / "data/acme/orders.csv").read_bytes() == file.read_bytes() == before
    status, out, _ = say("check", "acme")
    assert status == 0 and out.rstrip().endswith("Ready: ltvlab run acme 2025-06")
    assert "2025: 350" in out and "2025-01-02" in out and "2025-06-28" in out
    assert "order_lines.cost_amount: gross profit instead of revenue" in out


def test_nothing_is_overwritten(workspace, say, tmp_path):
    file = csv_file(tmp_path / "orders.csv", *PLAIN)
    taken = workspace / "data/acme/orders.csv"
    taken.parent.mkdir(parents=True)
    taken.write_text("something else")
    status, _, err = say("init", "acme", "--orders", file)
    assert status == 2 and "already there" in err and taken.read_text() == "something else"
    assert not (workspace / "params/acme").exists()
    taken.unlink()
    assert say("init", "acme", "--orders", file)[0] == 0
    text = (workspace / "params/acme/company.yaml").read_bytes()
    status, _, err = say("init", "acme", "--orders", file)
    assert status == 2 and "not overwritten" in err and (workspace / "params/acme/company.yaml").read_bytes() == text


def test_no_copy_says_where_the_file_goes(workspace, say, tmp_path):
    file = csv_file(tmp_path / "orders.csv", *PLAIN)
    status, out, _ = say("init", "acme", "--orders", file, "--no-copy")
    assert status == 0 and "Put orders.csv into" in out and not (workspace / "data/acme").exists()


@pytest.mark.parametrize(
    ("words", "basis", "rate"), [((), "revenue", None), (("--margin", "0.3"), "gross_profit", 0.3)]
)
def test_a_margin_is_assumed_only_where_a_person_says_so(workspace, say, tmp_path, words, basis, rate):
    file = csv_file(tmp_path / "orders.csv", *PLAIN)
    assert say("init", "acme", "--orders", file, *words)[0] == 0
    settings = store.resolve_params("acme", "2025-06").settings
    assert (settings.value_basis, settings.assumed_margin_rate) == (basis, rate)
    text = (workspace / "params/acme/company.yaml").read_text(encoding="utf-8")
    assert ("assumed by a person" in text) == (rate is not None)


def test_at_a_terminal_margin_and_copying_are_asked(workspace, say, tmp_path, monkeypatch):
    monkeypatch.setattr(init, "_at_a_terminal", lambda: True)
    answers = iter(["abc", "25%"])
    monkeypatch.setattr(init.typer, "prompt", lambda *_, **__: next(answers))
    monkeypatch.setattr(init.typer, "confirm", lambda *_, **__: False)
    file = csv_file(tmp_path / "orders.csv", *PLAIN)
    assert say("init", "acme", "--orders", file)[0] == 0
    assert store.resolve_params("acme", "2025-06").settings.assumed_margin_rate == 0.25
    assert not (workspace / "data/acme").exists(), "copying was declined"


def test_hostile_cells_do_not_reach_the_terminal_or_break_the_yaml(workspace, say, tmp_path):
    nasty = 'ali\x1b[31mce[red]"\u202e'
    rows = [('cust"omer\u2028x: [', "date", "amount # no"), (nasty, "2025-01-02", 100), ("B", "2025-02-03", 200)]
    status, out, _ = say("init", "acme", "--orders", csv_file(tmp_path / "o#[1]\n.csv", *rows))
    assert status == 0 and "\x1b" not in out and "\u202e" not in out and "[red]" in out
    source = store.resolve_params("acme", "2025-06").settings.sources["order_lines"][0]
    assert source.columns["customer_id"] == 'cust"omer\u2028x: [' and source.columns["net_amount"] == "amount # no"


# --- wrong input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("missing.csv", None, "does not exist"),
        ("a.pdf", b"%PDF-1.7\n%\xe2\xe3", "is a PDF"),
        ("a.csv", b"", "is empty"),
        ("a.csv", b"\xef\xbb\xbf \r\n\r\n", "is empty"),
        ("a.csv", b"customer,date,amount\n", "no row below it"),
        ("a.csv", b"nothing here\nat all\n", "only one column"),
        ("a.csv", b"a,b,c\nx,y,z\nx,q,z\nv,y,w\nx,y,z\nu,y,z\n", "no column can be a date"),
        ("a.csv", b"a\0b\0,c\n1,2\n", "no text file"),
        ("a.csv", b"a,b\n\x81,\xff\xff\n", "no encoding that is known"),
        ("a.xls", b"<html><table><tr><td>1</td></tr></table>", "web page"),
        ("a.json", b'[{"a": 1}]', "is JSON"),
        ("a.xlsx", b"PK\x03\x04broken", "broken"),
        ("a.csv.gz", b"\x1f\x8bbroken", "not a whole gzip"),
        ("a.parquet", b"PAR1broken", "not a readable Parquet"),
        ("a.csv", b"date;Kunde;Betrag\n2025-01-02;A;12,50\n2025-01-03;B;1.212,50\n", "decimal comma"),
    ],
    ids=lambda v: v if isinstance(v, str) else None,
)  # fmt: skip
def test_wrong_files_get_one_sentence(workspace, say, tmp_path, name, content, sentence):
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    status, _, err = say("init", "acme", "--orders", file)
    assert status == 2 and sentence in err and err.count("\n") == 1 and "Traceback" not in err
    assert not (workspace / "params/acme").exists() and not (workspace / "data/acme").exists()


@pytest.mark.parametrize("company", ["../evil", "A B", "-x", "a" * 65, "株式会社"])
def test_wrong_names_get_one_sentence(workspace, say, tmp_path, company):
    file = csv_file(tmp_path / "orders.csv", *PLAIN)
    status, _, err = say("init", "--orders", file, "--", company)
    assert (
        status == 2
        and "cannot be the name" in err
        and list((workspace / "params").iterdir()) == [workspace / "params" / "small"]
    )


def test_a_folder_without_tables_and_no_file_at_all(workspace, say, tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    (folder / "photo.png").write_bytes(b"\x89PNG")
    status, _, err = say("init", "acme", "--orders", folder)
    assert status == 2 and "folder without a table" in err and "photo.png" in err
    status, _, err = say("init", "acme")
    assert status == 2 and "Name at least one file" in err


# --- pages -----------------------------------------------------------------------------------------------------------

PAGES = Path(__file__).resolve().parents[1] / "docs" / "mappings"


def test_every_ready_mapping_has_a_page_and_a_row_that_tell_what_it_feeds():
    pages = {file.stem: file.read_text(encoding="utf-8") for file in PAGES.glob("*.md") if file.stem != "README"}
    told = {}
    for name, text in pages.items():
        [line] = [line for line in text.splitlines() if line.startswith("Ready mapping: ")]
        for mapping in re.findall(r"`(\w+)`", line):
            assert mapping not in told, f"{mapping} has two pages"
            told[mapping] = name
        for heading in ("## Export", "## Columns that are needed", "## What the export does not hold"):
            assert heading in text, f"{name}.md lacks {heading}"
        assert all(f"ltvlab {verb} acme" in text for verb in ("init", "check", "run")), f"{name}.md: three commands"
    assert set(told) == set(ready.names())
    rows = re.findall(
        r"\| \[.+?\]\((\w+)\.md\) \| .+? \| `(\w+)` \| (.+?) \|", (PAGES / "README.md").read_text("utf-8")
    )
    assert {mapping: page for page, mapping, _ in rows} == told
    for _, mapping, feeds in rows:
        assert set(feeds.split(", ")) == set(ready.read(mapping).sources), mapping


def test_pages_name_options_that_init_has(say):
    known = set(re.findall(r"--[a-z-]+", say("init", "--help")[1]))
    for file in (*PAGES.glob("*.md"), PAGES.parents[1] / "README.md", PAGES.parents[1] / "README.ja.md"):
        for line in re.findall(r"ltvlab init .*", file.read_text(encoding="utf-8")):
            assert set(re.findall(r"--[a-z-]+", line)) <= known, file.name


# --- parts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "form", "choices"),
    [
        (["2025/6/30", "2025-06-01"], "iso", ()),
        (["2025-06-30 10:00:00 +0900"], "iso", ()),
        (["20250630", "20250701"], "%Y%m%d", ()),
        (["R6.1.5", "H31.4.30"], "era", ()),
        (["13/06/2025", "01/02/2025"], "%d/%m/%Y", ()),
        (["06/13/2025 8:26", "01/02/2025 9:00"], "%m/%d/%Y %H:%M", ()),
        (["01/02/2025", "02/02/2025", "02/05/2025"], "", ("%d/%m/%Y", "%m/%d/%Y")),
        (["01/02/2025", "02/02/2025", "01/03/2025"], "%d/%m/%Y", ()),  # in order of time only when so read
        (["1 Jan 2025"], "%d %b %Y", ()),
        (["12345", "abc"], "", ()),
        (["99999999"], "", ()),
    ],
)
def test_date_forms(cells, form, choices):
    held = trait(cells)
    assert (held.dates, held.date_choices) == (form, choices)


@pytest.mark.parametrize(
    ("column", "cell", "code"),
    [("status", "未出荷", "backlog"), ("status", "出荷済み", "confirmed"), ("status", "注文取消し", "cancelled"),
     ("status", "CANCELED", "cancelled"), ("kind", "返品", "return"), ("kind", "送料", "shipping"),
     ("kind", "商品", "sale"), ("outcome", "中途解約", "cancelled_early"), ("outcome", "解約", "churned"),
     ("outcome", "更新済", "renewed"), ("outcome", "契約中", "open"), ("billing", "年払い", "annual"),
     ("status", "???", "")],
)  # fmt: skip
def test_words_of_codes(column, cell, code):
    from ltvlab_utils.tables import CONTRACTS

    table = "order_lines" if column in ("status", "kind") else "contract_terms"
    assert code_of(column, cell, CONTRACTS[table].column[column].values) == code


def sample(header: str, *rows: str) -> Look:
    cells = tuple(tuple(row.split(",")) for row in rows)
    return Look(Path("x.csv"), "csv", tuple(header.split(",")), cells)


def test_an_amount_of_the_order_on_each_of_its_lines_is_not_summed():
    rows = [f"{i // 2},c{i % 3},2025-01-{i + 1:02d},1,{100 + 50 * (i % 2)},250" for i in range(12)]
    made = guess("order_lines", sample("order_id,customer,date,quantity,unit_price,total", *rows))
    assert "net_amount" not in made.columns and made.columns["_unit_price"].name == "unit_price"
    rows = [f"{i // 2},c{i % 3},2025-01-{i + 1:02d},1,{100 + 50 * (i % 2)},{100 + 50 * (i % 2)}" for i in range(12)]
    made = guess("order_lines", sample("order_id,customer,date,quantity,unit_price,total", *rows))
    assert made.columns["net_amount"].name == "total", "an amount that differs by line is the line's own"


def test_columns_without_telling_names_are_found_by_content_and_asked():
    rows = [f"x{i % 4},2025-01-{i + 1:02d},{i + 1},{100.5 * (i % 5 + 1)}" for i in range(20)]
    made = propose({"order_lines": [sample("wer,wann,nr,wieviel", *rows)]}).sources[0]
    assert made.columns == {"customer_id": "wer", "ordered_at": "wann", "net_amount": "wieviel"}
    assert all(made.comments[f"columns.{c}"].startswith("?") for c in made.columns)


@pytest.mark.parametrize("tax, included", [(lambda net: net // 10, False), (lambda net: net - net * 10 // 11, True)])
def test_tax_beside_an_amount_says_whether_it_is_in_it(tax, included):
    rows = [f"{i},T{i % 3},2025-01-{i + 1:02d},{net},{tax(net)}" for i, net in enumerate(range(1100, 3300, 110))]
    made = propose({"order_lines": [sample("受注番号,得意先コード,受注日,金額,消費税", *rows)]}).sources[0]
    assert bool(made.keys.get("amounts_include_tax")) is included
    assert "columns.net_amount" not in made.comments, "the tax says it: nothing is asked"


def test_a_look_is_bounded_and_reaches_the_end_of_the_file(tmp_path):
    file = tmp_path / "long.csv"
    with file.open("w") as out:
        out.write("customer,date,amount\n")
        for i in range(200_000):
            out.write(f"c{i % 977},20{i * 25 // 200_000:02d}-03-15,{i}\n")
    seen = look(file)
    assert len(seen.rows) < 3_000 and not seen.whole and seen.rows[-1][1] == "2024-03-15"
    packed = tmp_path / "long.csv.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    assert look(packed).rows[-1][1] == "2024-03-15"


def test_sheets_are_named_and_the_first_with_a_table_is_taken(tmp_path):
    file = workbook(tmp_path / "b.xlsx", sheets={"表紙": [("売上資料",)], "明細": [SALES_HEADER, *SALES]})
    seen = look(file)
    assert (seen.sheet, seen.sheets, seen.header_row) == ("明細", ("表紙", "明細"), 1)


@pytest.mark.parametrize(
    "name", ["plain", "受注日", "a: b", "#x", "yes", "null", "'q'", 'say "x"', "1,2", "- a", "No.", "*a", "a\u2028b",
             "~", "a  b", "税込(円)", "1e3", "\x85", "x\ufeff", "𠮷野家", "a #b", "a:", "@x", "%d", "|", "007"]
)  # fmt: skip
def test_yaml_reads_back_what_is_written(name):
    from ltvlab_utils.params import load_yaml

    assert load_yaml(f"a: {{b: [{proposal_text.scalar(name)}]}}", "x") == {"a": {"b": [name]}}
    assert load_yaml(f"a: {proposal_text.scalar(name)}  # c", "x") == {"a": name}


CELLS = st.text(max_size=12) | st.sampled_from(
    ["2025-01-02", "13/01/2025", "1,234", "▲5", "キャンセル", "返品", "", "A1", "税込", "0.1", "12,5", "令和6年1月5日"]
)
HEADS = st.text(max_size=8) | st.sampled_from(
    [
        "customer",
        "date",
        "amount",
        "数量",
        "単価",
        "得意先コード",
        "受注日",
        "金額",
        "状態",
        "区分",
        "税率",
        "kind",
        "status",
    ]
)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(HEADS, min_size=1, max_size=6), st.lists(st.lists(CELLS, max_size=7), max_size=8),
       st.sampled_from([",", ";", "\t"]), st.sampled_from(["utf-8", "cp932", "utf-16"]))  # fmt: skip
def test_no_header_and_content_makes_a_proposal_crash(tmp_path_factory, header, rows, delimiter, encoding):
    """Whatever stands in a file: a proposal whose text is valid parameters that name columns of the file, or one
    sentence."""
    file = tmp_path_factory.mktemp("any") / "any.csv"
    lines = [delimiter.join(row) for row in (header, *rows)]
    file.write_bytes("\n".join(lines).encode(encoding, "replace"))
    for table in ("order_lines", "contract_terms", "customers"):
        try:
            seen = look(file)
            proposal = propose({table: [seen]})
            text = proposal_text.text_of("acme", proposal, place.names([file], [], file.parent.parent / "home"))
        except Refused as error:
            assert str(error) and "\n" not in str(error).strip()
            continue
        if table != "customers":
            from ltvlab_utils.sources import draft

            made = draft._resolved("acme", text).settings.sources[table][0]
            assert {c for c in made.columns.values() if isinstance(c, str)} <= set(seen.header)


@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=400), st.sampled_from(["a.csv", "a.xlsx", "a.gz", "a.parquet"]))
def test_no_bytes_make_a_look_crash(tmp_path_factory, content, name):
    file = tmp_path_factory.mktemp("any") / name
    for start in (b"", b"PK\x03\x04", b"\x1f\x8b\x08", b"PAR1", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        file.write_bytes(start + content)
        try:
            assert look(file).header
        except Refused as error:
            assert file.name in str(error)
