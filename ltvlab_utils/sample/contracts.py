"""Tables of contracts from the log of a company: terms, changes, and the renewal decisions behind them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ltvlab_utils.sample import draws
from ltvlab_utils.sample.contract_arm import CHURNED, EARLY_END, FIRST, PAUSE_MONTHS, RENEWED, SUPERSEDED
from ltvlab_utils.sample.history import History, Setting

DAY = np.timedelta64(1, "D")
REASONS = ("予算削減", "競合へ切替", "利用低迷", "担当者交代", "事業縮小")


@dataclass
class _Book:
    """Tables under construction. `ends`, `pauses`: (positions of terms, outcome, month)."""

    terms: list[dict] = field(default_factory=list)
    changes: list[dict] = field(default_factory=list)
    decisions: list[dict] = field(default_factory=list)
    ends: list[tuple[np.ndarray, np.ndarray, int]] = field(default_factory=list)
    pauses: list[tuple[np.ndarray, int]] = field(default_factory=list)
    count: int = 0
    contracts: int = 0

    def begin(self, **columns) -> np.ndarray:
        """Adds terms; their positions."""
        self.terms.append(columns)
        size = len(columns["row"])
        self.count += size
        return np.arange(self.count - size, self.count)

    def end(self, at: np.ndarray, outcome, month: int) -> None:
        self.ends.append((at, np.broadcast_to(np.asarray(outcome, dtype=object), len(at)), month))

    def change(self, **columns) -> None:
        self.changes.append(columns)

    @staticmethod
    def frame(parts: list[dict], names: str) -> pd.DataFrame:
        """Columns `names` of the parts one after the other; what is one value for a part is repeated."""
        sizes = [len(p["row"]) for p in parts]
        wide = lambda p, c, n: np.broadcast_to(np.asarray(p[c]), n)  # noqa: E731
        return pd.DataFrame(
            {
                c: np.concatenate([np.zeros(0, int), *(wide(p, c, n) for p, n in zip(parts, sizes, strict=True))])
                for c in names.split()
            }
        )


def read_log(history: History) -> _Book:
    """Replays the contract events of the company's customers."""
    people, book = history.people, _Book()
    place = np.full(
        max(people["candidate"].max(), max((e["who"].max(initial=0) for e in history.log.contracts), default=0)) + 1, -1
    )
    place[people["candidate"]] = np.arange(len(people))
    running, serial = (np.full((len(people), 2), -1) for _ in range(2))  # term and contract at work, by slot
    for event in history.log.contracts:
        kept = np.flatnonzero(place[event["who"]] >= 0)
        row = place[event["who"][kept]]
        e = {k: v[kept] if isinstance(v, np.ndarray) else v for k, v in event.items()}
        kind, slot, month = e["kind"], e["slot"], e["month"]
        amount = np.round(e["listed"] * (1 - e["discount"]))
        if kind == FIRST:
            serial[row, slot] = np.arange(book.contracts, book.contracts + len(row))
            book.contracts += len(row)
        now, contract = running[row, slot], serial[row, slot]
        if kind == SUPERSEDED:
            book.end(now, SUPERSEDED, month - 1)
        elif kind == RENEWED:
            book.change(serial=contract, row=row, month=month + 1, before=e["before"], after=amount, reason="price")
        elif kind == EARLY_END:
            book.end(now, EARLY_END, month)
        elif kind == "decision":
            book.end(now, np.where(e["renews"], RENEWED, CHURNED), month)
            columns = {"serial": contract, "row": row, "month": month, "amount": amount, "discount": e["offer"]}
            book.decisions.append({**columns, "renews": e["renews"]})
        elif kind == "change":
            before, after = (e[k] * (1 - e["discount"]) for k in ("before", "after"))
            reason = np.where(e["up"], "upsell", "downsell")
            book.change(serial=contract, row=row, month=month, before=before, after=after, reason=reason)
        elif kind == "pause":
            book.pauses.append((now, month))
        if kind in (FIRST, RENEWED, SUPERSEDED):
            running[row, slot] = book.begin(
                serial=contract, row=row, slot=slot, term_no=e["term_no"], begins=month + (kind == RENEWED),
                length=e["left"] + (kind != RENEWED), amount=amount, listed=e["listed"], discount=e["discount"],
            )  # fmt: skip
    return book


def contract_ids(serial: np.ndarray) -> np.ndarray:
    return ("K" + pd.Series(serial + 1).astype(str).str.zfill(5)).to_numpy()


