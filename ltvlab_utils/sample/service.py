"""What customers do with the product and what serving them takes: support, usage, milestones, surveys, contacts."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import expit

from ltvlab_utils.sample import draws
from ltvlab_utils.sample.dynamics import YEN_AN_HOUR
from ltvlab_utils.sample.futures import ticket_hours
from ltvlab_utils.sample.history import History
from ltvlab_utils.sample.names import DEPARTMENTS, GIVEN, SURNAMES

USAGE_PULL = 0.9  # effect of satisfaction, a month before, on the log of usage
MILESTONES = (("キックオフ", 14), ("初回ログイン", 30), ("本番稼働", 90), ("定着確認", 180))


def support(history: History, ids: np.ndarray) -> pd.DataFrame:
    """support_costs: the tickets of each month, with the hours that the truth counts."""
    setting, found = history.setting, []
    for month, mean in enumerate(history.log.tickets):
        cells, count, hours, _ = ticket_hours(history.cast, mean[:, None], month)
        first = setting.month_day(month)
        length = int((setting.month_day(month + 1) - first).astype(int))
        key = draws.keys(setting.seed, "ticket day", cells, month)
        day = first + np.floor(length * draws.below(key, "day", count)).astype("timedelta64[D]")
        kind = np.searchsorted([0.75, 0.9], draws.below(key, "kind", count))
        found.append(pd.DataFrame({"row": cells, "occurred_on": day, "hours": hours, "kind": kind}))
    table = pd.concat(found, ignore_index=True)
    out = pd.DataFrame(
        {
            "customer_id": ids[table["row"]],
            "occurred_on": table["occurred_on"],
            "hours": np.round(table["hours"], 2),
            "cost_amount": np.round(table["hours"] * YEN_AN_HOUR).astype(int),
            "kind": np.array(["ticket", "onsite", "training"])[table["kind"]],
        }
    )
    return out.sort_values(["occurred_on", "customer_id", "cost_amount"], ignore_index=True)


def usage(history: History, ids: np.ndarray) -> pd.DataFrame:
    """Active users (software) or machine hours (others) by week of every customer under contract."""
    setting, people = history.setting, history.people
    rng = draws.stream(setting.seed, "usage")
    rows = history.cast.holders
    mood, fading, paid = (np.array(getattr(history.log, t))[:, rows] for t in ("mood", "fading", "revenue"))
    before = np.vstack([mood[:1], mood[:-1]])  # what is felt shows in use a month later
    monday = setting.first_day + np.timedelta64((7 - pd.Timestamp(setting.first_day).weekday()) % 7, "D")
    weeks = monday + np.arange(0, setting.days - int((monday - setting.first_day).astype(int)) - 6, 7).astype(
        "timedelta64[D]"
    )
    month = (weeks.astype("datetime64[M]") - setting.first_day.astype("datetime64[M]")).astype(int)
    level = np.maximum(np.exp(2.6 + 0.8 * people["size"].to_numpy()[rows]), 2.0)
    mean = level * np.exp(USAGE_PULL * before[month] + 0.15 * rng.standard_normal((len(weeks), len(rows))))
    value = rng.poisson(np.minimum(mean * fading[month], 1e6))
    week, who = np.nonzero(paid[month] > 0)
    software = people["line"].to_numpy()[rows][who] == 0
    return pd.DataFrame(
        {
            "customer_id": ids[rows[who]],
            "week": weeks[week],
            "metric": np.where(software, "active_users", "machine_hours"),
            "value": value[week, who].astype(float),
        }
    ).sort_values(["customer_id", "week"], ignore_index=True)


def milestones(history: History, terms: pd.DataFrame, ids: np.ndarray) -> pd.DataFrame:
    """Onboarding of contracts that began within the data; customers that are not content are late."""
    setting = history.setting
    rng = draws.stream(setting.seed, "milestones")
    last = setting.last_day
    new = terms[(terms["term_no"] == 1) & (terms["starts_on"] >= setting.first_day)].reset_index(drop=True)
    row = pd.Series(np.arange(len(ids)), index=ids).reindex(new["customer_id"]).to_numpy(int)
    started = new["starts_on"].to_numpy().astype("datetime64[M]") - setting.first_day.astype("datetime64[M]")
    mood = np.array(history.log.mood)[started.astype(int), row]
    parts = []
    for name, days in MILESTONES:
        due = new["starts_on"].to_numpy().astype("datetime64[D]") + np.timedelta64(days, "D")
        late = np.round(days * rng.normal(0.0, 0.15, len(new)) + np.maximum(-mood, 0) * 0.25 * days).astype(int)
        done = due + late.astype("timedelta64[D]")
        reached = (done <= last) & (rng.random(len(new)) < expit(3.2 + 0.8 * mood))
        part = {"customer_id": new["customer_id"], "contract_id": new["contract_id"], "name": name, "due_on": due}
        parts.append(pd.DataFrame({**part, "done_on": np.where(reached, done, np.datetime64("NaT"))}))
    return pd.concat(parts, ignore_index=True).sort_values(["due_on", "contract_id"], ignore_index=True)


def surveys(history: History, ids: np.ndarray) -> pd.DataFrame:
    """Surveys of March and September, 0 to 10; content customers answer more often, so a blank is not neutral."""
    setting = history.setting
    rng = draws.stream(setting.seed, "surveys")
    mood, alive, found = np.array(history.log.mood), np.array(history.log.alive), []
    for month in range(setting.months):
        day = setting.month_day(month)
        if str(day)[5:7] not in ("03", "09"):
            continue
        asked = np.flatnonzero(alive[month] & (rng.random(len(ids)) < 0.6))
        felt = mood[month][asked]
        answers = rng.random(len(asked)) < expit(-0.4 + 0.7 * felt)
        score = np.clip(np.round(7 + 1.4 * felt + rng.normal(0, 1.0, len(asked))), 0, 10)
        sent = day + np.timedelta64(9, "D")
        back = sent + rng.integers(0, 15, len(asked)).astype("timedelta64[D]")
        found.append(
            pd.DataFrame(
                {
                    "customer_id": ids[asked],
                    "sent_on": sent,
                    "answered_on": np.where(answers, back, np.datetime64("NaT")),
                    "score": np.where(answers, score, np.nan),
                }
            )
        )
    columns = ["customer_id", "sent_on", "answered_on", "score"]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=columns)


def contacts(history: History, ids: np.ndarray) -> pd.DataFrame:
    """People at customers with their consent; where a contact changed in April or October, the one before has left."""
    setting = history.setting
    rng = draws.stream(setting.seed, "contacts")
    turned = np.array(history.log.turned)
    many = 1 + rng.binomial(2, 0.35, len(ids))
    row = np.repeat(np.arange(len(ids)), many)
    month, moved = np.nonzero(turned)
    left = setting.month_day(month) - np.timedelta64(1, "D")
    row = np.r_[row, moved]
    n = len(row)
    basis = rng.choice(["contract", "exhibition", "web_form", "none"], n, p=[0.45, 0.2, 0.25, 0.1])
    number = pd.Series(row).groupby(row).cumcount().to_numpy() + 1
    code = pd.Series(ids[row]).str.lower() + "-" + pd.Series(number).astype(str)
    out = pd.DataFrame(
        {
            "contact_id": "P" + pd.Series(np.arange(1, n + 1)).astype(str).str.zfill(6),
            "customer_id": ids[row],
            "name": [
                f"{a} {b}" for a, b in zip(rng.choice(SURNAMES.split(), n), rng.choice(GIVEN.split(), n), strict=True)
            ],
            "department": rng.choice(DEPARTMENTS, n),
            "role": rng.choice(["担当", "課長", "部長", "役員"], n, p=[0.5, 0.28, 0.17, 0.05]),
            "email": code + "@mail.example",
            "postal_code": [
                f"{a:03d}-{b:04d}" for a, b in zip(rng.integers(1, 999, n), rng.integers(0, 9999, n), strict=True)
            ],
            "address": rng.choice(
                ["東京都千代田区", "大阪府大阪市北区", "愛知県名古屋市中区", "宮城県仙台市青葉区"], n
            ),
            "consent_basis": basis,
            "consent_evidence": np.where(basis == "none", None, "form-" + pd.Series(np.arange(n)).astype(str)),
            "opt_out_mail": (rng.random(n) < 0.08) | (basis == "none"),
            "opt_out_dm": rng.random(n) < 0.03,
            "left_on": np.r_[np.full(n - len(moved), np.datetime64("NaT"), "datetime64[D]"), left],
        }
    )
    return out.sort_values("contact_id", ignore_index=True)
