"""Groups of rows by equal values, and what they are linked to: arrays in, arrays out, linear in the rows (floor 2)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

NONE = -1


def codes(*columns: pd.Series) -> np.ndarray:
    """A whole number for each combination of values, in order of first appearance; NONE where one of them is null."""
    out = np.zeros(len(columns[0]), dtype="i8")
    for column in columns:
        own = pd.factorize(column, use_na_sentinel=True)[0].astype("i8")
        joined = out * (own.max(initial=0) + 1) + own
        out = np.where((out == NONE) | (own < 0), NONE, joined)
        known = out != NONE
        out[known] = pd.factorize(out[known])[0]
    return out


def sizes(group: np.ndarray) -> np.ndarray:
    """Rows of each row's group; 0 for rows of none."""
    count = np.bincount(group[group >= 0], minlength=1)
    return np.where(group >= 0, count[group], 0)


def kinds(group: np.ndarray, value: np.ndarray) -> np.ndarray:
    """How many different values (codes; NONE is no value) each row's group holds; 0 for rows of none."""
    held = (group >= 0) & (value >= 0)
    most = int(value.max(initial=0)) + 1
    pairs = pd.unique(group[held] * most + value[held])  # one number a pair: hashing is quicker than sorting pairs
    count = np.bincount(pairs // most, minlength=int(group.max(initial=0)) + 1)
    return np.where(group >= 0, count[group], 0)


def stars(group: np.ndarray, wanted: np.ndarray | None = None) -> np.ndarray:
    """Edges (n, 2) from the first row of each group to its others; rows that are not `wanted` stand aside."""
    rows = np.flatnonzero((group >= 0) if wanted is None else (group >= 0) & wanted)
    first = pd.Series(rows).groupby(group[rows]).transform("min").to_numpy() if len(rows) else rows
    edges = np.stack([first, rows], axis=1)
    return edges[edges[:, 0] != edges[:, 1]]


def components(n: int, *edges: np.ndarray) -> np.ndarray:
    """The component of each of n rows, named by its first row."""
    ends = np.concatenate([np.empty((0, 2), "i8"), *edges])
    label = connected_components(coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(n, n)), False)[1]
    first = np.full(label.max(initial=-1) + 1, n)
    np.minimum.at(first, label, np.arange(n))
    return first[label]


def pairs(group: np.ndarray, component: np.ndarray, most: int) -> pd.DataFrame:
    """Pairs of components that meet in a group: component_left < component_right, and left and right, the first row of
    each in that group. All pairs in groups of up to `most` components, each with the first in larger ones."""
    held = np.flatnonzero(group >= 0)
    member = pd.DataFrame({"group": group[held], "component": component[held], "row": held})
    member = member.drop_duplicates(["group", "component"]).sort_values(["group", "component"], ignore_index=True)
    size = member.groupby("group")["row"].transform("size")
    few, many = member[(size > 1) & (size <= most)], member[size > most]
    each = few.merge(few, on="group", suffixes=("_left", "_right"))
    first = many.drop_duplicates("group").merge(many, on="group", suffixes=("_left", "_right"))
    both = pd.concat([each, first]).rename(columns={"row_left": "left", "row_right": "right"})
    both = both[both["component_left"] < both["component_right"]]
    return both[["component_left", "component_right", "left", "right"]].reset_index(drop=True)


def top(group: np.ndarray, value: np.ndarray) -> np.ndarray:
    """The largest value in each row's group; the row's own for rows of none."""
    most = np.zeros(int(group.max(initial=0)) + 1, dtype=value.dtype)
    held = group >= 0
    np.maximum.at(most, group[held], value[held])
    return np.where(held, most[group], value)
