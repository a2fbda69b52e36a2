"""One firm across shop, CRM and accounting: tables with linked customers, and the file in which persons decide."""

from __future__ import annotations

import csv
from datetime import date
from decimal import Decimal
from pathlib import Path

import ibis
import pandas as pd
import pytest

from ltvlab_utils import links, sources
from ltvlab_utils.errors import Refused
from ltvlab_utils.sources import answers_links, link_file
from ltvlab_utils.tables import check_frame, check_table, contract_of
from tests.sources_world import HEADER, params, write
from tests.test_identity import NUMBER

CRM = "customer_id,customer_name,region,corporate_number,industry,parent_id\n" + (
    f"C1,株式会社青葉製作所,東京都,{NUMBER},machines,\n"
    "C2,株式会社みどり商事,大阪府,,,C1\n"
    "C9,(株)みどり商事,大阪府,,trade,\n"  # C2 entered twice
)
SHOP = "会員ID,会社名\nC1,みどり商事株式会社\n0005,㈱青葉製作所\n"  # the shop's C1 is another firm than the CRM's
ORDERS = HEADER + (
    "A1,1,C1,2025-05-01,confirmed,1,1000,sale\n"
    "A2,1,C2,2025-05-02,confirmed,1,200,sale\n"
    "A3,1,C9,2025-05-03,confirmed,1,30,sale\n"
    "A4,1,,2025-05-03,confirmed,1,7,sale\n"
)
SHOP_ORDERS = HEADER + "S1,1,C1,2025-05-04,confirmed,1,5000,sale\nS2,1,0005,2025-06-04,confirmed,1,600,sale\n"
OWNERS = (
    "customer_id,role,owner,valid_from\nC2,sales,Sato,2024-04-01\nC9,sales,Ito,2024-04-01\nC1,sales,Abe,2024-04-01\n"
)
USAGE = "customer_id,week,metric,value\nC2,2025-05-05,users,3\nC9,2025-05-05,users,4\nC1,2025-05-05,users,5\n"
FILES = {
    "crm.csv": CRM, "shop.csv": SHOP, "orders.csv": ORDERS, "shop_orders.csv": SHOP_ORDERS, "owners.csv": OWNERS,
    "usage.csv": USAGE,
}  # fmt: skip
TABLES = """\
  order_lines: [{name: order_system, path: orders.csv}, {name: shop, system: shop, path: shop_orders.csv}]
  customers:
    - {name: crm, path: crm.csv}
    - {name: shop, system: shop, path: shop.csv, columns: {customer_id: 会員ID, customer_name: 会社名}}
  customer_owners: [{name: crm, path: owners.csv}]
  usage: [{name: log, path: usage.csv}]
"""
HEAD = "decision,decided_by,decided_on,valid_from,valid_to,left_source,left_key,right_source,right_key\n"
SAME = HEAD + "same,Tanaka,2025-06-20,,,crm,C2,shop,C1\n"


def staged(folder: Path, more: str = "identity: {links: auto}", decided: str = "", files=FILES, tables=TABLES, **kw):
    made = params(tables, more=more, **kw)
    known = links.decisions(decided, "params/acme/links.csv")
    return sources.stage(made.model_copy(update={"links": known}), write(folder, files), ibis.duckdb.connect())


def frame(found: sources.Staged, name: str) -> pd.DataFrame:
    return found.tables[name].order_by(contract_of(name).keys[0]).to_pandas()


@pytest.fixture(scope="module")
def auto(tmp_path_factory):
    return staged(tmp_path_factory.mktemp("auto"))


def test_each_table_speaks_of_linked_customers(auto):
    lines = frame(auto, "order_lines")
    assert lines.set_index("order_id")["customer_id"].to_dict() == {
        "A1": "C1", "A2": "C2", "A3": "C2", "S1": "shop:C1", "S2": "C1"
    }  # fmt: skip
    people = frame(auto, "customers").set_index("customer_id")
    assert list(people.index) == ["C1", "C2", "shop:C1"]
    for name, table in auto.outputs.items():
        check = check_frame if isinstance(table, pd.DataFrame) else check_table
        check(contract_of(name), table)


