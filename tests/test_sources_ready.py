"""Ready mappings: a few rows of each product's export, what is read of them, what is refused, what is unknown."""

from __future__ import annotations

import pytest

from ltvlab_utils.errors import Refused
from ltvlab_utils.params import resolve
from ltvlab_utils.sources import ready
from tests.sources_world import params, stage

ECCUBE = "注文番号,会員ID,会社名,対応状況(名称),受注日,注文詳細ID,商品コード,価格,個数,税率,明細区分(名称),発送日,備考"
SHOPIFY = (
    "Name,Email,Financial Status,Fulfilled at,Subtotal,Shipping,Taxes,Total,Discount Amount,Created at,"
    "Lineitem quantity,Lineitem name,Lineitem price,Lineitem sku,Billing Name,Billing Company,Cancelled at,"
    "Refunded Amount,Lineitem discount,Vendor"
)
SALES = "order_id customer_id kind status quantity net_amount"
TERMS = "contract_id term_no starts_on ends_on monthly_amount outcome outcome_on"

# name: (table, header and rows, columns, what is read in order of the table's keys, what is refused, unknown columns)
CASES = {
    "eccube4_orders": (
        "order_lines",
        f"{ECCUBE}\n"
        "A1,7,甲社,発送済み,2025-05-01 10:00:00,1,P1,1000,3,10,商品,2025-05-02,x\n"
        "A1,7,甲社,発送済み,2025-05-01 10:00:00,2,,660,1,10,送料,2025-05-02,x\n"
        "A1,7,甲社,発送済み,2025-05-01 10:00:00,3,,-110,1,10,割引,2025-05-02,x\n"
        "A1,7,甲社,発送済み,2025-05-01 10:00:00,4,,350,1,0,税,2025-05-02,x\n"
        "A2,7,甲社,返品,2025-05-02 10:00:00,5,P1,1000,1,10,商品,2025-05-02,x\n"
        "A3,7,甲社,返品,2025-05-03 10:00:00,6,P1,-1000,2,10,商品,2025-05-02,x\n"
        "A4,,乙社,発送済み,2025-05-04 10:00:00,7,P1,500,1,10,商品,,x\n"
        "A5,8,丙社,謎,2025-05-05 10:00:00,8,P1,500,1,10,商品,,x\n",
        SALES,
        [
            ["A1", "7", "sale", "confirmed", 3, 3000],
            ["A1", "7", "shipping", "confirmed", 1, 600],
            ["A1", "7", "fee", "confirmed", 1, -100],
            ["A1", "7", "fee", "confirmed", 1, 0],
            ["A2", "7", "sale", "cancelled", 1, 1000],
            ["A3", "7", "return", "confirmed", -2, -2000],
        ],
        [(8, "customer_id", "missing_customer", 500), (9, "status", "unknown_code", 500)],
        "会社名, 備考",
    ),
    "eccube4_members": (
        "customers",
        "会員ID,お名前(姓),会社名,会員ステータス(ID),登録日,購入金額\n"
        "7,山田,甲社,2,2024-01-05 09:00:00,100\n8,佐藤,,2,,0\n,鈴木,乙社,2,,0\n",
        "customer_id customer_name",
        [["7", "甲社"], ["8", "佐藤"]],
        [(4, "customer_id", "missing_customer", 0)],
        "会員ステータス(ID), 購入金額",
    ),
    "eccube2_orders": (
        "order_lines",
        "注文ID,会員ID,対応状況(名称),受注日,注文詳細ID,商品コード,価格,個数,税率,送料,値引き,郵便番号1\n"
        "1,7,発送済み,2025-05-01 10:00:00,1,P1,1000,2,10,550,110,060\n"
        "1,7,発送済み,2025-05-01 10:00:00,2,P2,300,1,10,550,110,060\n",
        SALES,
        [
            ["1", "7", "sale", "confirmed", 2, 2000],
            ["1", "7", "sale", "confirmed", 1, 300],
            ["1", "7", "shipping", "confirmed", 0, 500],
            ["1", "7", "fee", "confirmed", 0, -100],
        ],
        [],
        "郵便番号1",
    ),
    "shopify_orders": (
        "order_lines",
        f"{SHOPIFY}\n"
        "#1,a@x.jp,partially_refunded,2025-05-02 09:00:00 +0900,2500,500,300,3300,500,2025-05-31 23:30:00 +0900,2,"
        "Bolt,1000,B1,Yamada,甲社,,1100,0,V\n"
        "#1,a@x.jp,,,,,,,,,1,Nut,1000,N1,,,,,0,V\n"
        "#2,,voided,,100,0,10,110,0,2025-06-01 00:30:00 +0900,1,Nut,100,N1,,乙社,,0,0,V\n"
        "#3,b@x.jp,refunded,,100,0,10,110,0,2025-06-01 00:30:00 +0900,1,Nut,100,N1,,丙社,2025-06-02,110,0,V\n"
        "#4,,paid,,100,0,10,110,0,2025-06-01 00:30:00 +0900,1,Nut,100,N1,,,,0,0,V\n",
        SALES,
        [
            ["#1", "a@x.jp", "sale", "confirmed", 2, 2000],
            ["#1", "a@x.jp", "sale", "confirmed", 1, 1000],
            ["#1", "a@x.jp", "shipping", "confirmed", 0, 500],
            ["#1", "a@x.jp", "return", "confirmed", 0, -1000],
            ["#1", "a@x.jp", "fee", "confirmed", 0, -500],
            ["#2", "乙社", "sale", "cancelled", 1, 100],
            ["#3", "b@x.jp", "sale", "cancelled", 1, 100],
            ["#3", "b@x.jp", "return", "cancelled", 0, -100],
        ],
        [(6, "customer_id", "missing_customer", 100)],
        "Discount Amount, Billing Name, Vendor",
    ),
    "bcart_orders": (
        "order_lines",
        "受注番号,貴社独自会員ID,会社名,受注日時,対応状況,品番,数量,単価,送料,備考\n"
        "1,T01,甲社,2025/5/1 9:05,完了,P1,10,120.5,800,\n1,T01,甲社,2025/5/1 9:05,完了,P2,1,95,800,\n",
        SALES,
        [
            ["1", "T01", "sale", "confirmed", 10, 1205],
            ["1", "T01", "sale", "confirmed", 1, 95],
            ["1", "T01", "shipping", "confirmed", 0, 800],
        ],
        [],
        "備考",
    ),
    "makeshop_orders": (
        "order_lines",
        "日付,注文時間,注文番号,処理状況,会社名,注文者,商品合計金額\n2025/6/1,93309,M1,発送済,甲社,山田,1100\n"
        "2025/6/1,990000,M2,発送済,甲社,山田,1100\n",
        "order_id customer_id ordered_at net_amount",
        [["M1", "甲社", "2025-06-01 09:33:09", 1000]],
        [(3, "ordered_time", "not_a_date", 1000)],
        None,
    ),
    "woocommerce_orders": (
        "order_lines",
        "order_id,order_number,order_date,status,shipping_total,fee_total,tax_total,discount_total,order_total,"
        "order_subtotal,customer_email,payment_method\n"
        "9,1009,2025-05-01 10:00:00,completed,500,0,145,50,1595,1000,a@x.jp,bank\n"
        "10,1010,2025-05-02 10:00:00,on-hold,0,0,100,0,1100,1000,,bank\n",
        SALES,
        [
            ["1009", "a@x.jp", "sale", "confirmed", 1, 1000],
            ["1009", "a@x.jp", "shipping", "confirmed", 0, 500],
            ["1009", "a@x.jp", "fee", "confirmed", 0, -50],
        ],
        [(3, "customer_id", "missing_customer", 1000)],
        "tax_total, order_total, payment_method",
    ),
    "uriage_meisai": (
        "order_lines",
        "売上日,伝票No,得意先コード,得意先名,商品,数量,金額,担当者,区分\n"
        "令和7年5月1日,S1,T01,甲社,P1,2,\"1,200\",高橋,売上\n2025/5/2,S2,T01,甲社,P1,-1,▲600,高橋,売上\n"
        "2025/5/3,S3,T01,甲社,P1,1,600,高橋,返品\n2025/5/4,S4,T01,甲社,P1,1,50,高橋,値引\n5/4/2025,S5,T01,甲社,P1,1,50,高橋,売上\n",
        SALES,
        [
            ["S1", "T01", "sale", "confirmed", 2, 1200],
            ["S2", "T01", "return", "confirmed", -1, -600],
            ["S3", "T01", "return", "confirmed", -1, -600],
            ["S4", "T01", "fee", "confirmed", 1, -50],
        ],
        [(6, "ordered_at", "not_a_date", 50)],
        "得意先名",
    ),
    "keiyaku_ichiran": (
        "contract_terms",
        "契約番号,得意先コード,得意先名,サービス,期,契約開始日,契約終了日,請求周期,月額,結果,結果日,備考\n"
        "K1,T01,甲社,保守,1,R6.4.1,R7.3.31,年払い,\"50,000円\",更新,2025/3/31,x\n"
        "K1,T01,甲社,保守,2,R7.4.1,R8.3.31,年払い,50000,契約中,,x\n"
        "K2,T02,乙社,保守,1,2025/5/1,2025/4/1,月払い,100,契約中,,x\n",
        f"{TERMS} term_months billing",
        [
            ["K1", 1, "2024-04-01", "2025-03-31", 50000, "renewed", "2025-03-31", 12, "annual"],
            ["K1", 2, "2025-04-01", "2026-03-31", 50000, "open", None, 12, "annual"],
        ],
        [(4, "ends_on", "out_of_range", 100)],
        "備考",
    ),
    "salesforce_opportunities": (
        "deals",
        'Opportunity ID,Opportunity Name,Account Name,Stage,Amount,Close Date,Probability,Owner,Next Step\n'
        '6,Renewal,Acme,Negotiation,"$1,234,567",2025-05-31,75%,Sato,call\n7,New,Acme,Open,,2025-05-31,10%,Sato,\n',
        "deal_id customer_id stage amount probability",
        [["6", "Acme", "Negotiation", 1234567, 0.75]],
        [(3, "amount", "missing_value", 0)],
        "Next Step",
    ),
    "hubspot_deals": (
        "deals",
        "Record ID,Deal Name,Deal Stage,Amount,Deal owner,Close Date,Create Date,Last Activity Date\n"
        "1,New,Open,900.50,Sato,2025-06-30 10:00,2025-05-01 09:00,\n2,Idea,Open,,Sato,,2025-05-01 09:00,\n",
        "deal_id customer_id amount opened_on",
        [["1", None, 900.5, "2025-05-01"]],
        [],
        "Deal Name, Last Activity Date",
    ),
    "stripe_subscriptions": (
        "contract_terms",
        "id,Customer ID,Customer Name,Plan price ID,Plan Amount,Interval,Status,Start (UTC),Canceled At (UTC),"
        "Ended At (UTC)\n"
        "s1,c1,Acme,p1,120000,year,active,2024-03-31 20:00,,\n"
        "s2,c1,Acme,p2,1000,month,canceled,2025-01-31 00:00,2025-03-20 00:00,2025-03-31 00:00\n"
        "s3,c1,Acme,p2,1000,month,canceled,2025-05-10 00:00,2025-05-20 00:00,2025-05-20 00:00\n"
        "s4,c1,Acme,p2,1000,week,active,2025-05-10 00:00,,\n",
        TERMS,
        [
            ["s1", 1, "2024-04-01", "2025-03-31", 10000, "renewed", "2025-03-31"],
            ["s1", 2, "2025-04-01", "2026-03-31", 10000, "open", None],
            ["s2", 1, "2025-01-31", "2025-02-27", 1000, "renewed", "2025-02-27"],
            ["s2", 2, "2025-02-28", "2025-03-30", 1000, "churned", "2025-03-30"],
            ["s3", 1, "2025-05-10", "2025-06-09", 1000, "cancelled_early", "2025-05-20"],
        ],
        [(5, "interval", "unknown_code", 0)],
        "Customer Name, Status",
    ),
    "baremetrics_subscriptions": (
        "contract_terms",
        "plan_oid,plan_name,plan_amount,plan_interval,plan_interval_count,customer_oid,customer_name,subscription_oid,"
        "subscription_started_at,subscription_canceled_at,subscription_quantity\n"
        "p1,Pro,4900,month,3,c1,Acme,s1,2025-01-15,,2\n",
        TERMS,
        [
            ["s1", 1, "2025-01-15", "2025-04-14", 32.6667, "renewed", "2025-04-14"],
            ["s1", 2, "2025-04-15", "2025-07-14", 32.6667, "open", None],
        ],
        [],
        "plan_name, customer_name",
    ),
    "freee_deals": (
        "support_costs",
        "収支区分,管理番号,発生日,取引先,勘定科目,税区分,金額\n支出,1,2025-05-01,甲社,外注費,課対仕入,\"12,000\"\n"
        "収入,2,2025-05-01,甲社,売上高,課税売上,50000\n支出,3,2025-05-01,,旅費交通費,課対仕入,900\n",
        "customer_id cost_amount kind",
        [["甲社", 12000, "外注費"]],
        [],
        "管理番号, 税区分",
    ),
    "moneyforward_journal": (
        "support_costs",
        "取引No,取引日,借方勘定科目,借方取引先,借方金額(円),貸方勘定科目,貸方金額(円)\n1,2025/05/01,外注費,甲社,8000,未払金,8000\n"
        "2,2025/05/01,売掛金,甲社,50000,売上高,50000\n3,2025/05/02,外注費,甲社,約5,未払金,5\n",
        "customer_id cost_amount kind",
        [["甲社", 8000, "外注費"]],
        [(4, "cost_amount", "not_a_number", 0)],
        "取引No, 貸方勘定科目, 貸方金額(円)",
    ),
    "online_retail": (
        "order_lines",
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
        "536365,71053,LANTERN,6.0,2010-12-01 08:26:00,3.39,17850.0,UK\n"
        "C536379,D,Discount,-1.0,2010-12-01 09:41:00,27.5,14527.0,UK\n"
        "536414,22139,,56.0,2010-12-01 11:52:00,0.0,,UK\n",
        SALES,
        [["536365", "17850", "sale", "confirmed", 6, 20.34], ["C536379", "14527", "return", "confirmed", -1, -27.5]],
        [(4, "customer_id", "missing_customer", 0)],
        "Description, Country",
    ),
    "northwind": (
        "order_lines",
        "OrderID,CustomerID,EmployeeID,OrderDate,ShippedDate,Freight,OrderID,ProductID,UnitPrice,Quantity,Discount\n"
        "10250,HANAR,4,1996-07-08,1996-07-12,65.83,10250,51,42.4,35,0.15\n",
        f"{SALES} discount_amount",
        [["10250", "HANAR", "sale", "confirmed", 35, 1261.4, 222.6]],
        [],
        "Freight",
    ),
    "cdnow": (
        "order_lines",
        " 00004  1 19970101  2   29.33\n 00004  1 19970118  2   29.73\n",
        SALES,
        [["acme/f.csv", "1", "sale", "confirmed", 2, 29.33], ["acme/f.csv", "1", "sale", "confirmed", 2, 29.73]],
        [],
        "master_id",
    ),
}  # fmt: skip


