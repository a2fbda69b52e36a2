"""Orders and customers as two shop systems export them: EC-CUBE 4 (受注CSV, 会員CSV) and Shopify (orders export).

Headers, codes and rules are facts of those systems: EC-CUBE 4's master data (mtb_order_status, mtb_order_item_type),
its tax rules (goods are priced without tax, 送料 and 手数料 with it, tax rounded half up) and its csv settings;
Shopify's orders export of 2025.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ltvlab_utils.errors import Refused
from ltvlab_utils.tables import CONTRACTS

ECCUBE_ORDER = """
注文ID 注文番号 会員ID お名前(姓) お名前(名) お名前(セイ) お名前(メイ) 会社名 郵便番号 都道府県(ID) 都道府県(名称)
住所1 住所2 メールアドレス TEL 性別(ID) 性別(名称) 職業(ID) 職業(名称) 誕生日 ショップ用メモ欄 小計 値引き 送料 税金
合計 支払合計 対応状況(ID) 対応状況(名称) 支払方法(ID) 支払方法(名称) 受注日 入金日 注文詳細ID 商品ID 商品規格ID
商品名 商品コード 規格名1 規格名2 規格分類名1 規格分類名2 価格 個数 税率 税率ルール(ID) 明細区分(ID) 明細区分(名称)
出荷ID 配送先_お名前(姓) 配送先_お名前(名) 配送先_お名前(セイ) 配送先_お名前(メイ) 配送先_会社名 配送先_郵便番号
配送先_都道府県(ID) 配送先_都道府県(名称) 配送先_住所1 配送先_住所2 配送先_TEL 配送業者(ID) 配送業者(名称)
お届け時間ID お届け時間(名称) お届け希望日 送料 発送日 出荷伝票番号 配達用メモ 出荷メール送信日
"""
ECCUBE_CUSTOMER = """
会員ID お名前(姓) お名前(名) お名前(セイ) お名前(メイ) 会社名 郵便番号 都道府県(ID) 都道府県(名称) 住所1 住所2
メールアドレス TEL 性別(ID) 性別(名称) 職業(ID) 職業(名称) 誕生日 初回購入日 最終購入日 購入回数 ショップ用メモ欄
会員ステータス(ID) 会員ステータス(名称) 登録日 更新日 ポイント 購入金額
"""
SHOPIFY_ORDER = (
    "Name,Email,Financial Status,Paid at,Fulfillment Status,Fulfilled at,Accepts Marketing,Currency,Subtotal,Shipping,"
    "Taxes,Total,Discount Code,Discount Amount,Shipping Method,Created at,Lineitem quantity,Lineitem name,"
    "Lineitem price,Lineitem compare at price,Lineitem sku,Lineitem requires shipping,Lineitem taxable,"
    "Lineitem fulfillment status,Billing Name,Billing Street,Billing Address1,Billing Address2,Billing Company,"
    "Billing City,Billing Zip,Billing Province,Billing Country,Billing Phone,Shipping Name,Shipping Street,"
    "Shipping Address1,Shipping Address2,Shipping Company,Shipping City,Shipping Zip,Shipping Province,"
    "Shipping Country,Shipping Phone,Notes,Payment Method,Payment Reference,Refunded Amount,Vendor,Outstanding Balance,"
    "Id,Tags,Risk Level,Source,Lineitem discount,Billing Province Name,Shipping Province Name,Payment ID,"
    "Payment Terms Name,Next Payment Due At,Payment References"
)
ORDER_STATUS = {"新規受付": 1, "注文取消し": 3, "発送済み": 5, "返品": 9}
ITEM_TYPE = {"sale": (1, "商品"), "return": (1, "商品"), "shipping": (2, "送料"), "fee": (3, "手数料")}
USUAL_TAX = 0.1
MISSING = "〓"
# characters that Windows writes as their twin where JIS has one
TWINS = str.maketrans("〜−‖—¢£¬¥‾", "～－∥―￠￡￢￥￣")


@dataclass(frozen=True)
class Export:
    """Files by name; characters written as 〓; order lines without a place in the form and their amount (yen)."""

    files: dict[str, bytes]
    replaced: int = 0
    left_out: int = 0
    left_out_amount: int = 0


def csv_text(frame: pd.DataFrame, header: list[str] | None = None) -> str:
    """The frame as csv (RFC 4180, CRLF), under other names where given."""
    return frame.to_csv(index=False, header=header or True, lineterminator="\r\n")


# --- what both have in common -----------------------------------------------------------------------------------------


def checked_lines(frames: Mapping[str, pd.DataFrame], system: str) -> pd.DataFrame:
    """Order lines with the lines of an order together, orders as they first appear: every column of the contract, net
    (whole yen), pct (tax rate, 10 where unknown), tax (yen of the line, half up), order (0, 1, …), item (its name)."""
    contract = CONTRACTS["order_lines"]
    if "order_lines" not in frames:
        raise Refused(f"order_lines is missing: {system} exports orders.")
    given = frames["order_lines"]
    if missing := [c.name for c in contract.columns if not c.optional and c.name not in given]:
        raise Refused(f"order_lines has no column {', '.join(missing)}, which {system} needs.")
    lines = given.reindex(columns=contract.names).reset_index(drop=True)
    net = pd.to_numeric(lines["net_amount"], errors="coerce")
    _refuse(lines, "net_amount", net.isna() | (net % 1 != 0), f"{system} holds whole yen")
    when = {c: pd.to_datetime(lines[c], errors="coerce", format="ISO8601") for c in ("ordered_at", "shipped_on")}
    _refuse(lines, "ordered_at", when["ordered_at"].isna(), "not a time")
    _refuse(lines, "shipped_on", lines["shipped_on"].notna() & when["shipped_on"].isna(), "not a day")
    for name in ("status", "kind"):
        _refuse(lines, name, ~lines[name].isin(contract.column[name].values), "not a code of the contract")
    _refuse(lines, "order_id", lines["order_id"].isna(), "every line needs its order")
    net, pct = net.astype("int64"), (pd.to_numeric(lines["tax_rate"]).fillna(USUAL_TAX) * 100).round().astype("int64")
    products = frames.get("products", pd.DataFrame(columns=["product_id", "name"])).drop_duplicates("product_id")
    names = lines["product_id"].map(products.set_index("product_id")["name"])
    of_kind = lines["kind"].map({k: name for k, (_, name) in ITEM_TYPE.items()})
    lines = lines.assign(
        **when,
        net=net,
        pct=pct,
        tax=np.sign(net) * ((net.abs() * pct * 2 + 100) // 200),
        order=pd.factorize(lines["order_id"])[0],
        item=names.astype(object).fillna(lines["product_id"]).fillna(lines["category"]).fillna(of_kind),
    )
    return lines.sort_values("order", kind="stable", ignore_index=True)


def _refuse(lines: pd.DataFrame, column: str, bad: pd.Series, why: str) -> None:
    if bad.any():
        row = lines[bad].iloc[0]
        raise Refused(
            f"order_lines, order {row['order_id']}, line {row['line_no']}: {column} is {row[column]}: {why}. "
            f"{int(bad.sum()):,} lines are so: take them out, or write csv."
        )


def people_of(frames: Mapping[str, pd.DataFrame], lines: pd.DataFrame) -> pd.DataFrame:
    """Customers of the list and of the orders by customer_id: customer_name (the id where unknown), acquired_on, and of
    the first contact name, email, postal_code, address, each null where unknown."""
    ids = pd.Index(pd.unique(lines["customer_id"].dropna()), name="customer_id")
    if "customers" in frames:
        listed = (
            frames["customers"].dropna(subset="customer_id").drop_duplicates("customer_id").set_index("customer_id")
        )
        people = listed.reindex(columns=["customer_name", "acquired_on"])
        people = people.reindex(people.index.append(ids.difference(people.index)))
    else:
        people = pd.DataFrame(index=ids, columns=["customer_name", "acquired_on"], dtype=object)
    columns = ["name", "email", "postal_code", "address"]
    contacts = frames.get("contacts", pd.DataFrame(columns=["customer_id"]))
    first = contacts.drop_duplicates("customer_id").set_index("customer_id").reindex(columns=columns)
    people = people.join(first.astype(object))
    people["customer_name"] = people["customer_name"].fillna(pd.Series(people.index, people.index))
    return people


def _text(moments: pd.Series, form: str) -> pd.Series:
    return pd.to_datetime(moments).dt.strftime(form)


# --- EC-CUBE 4 --------------------------------------------------------------------------------------------------------


def eccube(frames: Mapping[str, pd.DataFrame]) -> Export:
    """order.csv (one row an order line) and customer.csv (one row a member) of EC-CUBE 4: cp932, CRLF, real headers.

    Amounts: 価格 of goods is without tax and 税率 a percentage; 価格 of 送料 and 手数料, and 小計, 送料, 合計, 支払合計
    of the order (repeated on each of its lines), are with tax, rounded half up a line. 価格 is that of a unit after
    discount where the amount divides by the quantity; else the line is sold as one lot (個数 1) with its quantity as
    規格 入数, so no yen is lost to a unit price. What was discounted is not shown. 対応状況: 発送済み confirmed,
    新規受付 backlog, 注文取消し cancelled. A return is an order of its own in state 返品 with negative 価格 and 小計,
    the order that it reduces in ショップ用メモ欄; a cancelled return is 注文取消し. 会員ID is the customer_id, empty
    for guests; 注文詳細ID counts through the file; 会社名 the customer, お名前, メールアドレス, 郵便番号, 住所1 its
    first contact. 購入回数 and 購入金額 leave 注文取消し and 返品 out.

    cp932 lacks many characters (𠮷, emoji): each is written as 〓 and counted in `replaced`; 〜 − ― and their like are
    written as their Windows twins. Codes are never changed: Refused where cp932 cannot hold one.
    """
    lines = checked_lines(frames, "EC-CUBE")
    people = people_of(frames, lines)
    for column in ("order_id", "customer_id", "product_id", "returns_order_id"):
        _refuse_codes(lines[column], f"order_lines.{column}")
    _refuse_codes(people.index.to_series(), "customers.customer_id")
    state = lines["status"].map({"confirmed": "発送済み", "backlog": "新規受付", "cancelled": "注文取消し"})
    state = state.mask((lines["kind"] == "return") & (lines["status"] != "cancelled"), "返品")
    lines = lines.assign(state=state, gross=lines["net"] + lines["tax"])
    goods, shipping = lines["kind"].isin(["sale", "return"]), lines["kind"] == "shipping"
    lines["total"] = _per_order(lines, lines["gross"])
    code, code_name = (lines["kind"].map({k: v[i] for k, v in ITEM_TYPE.items()}) for i in (0, 1))
    units, price = _units(lines)
    product = (pd.factorize(lines["product_id"])[0] + 1).astype("int64")
    member = people.reindex(lines["customer_id"]).set_axis(lines.index)
    address = _eccube_address(member)
    cells = {
        **address,
        **{f"配送先_{k}": v for k, v in address.items() if k != "メールアドレス"},
        "注文ID": lines["order"] + 1,
        "注文番号": lines["order_id"],
        "会員ID": lines["customer_id"],
        "ショップ用メモ欄": lines["returns_order_id"],
        "小計": _per_order(lines, lines["gross"].where(goods, 0)),
        "値引き": 0,
        "送料": _per_order(lines, lines["gross"].where(shipping, 0)),
        "税金": _per_order(lines, lines["tax"]),
        "合計": lines["total"],
        "支払合計": lines["total"],
        "対応状況(ID)": state.map(ORDER_STATUS),
        "対応状況(名称)": state,
        "支払方法(ID)": 3,
        "支払方法(名称)": "銀行振込",
        "受注日": _text(lines["ordered_at"], "%Y-%m-%d %H:%M:%S"),
        "注文詳細ID": np.arange(1, len(lines) + 1),
        "商品ID": pd.Series(product).where(product > 0).astype("Int64"),
        "商品規格ID": pd.Series(product).where(product > 0).astype("Int64"),
        "商品名": lines["item"],
        "商品コード": lines["product_id"],
        "規格名1": "入数",
        "規格分類名1": (pd.to_numeric(lines["quantity"]) / units).map("{:.15g}".format, na_action="ignore"),
        "価格": price.where(goods, lines["gross"]),
        "個数": units.where(goods, 1),
        "税率": lines["pct"],
        "明細区分(ID)": code,
        "明細区分(名称)": code_name,
        "出荷ID": lines["order"] + 1,
        "発送日": _text(lines["shipped_on"], "%Y-%m-%d %H:%M:%S"),
    }
    # 送料 stands twice in the header: the second one is that of the shipment
    header = ECCUBE_ORDER.split()
    keys = [f"{n} 出荷" if n in header[:i] else n for i, n in enumerate(header)]
    cells["送料 出荷"] = cells["送料"]
    orders, lost = _cp932(csv_text(_table(cells, lines.index, keys), header))
    members, lost_too = _cp932(csv_text(_members(people, lines)))
    return Export({"order.csv": orders, "customer.csv": members}, replaced=lost + lost_too)


def _units(lines: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Units of a line and the price of one, whole yen; one lot where the amount does not divide by the quantity."""
    quantity = pd.to_numeric(lines["quantity"]).astype("float64").abs()
    whole = quantity.where((quantity >= 1) & (quantity % 1 == 0), 1).astype("int64")
    units = whole.where(lines["net"] % whole == 0, 1)
    return units, lines["net"] // units


