"""Rows in another currency than the reporting one, seen in a column of the file that is called currency or 通貨."""

from __future__ import annotations

import re

import ibis
import ibis.expr.types as ir

from ltvlab_utils.sources.files import SourceFile
from ltvlab_utils.sources.parse import stripped

_NAMES = re.compile(
    r"^(.*[ _])?(currency|currency[ _]?(code|iso ?code)|通貨|通貨コード|通貨単位|通貨種別|決済通貨)$", re.I
)
SPELT = {
    "JPY": ("jpy", "円", "日本円", "¥", "￥", "yen"),
    "USD": ("usd", "ドル", "米ドル", "$", "us$"),
    "EUR": ("eur", "ユーロ", "€"),
    "GBP": ("gbp", "ポンド", "英ポンド", "£"),
}


def columns(file: SourceFile) -> list[int]:
    """Columns of the file that name a currency."""
    return [i for i, name in enumerate(file.header) if _NAMES.match(name.strip())]


def foreign(raw: ir.Table, file: SourceFile, currency: str) -> ir.Table | None:
    """file_, row_no and other_ (the first other currency) of rows that name one; None where no column of the file names
    any."""
    found = columns(file)
    if not found:
        return None
    own = SPELT.get(currency, (currency.lower(),))
    values = [stripped(raw[f"c{i}"]) for i in found]
    other = [ibis.ifelse(~v.lower().isin(own), v, ibis.null("string")) for v in values]
    value = ibis.coalesce(*other)
    return raw.select("row_no", file_=ibis.literal(file.file), other_=value).filter(lambda t: t.other_.notnull())
