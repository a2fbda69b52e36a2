"""Who is who (名寄せ), as notebook 01 and pages say it; sentences carry counts, tables the names."""

from __future__ import annotations

import pandas as pd

from ltvlab_utils.i18n import day, knows, money, percent, say
from ltvlab_utils.sources.stage import Staged


def linked(staged: Staged, language: str = "en") -> str:
    """How many records were linked and by what, how many pairs wait and what is at stake, what has no effect."""
    said, done = [], staged.linked
    if done is None:
        said.append(say("note.links_off", language))
    else:
        others = done.links[done.links["method"] != "own_key"]
        methods = others["method"].value_counts().sort_index()
        how = ", ".join(f"{method_words(m, language)} {n:,}" for m, n in methods.items())
        firms = done.links["customer_id"].nunique()
        if len(others):
            said.append(say("note.links_made", language, count=len(others), firms=f"{firms:,}", how=how))
        else:
            said.append(say("note.links_none", language))
        stake = money(float(done.proposals["amount_at_stake"].sum()), language, staged.currency)
        if len(done.proposals):
            said.append(say("note.links_wait", language, count=len(done.proposals), amount=stake))
        if done.unknown:
            said.append(say("note.links_unknown", language, count=done.unknown))
    if (strangers := parents_unknown(staged)) > 0:
        said.append(say("note.parents_unknown", language, count=strangers))
    return "\n".join(said)


def parents_unknown(staged: Staged) -> int:
    """Customers whose parent is no customer."""
    customers = staged.tables["customers"]
    child = customers.filter(customers.parent_id.notnull())
    known = customers.select(known="customer_id")
    return int(child.anti_join(known, child.parent_id == known.known).count().to_pandas())


def waiting(staged: Staged, language: str = "en", most: int = 20) -> pd.DataFrame:
    """The proposals with most at stake: left, right (source and key), names, evidence, confidence, amount_at_stake."""
    done = staged.linked
    columns = ["left", "left_name", "right", "right_name", "evidence", "confidence", "amount_at_stake"]
    if done is None or done.proposals.empty:
        return pd.DataFrame(columns=columns)
    found = done.proposals.sort_values(["amount_at_stake", "confidence"], ascending=False, kind="stable").head(most)
    words = [", ".join(say(f"links.evidence.{c}", language) for c in e.split()) for e in found["evidence"]]
    sides = {s: found[f"{s}_source"] + " " + found[f"{s}_key"] for s in ("left", "right")}
    table = found.assign(**sides, evidence=words, amount_at_stake=found["amount_at_stake"].astype("float64"))
    return table[columns].reset_index(drop=True)


def consists_of(links: pd.DataFrame, customer_id: str, language: str = "en") -> pd.DataFrame:
    """The source keys that a customer consists of, from `customer_links`, in words: source, key, method, confidence,
    since when, decided by whom. No row for a customer with one key alone."""
    own = links[links["customer_id"] == customer_id].sort_values(["source", "source_key"])
    return pd.DataFrame({
        say("links.source", language): own["source"],
        say("links.key", language): own["source_key"],
        say("links.method", language): [method_words(m, language) for m in own["method"]],
        say("links.confidence", language): [percent(c, language, decimals=0) for c in own["confidence"]],
        say("links.since", language): [day(d, language) for d in own["valid_from"]],
        say("links.decided_by", language): [
            _by(who, on, language) for who, on in zip(own["decided_by"], own["decided_on"], strict=True)
        ],
    }).reset_index(drop=True)  # fmt: skip


def _by(who: str, on: object, language: str) -> str:
    name = (
        say("links.by_rule", language)
        if who == "rule"
        else say("links.by_person", language)
        if who == "person"
        else who
    )
    return name if pd.isna(on) else f"{name} ({day(pd.Timestamp(on), language)})"


def method_words(method: str, language: str) -> str:
    """A method in words; one that another system delivered as it stands."""
    code = f"links.method.{method}"
    return say(code, language) if knows(code) else method
