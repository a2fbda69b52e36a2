"""Names that nearly agree (floor 2): blocking that grows with the length of the names, not with their pairs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from rapidfuzz import process
from rapidfuzz.distance import OSA, Indel

from ltvlab_utils.identity.names import BRANCH

SHORTEST, LONGEST = 5, 40  # characters of a name in which a slip of one letter is looked for
CROWD = 12  # so many names that differ in one letter are a pattern, not a slip
HOLDING = "HD|グループ|GROUP"


def similarity(left: pd.Series, right: pd.Series) -> np.ndarray:
    """Share of characters in common order, 0 to 1 (normalised indel similarity)."""
    return process.cpdist(left.tolist(), right.tolist(), scorer=Indel.normalized_similarity, dtype=np.float64)


def slips(distinct: pd.Series) -> pd.DataFrame:
    """Pairs (left, right: labels of `distinct`) of names that one letter of kana or Latin, left out, added, changed or
    swapped, tells apart. Never a kanji or a digit: 栄工業 and 光工業, 第2 and 第3 are other firms.

    Two names a letter apart become equal when it is taken out of both, so each name stands under itself and under
    each of its shortened forms (Mor & Fraenkel 1982), and only names under one form are compared.
    """
    text = distinct[distinct.str.len().between(SHORTEST, LONGEST)]
    text = text[text.str.contains("[ァ-ヺA-Z]")]
    if text.empty:
        return pd.DataFrame({"left": [], "right": []}, dtype="i8")
    array, label = pa.array(text, pa.string()), text.index.to_numpy()
    forms, owners = [array], [label]
    for i in range(int(text.str.len().max())):
        letter = pc.match_substring_regex(pc.utf8_slice_codeunits(array, i, i + 1), "^[ァ-ヺA-Z]$")
        held = letter.to_numpy(zero_copy_only=False)
        forms.append(pc.utf8_replace_slice(array.filter(letter), i, i + 1, ""))
        owners.append(label[held])
    under = pd.DataFrame({
        "form": pd.util.hash_array(pa.concat_arrays(forms).to_numpy(zero_copy_only=False), categorize=False),
        "name": np.concatenate(owners),
    }).drop_duplicates()  # fmt: skip
    size = under.groupby("form")["name"].transform("size")
    under = under[(size > 1) & (size <= CROWD)]
    both = under.merge(under, on="form", suffixes=("_left", "_right"))
    both = both[both["name_left"] < both["name_right"]][["name_left", "name_right"]].drop_duplicates()
    both = both.set_axis(["left", "right"], axis=1).reset_index(drop=True)
    if both.empty:
        return both
    a, b = text.loc[both["left"]].tolist(), text.loc[both["right"]].tolist()
    return both[process.cpdist(a, b, scorer=OSA.distance, dtype=np.int32) == 1].reset_index(drop=True)


def _longest_known_prefix(text: pd.Series, known: pd.Index, longest: int = 20) -> pd.Series:
    """The longest beginning of each text, of two characters or more and shorter than itself, that is `known`."""
    text, known = text.astype("object"), pd.Index(known.astype("object").unique())
    found = pd.Series(None, index=text.index, dtype="object")
    for length in range(2, longest + 1):
        head = text.str[:length]
        found = head.where((known.get_indexer(head) >= 0) & (text.str.len() > length).to_numpy(), found)
    return found


def branches(distinct: pd.Series) -> pd.DataFrame:
    """Pairs (left: the firm, right: its branch) of names like 青葉製作所 and 青葉製作所大阪支店."""
    named = distinct[distinct.str.contains(f"(?:{BRANCH})$")]
    head = _longest_known_prefix(named, pd.Index(distinct)).dropna()
    label = pd.Series(distinct.index, index=distinct.to_numpy())
    return pd.DataFrame({"left": label.loc[head].to_numpy(dtype="i8"), "right": head.index.to_numpy(dtype="i8")})


def family(distinct: pd.Series) -> pd.DataFrame:
    """Pairs (left: the head of the group, right: a member) by name: 青葉HD and 青葉…, 青葉商事 and 青葉商事第2."""
    holding = distinct.str.extract(f"^(.{{2,}}?)(?:{HOLDING})$", expand=False).dropna()
    stem = _longest_known_prefix(distinct.drop(holding.index), pd.Index(holding)).dropna()
    head = pd.Series(holding.index, index=holding.to_numpy())
    head = head[~head.index.duplicated()]
    by_holding = pd.DataFrame({"left": head.loc[stem].to_numpy(dtype="i8"), "right": stem.index.to_numpy(dtype="i8")})
    crowd = by_holding.groupby("left")["right"].transform("size")
    numbered = distinct.str.extract(r"^(.{2,}?)第?[0-9]+$", expand=False).dropna()
    label = pd.Series(distinct.index, index=distinct.to_numpy())
    numbered = numbered[numbered.isin(label.index)]
    by_number = pd.DataFrame({"left": label.loc[numbered].to_numpy(dtype="i8"), "right": numbered.index.to_numpy()})
    return pd.concat([by_holding[crowd <= 50], by_number], ignore_index=True).drop_duplicates()
