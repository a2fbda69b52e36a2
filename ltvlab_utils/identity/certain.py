"""Links that need no person (floor 2), and how they yield to what speaks against them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ltvlab_utils.identity import groups

# how sure a link is by its method; an order, not a frequency
CONFIDENCE = {
    "corporate_number": 1.0, "name_domain": 0.99, "name_address": 0.99, "name_phone": 0.99, "name_region": 0.97,
    "name": 0.95,
}  # fmt: skip
PROVIDER = 20  # firms of different names at one domain: it belongs to none of them
SHORT, ALONE = 3, 4  # characters of a name that may link with a region, and by itself


def own_domain(f: pd.DataFrame) -> np.ndarray:
    """Codes of domains that belong to a firm: those of few different names."""
    domain = groups.codes(f["domain"])
    return np.where(groups.kinds(domain, groups.codes(f["loose"])) <= PROVIDER, domain, groups.NONE)


def edges(f: pd.DataFrame) -> pd.DataFrame:
    """Certain links as left, right (rows of `f`, in the order of its rows) and method, the surest first.

    Each group is linked to its first row: the work grows with the rows.
    """
    n = len(f)
    number, area, domain = groups.codes(f["number"]), groups.codes(f["area"]), own_domain(f)
    address = groups.codes(f["address"])
    found = {"corporate_number": groups.stars(number)}

    form = groups.codes(f["form"].where(f["form"] != ""))
    for kind, value in (("domain", domain), ("address", address), ("phone", groups.codes(f["phone"]))):
        value = pd.Series(value, index=f.index).where(value >= 0)
        same = groups.codes(f["core"], f["branch"], value)
        found[f"name_{kind}"] = groups.stars(same, (groups.kinds(same, number) <= 1) & (groups.kinds(same, form) <= 1))

    # the whole registered name; a name without its form may be a person's
    name = groups.codes(f["core"], f["form"].where(f["form"] != ""), f["position"], f["branch"])
    length = f["core"].str.len().fillna(0).to_numpy()
    homonyms = groups.kinds(name, number) > 1
    here = np.where(homonyms | (length < SHORT), groups.NONE, groups.codes(pd.Series(name).where(name >= 0), f["area"]))
    clash = (groups.kinds(here, domain) > 1) | (groups.kinds(here, address) > 1)
    found["name_region"] = groups.stars(here, ~clash)

    # by the name alone: nothing differs, and after the links above each source has it once
    so_far = groups.components(n, *found.values())
    in_source = groups.kinds(groups.codes(pd.Series(name).where(name >= 0), f["source"]), so_far)
    apart = groups.top(name, in_source) > 1
    for value in (area, domain, address):
        apart |= groups.kinds(name, value) > 1
    found["name"] = groups.stars(name, ~homonyms & ~apart & (length >= ALONE))
    return pd.concat([_frame(e, method) for method, e in found.items()], ignore_index=True)


def _frame(ends: np.ndarray, method: str) -> pd.DataFrame:
    return pd.DataFrame({"left": ends[:, 0], "right": ends[:, 1], "method": method})


def kept(f: pd.DataFrame, rules: pd.DataFrame, same: np.ndarray, different: np.ndarray) -> pd.DataFrame:
    """The rules' links without those that would join two 法人番号, or two records that a person told apart.

    In such a component only equal numbers link; where a person's word is still broken, only persons do.
    """
    number = groups.codes(f["number"])
    by_rule = groups.components(len(f), rules[["left", "right"]].to_numpy())
    clash = groups.kinds(by_rule, number) > 1
    rules = rules[~clash[rules["left"]] | (rules["method"] == "corporate_number").to_numpy()]
    for weak in (rules["method"] != "corporate_number", pd.Series(True, index=rules.index)):
        component = groups.components(len(f), rules[["left", "right"]].to_numpy(), same)
        broken = different[component[different[:, 0]] == component[different[:, 1]]]
        bad = np.isin(component, component[broken[:, 0]])
        rules = rules[~(bad[rules["left"]] & weak.loc[rules.index].to_numpy())]
    return rules
