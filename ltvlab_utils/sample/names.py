"""Plausible Japanese names of companies and people, made from parts (invented; any likeness is chance)."""

from __future__ import annotations

import numpy as np

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