def _members(people: pd.DataFrame, lines: pd.DataFrame) -> pd.DataFrame:
    counted = lines[lines["state"].isin(["新規受付", "発送済み"])].drop_duplicates("order")
    bought = counted.groupby("customer_id").agg(
        first=("ordered_at", "min"), last=("ordered_at", "max"), orders=("order", "size"), total=("total", "sum")
    )
    bought = bought.reindex(people.index)
    cells = {
        **_eccube_address(people),
        "会員ID": people.index,
        "初回購入日": _text(bought["first"], "%Y-%m-%d %H:%M:%S"),
        "最終購入日": _text(bought["last"], "%Y-%m-%d %H:%M:%S"),
        "購入回数": bought["orders"].fillna(0).astype("int64"),
        "会員ステータス(ID)": 2,
        "会員ステータス(名称)": "本会員",
        "登録日": _text(people["acquired_on"], "%Y-%m-%d %H:%M:%S"),
        "更新日": _text(bought["last"], "%Y-%m-%d %H:%M:%S"),
        "ポイント": 0,
        "購入金額": bought["total"].fillna(0).astype("int64"),
    }
    return _table(cells, people.index, ECCUBE_CUSTOMER.split())


def _eccube_address(people: pd.DataFrame) -> dict[str, pd.Series]:
    name = people["name"].astype("string").str.split(r"[ 　]", n=1, regex=True)
    return {
        "お名前(姓)": name.str[0], "お名前(名)": name.str[1], "会社名": people["customer_name"],
        "郵便番号": people["postal_code"], "住所1": people["address"], "メールアドレス": people["email"],
    }  # fmt: skip


