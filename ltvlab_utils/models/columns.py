"""Checks of what a model is given, and the grouping of equal rows (floor 2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ltvlab_utils.errors import Refused, nearest

WIDE = 2**20  # whole numbers within this distance of each other need no table of their values
MOST_KEYS = 2**62  # what a whole number of 64 bits holds, with room


def numbers(table: pd.DataFrame, names: Sequence[str], who: str) -> list[np.ndarray]:
    """The named columns as float64 arrays; a missing column or a cell that is no number is refused."""
    columns = []
    for name in names:
        if name not in table:
            known = nearest(name, map(str, table.columns)) if len(table.columns) else ""
            raise Refused(f'{who} needs the column "{name}", which the table does not have.{known}')
        try:
            column = pd.to_numeric(table[name]).to_numpy(dtype=float, na_value=np.nan)
        except (TypeError, ValueError) as error:
            raise Refused(f'{who}: the column "{name}" must hold numbers ({error}).') from None
        refuse(~np.isfinite(column), column, name, who, "is not a finite number", table)
        columns.append(column)
    return columns


def refuse(bad: np.ndarray, column: np.ndarray, name: str, who: str, what: str, table: pd.DataFrame) -> None:
    """Raise one sentence with count and example when any row is bad."""
    if bad.any():
        first = int(np.argmax(bad))
        raise Refused(
            f'{who}: "{name}" {what} in {int(bad.sum()):,} of {len(bad):,} rows, first in row {table.index[first]!r} '
            f"({name} = {column[first]:g}). Correct the table, or leave these rows out and report how many."
        )


def order_histories(h: pd.DataFrame, who: str, age: str = "T") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """frequency, recency and T (or n_periods), checked."""
    x, tx, T = numbers(h, ["frequency", "recency", age], who)
    for column, name in ((x, "frequency"), (tx, "recency"), (T, age)):
        refuse(column < 0, column, name, who, "is negative", h)
    refuse(x != np.floor(x), x, "frequency", who, "is not a whole number", h)
    refuse(tx > T * (1 + 1e-12), tx, "recency", who, f'is larger than "{age}"', h)
    refuse((x == 0) & (tx > 0), tx, "recency", who, "is above 0 though frequency is 0", h)
    return x, np.minimum(tx, T), T


def counts_and_times(n: np.ndarray | int, t: np.ndarray | float, who: str) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of orders and lengths of time, brought to one shape."""
    n, t = np.broadcast_arrays(np.asarray(n, float), time_of(t, who))
    if not ((n >= 0) & (n == np.floor(n))).all():
        raise Refused(f"{who}: n counts orders and must be a whole number of 0 or more.")
    return n, t


def time_of(t: np.ndarray | float, who: str) -> np.ndarray:
    """One length of time, or several, of 0 or more."""
    times = np.asarray(t, float)
    if not (np.isfinite(times) & (times >= 0)).all():
        raise Refused(f"{who}: t must be 0 or more time units, not {t!r}.")
    return times


def weights_of(weights: np.ndarray | None, rows: int, who: str) -> np.ndarray:
    """One weight a row; None means one customer a row."""
    if weights is None:
        return np.ones(rows)
    w = np.asarray(weights, float).ravel()
    if len(w) != rows:
        raise Refused(f"{who}: {len(w):,} weights for {rows:,} rows. Give one weight a row.")
    if not (np.isfinite(w).all() and (w >= 0).all()):
        raise Refused(f"{who}: weights must be numbers of 0 or more; {int((~(w >= 0)).sum()):,} are not.")
    return w


def grouped(columns: Sequence[np.ndarray]) -> tuple[list[np.ndarray], np.ndarray]:
    """Equal rows once, sorted by the first column, then the next; and for each row the place of its group.

    By hashing: rows are never sorted, only what is left of them.
    """
    columns = [np.asarray(c, float) for c in columns]
    key, keys = np.zeros(len(columns[0]), np.int64), 1
    for column in columns:
        code, codes = _coded(column)
        if keys * codes >= MOST_KEYS:
            key, found = pd.factorize(key, sort=True)
            keys = max(len(found), 1)
        key, keys = key * codes + code, keys * codes
    key, found = pd.factorize(key, sort=True)
    row = np.zeros(len(found), np.int64)
    row[key] = np.arange(len(key))
    return [c[row] for c in columns], key


def _coded(column: np.ndarray) -> tuple[np.ndarray, int]:
    """A whole number for each value, in the order of the values, and how many there may be."""
    low, high = (column.min(), column.max()) if len(column) else (0.0, 0.0)
    if high - low < WIDE and (column == np.floor(column)).all():  # counts, weeks, days: they are their own code
        return (column - low).astype(np.int64), int(high - low) + 1
    code, values = pd.factorize(column, sort=True, use_na_sentinel=False)
    return code, max(len(values), 1)


def distinct(columns: Sequence[np.ndarray], weights: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Equal rows once, sorted, with the sum of their weights; rows of weight 0 are left out."""
    used = weights > 0
    if not used.all():
        columns, weights = [c[used] for c in columns], weights[used]
    if not len(weights):
        return [np.zeros(0) for _ in columns], np.zeros(0)
    rows, place = grouped(columns)
    if (weights != np.floor(weights)).any():
        # Sorted, so that sums of fractions do not depend on the order of rows; whole numbers add up exactly.
        order = np.lexsort((weights, place))
        place, weights = place[order], weights[order]
    return rows, np.bincount(place, weights)
