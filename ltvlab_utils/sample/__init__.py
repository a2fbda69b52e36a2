"""A generated BtoB company whose truth is known (floor 2). Same setting, same company, to the byte.

It is not the models' own world (docs/sample.md): a company of a `misspecified` world orders at regular intervals with
a year end in March, fades before it leaves, renews by how content it is, gets discounts when it is about to go. A
`home` world shares the models' assumptions and proves their code. Nothing here imports models, value or experiments,
so that what they find has not been put in by them.

`generate(Setting(...))` gives the extracts as frames, the faults in them, and the history behind them;
`Truth.of(setting)` the true values, effects and counterfactuals; `light_world` histories alone, for repetition.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ltvlab_utils.sample import campaigns, contracts, faults, history, office, orders, service
from ltvlab_utils.sample.dynamics import SERVICING
from ltvlab_utils.sample.history import Setting
from ltvlab_utils.sample.measures import registry
from ltvlab_utils.sample.people import LINES
from ltvlab_utils.sample.truth import EFFECT_PATHS, NO_MEASURE, PATHS, Truth, customer_ids

__all__ = ["EFFECT_PATHS", "NO_MEASURE", "PATHS", "SERVICING", "Company", "Setting", "Truth", "generate", "registry"]


@dataclass(frozen=True)
class Company:
    """`frames`: the extracts by input table, column names of the contracts, whole yen without tax; `other`: the same
    firms as shop, accounting and an old list name them; `faults`, `links`: what is wrong in them, and who is who."""

    setting: Setting
    frames: dict[str, pd.DataFrame]
    other: dict[str, pd.DataFrame]
    faults: pd.DataFrame
    links: pd.DataFrame
    history: history.History


def generate(setting: Setting, faulty: bool = True) -> Company:
    """The extracts of a company up to the last day of `setting.last_period`; without `faulty` no row is spoilt."""
    past = history.run(setting)
    ids, seed = customer_ids(len(past.people)), setting.seed
    book = contracts.read_log(past)
    terms = contracts.terms(past, book, ids)
    goods = orders.products(setting)
    lines = orders.order_lines(past, orders.order_days(past), goods, ids)
    customers = office.master(past, ids)
    owners = office.owners(past, ids)
    plan = campaigns.tables(seed, past.assigned, ids, np.array(LINES), setting.month_day, setting.last_day)
    wrong = faults.Faults()
    other, links = faults.other_systems(seed, customers)
    spoilt = {"customers": customers, "order_lines": lines, "contract_terms": terms}
    if faulty:
        spoilt = {name: spoil(seed, spoilt[name], wrong) for name, spoil in faults.SPOIL.items()}
    frames = {
        "customers": spoilt["customers"],
        "customer_owners": owners,
        "products": goods,
        "order_lines": spoilt["order_lines"],
        "contract_terms": spoilt["contract_terms"],
        "contract_changes": contracts.changes(past, book, ids, terms),
        "support_costs": service.support(past, ids),
        "usage": service.usage(past, ids),
        "activities": office.activities(past, ids, owners, plan["touches"]),
        "milestones": service.milestones(past, terms, ids),
        "surveys": service.surveys(past, ids),
        "deals": office.deals(past, ids, owners, contracts.decisions(book)),
        "receivables": office.receivables(past, lines, ids, customers),
        "targets": office.targets(past, lines, ids, owners),
        "contacts": service.contacts(past, ids),
        **plan,
    }
    return Company(setting, frames, other, wrong.frame(), links, past)
