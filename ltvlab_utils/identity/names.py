"""Names of firms in a form that can be compared (floor 2): core, legal form and its place, branch.

Two strengths. `core` holds what is the same name in another typing: width, blanks, punctuation, 旧字体, small kana,
long vowels written as a hyphen, 第二 for 第2. `loose` also holds what people confuse: hiragana for katakana, 異体字,
long vowels left out. Equal cores may be linked, equal loose forms are only proposed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ltvlab_utils.identity import characters

# code of the form: words before or after the name, then their abbreviations as NFKC leaves them, then the bank's kana
FORMS = {
    "kk": ("株式会社 株式會社", "株", "カ"),
    "yk": ("有限会社 有限會社", "有", "ユ"),
    "gk": ("合同会社", "同", "ド"),
    "goshi": ("合資会社 合資會社", "資", "シ"),
    "gomei": ("合名会社 合名會社", "名", "メ"),
    "ippan_shadan": ("一般社団法人", "一社", "シヤ"),
    "koeki_shadan": ("公益社団法人 社団法人", "公社 社", ""),
    "ippan_zaidan": ("一般財団法人", "一財", "ザイ"),
    "koeki_zaidan": ("公益財団法人 財団法人", "公財 財", ""),
    "iryo": ("医療法人社団 医療法人財団 医療法人", "医", "イ"),
    "gakko": ("学校法人", "学", "ガク"),
    "shukyo": ("宗教法人", "宗", "シユウ"),
    "fukushi": ("社会福祉法人", "福", "フク"),
    "npo": ("特定非営利活動法人 NPO法人", "特非", "トクヒ"),
    "dokuho": ("独立行政法人", "独", "ドク"),
    "kumiai": ("協同組合", "協", ""),
}
# forms of other languages stand behind the name; where a Japanese firm puts them says nothing of its registered name
LATIN = {
    "kk": r"K\.? ?K\.?|KABUSHIKI ?[KG]AISHA",
    "gk": r"GODO ?[KG]AISHA|G\.K\.",
    "co_ltd": r"CO\.? ?,? ?LTD\.?|COMPANY ?,? LIMITED",
    "inc": r"INC\.?|INCORPORATED",
    "corp": r"CORP\.?|CORPORATION",
    "ltd": r"(?:PTE\.?|PTY\.?|PVT\.?)? ?LTD\.?|LIMITED",
    "llc": r"L\.?L\.?C\.?",
    "llp": r"L\.?L\.?P\.?",
    "gmbh": r"GMBH",
    "ag": r"A\.?G\.?",
    "plc": r"P\.?L\.?C\.?",
    "sa": r"S\.?A\.?|S\.?A\.?S\.?|S\.?R\.?L\.?",
    "bv": r"B\.?V\.?",
}
BRANCH = r"支店|支社|支局|支部|営業所|事業所|出張所|事務所|工場|本社|本店|事業部|センター|物流センター"
HYPHENS = "\\-\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2500\u2501\u30fc"
NOISE = r"[\s・·.,'\"’‘“”`´:;!?/\\_()\[\]{}「」『』【】〔〕<>《》〈〉~〜" + HYPHENS.replace("\u30fc", "") + "]"
PARTS = ["core", "form", "position", "branch", "loose"]


def _words(place: str) -> dict[str, str]:
    """How forms are written at a place (before, after, middle), to their code; the longest are tried first."""
    found = {}
    for code, (full, short, kana) in FORMS.items():
        found |= dict.fromkeys(full.split(), code)
        found |= {f"({s})": code for s in [*short.split(), *kana.split()]}
        if kana:
            found |= {{"before": f"{kana})", "after": f"({kana}"}.get(place, f"({kana})"): code}
        if place == "middle":
            found = {w: c for w, c in found.items() if w.startswith("(")}
    return dict(sorted(found.items(), key=lambda w: (-len(w[0]), w[0])))


BEFORE, AFTER, MIDDLE = _words("before"), _words("after"), _words("middle")


def normalise(names: pd.Series) -> pd.DataFrame:
    """Of each name: core (null where nothing is left), form (code, "" = none), position ("before", "after", "" = no or
    a foreign form), branch ("" = none named), loose. Index as that of `names`; missing names give null and "".

    A name is looked at once, however often it stands there.
    """
    codes, distinct = pd.factorize(names.astype(object), use_na_sentinel=True)
    text = _typed(pa.array(distinct.astype(str), pa.string()))
    text, branch = _branch(text)
    text, form, position = _form(text)
    core = _core(text)
    frame = pd.DataFrame({"core": core, "form": form, "position": position, "branch": _core(branch), "loose": core})
    frame["loose"] = _loose(core)
    frame["core"] = frame["core"].where(frame["core"] != "")
    frame["loose"] = frame["loose"].where(frame["loose"] != "", frame["core"])
    nothing = pd.DataFrame({"core": [None], "form": "", "position": "", "branch": "", "loose": [None]})
    out = pd.concat([frame, nothing], ignore_index=True).iloc[np.where(codes < 0, len(frame), codes)]
    return out.set_axis(names.index)[PARTS]


def _sub(text: pa.Array, pattern: str, by: str) -> pa.Array:
    return pc.replace_substring_regex(text, pattern, by)


def _translated(text: pa.Array, table: dict[int, str]) -> pa.Array:
    """Characters replaced; only texts that hold one of them are touched."""
    held = pc.match_substring_regex(text, "[" + "".join(map(chr, table)) + "]")
    if not pc.any(held).as_py():
        return text
    return pc.replace_with_mask(text, held, pa.array([t.translate(table) for t in text.filter(held).to_pylist()]))


def _typed(text: pa.Array) -> pa.Array:
    """One way of typing: NFKC, upper case, single blanks, no invisible characters, no 御中."""
    text = _sub(pc.utf8_normalize(text, "NFKC"), r"[\x{FE00}-\x{FE0F}\x{E0100}-\x{E01EF}\p{Cc}\p{Cf}]", " ")
    text = _translated(pc.utf8_upper(text), characters.STRICT)
    text = pc.utf8_trim_whitespace(_sub(text, r"\s+", " "))
    text = _sub(text, r" ?(御中|様)$", "")
    for at, digit in enumerate("一二三四五六七八九", 1):
        text = pc.replace_substring(text, f"第{digit}", f"第{at}")
    return text


def _parts(text: pa.Array, pattern: str) -> tuple[np.ndarray, pd.DataFrame]:
    """Which texts match, and their named groups ("" elsewhere)."""
    found = pc.extract_regex(text, pattern)
    names = re.findall(r"\?P<(\w+)>", pattern)
    return (
        pc.is_valid(found).to_numpy(zero_copy_only=False),
        pd.DataFrame({n: pc.fill_null(pc.struct_field(found, n), "").to_pandas().astype(object) for n in names}),
    )


def _branch(text: pa.Array) -> tuple[pa.Array, pa.Array]:
    """The names without the branch that stands behind a blank or behind the legal form, and that branch."""
    after = "|".join(re.escape(w) for w in AFTER)
    spaced = rf"^(?P<head>.*[^ ]) (?P<branch>[^ ()]{{0,10}}(?:{BRANCH}))$"
    behind = rf"^(?P<head>.+(?:{after})) ?(?P<branch>[^ ()]{{0,10}}(?:{BRANCH}))$"
    middle = rf"^(?P<head>.*[^ ].*(?:{'|'.join(re.escape(w) for w in MIDDLE)})) ?(?P<branch>[^()]{{1,20}})$"
    heads, branches = text.to_pandas().astype(object).to_numpy(), np.full(len(text), "", dtype=object)
    alone = "|".join(re.escape(w) for w in {**BEFORE, **AFTER})
    for pattern in (behind, middle, spaced):
        hit, parts = _parts(text, pattern)
        # 株式会社 大阪工場: what stands before the blank is no name
        nameless = pc.match_substring_regex(pa.array(parts["head"], pa.string()), rf"^(?:{alone})$")
        hit &= ~nameless.to_numpy(zero_copy_only=False) & (branches == "")
        heads = np.where(hit, parts["head"], heads)
        branches = np.where(hit, parts["branch"], branches)
    return pa.array(heads, pa.string()), pa.array(branches, pa.string())


def _form(text: pa.Array) -> tuple[pa.Array, np.ndarray, np.ndarray]:
    """The names without their legal form, its code and its position; the first that fits counts."""
    words = lambda known: "|".join(re.escape(w) for w in known)  # noqa: E731
    rest = text.to_pandas().astype(object).to_numpy()
    form, position = np.full(len(text), "", dtype=object), np.full(len(text), "", dtype=object)

    def take(pattern: str, codes: dict[str, str] | Callable[[str], str], place: str) -> None:
        nonlocal rest, form, position
        hit, parts = _parts(text, pattern)
        hit &= form == ""
        found = parts["form"].map(codes).to_numpy()
        rest = np.where(hit, parts["name"], rest)
        form, position = np.where(hit, found, form), np.where(hit, place, position)

    take(rf"^(?P<form>{words(BEFORE)}) ?(?P<name>.*[^ ].*)$", BEFORE, "before")
    take(rf"^(?P<name>.*[^ ]) ?(?P<form>{words(AFTER)})$", AFTER, "after")
    take(rf"^(?P<name>.*[^ ]) ?(?P<form>{words(MIDDLE)})$", MIDDLE, "after")
    latin = "|".join(LATIN.values())
    take(rf"^(?P<name>.*?[^ ,])(?: ?, ?| )(?P<form>{latin})$", _latin, "")
    take(rf"^(?P<form>{LATIN['kk']}) (?P<name>.+)$", _latin, "")
    nameless = pd.Series(rest).isin([*BEFORE, *AFTER]).to_numpy()  # a legal form alone names nobody
    return pa.array(np.where(nameless, "", rest), pa.string()), form, position


@cache
def _latin(form: str) -> str:
    return next((code for code, pattern in LATIN.items() if re.fullmatch(pattern, form)), "")


def _core(text: pa.Array) -> np.ndarray:
    long_vowels = _sub(text, rf"([ァ-ヺ])[{HYPHENS}]", r"\1ー")
    small = _translated(long_vowels, characters.table(characters.SMALL_KANA))
    return _sub(small, NOISE, "").to_pandas().astype(object).to_numpy()


def _loose(core: np.ndarray) -> np.ndarray:
    text = _translated(pa.array(core, pa.string()), characters.LOOSE)
    text = _sub(text, "([ァ-ヺ])一([ァ-ヺ])", r"\1\2")
    for pattern, by in (("ー", ""), ("ブ([アイエオ])", r"バ行\1"), ("&", "アンド"), ("制作", "製作")):
        text = _sub(text, pattern, by)
    for pattern, by in (("バ行ア", "バ"), ("バ行イ", "ビ"), ("バ行エ", "ベ"), ("バ行オ", "ボ")):
        text = pc.replace_substring(text, pattern, by)
    return _sub(text, "ホルデイングス|HOLDINGS|HLDGS", "HD").to_pandas().astype(object).to_numpy()
