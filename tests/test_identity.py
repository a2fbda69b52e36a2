"""名寄せ as arithmetic: what two names or numbers have in common, which links are certain, which only proposed."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from ltvlab_utils import identity, sample
from ltvlab_utils.errors import Refused
from ltvlab_utils.identity import evidence, near
from ltvlab_utils.identity.names import normalise

NONE = pd.DataFrame(columns=["left_source", "left_key", "right_source", "right_key", "decision", "row"])
NUMBER, OTHER = "7000012050002", "8000012130001"  # 法人番号 of two ministries, from the National Tax Agency's site


def names(*texts: str) -> pd.DataFrame:
    return normalise(pd.Series(texts, dtype="object"))


def firms(*rows: dict) -> pd.DataFrame:
    """Records: name, then source (a, b, … where not given) and evidence."""
    frame = pd.DataFrame([{"source": chr(97 + i), "source_key": str(i), **row} for i, row in enumerate(rows)])
    return frame.assign(customer_id=frame["source"] + frame["source_key"])


def decided(*rows: tuple[str, str, str, str, str]) -> pd.DataFrame:
    return pd.DataFrame([(*r, f"row {i}") for i, r in enumerate(rows, 2)], columns=NONE.columns)


def sets(found: identity.Resolved) -> set[frozenset[str]]:
    """The links as sets of source and key."""
    keys = found.links["source"] + found.links["source_key"]
    return {frozenset(own) for _, own in keys.groupby(found.links["customer_id"])}


def proposed(found: identity.Resolved) -> dict[frozenset[str], str]:
    p = found.proposals
    ends = zip(p["left_source"] + p["left_key"], p["right_source"] + p["right_key"], p["evidence"], strict=True)
    return {frozenset((left, right)): words.split()[0] for left, right, words in ends}


# --- names ------------------------------------------------------------------------------------------------------------

BEFORE = [
    "株式会社青葉製作所", "㈱青葉製作所", "(株)青葉製作所", "（株）青葉製作所", "カ）青葉製作所", "ｶ)青葉製作所",
    "株式会社　青葉製作所", "株式会社 青葉 製作所", "㍿青葉製作所", "株式會社青葉製作所", "株式会社青葉製作所 御中",
]  # fmt: skip
AFTER = [
    "青葉製作所株式会社",
    "青葉製作所㈱",
    "青葉製作所（株）",
    "青葉製作所（カ",
    "青葉製作所(ｶ",
    "青葉製作所　株式会社",
]


@pytest.mark.parametrize("text", BEFORE)
def test_the_ways_to_write_a_form_before_the_name(text):
    assert names(text).iloc[0].tolist() == ["青葉製作所", "kk", "before", "", "青葉製作所"]


@pytest.mark.parametrize("text", AFTER)
def test_the_ways_to_write_a_form_after_the_name(text):
    assert names(text).iloc[0].tolist() == ["青葉製作所", "kk", "after", "", "青葉製作所"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("髙﨑渡邊齋藤澤", "高崎渡辺斎藤沢"), ("國際電氣", "国際電気"), ("ｱｵﾊﾞｼｽﾃﾑｽﾞ", "アオバシステムズ"),
        ("キャノン", "キヤノン"), ("スーパ－", "スーパー"), ("スーパ―", "スーパー"), ("ＡＯＢＡ", "aoba"),
        ("青葉商事第二", "青葉商事第2"), ("青葉・製作所", "青葉製作所"), ("𠮷野家", "吉野家"),
        ("葛\U000e0100城", "葛城"),
    ],
)  # fmt: skip
def test_other_typing_is_the_same_core(one, other):
    both = names(one, other)
    assert both["core"].nunique() == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("さくら印刷", "サクラ印刷"),
        ("龍生堂", "竜生堂"),
        ("斉藤", "斎藤"),
        ("ヴァイオリン", "バイオリン"),
        ("サーバー", "サーバ"),
    ],
)
def test_what_people_confuse_is_alike_but_not_the_same(one, other):
    both = names(one, other)
    assert both["core"].nunique() == 2 and both["loose"].nunique() == 1


@pytest.mark.parametrize(("one", "other"), [("青葉第2", "青葉第3"), ("光工業", "栄工業"), ("エノ木", "工ノ木")])
def test_other_firms_stay_apart(one, other):
    assert names(one, other)["loose"].nunique() == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Aoba Systems Co., Ltd.", ["AOBASYSTEMS", "co_ltd", ""]),
        ("AOBA SYSTEMS CO.,LTD", ["AOBASYSTEMS", "co_ltd", ""]),
        ("Aoba Inc", ["AOBA", "inc", ""]), ("Aoba K.K.", ["AOBA", "kk", ""]), ("K.K. Aoba", ["AOBA", "kk", ""]),
        ("有限会社青葉", ["青葉", "yk", "before"]), ("青葉合同会社", ["青葉", "gk", "after"]),
        ("青葉", ["青葉", "", ""]),
        ("医療法人社団青葉会", ["青葉会", "iryo", "before"]), ("株式会社", [None, "kk", ""]), ("", [None, "", ""]),
    ],
)  # fmt: skip
def test_legal_forms(text, expected):
    row = names(text).iloc[0]
    got = [None if pd.isna(row["core"]) else row["core"], row["form"], row["position"]]
    assert got == expected or (expected[0] is None and got[0] is None)


def test_branches_are_told_from_the_name():
    both = names("株式会社青葉製作所 大阪支店", "青葉製作所(株)大阪支店", "鈴木工場", "ｱｵﾊﾞ(ｶ)ｵｵｻｶｼﾃﾝ")
    assert both["core"].tolist() == ["青葉製作所", "青葉製作所", "鈴木工場", "アオバ"]
    assert both["branch"].tolist() == ["大阪支店", "大阪支店", "", "オオサカシテン"]


TEXT = st.text(
    st.sampled_from("株式会社有限(カ)（）㈱青葉髙﨑ｱﾊﾞーｰ-－ 　アァつさ龍第二2AaZ・&'=\u200b工場支店"), max_size=14
)


@settings(max_examples=25, derandomize=True, deadline=None)
@given(st.lists(TEXT, min_size=8, max_size=16))
def test_normalisation_is_idempotent_and_looks_at_each_name_alone(texts):
    once = names(*texts)
    pd.testing.assert_frame_equal(names(*texts[::-1]).iloc[::-1].reset_index(drop=True), once)
    # what is left, read again, is itself, unless it reads as a form or a branch (株式会社 株式会社青葉)
    plain = once[["core", "loose"]].dropna()
    again = names(*plain["core"], *plain["loose"])
    bare = again["form"].eq("") & again["branch"].eq("")
    n = len(plain)
    assert (again["core"][:n].to_numpy() == plain["core"].to_numpy())[bare[:n]].all()
    assert (again["loose"][:n].to_numpy() == plain["loose"].to_numpy())[bare[:n]].all()
    assert (again["loose"][n:].to_numpy() == plain["loose"].to_numpy())[bare[n:]].all()


# --- evidence ---------------------------------------------------------------------------------------------------------


def test_corporate_numbers_need_their_check_digit():
    typed = pd.Series(
        [NUMBER, "Ｔ７０００－０１２０－５０００２", f"{NUMBER}.0", "1000012050002", "12345", None, "9" + "0" * 12]
    )
    assert evidence.corporate_number(typed).tolist()[:3] == [NUMBER] * 3
    assert evidence.corporate_number(typed)[3:].isna().all()


def test_each_single_slip_in_a_corporate_number_but_nine_for_zero_is_seen():
    slips = [NUMBER[:i] + d + NUMBER[i + 1 :] for i in range(13) for d in "0123456789" if d != NUMBER[i]]
    passed = [s for s in slips if pd.notna(evidence.corporate_number(pd.Series([s]))[0])]
    # the check is modulo 9, and a doubled digit shifts by an even number: only 0 and 9 are one to it
    assert all({NUMBER[i], s[i]} == {"0", "9"} for s in passed for i in range(13) if s[i] != NUMBER[i])


def test_domains_of_everybody_say_nothing():
    mails = pd.Series(
        ["a@mail.aoba.co.jp", "https://www.aoba.co.jp/x", "aoba.co.jp", "a@gmail.com", "x@sub.ocn.ne.jp", "-"]
    )
    found = evidence.domain(mails)
    assert found[:3].tolist() == ["aoba.co.jp"] * 3 and found[3:].isna().all()


def test_addresses_and_telephones_in_other_typing():
    typed = pd.Series(["東京都港区芝一丁目２番３号 芝ビル4F", "〒105-0014 港区芝1-2-3", "港区芝１丁目２−３", "港区"])
    assert evidence.address(typed)[:3].tolist() == ["港区芝1-2-3"] * 3 and pd.isna(evidence.address(typed)[3])
    called = evidence.phone(pd.Series(["03-1234-5678", "+81 3 1234 5678", "０３（１２３４）５６７８", "123"]))
    assert called[:3].tolist() == ["0312345678"] * 3 and pd.isna(called[3])


def test_regions_are_compared_as_areas():
    assert evidence.area(pd.Series(["関東", "東京都", "神奈川県横浜市", "首都圏"])).tolist() == ["関東"] * 4


# --- certain links ----------------------------------------------------------------------------------------------------

A, B = "株式会社青葉製作所", "青葉製作所株式会社"


@pytest.mark.parametrize(
    ("one", "other", "method"),
    [
        (
            {"name": A, "corporate_number": NUMBER},
            {"name": "みどり商事㈱", "corporate_number": NUMBER},
            "corporate_number",
        ),
        ({"name": A, "region": "東京都"}, {"name": "㈱青葉製作所", "region": "関東"}, "name_region"),
        ({"name": A}, {"name": "カ）青葉製作所"}, "name"),
        ({"name": A, "domain": "a@aoba.co.jp"}, {"name": B, "domain": "b@aoba.co.jp"}, "name_domain"),
        ({"name": A, "phone": "03-1234-5678"}, {"name": "青葉製作所", "phone": "0312345678"}, "name_phone"),
        ({"name": A, "address": "港区芝1-2-3"}, {"name": B, "address": "東京都港区芝1丁目2番3号"}, "name_address"),
    ],
)
def test_certain_links(one, other, method):
    found = identity.resolve(firms(one, other), NONE)
    assert sets(found) == {frozenset({"a0", "b1"})} and found.links["method"].tolist() == ["own_key", method]
    assert found.links["customer_id"].tolist() == ["a0", "a0"] and found.proposals.empty


@pytest.mark.parametrize(
    ("one", "other", "why"),
    [
        ({"name": A}, {"name": B}, "position"),
        ({"name": A}, {"name": "青葉製作所"}, "form_missing"),
        ({"name": A}, {"name": "有限会社青葉製作所"}, "form_differs"),
        ({"name": A, "region": "東京都"}, {"name": A, "region": "大阪府"}, "same_name"),
        ({"name": A, "domain": "aoba.co.jp"}, {"name": A, "domain": "aoba-osaka.co.jp"}, "same_name"),
        ({"name": A}, {"name": "株式会社青葉製作所 大阪支店"}, "branch"),
        ({"name": A}, {"name": "株式会社青葉製作所大阪支店"}, "branch"),
        ({"name": "株式会社さくら印刷"}, {"name": "株式会社サクラ印刷"}, "spelling"),
        ({"name": "㈱アオバシステムズ"}, {"name": "㈱アオバシステム"}, "near_name"),
        ({"name": "㈱光"}, {"name": "㈱光"}, "same_name"),  # too short a name
        ({"name": "山田 太郎"}, {"name": "山田太郎"}, "same_name"),  # no legal form: perhaps persons
        ({"name": A, "source": "a"}, {"name": A, "source": "a"}, "same_name"),  # twice in one source, nothing else
        ({"name": A, "phone": "0312345678"}, {"name": "みどり商事㈱", "phone": "0312345678"}, "other_name"),
    ],
)  # fmt: skip
def test_doubtful_pairs_are_proposed_and_not_linked(one, other, why):
    found = identity.resolve(firms(one, other), NONE)
    assert found.links.empty and list(proposed(found).values()) == [why]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"name": A, "corporate_number": NUMBER}, {"name": A, "corporate_number": OTHER, "domain": "aoba.co.jp"}),
        ({"name": "青葉商事第2株式会社", "region": "関東"}, {"name": "青葉商事第3株式会社", "region": "関東"}),
        ({"name": "光工業㈱", "region": "関東"}, {"name": "栄工業㈱", "region": "関東"}),
        ({"name": A, "domain": "a@gmail.com"}, {"name": "みどり商事㈱", "domain": "b@gmail.com"}),
        ({"name": A, "address": "港区芝1-2-3"}, {"name": "みどり商事㈱", "address": "港区芝1-2-3"}),
        ({"name": None}, {"name": None}),
        ({"name": "株式会社"}, {"name": "㈱"}),
    ],
)  # fmt: skip
def test_other_firms_are_not_even_proposed(one, other):
    found = identity.resolve(firms(one, other), NONE)
    assert found.links.empty and found.proposals.empty


def test_a_record_that_fits_two_firms_of_one_name_is_linked_to_neither():
    """Homonyms by 法人番号 and by region; the third record has neither."""
    by_number = firms({"name": A, "corporate_number": NUMBER}, {"name": A, "corporate_number": OTHER}, {"name": A})
    by_region = firms({"name": A, "region": "東京都"}, {"name": A, "region": "大阪府"}, {"name": A})
    for rows in (by_number, by_region):
        found = identity.resolve(rows, NONE)
        assert found.links.empty
        assert {frozenset({"a0", "c2"}), frozenset({"b1", "c2"})} <= set(proposed(found))


def test_links_never_join_two_corporate_numbers():
    """a and b by domain, b and c by telephone, but a and c have other numbers."""
    rows = firms(
        {"name": A, "corporate_number": NUMBER, "domain": "aoba.co.jp"},
        {"name": A, "domain": "aoba.co.jp", "phone": "0312345678"},
        {"name": A, "corporate_number": OTHER, "phone": "0312345678"},
    )
    assert identity.resolve(rows, NONE).links.empty


def test_a_domain_of_many_names_is_a_provider():
    rows = [
        {"name": f"株式会社{c}青葉製作所", "domain": "shared.example.com"}
        for c in "東西南北春夏秋冬山川海空雲雨雪風火水木金土日"
    ]
    assert identity.resolve(firms(*rows), NONE).proposals.empty


def test_without_rules_certain_pairs_wait_for_a_person():
    rows = firms({"name": A, "corporate_number": NUMBER}, {"name": "みどり商事㈱", "corporate_number": NUMBER})
    found = identity.resolve(rows, NONE, rules=False)
    assert found.links.empty and len(found.proposals) == 1 and "number" in found.proposals["evidence"][0]


def test_families_are_proposed_when_asked():
    rows = firms({"name": "青葉ホールディングス㈱"}, {"name": "青葉商事㈱"}, {"name": "青葉商事第2㈱"})
    assert identity.resolve(rows, NONE).proposals.empty
    found = identity.resolve(rows, NONE, families=True).proposals
    assert set(found["relation"]) == {"group"} and len(found) == 3


# --- persons ----------------------------------------------------------------------------------------------------------


def test_a_person_links_and_tells_apart():
    rows = firms({"name": A}, {"name": B}, {"name": A})
    same = identity.resolve(rows, decided(("a", "0", "b", "1", "same")))
    assert sets(same) == {frozenset({"a0", "b1", "c2"})} and set(same.links["method"]) == {"own_key", "person", "name"}
    apart = identity.resolve(rows, decided(("a", "0", "c", "2", "different")))
    assert apart.links.empty and frozenset({"a0", "c2"}) not in proposed(apart)


def test_a_person_is_heard_before_a_corporate_number():
    rows = firms({"name": A, "corporate_number": NUMBER}, {"name": A, "corporate_number": NUMBER})
    assert identity.resolve(rows, decided(("a", "0", "b", "1", "different"))).links.empty


def test_decisions_about_records_that_are_not_there_are_named():
    found = identity.resolve(firms({"name": A}), decided(("a", "0", "z", "9", "same")))
    assert found.unknown == [0] and found.links.empty


def test_contradictions_are_refused_with_their_rows():
    rows = decided(
        ("a", "0", "b", "1", "same"), ("x", "5", "y", "6", "same"), ("b", "1", "c", "2", "same"),
        ("a", "0", "c", "2", "different"),
    )  # fmt: skip
    with pytest.raises(Refused, match=r"row 5 says that a 0 and c 2 are two firms, but row 2 and row 4 make them one"):
        identity.check_decisions(rows, "links.csv")
    identity.check_decisions(rows.iloc[:3], "links.csv")


def test_parents_in_a_circle_are_refused_by_name():
    ring = pd.DataFrame({"customer_id": ["a", "b", "c", "d", "e"], "parent_id": ["b", "c", "b", "a", "e"]})
    with pytest.raises(Refused, match=r"circle of 2 customers \(b → c → b\)"):
        identity.check_parents(ring, "acme")
    identity.check_parents(ring.assign(parent_id=["b", "c", "z", "a", "e"]), "acme")  # one's own parent is no circle


# --- properties -------------------------------------------------------------------------------------------------------

POOL = st.fixed_dictionaries({
    "name": st.sampled_from([A, B, "㈱青葉製作所", "青葉製作所", "有限会社青葉製作所", "みどり商事㈱", None]),
    "source": st.sampled_from(["crm", "shop", "accounting"]),
    "corporate_number": st.sampled_from([None, None, NUMBER, OTHER]),
    "region": st.sampled_from([None, "東京都", "大阪府"]),
    "domain": st.sampled_from([None, "aoba.co.jp", "midori.co.jp"]),
    "phone": st.sampled_from([None, "0312345678"]),
})  # fmt: skip


@settings(max_examples=12, derandomize=True, deadline=None)
@given(st.lists(POOL, min_size=2, max_size=8), st.randoms(use_true_random=False))
@pytest.mark.slow
def test_order_does_not_matter_strangers_change_nothing_and_numbers_stay_apart(rows, random):
    records = firms(*rows)
    found = identity.resolve(records, NONE)
    shuffled = records.iloc[random.sample(range(len(records)), len(records))]
    again = identity.resolve(shuffled, NONE)
    pd.testing.assert_frame_equal(found.links, again.links)
    pd.testing.assert_frame_equal(found.proposals, again.proposals)

    stranger = {"source": "crm", "source_key": "x", "customer_id": "x", "name": "株式会社遠山牧場", "region": "北海道"}
    more = identity.resolve(pd.concat([records, pd.DataFrame([stranger])]), NONE)
    pd.testing.assert_frame_equal(found.links, more.links)
    pd.testing.assert_frame_equal(found.proposals, more.proposals)

    # an equivalence: each record in one set, all of a set under one customer, two numbers never in one set
    assert not found.links.duplicated(["source", "source_key"]).any()
    numbers = records.set_index(["source", "source_key"])["corporate_number"]
    own = found.links.join(numbers, on=["source", "source_key"]).groupby("customer_id")["corporate_number"].nunique()
    assert (own <= 1).all()
    pairs = found.proposals
    of = found.links.set_index(["source", "source_key"])["customer_id"]
    for row in pairs.itertuples():
        left, right = (of.get(k) for k in ((row.left_source, row.left_key), (row.right_source, row.right_key)))
        assert left is None or left != right  # what is linked is not proposed again


def test_slips_are_found_as_comparing_all_pairs_would_find_them():
    rng = np.random.default_rng(3)
    made = {"".join(rng.choice(list("アイウA青"), rng.integers(5, 8))) for _ in range(60)}
    distinct = pd.Series(sorted(made))
    found = {tuple(r) for r in near.slips(distinct).to_numpy()}
    from rapidfuzz.distance import OSA

    every = {
        (i, j)
        for i in range(len(distinct)) for j in range(i + 1, len(distinct))
        if OSA.distance(distinct[i], distinct[j]) == 1 and not _kanji_differs(distinct[i], distinct[j])
    }  # fmt: skip
    assert found == every and found


def _kanji_differs(one: str, other: str) -> bool:
    return one.count("青") != other.count("青")


# --- the generated company --------------------------------------------------------------------------------------------


def records_of(company: sample.Company) -> tuple[pd.DataFrame, pd.Series]:
    """Records of CRM, shop, accounting and old list, and the true customer of each."""
    crm = company.frames["customers"]
    parts = [
        crm.assign(source="crm", source_key=crm["customer_id"], name=crm["customer_name"], rank=0),
        *(
            table.assign(source=source, source_key=table["key"], customer_id=source + table["key"], rank=i)
            for i, (source, table) in enumerate(company.other.items(), 1)
        ),
    ]
    columns = ["source", "source_key", "customer_id", "name", "region", "corporate_number", "rank"]
    records = pd.concat(parts, ignore_index=True)[columns]
    twice = company.faults[company.faults["kind"] == "entered_twice"].set_index("key")["customer_id"]
    own = crm["customer_id"].map(twice).fillna(crm["customer_id"])
    truth = pd.concat(
        [company.links.set_index(["source", "source_key"])["customer_id"],
         own.set_axis(pd.MultiIndex.from_arrays([["crm"] * len(crm), crm["customer_id"]]))]
    )  # fmt: skip
    return records, truth


def graded(records: pd.DataFrame, truth: pd.Series) -> tuple[int, float]:
    """Wrong pairs among certain links, and the share of true pairs that are linked or proposed."""
    found = identity.resolve(records, NONE)
    wrong = _pairs(found, truth, right=False)
    p = found.proposals
    sides = [
        truth.reindex(pd.MultiIndex.from_frame(p[[f"{s}_source", f"{s}_key"]])).to_numpy() for s in ("left", "right")
    ]
    said = p[sides[0] == sides[1]].assign(decision="same", row="")[NONE.columns].reset_index(drop=True)
    size = truth.groupby(truth).size()
    confirmed = identity.resolve(records, said)
    return wrong, _pairs(confirmed, truth, right=True) / int((size * (size - 1) // 2).sum())


def _pairs(found: identity.Resolved, truth: pd.Series, right: bool) -> int:
    true = truth.reindex(pd.MultiIndex.from_frame(found.links[["source", "source_key"]])).to_numpy()
    every = found.links.groupby("customer_id").size()
    good = found.links.groupby(["customer_id", true]).size()
    n = int((good * (good - 1) // 2).sum())
    return n if right else int((every * (every - 1) // 2).sum()) - n


@pytest.mark.parametrize("without", [[], ["region"], ["corporate_number"], ["region", "corporate_number"]])
@pytest.mark.parametrize(("seed", "customers"), [(1, 300), (7, 1200)])
def test_planted_variants(seed, customers, without):
    company = sample.generate(sample.Setting(seed=seed, customers=customers, months=12, last_period="2025-06"))
    records, truth = records_of(company)
    wrong, recall = graded(records.drop(columns=without), truth)
    assert wrong == 0 and recall >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
def test_planted_variants_of_many_customers(seed):
    company = sample.generate(sample.Setting(seed=seed, customers=10_000, months=12, last_period="2025-06"))
    wrong, recall = graded(*records_of(company))
    assert wrong == 0 and recall >= 0.95
