"""What persons decided about pairs of records (floor 2): checked against each other before anything is linked."""

from __future__ import annotations

from collections import defaultdict, deque

import numpy as np
import pandas as pd

from ltvlab_utils.errors import Refused
from ltvlab_utils.identity import groups

SIDES = (("left_source", "left_key"), ("right_source", "right_key"))
COLUMNS = [c for side in SIDES for c in side] + ["decision", "row"]


def ends(decisions: pd.DataFrame, known: pd.DataFrame) -> np.ndarray:
    """Rows of `known` (source, source_key) that each decision names: (n, 2), −1 where it names none."""
    place = pd.Series(np.arange(len(known)), index=pd.MultiIndex.from_frame(known[["source", "source_key"]]))
    found = [
        place.reindex(pd.MultiIndex.from_frame(decisions[list(side)])).fillna(-1).to_numpy(dtype="i8") for side in SIDES
    ]
    return np.stack(found, axis=1) if len(decisions) else np.empty((0, 2), dtype="i8")


def check_decisions(decisions: pd.DataFrame, file: str) -> None:
    """Raises Refused where decisions contradict each other: A = B and B = C, but A and C are different.

    Columns: left_source, left_key, right_source, right_key, decision (same, different, parent), row (what
    the decision is called, such as "row 5").
    """
    keys = pd.concat([decisions[list(s)].set_axis(["source", "source_key"], axis=1) for s in SIDES])
    known = keys.drop_duplicates(ignore_index=True)
    at = ends(decisions, known)
    same = (decisions["decision"] == "same").to_numpy()
    component = groups.components(len(known), at[same])
    apart = ~same & (component[at[:, 0]] == component[at[:, 1]])
    if not apart.any():
        return
    first = int(np.flatnonzero(apart)[0])
    left, right = (_named(known, i) for i in at[first])
    if at[first][0] == at[first][1]:
        raise Refused(f"{file}: {decisions['row'].iloc[first]} tells {left} apart from itself: delete it.")
    chain = [str(decisions["row"].iloc[i]) for i in reversed(_path(at, np.flatnonzero(same), *at[first]))]
    more = f" ({int(apart.sum()):,} such contradictions)" if apart.sum() > 1 else ""
    raise Refused(
        f"{file}: {decisions['row'].iloc[first]} says that {left} and {right} are two firms, but "
        f"{' and '.join(chain)} {'make' if len(chain) > 1 else 'makes'} them one{more}: change or delete one of these."
    )


def _named(known: pd.DataFrame, row: int) -> str:
    return f"{known['source'].iloc[row]} {known['source_key'].iloc[row]}"


def _path(at: np.ndarray, same: np.ndarray, start: int, goal: int) -> list[int]:
    """The shortest chain of decisions `same` from one record to another."""
    next_to = defaultdict(list)
    for i in same:
        next_to[at[i, 0]].append((at[i, 1], i))
        next_to[at[i, 1]].append((at[i, 0], i))
    came: dict[int, tuple[int, int] | None] = {start: None}
    queue = deque([start])
    while queue and goal not in came:
        here = queue.popleft()
        for there, by in next_to[here]:
            if there not in came:
                came[there] = (here, by)
                queue.append(there)
    chain = []
    while came[goal] is not None:
        goal, by = came[goal]
        chain.append(by)
    return chain
