"""What beside its name tells who a firm is (floor 2): 法人番号, region, address, domain, telephone.

Each function takes a column as people typed it and gives a comparable one, null where it tells nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import numpy as np
import pandas as pd

from ltvlab_utils.identity import characters

AREAS = {
    "北海道": "北海道",
    "東北": "青森 岩手 宮城 秋田 山形 福島",
    "関東": "茨城 栃木 群馬 埼玉 千葉 東京 神奈川",
    "中部": "新潟 富山 石川 福井 山梨 長野 岐阜 静岡 愛知",
    "関西": "三重 滋賀 京都 大阪 兵庫 奈良 和歌山",
    "中国": "鳥取 島根 岡山 広島 山口",
    "四国": "徳島 香川 愛媛 高知",
    "九州": "福岡 佐賀 長崎 熊本 大分 宮崎 鹿児島 沖縄",
}
AREA_OF = {p: area for area, names in AREAS.items() for p in names.split()}
AREA_WORDS = {"近畿": "関西", "首都圏": "関東", "東海": "中部", "北陸": "中部", "甲信越": "中部"}
AREA_WORDS |= {area: area for area in AREAS} | {"九州沖縄": "九州", "九州・沖縄": "九州", "沖縄": "九州"}
PREFECTURE = r"^(東京|北海道|(?:京都|大阪)|.{2,3}?)(?:都|道|府|県)"
# mail that anybody can have: a domain of these says nothing of the firm
PUBLIC = (
    "gmail.com googlemail.com yahoo.co.jp yahoo.com ymail.ne.jp ymail.com hotmail.com hotmail.co.jp outlook.com "
    "outlook.jp live.jp live.com msn.com icloud.com me.com mac.com aol.com gmx.com gmx.de web.de proton.me "
    "protonmail.com qq.com 163.com 126.com naver.com docomo.ne.jp ezweb.ne.jp au.com softbank.ne.jp vodafone.ne.jp "
    "rakuten.jp nifty.com nifty.ne.jp biglobe.ne.jp ocn.ne.jp so-net.ne.jp plala.or.jp infoseek.jp excite.co.jp "
    "dion.ne.jp eonet.ne.jp asahi-net.or.jp hi-ho.ne.jp tiki.ne.jp odn.ne.jp dti.ne.jp wakwak.com jcom.home.ne.jp "
    "zaq.ne.jp mail.ru yandex.ru"
)
IS_PUBLIC = rf"(?:^|[.])(?:{PUBLIC.replace('.', '[.]').replace(' ', '|')})$"
HOST = r"^(?:[a-z]+://)?(?:[^@/\s]*@)?([a-z0-9.-]+\.[a-z]{2,})(?:[:/?#]|$)"
REGISTERED = (
    r"(?:^|\.)([a-z0-9-]+\.(?:co|or|ne|ac|go|gr|ed|lg|ad|com|net|org|gov|edu)\.[a-z]{2}|[a-z0-9-]+\.[a-z]{2,})$"
)


def _each_once(of_text: Callable[[pd.Series], pd.Series]) -> Callable[[pd.Series], pd.Series]:
    """The function applied to each distinct value once."""

    @wraps(of_text)
    def of_values(values: pd.Series) -> pd.Series:
        codes, distinct = pd.factorize(values.astype("object"))
        if not len(distinct):
            return pd.Series(None, index=values.index, dtype="object")
        found = of_text(pd.Series(distinct)).astype("object").to_numpy()
        return pd.Series(np.append(found, None)[codes], index=values.index)

    return of_values


def _text(values: pd.Series) -> pd.Series:
    return values.astype("str").str.normalize("NFKC").str.strip()


@_each_once
def corporate_number(values: pd.Series) -> pd.Series:
    """The 13 digits of a 法人番号 whose check digit holds, else null.

    Check digit (the first of the 13): 9 − (Σ P·Q mod 9) over the other twelve, counted from the last, Q = 1 for odd and
    2 for even places (Ordinance of the Ministry of Finance on corporate numbers, 2014).
    """
    digits = _text(values).str.replace(r"[-\s]|\.0$|^T", "", regex=True)
    whole = digits.where(
        digits.str.fullmatch(r"[0-9]{13}").fillna(False) & ~digits.str.endswith("0" * 12).fillna(False)
    )
    known = whole.dropna()
    if known.empty:
        return whole
    figures = np.array(known.tolist(), dtype="S13").view("S1").reshape(-1, 13).astype("i8")
    sums = (figures[:, :0:-1] * np.where(np.arange(1, 13) % 2, 1, 2)).sum(axis=1)
    right = pd.Series(figures[:, 0] == 9 - sums % 9, index=known.index)
    return whole.where(right.reindex(whole.index, fill_value=False))


@_each_once
def area(values: pd.Series) -> pd.Series:
    """The part of Japan that a region, prefecture or address lies in; a word that is none of these as it stands."""
    text = _text(values)
    prefecture = text.str.extract(PREFECTURE, expand=False).fillna(text).map(AREA_OF)
    words = text.str.replace(r"(?:地方|エリア|地区|支社)$", "", regex=True)
    return prefecture.fillna(words.map(AREA_WORDS)).fillna(text).where(text != "").astype("object")


@_each_once
def address(values: pd.Series) -> pd.Series:
    """Town and number without prefecture, building and ways of typing; null where no number stands there."""
    text = _text(values).str.translate(characters.STRICT)
    text = text.str.replace(r"^(?:〒?\d{3}-?\d{4})?\s*", "", regex=True).str.replace(PREFECTURE, "", regex=True)
    text = text.str.replace(r"[\u2010-\u2015\u2212\u2500ー]", "-", regex=True).str.replace("ヶ", "ケ", regex=False)
    for at, digit in enumerate("一二三四五六七八九", 1):
        text = text.str.replace(f"{digit}丁目", f"{at}丁目", regex=False)
    text = text.str.replace(r"(?<=\d)\s*(?:丁目|番地の?|番|号)\s*(?=\d)", "-", regex=True).str.replace(
        r"\s+", "", regex=True
    )
    return text.str.extract(r"^(\D{2,}\d+(?:-\d+)*)", expand=False).astype("object")


@_each_once
def domain(values: pd.Series) -> pd.Series:
    """The registered domain of a mail address or a web address; null for mail that anybody can have."""
    host = _text(values).str.lower().str.extract(HOST, expand=False)
    registered = host.str.extract(REGISTERED, expand=False)
    public = host.str.contains(IS_PUBLIC, regex=True).fillna(False)
    return registered.where(~public.astype(bool)).astype("object")


@_each_once
def phone(values: pd.Series) -> pd.Series:
    """The digits of a Japanese telephone number, country code as 0; null where there are not ten or eleven."""
    digits = _text(values).str.replace(r"^\(?\+81\)?[\s(0)-]*", "0", regex=True).str.replace(r"\D", "", regex=True)
    return digits.where(digits.str.fullmatch(r"0\d{9,10}").fillna(False)).astype("object")