def test_rows_and_amounts_reconcile_after_linking(auto):
    report = auto.report.set_index(["table_name", "source"])
    assert (auto.report["rows_read"] == auto.report["rows_accepted"] + auto.report["rows_rejected"]).all()
    assert auto.report["amount_accepted"].sum() == 6830 and auto.report["amount_rejected"].sum() == 7
    assert auto.tables["order_lines"].net_amount.sum().to_pandas() == Decimal(6830)
    assert report.loc[("customer_owners", "crm"), "rows_rejected"] == 1
    assert len(auto.rejected) == auto.report["rows_rejected"].sum()
    again = auto.rejected[auto.rejected["reason"] == "linked_duplicate"].iloc[0]
    assert (again["file"], again["row_no"], again["value"]) == ("acme/owners.csv", 3, "C9")


def test_rows_that_links_make_repeat_each_other(auto):
    """Of two owners the one of the leading record; usage of both accounts adds up."""
    assert frame(auto, "customer_owners")[["customer_id", "owner"]].values.tolist() == [["C1", "Abe"], ["C2", "Sato"]]
    assert frame(auto, "usage").set_index("customer_id")["value"].to_dict() == {"C1": 5.0, "C2": 7.0}


def test_attributes_come_from_the_best_filled_record_then_from_the_others(auto):
    row = frame(auto, "customers").set_index("customer_id").loc["C2"]
    assert (row["customer_name"], row["industry"], row["parent_id"]) == ("株式会社みどり商事", "trade", "C1")


def test_links_say_how_since_when_and_by_whom(auto):
    found = frame(auto, "customer_links").set_index(["source", "source_key"])
    assert found["customer_id"].to_dict() == {
        ("crm", "C1"): "C1", ("shop", "0005"): "C1", ("crm", "C2"): "C2", ("crm", "C9"): "C2"
    }  # fmt: skip
    row = found.loc[("crm", "C9")]
    assert (row["method"], row["decided_by"], pd.Timestamp(row["valid_from"])) == (
        "name_region",
        "rule",
        pd.Timestamp("2024-04-01"),
    )
    assert found.loc[("shop", "0005"), "method"] == "name"


def test_proposals_carry_what_would_move(auto):
    found = auto.linked.proposals
    assert found[["left_source", "left_key", "right_source", "right_key"]].values.tolist() == [
        ["crm", "C2", "shop", "C1"]
    ]
    assert found["evidence"].tolist() == ["position"]
    assert (found["amount_at_stake"].iloc[0], found["amount_of_both"].iloc[0]) == (200, 5200)
    assert found["right_customer_id"].tolist() == ["shop:C1"]


def test_without_links_nothing_changes(tmp_path):
    """Off is what every company has that says nothing: the same rows, and no table more."""
    off, silent = (staged(tmp_path / n, more=m) for n, m in (("a", "identity: {links: off}"), ("b", "")))
    assert off.linked is None and set(off.outputs) == set(silent.outputs)
    assert not {"customer_links", "link_proposals"} & set(off.outputs)
    for name in off.tables:
        keys = list(contract_of(name).keys)
        pd.testing.assert_frame_equal(*(s.tables[name].order_by(keys).to_pandas() for s in (off, silent)))
    assert frame(off, "customers")["customer_id"].tolist() == ["C1", "C2", "C9", "shop:0005", "shop:C1"]


@pytest.mark.slow
def test_links_that_find_nothing_leave_the_tables_as_they_are(tmp_path):
    files = {
        **FILES,
        "shop.csv": "会員ID,会社名\nC1,遠山牧場\n0005,白川工房\n",
        "crm.csv": CRM.replace("(株)みどり商事", "北村堂"),
    }
    on, off = (staged(tmp_path / n, more=f"identity: {{links: {n}}}", files=files) for n in ("auto", "off"))
    for name in off.tables:
        keys = list(contract_of(name).keys)
        pd.testing.assert_frame_equal(*(s.tables[name].order_by(keys).to_pandas() for s in (on, off)))


def test_a_person_links_and_undoes_it(tmp_path):
    found = staged(tmp_path, decided=SAME)
    people = frame(found, "customers")
    assert people["customer_id"].tolist() == ["C1", "C2"] and found.linked.proposals.empty
    row = found.linked.links.set_index("source_key").loc["C1"].set_index("source").loc["shop"]
    assert (row["method"], row["decided_by"], row["customer_id"]) == ("person", "Tanaka", "C2")
    assert row["decided_on"] == pd.Timestamp("2025-06-20")
    undone = staged(tmp_path, decided=HEAD)
    assert frame(undone, "customers")["customer_id"].tolist() == ["C1", "C2", "shop:C1"]