def _per_order(lines: pd.DataFrame, values: pd.Series) -> pd.Series:
    return values.groupby(lines["order"]).transform("sum")


def _table(cells: Mapping[str, object], index: pd.Index, columns) -> pd.DataFrame:
    return pd.DataFrame(dict(cells), index=index).reindex(columns=list(columns))


def _lacking(text: str) -> set[str]:
    """Characters that cp932 cannot give back."""
    return {c for c in set(text) if c.encode("cp932", "ignore").decode("cp932") != c}


def _refuse_codes(codes: pd.Series, where: str) -> None:
    known = pd.Series(pd.unique(codes.dropna()), dtype=object).astype(str)
    if lacking := _lacking("".join(known)):
        code = known[known.map(lambda k: not lacking.isdisjoint(k))].iloc[0]
        raise Refused(f"{where} is {code}, which cp932 cannot hold: two codes could become one. Write csv instead.")


def _cp932(text: str) -> tuple[bytes, int]:
    """The text in cp932, and how many characters became 〓."""
    text = text.translate(TWINS)
    lacking = _lacking(text)
    lost = sum(text.count(c) for c in lacking)
    return text.translate({ord(c): MISSING for c in lacking}).encode("cp932"), lost


# --- Shopify ----------------------------------------------------------------------------------------------------------


