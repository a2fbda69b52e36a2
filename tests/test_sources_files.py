"""What stops before a row is read: each newcomer's mistake gets one sentence with the file and the remedy."""

from __future__ import annotations

import ibis
import pytest

from ltvlab_utils import sources
from ltvlab_utils.errors import Refused
from tests.sources_world import HEADER, params, stage, survey, write

ROW = "A1,1,alpha,2025-05-01,confirmed,1,1000,sale\n"
GOOD = HEADER + ROW


def refusal(call, *args, **more) -> str:
    with pytest.raises(Refused) as error:
        call(*args, **more)
    said = str(error.value)
    assert "\n" not in said and "Traceback" not in said
    return said


def test_a_missing_file_names_the_nearest(tmp_path):
    said = refusal(survey, tmp_path, {"order.csv": GOOD})
    assert "data/acme/orders.csv does not exist" in said and 'Did you mean "order.csv"?' in said
    assert str(tmp_path) not in said


def test_a_missing_folder_is_a_missing_file(tmp_path):
    said = refusal(sources.survey, params("  order_lines: [{path: orders.csv}]"), tmp_path / "acme")
    assert "does not exist" in said and "holds no file yet" in said


@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff", " \r\n"])
def test_an_empty_file(tmp_path, content):
    assert "data/acme/orders.csv is empty" in refusal(survey, tmp_path, {"orders.csv": content})


def test_a_missing_column_names_the_nearest(tmp_path):
    said = refusal(survey, tmp_path, {"orders.csv": GOOD.replace("net_amount", "net_amout")})
    assert 'no column "net_amount"' in said and 'Did you mean "net_amout"?' in said


def test_a_mapped_column_that_is_not_there_is_refused_even_where_optional(tmp_path):
    tables = "  order_lines: [{path: orders.csv, columns: {cost_amount: 原価}}]"
    assert 'no column "原価"' in refusal(survey, tmp_path, {"orders.csv": GOOD}, tables)


def test_a_missing_code_column_proposes_a_constant(tmp_path):
    said = refusal(survey, tmp_path, {"orders.csv": GOOD.replace(",kind", ",art")})
    assert "kind: sale" in said and "constants" in said


def test_a_column_that_stands_twice(tmp_path):
    header, row = HEADER.replace("\n", ",net_amount\n"), ROW.replace("\n", ",1000\n")
    same = stage(tmp_path, {"orders.csv": header + row})
    assert same.report["amount_accepted"].tolist() == [1000] and same.report["columns_unknown"].isna().all()
    said = refusal(stage, tmp_path, {"orders.csv": header + row + ROW.replace("A1", "A2").replace("\n", ",999\n")})
    assert '"net_amount" stands twice' in said and 'row 3 once as "1000" and once as "999"' in said


def test_another_delimiter_is_proposed(tmp_path):
    said = refusal(survey, tmp_path, {"orders.csv": GOOD.replace(",", ";")})
    assert 'the header is one column, "' in said and 'set `delimiter: ";"`' in said


def test_a_date_form_is_checked_before_anything_is_read(tmp_path):
    tables = "  order_lines: [{path: orders.csv, date_format: '%Y%Q'}]"
    assert '"%Q" is no part of a date form' in refusal(survey, tmp_path, {"orders.csv": GOOD}, tables)


def test_optional_and_unknown_columns_are_listed(tmp_path):
    (file,) = survey(tmp_path, {"orders.csv": "memo," + HEADER + "x," + ROW})
    assert file.columns_unknown == ("memo",) and "cost_amount" in file.columns_missing
    assert len(file.fingerprint) == 64 and file.file == "acme/orders.csv"


def test_a_header_alone_is_no_order(tmp_path):
    assert len(survey(tmp_path, {"orders.csv": HEADER})) == 1
    assert "nothing to review" in refusal(stage, tmp_path, {"orders.csv": HEADER})


def test_a_header_alone_of_an_optional_table_counts_zero_rows(tmp_path):
    files = {"orders.csv": GOOD, "s.csv": "customer_id,occurred_on,cost_amount,kind\n"}
    staged = stage(tmp_path, files, "  order_lines: [{path: orders.csv}]\n  support_costs: [{path: s.csv}]")
    report = staged.report.set_index("table_name").loc["support_costs"]
    assert report["rows_read"] == 0 and report["amount_read"] == 0
    assert staged.tables["support_costs"].count().to_pandas() == 0