DAYS = [("2025-07-01", "", False), ("2025-06-30", "", True), ("", "2025-06-29", False), ("", "2025-06-30", True)]


@pytest.mark.parametrize(("valid_from", "valid_to", "linked"), DAYS)
@pytest.mark.slow
def test_decisions_hold_between_their_days(tmp_path, valid_from, valid_to, linked):
    text = HEAD + f"same,Tanaka,,{valid_from},{valid_to},crm,C2,shop,C1\n"
    assert (len(frame(staged(tmp_path, decided=text), "customers")) == 2) is linked


def test_what_a_person_tells_apart_stays_apart(tmp_path):
    text = HEAD + "different,,,,,crm,C9,crm,C2\n別,,,,,crm,C2,shop,C1\n"
    found = staged(tmp_path, decided=text)
    assert frame(found, "customers")["customer_id"].tolist() == ["C1", "C2", "C9", "shop:C1"]
    assert {frozenset(p) for p in found.linked.proposals[["left_key", "right_key"]].values} == {frozenset(("C9", "C1"))}


@pytest.mark.slow
def test_decided_alone_makes_no_link_by_rule(tmp_path):
    found = staged(tmp_path, more="identity: {links: decided}")
    assert found.linked.links.empty and len(found.linked.proposals) == 4


def test_contradictions_stop_the_run(tmp_path):
    text = SAME + "different,,,,,crm,C2,shop,C1\n"
    with pytest.raises(
        Refused, match=r"params/acme/links.csv: row 3 says that crm C2 and shop C1 are two firms, but row 2"
    ):
        staged(tmp_path, decided=text)


@pytest.mark.slow
def test_delivered_links_are_taken(tmp_path):
    given = "source,source_key,customer_id,method,confidence,decided_by,valid_from,valid_to\n" + (
        "shop,C1,C2,mdm,0.9,MDM,2025-01-01,\nshop,0005,C2,mdm,0.9,MDM,2024-01-01,2024-12-31\n"
    )
    tables = TABLES + "  customer_links: [{name: mdm, path: links.csv}]\n"
    found = staged(tmp_path, more="identity: {links: decided}", files={**FILES, "links.csv": given}, tables=tables)
    assert frame(found, "order_lines").set_index("order_id")["customer_id"].to_dict()["S1"] == "C2"
    rows = frame(found, "customer_links").set_index(["source", "source_key"])
    assert rows.loc[("shop", "C1"), "method"] == "mdm" and ("shop", "0005") not in rows.index


@pytest.mark.slow
def test_parents_by_decision_by_file_and_in_a_circle(tmp_path):
    text = HEAD + "parent,Tanaka,,,,shop,C1,crm,C1\n"
    people = frame(staged(tmp_path / "a", decided=text), "customers").set_index("customer_id")
    assert people["parent_id"].dropna().to_dict() == {"C1": "shop:C1", "C2": "C1"}
    none = frame(staged(tmp_path / "b", more="identity: {parents: none}"), "customers")
    assert none["parent_id"].isna().all()
    ring = {**FILES, "crm.csv": CRM.replace("machines,\n", "machines,C9\n").replace("trade,\n", "trade,C2\n")}
    with pytest.raises(Refused, match=r"run in a circle of 3 customers \(C1 → C9 → C2 → C1\)"):
        staged(tmp_path / "c", more="", files=ring)


# --- the file ---------------------------------------------------------------------------------------------------------

TODAY = date(2025, 7, 3)


def test_the_file_keeps_decisions_and_takes_new_proposals(auto):
    text, counts = link_file.merged(SAME.replace(",2025-06-20,", ",,"), "links.csv", auto.linked.proposals, TODAY)
    assert counts == {"decided": 1, "waiting": 0, "more": 0}
    (kept,) = links.decisions(text, "links.csv")
    assert (kept.decision, kept.decided_by, kept.decided_on) == ("same", "Tanaka", TODAY)
    text, counts = link_file.merged("", "links.csv", auto.linked.proposals, TODAY)
    assert counts["waiting"] == 1 and not links.decisions(text, "links.csv")
    (row,) = links.read(text, "links.csv")
    assert (row["left_name"], row["amount_at_stake"], row["evidence"]) == ("株式会社みどり商事", "200", "position")
    again, counts = link_file.merged(text, "links.csv", auto.linked.proposals.iloc[:0], TODAY)
    assert counts["waiting"] == 0 and not links.read(again, "links.csv")  # nobody decided it, and it is no longer there