def terms(history: History, book: _Book, ids: np.ndarray) -> pd.DataFrame:
    """contract_terms of contracts that lived when the data begin or later; outcomes of after the last day of the data
    are open."""
    people, setting = history.people, history.setting
    t = book.frame(book.terms, "serial row slot term_no begins length amount listed discount")
    outcome, known = np.full(len(t), "open", dtype=object), np.zeros(len(t), int)
    for at, kind, month in book.ends:  # a later word overrides an earlier one
        outcome[at], known[at] = kind, month
    row = t["row"].to_numpy()
    notice = people["notice"].to_numpy()[row]
    stops = (t["begins"] + t["length"]).to_numpy()
    starts_on, ends_on = setting.month_day(t["begins"].to_numpy()), setting.month_day(stops) - DAY
    due = setting.month_day(stops - notice) - DAY
    key = draws.keys(setting.seed, "term", t["serial"].to_numpy(), t["term_no"].to_numpy())
    given = due - np.floor(25 * draws.below(key, "notice")).astype("timedelta64[D]")
    outcome_on = np.where(outcome == CHURNED, given, setting.month_day(known + 1) - DAY)
    open_ = outcome == "open"
    why = np.array(REASONS, dtype=object)[(5 * draws.below(key, "reason")).astype(int)]
    told = np.isin(outcome, [CHURNED, EARLY_END]) & (draws.below(key, "told") < 0.7)
    pause = np.full(len(t), np.datetime64("NaT"), "datetime64[D]")
    pause_end = pause.copy()
    for at, month in book.pauses:
        pause[at], pause_end[at] = setting.month_day(month), setting.month_day(month + PAUSE_MONTHS) - DAY
    line = people["line"].to_numpy()[row]
    return _within(
        setting,
        pd.DataFrame(
            {
                "contract_id": contract_ids(t["serial"].to_numpy()),
                "customer_id": ids[row],
                "product_id": np.where(t["slot"] == 1, "S-003", np.where(line == 0, "S-001", "S-002")),
                "term_no": t["term_no"].astype(int),
                "starts_on": starts_on,
                "ends_on": ends_on,
                "term_months": t["length"].astype(int),
                "billing": people["billing"].to_numpy()[row],
                "monthly_amount": t["amount"].astype(int),
                "monthly_cost": np.round(t["listed"] * people["cost_share"].to_numpy()[row]).astype(int),
                "discount_rate": t["discount"],
                "auto_renew": draws.below(draws.keys(setting.seed, "auto", t["serial"].to_numpy()), "renew") < 0.85,
                "notice_due_on": due,
                "notice_given_on": np.where(outcome == CHURNED, given, np.datetime64("NaT")),
                "paused_from": pause,
                "paused_to": pause_end,
                "outcome": outcome,
                "outcome_on": np.where(open_, np.datetime64("NaT"), outcome_on),
                "outcome_reason": np.where(told, why, None),
            }
        ),
    )


def _within(setting: Setting, table: pd.DataFrame) -> pd.DataFrame:
    """The table as the system held it on the last day of the data."""
    last = setting.last_day
    stop = table["outcome_on"].where(table["outcome"].isin([EARLY_END, SUPERSEDED]), table["ends_on"])
    table = table[(stop >= setting.first_day) & (table["starts_on"] <= last)].copy()
    unknown = ~(table["outcome_on"] <= last)
    table.loc[unknown, ["outcome", "outcome_reason"]] = ["open", None]
    table.loc[unknown, ["outcome_on", "notice_given_on"]] = pd.NaT
    future = table["paused_from"] > last
    table.loc[future, ["paused_from", "paused_to"]] = pd.NaT
    return table.sort_values(["contract_id", "term_no"], ignore_index=True)


def changes(history: History, book: _Book, ids: np.ndarray, known: pd.DataFrame) -> pd.DataFrame:
    """contract_changes within the terms `known` (contract_terms), those of before the data included."""
    setting = history.setting
    table = book.frame(book.changes, "serial row month before after reason")
    table = table.assign(before=table["before"].round(), after=table["after"].round())
    table = table[(table["month"] < setting.months) & (table["before"] != table["after"])]
    out = pd.DataFrame(
        {
            "contract_id": contract_ids(table["serial"].to_numpy()),
            "customer_id": ids[table["row"].to_numpy()],
            "changed_on": setting.month_day(table["month"].to_numpy()),
            "amount_before": table["before"].astype(int).to_numpy(),
            "amount_after": table["after"].astype(int).to_numpy(),
            "reason": table["reason"].to_numpy(),
        }
    )
    first = out["contract_id"].map(known.groupby("contract_id")["starts_on"].min())
    out = out[out["changed_on"] > first]  # at its start a term carries its amount
    return out.sort_values(["contract_id", "changed_on", "reason"], ignore_index=True)


def decisions(book: _Book) -> pd.DataFrame:
    """Renewal decisions: serial, row, month, amount (a month), discount (offered), renews."""
    return book.frame(book.decisions, "serial row month amount discount renews")