@pytest.mark.parametrize(
    ("row", "where", "why"),
    [
        ("A2,1,beta,2025-05-01,confirmed,1,1,000,sale\n", "row 3", "9 columns"),
        ("A2,1,beta,2025-05-01\n", "row 3", "4 columns"),
        ('A2,1,"beta,2025-05-01,confirmed,1,1000,sale\n', "line 3", "quote is not closed"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path, row, where, why):
    said = refusal(stage, tmp_path, {"orders.csv": GOOD + row})
    assert "data/acme/orders.csv" in said and where in said and why in said


def test_an_unknown_encoding_proposes_a_known_one(tmp_path):
    said = refusal(survey, tmp_path, {"orders.csv": GOOD}, "  order_lines: [{path: orders.csv, encoding: cp392}]")
    assert 'no encoding is called "cp392"' in said and "cp932" in said


def test_a_file_that_is_no_parquet(tmp_path):
    said = refusal(survey, tmp_path, {"orders.csv": GOOD}, "  order_lines: [{path: orders.csv, format: parquet}]")
    assert "not a readable Parquet file" in said


def test_the_same_rows_never_count_twice(tmp_path):
    two = "  order_lines: [{path: orders.csv}, {path: 'o*.csv'}]"
    assert "matched twice" in refusal(survey, tmp_path, {"orders.csv": GOOD}, two)
    copies = {"in/orders.csv": GOOD, "in/orders (1).csv": GOOD}
    assert "byte for byte" in refusal(survey, tmp_path, copies, "  order_lines: [{path: in}]")
    empty_twice = {"in/a.csv": HEADER, "in/b.csv": HEADER, "in/c.csv": GOOD}
    assert len(survey(tmp_path / "x", empty_twice, "  order_lines: [{path: in}]")) == 3


def test_files_come_in_order_of_name_and_hidden_ones_are_left(tmp_path):
    row = "{0},1,alpha,2025-05-01,confirmed,1,5,sale\n"
    files = {f"in/{n}.csv": HEADER + row.format(n) for n in ("b", "a", "c")}
    found = survey(tmp_path, {**files, "in/.~lock.csv": "x", "in/~$a.csv": "x"}, "  order_lines: [{path: 'in/*.csv'}]")
    assert [f.file for f in found] == ["acme/in/a.csv", "acme/in/b.csv", "acme/in/c.csv"]


def test_no_way_out_of_the_company_s_folder(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "orders.csv").write_text(GOOD)
    folder = write(tmp_path, {"here.csv": GOOD})
    (folder / "link.csv").symlink_to(tmp_path / "other" / "orders.csv")
    (folder / "door").symlink_to(tmp_path / "other")
    for path in ("link.csv", "door/orders.csv", "door", "l*.csv", "d*/*.csv"):
        said = refusal(sources.survey, params(f"  order_lines: [{{path: '{path}'}}]"), folder)
        assert "leads out of data/acme/" in said or "does not exist" in said, path


def test_the_truth_of_generated_companies_is_never_read(tmp_path):
    files = {".truth/acme/orders.csv": GOOD, "orders.csv": GOOD}
    said = refusal(survey, tmp_path, files, "  order_lines: [{path: .truth/acme/orders.csv}]")
    assert ".truth" in said
    (tmp_path / "acme" / "t").symlink_to(tmp_path / "acme" / ".truth")
    said = refusal(survey, tmp_path, files, "  order_lines: [{path: t/acme/orders.csv}]")
    assert "leads out" in said


def test_a_package_path_stays_inside_its_package(tmp_path):
    tables = "  order_lines: [{{path: 'package:{0}'}}]"
    assert "no package" in refusal(survey, tmp_path, {}, tables.format("no_such_package/x.csv"))
    assert "has no file" in refusal(survey, tmp_path, {}, tables.format("lifetimes/nothing.csv"))


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ("date_basis: invoiced", "date_basis invoiced"),
        ("customer_key: parent", "customer_key parent"),
        ("tax: {basis: included}", "tax_rate"),
    ],
)
def test_settings_that_are_not_carried_out_are_refused(tmp_path, more, word):
    said = refusal(survey, tmp_path, {"orders.csv": GOOD}, more=more)
    assert word in said


@pytest.mark.parametrize("name", ["o'rders.csv", 'a "b".csv', "o[1].csv", "a*.csv", "注文 2025.csv"])
def test_awkward_file_names(tmp_path, name):
    shown = name.replace("'", "''")
    staged = stage(tmp_path, {name: GOOD}, f"  order_lines: [{{path: '{shown}'}}]")
    assert staged.report["file"].tolist() == [f"acme/{name}"] and staged.report["rows_accepted"].tolist() == [1]


def test_row_numbers_hold_in_a_file_that_the_engine_reads_in_parts(tmp_path):
    rows = [f"A{i},1,{'' if i % 9973 == 0 else 'c'},2025-05-01,confirmed,1,5,sale{' ' * 90}\n" for i in range(120_000)]
    folder = write(tmp_path, {"orders.csv": HEADER + "".join(rows)})
    parameters = params("  order_lines: [{path: orders.csv}]")
    staged = sources.stage(parameters, folder, ibis.duckdb.connect())
    assert staged.rejected["row_no"].tolist() == [i + 2 for i in range(0, 120_000, 9973)]