def plain(value):
    """A staged value as the cases write it."""
    if value is None or value != value:
        return None
    if hasattr(value, "isoformat"):
        return value.isoformat(sep=" ").removesuffix(" 00:00:00") if hasattr(value, "hour") else value.isoformat()
    return value if isinstance(value, str) else round(float(value), 4)


def test_every_ready_mapping_has_its_case():
    assert ready.names() == sorted(CASES)


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_ready_mapping_reads_its_product(tmp_path, name):
    table, text, columns, wanted, refused, unknown = CASES[name]
    mapping, period = ready.read(name), "2011-01" if name == "online_retail" else "2025-06"
    main = f"  {table}: [{{name: it, path: f.csv, mapping: {name}}}]"
    orders = (
        "order_id,line_no,customer_id,ordered_at,status,quantity,net_amount,kind\nZ,1,z,1995-05-01,confirmed,1,1,sale\n"
    )
    needed = "" if table in ("order_lines", "contract_terms") else "\n  order_lines: [{path: o.csv}]"
    own_settings = {"currency": "USD"} if name == "baremetrics_subscriptions" else mapping.settings  # cents
    settings = "".join(f"{key}: {value}\n" for key, value in own_settings.items() if key in ("currency", "tax"))
    staged = stage(tmp_path, {"f.csv": text, "o.csv": orders}, main + needed, period, settings)
    keys = [
        c for c in ("order_id", "contract_id", "deal_id", "line_no", "term_no") if c in staged.tables[table].columns
    ]
    rows = staged.tables[table].order_by(keys or "customer_id").to_pandas()
    found = rows[columns.split()].astype(object)
    if name == "cdnow":
        found["order_id"] = "acme/f.csv"  # made from file and row
    if table == "customers" or table == "support_costs":
        found = found[rows["customer_id"] != "z"]
    assert [[plain(v) for v in row] for row in found.to_numpy().tolist()] == [
        [v if v is None or isinstance(v, str) else round(float(v), 4) for v in row] for row in wanted
    ]
    own = staged.rejected[staged.rejected["source"] == "it"].sort_values("row_no")
    assert own[["row_no", "column", "reason", "amount"]].to_records(index=False).tolist() == refused
    report = staged.report.set_index("source").loc["it"]
    assert plain(report["columns_unknown"]) == unknown
    assert report["rows_read"] == report["rows_accepted"] + report["rows_rejected"]
    header = text.split("\n", 1)[0].split(",")
    if not ready.keys_of(name, table).get("header"):
        assert ready.recognise(header)[0] == name
        lines = text.count("\n") - 1
        assert report["rows_read"] + report["rows_passed_over"] == lines