def shopify(frames: Mapping[str, pd.DataFrame]) -> Export:
    """orders_export.csv of Shopify (header of 2025): UTF-8, one row a line item; the first row of an order carries the
    order's fields, further rows only Name, Email and their Lineitem columns.

    Amounts are whole yen (JPY), without tax except Total and Refunded Amount. Lineitem price is per unit, rounded up to
    whole yen; Lineitem discount is what was discounted and that rounding, so that the sum of price x quantity less
    discount is the order's Subtotal to the yen. A quantity that is no positive whole number is written as one lot. Name
    is the order_id, Tags the customer_id (empty for guests), Billing Company the customer, Email its first contact's.
    Financial Status: paid, partially_refunded or refunded; voided (cancelled); pending (backlog). A line of kind
    shipping is the order's Shipping where the order has other lines, a fee is a line item.

    A return is no row: it is Refunded Amount, with tax, of the order named in returns_order_id (its own order where
    null), so its day and lines are lost, as in Shopify. A return whose order is not among the sales has no place and
    is counted in `left_out`. Raises Refused for an order whose lines differ in customer, time or status.
    """
    lines = checked_lines(frames, "Shopify")
    is_return = lines["kind"] == "return"
    home = lines["returns_order_id"].astype(object).where(lines["returns_order_id"].notna(), lines["order_id"])
    refunded = is_return & home.isin(lines.loc[~is_return, "order_id"])
    back = -(lines["net"] + lines["tax"])[refunded].groupby(home[refunded]).sum()
    left = lines.loc[is_return & ~refunded, "net"]
    lines = lines[~is_return].reset_index(drop=True)
    _refuse_mixed(lines)
    items = _items(lines)
    people = people_of(frames, lines).reindex(items["customer_id"]).set_axis(items.index)
    cells = _item_cells(items) | {"Name": items["order_id"], "Email": people["email"]}
    order = pd.DataFrame(_order_cells(items, people, items["order_id"].map(back).fillna(0).astype("int64")))
    first = ~items["order"].duplicated()
    cells |= {name: column.astype(object).where(first) for name, column in order.items()}
    data = csv_text(_table(cells, items.index, SHOPIFY_ORDER.split(","))).encode("utf-8")
    return Export({"orders_export.csv": data}, left_out=len(left), left_out_amount=int(left.sum()))