def test_most_valuable_first_and_what_is_left_out_is_counted(auto):
    one = auto.linked.proposals
    many = pd.concat([one.assign(right_key=str(i), amount_at_stake=Decimal(i)) for i in (5, 70, 6)])
    text, counts = link_file.merged("", "links.csv", many, TODAY, most=2)
    assert [r["right_key"] for r in links.read(text, "links.csv")] == ["70", "6"] and counts["more"] == 1


HOSTILE = ['=cmd|"/c calc"!A1', "+1", "-1", "@x", "＝1", "'quoted", "0005", "3-4", "a\tb\n"]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_cell_acts_and_no_key_is_lost(hostile):
    row = {"decision": "same", "left_source": "a", "left_key": hostile, "right_source": "b", "right_key": "1"}
    text = links.write([{**row, "left_name": hostile}])
    cells = dict(zip(links.COLUMNS, next(csv.reader(text.splitlines()[1:])), strict=True))
    assert not any(cell.startswith(tuple("=+-@＝")) for cell in cells.values())
    assert not any(cells[key][0].isdigit() for key in ("left_key", "right_key"))  # 0005 would turn into 5
    (kept,) = links.decisions(text, "links.csv")
    assert kept.left_key == hostile.replace("\t", " ").replace("\n", " ").strip() and kept.right_key == "1"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (HEAD + "sam,,,,,a,1,b,2\n", 'row 2: decision is "sam". Did you mean "same"'),
        (HEAD + "same,,2025-13-01,,,a,1,b,2\n", 'row 2: decided_on is "2025-13-01", which is no day'),
        (HEAD + "same,,,,,a,,b,2\n", "row 2: left_key is empty"),
        (HEAD + "same,,,,,a,1,b\n", "row 2: 8 columns, but the header has 9"),
        ("decision,left_source\n", 'no column "left_key" in the header'),
        (HEAD + 'same,"x,,,,a,1,b,2\n', "broken csv"),
        (HEAD + "different,,,,,a,1,a,1\n", "row 2: a 1 stands on both sides"),
    ],
)
def test_a_broken_file_is_refused_in_one_sentence(text, sentence):
    with pytest.raises(Refused, match=r"^links\.csv") as refused:
        links.decisions(text, "links.csv")
    assert sentence in str(refused.value)


# --- what people read -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_customer_page_can_say_what_a_customer_consists_of(tmp_path):
    found = staged(tmp_path, decided=SAME).linked.links
    shown = answers_links.consists_of(found, "C2", "en")
    assert shown["system"].tolist() == ["crm", "crm", "shop"] and shown["key"].tolist() == ["C2", "C9", "C1"]
    assert shown["decided by"].tolist()[1:] == ["rule", "Tanaka (20 Jun 2025)"] or "Tanaka" in shown["decided by"][2]
    assert answers_links.consists_of(found, "C2", "ja")["根拠"].tolist() == [
        "代表の登録", "登記上の社名と地域が一致", "担当者の判断"
    ]  # fmt: skip
    assert answers_links.consists_of(found, "nobody").empty


@pytest.mark.slow
def test_the_notebook_says_what_was_linked_and_what_waits(auto, tmp_path):
    said = answers_links.linked(auto)
    assert "2 records were joined to others, 2 customers" in said and "1 pair that may be one firm" in said
    assert "200" in said
    assert answers_links.waiting(auto)["evidence"].tolist() == ["legal form before and after"]
    assert "links is off" in answers_links.linked(staged(tmp_path, more=""))
    lost = staged(tmp_path, decided=HEAD + "same,,,,,crm,5,shop,C1\n")
    assert "1 decision in links.csv has no effect" in answers_links.linked(lost)


@pytest.mark.slow
def test_a_parent_that_is_no_customer_is_counted(tmp_path):
    files = {**FILES, "crm.csv": CRM.replace("machines,\n", "machines,Z1\n")}
    assert "The parent of 1 customer is in no customer list." in answers_links.linked(staged(tmp_path, "", files=files))