def test_the_title_and_notes_speak_both_languages():
    for name in ready.names():
        found = ready.read(name)
        for words in (found.title, found.notes):
            assert words.ja and words.en and words.ja != words.en, name


def test_customers_come_from_the_orders_that_name_them(tmp_path):
    text = "売上日,伝票No,得意先コード,得意先名,商品,数量,金額\n" + "".join(
        f"2025-05-0{i},S{i},{code},{name},P,1,5\n"
        for i, (code, name) in enumerate([("T1", "旧甲社"), ("T2", ""), ("T1", "甲社"), ("T1", ""), ("T3", "丙")], 1)
    )
    own = "customer_id,customer_name\nT3,株式会社丙\n"
    keys = "path: f.csv, mapping: uriage_meisai"
    tables = f"  order_lines: [{{{keys}}}]\n  customers: [{{{keys}}}, {{path: c.csv}}]"
    staged = stage(tmp_path, {"f.csv": text, "c.csv": own}, tables)
    names = staged.tables["customers"].to_pandas().set_index("customer_id")["customer_name"].to_dict()
    assert names == {"T1": "甲社", "T2": "T2", "T3": "株式会社丙"} and staged.rejected.empty


def test_own_keys_win_over_the_ready_ones():
    source = params(
        "  order_lines:\n    - {path: a.csv, mapping: eccube4_orders, columns: {customer_id: 会社名, status: 状態},"
        " values: {status: {済: confirmed}}, constants: {kind: sale}, returns: {positive: refused}}"
    ).settings.sources["order_lines"][0]
    assert source.columns["customer_id"] == "会社名" and source.columns["ordered_at"] == "受注日"
    assert "kind" not in source.columns and source.constants == {"kind": "sale"}
    assert source.values["status"] == {"済": "confirmed"} and "tax_rate" in source.values
    assert source.returns.positive == "refused" and source.returns.where == {"status": ["返品"]}
    # what the ready mapping names may be absent, what company.yaml names may not
    assert "shipped_on" in source.may_lack and "customer_id" not in source.may_lack


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("mapping: eccube4_order", 'no ready mapping is called "eccube4_order". Did you mean "eccube4_orders"?'),
        ("mapping: eccube4_members", "holds nothing for order_lines: it feeds customers"),
    ],
)
def test_a_wrong_ready_mapping_is_one_sentence(source, said):
    with pytest.raises(Refused, match=r"sources.order_lines\[1\]") as error:
        params(f"  order_lines: [{{path: a.csv, {source}}}]")
    assert said in str(error.value)


def test_a_mapping_that_nobody_reads_is_refused():
    with pytest.raises(Refused, match="is not known here"):
        resolve("acme", "2025-06", "sources: {order_lines: [{path: a.csv, mapping: eccube4_orders}]}")
