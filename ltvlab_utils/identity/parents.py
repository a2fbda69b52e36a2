"""Parent companies (floor 2): a chain of parents must end."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ltvlab_utils.errors import Refused

SHOWN = 5


def check_parents(parents: pd.DataFrame, where: str) -> None:
    """Raises Refused where parents run in a circle, naming its members.

    `parents`: customer_id (once each), parent_id. A customer that is its own parent has none.
    """
    ids = pd.Index(parents["customer_id"])
    at = ids.get_indexer(parents["parent_id"])
    at = np.where(at == np.arange(len(ids)), -1, at)
    up = at.copy()
    for _ in range(int(np.ceil(np.log2(max(len(ids), 2)))) + 1):  # each turn doubles the steps taken upwards
        up = np.where(up >= 0, up[up], -1)
    if not (up >= 0).any():
        return
    here = int(up[up >= 0].min())  # so many steps up, only a circle goes on
    circle = [here]
    while at[circle[-1]] != here:
        circle.append(int(at[circle[-1]]))
    names = [str(ids[i]) for i in circle]
    shown = " → ".join([*names[:SHOWN], *(["…"] if len(names) > SHOWN else []), names[0]])
    raise Refused(
        f"{where}: parent companies run in a circle of {len(names)} customers ({shown}): take the parent_id of one of "
        "them out."
    )
