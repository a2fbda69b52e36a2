"""Plausible Japanese names of companies and people, made from parts (invented; any likeness is chance)."""

from __future__ import annotations

import numpy as np
import pandas as pd

PLACES = (
    "青葉 浅間 朝日 飛鳥 旭川 安曇 石狩 伊吹 磐田 上野 雲仙 永代 大磯 大崎 岡谷 奥羽 小樽 霞 金沢 鎌倉 亀山 北上 木曽 "
    "桐生 釧路 熊野 倉敷 黒部 桂 高千穂 高尾 立山 多摩 千曲 筑波 燕 東雲 戸田 利根 那智 鳴門 能登 白山 函館 浜名 "
    "播磨 常陸 日向 平戸 富士見 伏見 松島 三浦 美濃 武蔵野 室戸 最上 大和 夕張 吉野 米沢 若狭"
)
STEMS = "光 栄 明 信 和 協 三 東 新 大 正 誠 友 豊 昭 共 双 瑞 丸 千"
TRADES = {
    "software": "システムズ ソフト 情報サービス テック データ ネットワークス クラウド ソリューションズ",
    "manufacturing": "製作所 精機 工業 化成 電子 機械 金属 鉄工",
    "wholesale": "商事 物産 商会 産業 通商 貿易 紙商 資材",
}
SALES = ("佐藤 健一", "鈴木 美咲", "高橋 大輔", "田中 由紀", "伊藤 翔太", "渡辺 直子", "山本 拓也", "中村 恵")
SUCCESS = ("小林 彩", "加藤 誠", "吉田 麻衣", "山田 亮")


def company_names(rng: np.random.Generator, industry: np.ndarray) -> np.ndarray:
    """One name a customer, each used once; the form 株式会社 stands before or after."""
    parts = np.array([p + s for p in PLACES.split() for s in ("", *STEMS.split())])
    stem = parts[rng.permutation(len(parts))[np.arange(len(industry)) % len(parts)]]
    trade = np.select(
        [industry == k for k in TRADES], [rng.choice(v.split(), len(industry)) for v in TRADES.values()], ""
    ).astype(object)
    base = stem.astype(object) + trade
    # the same name again gets a number, as second companies of a group do
    order = np.argsort(base, kind="stable")
    ordered = base[order]
    first = np.r_[True, ordered[1:] != ordered[:-1]]
    run = np.arange(len(base)) - np.maximum.accumulate(np.where(first, np.arange(len(base)), 0))
    suffix = np.empty(len(base), dtype=object)
    suffix[order] = np.where(run > 0, "第" + (run + 1).astype(str).astype(object), "")
    base = base + suffix
    return np.where(rng.random(len(base)) < 0.6, "株式会社" + base, base + "株式会社")


SURNAMES = "佐々木 松本 井上 木村 林 斎藤 清水 山崎 森 池田 橋本 阿部 石川 前田 藤田 後藤 岡田 長谷川 村上 近藤"
GIVEN = "翔 陽子 健太 久美子 修 真由美 浩二 恵子 直樹 裕子 隆 明美 学 智子 亮太 里奈 剛 千尋 悟 香織"
DEPARTMENTS = ("購買部", "情報システム部", "総務部", "製造部", "営業部", "経営企画部")


def variants(names: np.ndarray) -> dict[str, np.ndarray]:
    """The same firms as shop, accounting and an old list write them: abbreviated, in half-width, with blanks."""
    series = pd.Series(names)
    core = series.str.replace("株式会社", "", regex=False)
    before = series.str.startswith("株式会社")
    short = np.where(before, "(株)" + core, core + "(株)")
    return {
        "shop": np.where(before, "㈱" + core, core + "㈱"),
        "accounting": np.where(before, "カ）" + core, core + "（カ"),
        "old_list": np.where(before, "株式会社　" + core, core + "　株式会社"),
        "short": short,
    }