def _refuse_mixed(lines: pd.DataFrame) -> None:
    columns = ["customer_id", "ordered_at", "status"]
    many = lines.groupby("order_id", sort=False)[columns].nunique(dropna=False).gt(1)
    for column in columns:
        if many[column].any():
            raise Refused(
                f"order_lines, order {many.index[many[column]][0]}: its lines differ in {column}, but Shopify has one "
                "for the order: split the order, or write csv."
            )


def _items(lines: pd.DataFrame) -> pd.DataFrame:
    """The lines that are line items, with quantity, price, discount, and of the order subtotal, shipping, taxes."""
    alone = (lines["kind"] == "shipping").groupby(lines["order"]).transform("all")
    carriage = (lines["kind"] == "shipping") & ~alone
    amounts = {
        "subtotal": _per_order(lines, lines["net"].where(~carriage, 0)),
        "shipping": _per_order(lines, lines["net"].where(carriage, 0)),
        "taxes": _per_order(lines, lines["tax"]),
        "shipped": lines.groupby("order")["shipped_on"].transform("max"),
    }
    items = lines.assign(**amounts)[~carriage].reset_index(drop=True)
    quantity = pd.to_numeric(items["quantity"]).astype("float64")
    quantity = quantity.where((quantity > 0) & (quantity % 1 == 0), 1).astype("int64")
    full = items["net"] + pd.to_numeric(items["discount_amount"]).fillna(0).round().astype("int64")
    price = -(-full // quantity)
    return items.assign(quantity=quantity, price=price, discount=price * quantity - items["net"])


def _item_cells(items: pd.DataFrame) -> dict[str, object]:
    return {
        "Lineitem quantity": items["quantity"],
        "Lineitem name": items["item"],
        "Lineitem price": items["price"],
        "Lineitem sku": items["product_id"],
        "Lineitem requires shipping": items["kind"].eq("sale").map({True: "true", False: "false"}),
        "Lineitem taxable": items["pct"].gt(0).map({True: "true", False: "false"}),
        "Lineitem fulfillment status": _fulfilment(items),
        "Lineitem discount": items["discount"],
    }


def _fulfilment(items: pd.DataFrame) -> pd.Series:
    return items["status"].eq("confirmed").map({True: "fulfilled", False: "unfulfilled"})


def _order_cells(items: pd.DataFrame, people: pd.DataFrame, back: pd.Series) -> dict[str, pd.Series]:
    """Fields of the order, by line item; `back`: yen with tax that went back."""
    total = items["subtotal"] + items["shipping"] + items["taxes"]
    paid = pd.Series(np.select([back <= 0, back < total], ["paid", "partially_refunded"], "refunded"), items.index)
    status = paid.mask(items["status"] == "cancelled", "voided").mask(items["status"] == "backlog", "pending")
    created = _text(items["ordered_at"], "%Y-%m-%d %H:%M:%S +0900")
    zip_code = "'" + people["postal_code"].astype("string")  # as Shopify guards it against spreadsheets
    where = {
        "Name": people["name"], "Street": people["address"], "Address1": people["address"], "Zip": zip_code,
        "Company": people["customer_name"].astype(object).where(items["customer_id"].notna()),
    }  # fmt: skip
    whole = {
        "Financial Status": status,
        "Paid at": created.where(paid.eq(status)),
        "Fulfillment Status": _fulfilment(items),
        "Fulfilled at": _text(items["shipped"], "%Y-%m-%d %H:%M:%S +0900"),
        "Subtotal": items["subtotal"],
        "Shipping": items["shipping"],
        "Taxes": items["taxes"],
        "Total": total,
        "Discount Amount": _per_order(items, items["discount"]),
        "Created at": created,
        "Refunded Amount": back,
        "Outstanding Balance": total.where(status == "pending", 0),
        "Id": items["order"] + 5_000_000_000_001,
        "Tags": items["customer_id"],
    }
    same = {"Accepts Marketing": "no", "Currency": "JPY", "Risk Level": "Low", "Source": "web"}
    whole |= {name: pd.Series(value, items.index) for name, value in same.items()}
    whole |= {f"{side} {name}": value for side in ("Billing", "Shipping") for name, value in where.items()}
    return whole | {f"{side} Country": pd.Series("JP", items.index) for side in ("Billing", "Shipping")}
