"""Answers of notebook 01 for whoever signs it: which checks failed, what changed since the last review, whether the
period can be trusted. Sentences carry counts, files and row numbers, never names of customers."""

from __future__ import annotations

import pandas as pd

from ltvlab_utils.i18n import day, decimal, money, month, percent, say, whole
from ltvlab_utils.sources import restate
from ltvlab_utils.sources.answers import MAIN, NONE, reconciliation
from ltvlab_utils.sources.stage import Staged
from ltvlab_utils.store import Run
from ltvlab_utils.tables.checks import CHECKS, SEVERITIES
from ltvlab_utils.tables.ingest import RESTATED

GRAVE = ("stop", "warn")
FAILED = ["check", "table_name", "severity", "rows", "amount", "found", "limit", "where", "remedy"]


def failed(staged: Staged, language: str = "en") -> pd.DataFrame:
    """One row a failed check and table, gravest first: check, table_name, severity, rows, amount, found, limit, where,
    remedy, all as words but rows and amount."""
    bad = staged.checks[staged.checks["status"] == "failed"]
    bad = bad.assign(order=bad["severity"].map(SEVERITIES.index)).sort_values(["order", "check", "table_name"])
    rows = [
        {
            "check": say(f"check.{row['check']}", language),
            "table_name": row["table_name"],
            "severity": say(f"severity.{row['severity']}", language),
            "rows": row["rows"],
            "amount": row["amount"],
            "found": _value(row["measured"], CHECKS[row["check"]].unit, language),
            "limit": _value(row["limit"], CHECKS[row["check"]].unit, language),
            "where": _where(row, language),
            "remedy": say(f"check.{row['check']}.remedy", language),
        }
        for row in bad.to_dict("records")
    ]
    return pd.DataFrame(rows, columns=FAILED)


def _value(value: float, unit: str, language: str) -> str:
    if unit.startswith("fraction"):
        return percent(value, language, decimals=2)
    return say(f"unit.{unit}", language, count=decimal(value, language, 0 if value == int(value) else 1))


def _where(row: dict, language: str) -> str:
    """Where to look: file and row of the first row found, else what the check has to tell (key=value, in words)."""
    if pd.notna(row["example_row"]):
        return say("ingest.where", language, file=row["example_file"], row=int(row["example_row"]))
    if pd.notna(row["example_file"]):
        return row["example_file"]
    if pd.isna(row["detail"]):
        return NONE
    pairs = [pair.partition("=") for pair in row["detail"].split()]
    return say("mark.comma", language).join(say(f"detail.{key}", language, value=value) for key, _, value in pairs)


def verdicts(staged: Staged) -> pd.DataFrame:
    """One row a check: check, status (failed where it failed for any table, not_applicable where it could look at
    none), severity, rows that it found."""
    worst = {"failed": 0, "passed": 1, "not_applicable": 2}
    table = staged.checks.assign(order=staged.checks["status"].map(worst)).sort_values("order", kind="stable")
    first = table.groupby("check", sort=False).agg(
        status=("status", "first"), severity=("severity", "first"), order=("order", "first")
    )
    found = staged.checks[staged.checks["status"] == "failed"].groupby("check")["rows"].sum()
    first["rows"] = found.reindex(first.index, fill_value=0)
    return first.reindex(list(CHECKS)).drop(columns="order").rename_axis("check").reset_index()


def checked(staged: Staged, language: str = "en") -> str:
    """How many checks passed, failed, could not be asked; a line a failed one."""
    status = verdicts(staged)["status"].value_counts()
    counts = {s: int(status.get(s, 0)) for s in ("passed", "failed", "not_applicable")}
    lines = [say("note.ingest_checked", language, count=sum(counts.values()), **counts)]
    for row in failed(staged, language).to_dict("records"):
        rows = say("ingest.rows", language, count=int(row["rows"])) if row["rows"] else row["found"]
        amount = money(row["amount"], language, staged.currency)
        lines.append(
            say(
                "note.ingest_failed",
                language,
                severity=row["severity"],
                check=row["check"],
                table=row["table_name"],
                found=f"{rows}{say('mark.comma', language)}{amount}" if row["amount"] else rows,
                where=row["where"],
            )
        )
    return "\n".join(lines)


# --- since the review before ------------------------------------------------------------------------------------------


def restated(staged: Staged, run: Run) -> pd.DataFrame:
    """The contract `restatements`: against the published review of the month before; empty where there is none."""
    if run.prior is None:
        return restate.compare({}, {}, staged.as_of)
    before = {name: run.table_before(name) for name in RESTATED}
    return restate.compare(staged.tables, before, run.prior.as_of, staged.made_keys)


def deliveries(staged: Staged, run: Run) -> pd.DataFrame:
    """Files that are new, replaced or gone since the review before (rows as words); none before the first review."""
    told = run.prior.frame("ingest_report") if run.prior is not None and run.prior.has("ingest_report") else None
    files = restate.deliveries(staged.report, staged.report if told is None else told)
    files = files[files["state"] != "same"].reset_index(drop=True)
    shown = {c: [NONE if pd.isna(n) else whole(n, "en") for n in files[c]] for c in ("rows_before", "rows_now")}
    return files.assign(**shown)


def moved(changes: pd.DataFrame, run: Run) -> pd.DataFrame | None:
    """How last month's amount moved (position, step, value: opening, added, changed, gone, closing); None where it did
    not. Of orders, or of terms that began in it where no order changed."""
    if run.prior is None:
        return None
    last = changes[changes["month"] == pd.Timestamp(run.prior.period.first_day)]
    last = last[last["table_name"].isin(MAIN)].sort_values("table_name", ascending=False)
    if last.empty:
        return None
    steps = ("before", "added", "changed", "gone", "after")
    names = {"before": "opening", "after": "closing"}
    rows = [(i, names.get(s, s), last.iloc[0][f"amount_{s}"]) for i, s in enumerate(steps)]
    return pd.DataFrame(rows, columns=["position", "step", "value"])


def changed(changes: pd.DataFrame, files: pd.DataFrame, run: Run, language: str = "en") -> str:
    """What changed in months already reviewed, by table, and how last month's amount moved."""
    if run.prior is None:
        return say("note.ingest_first_review", language)
    until = month(run.prior.as_of, language)
    states = files["state"].value_counts()
    counts = {s: int(states.get(s, 0)) for s in ("new", "replaced", "gone")}
    lines = [say("note.ingest_files_changed", language, **counts)]
    if changes.empty:
        return "\n".join([*lines, say("note.ingest_unchanged", language, month=until)])
    for name, own in changes.groupby("table_name"):
        sums = own[["rows_added", "rows_changed", "rows_gone"]].sum()
        lines.append(
            say(
                "note.ingest_restated",
                language,
                table=name,
                month=until,
                months=len(own),
                added=whole(sums["rows_added"], language),
                changed=whole(sums["rows_changed"], language),
                gone=whole(sums["rows_gone"], language),
            )
        )
    bridge = moved(changes, run)
    if bridge is not None:
        before, after = bridge["value"].iloc[0], bridge["value"].iloc[-1]
        currency = run.settings.currency
        amounts = {"before": money(before, language, currency), "after": money(after, language, currency)}
        difference = money(after - before, language, currency, sign=True)
        lines.append(say("note.ingest_moved", language, month=until, **amounts, difference=difference))
    return "\n".join(lines)


# --- can we trust it? -------------------------------------------------------------------------------------------------


def points(staged: Staged, language: str = "en") -> list[str]:
    """What stands against signing: rows or amounts that do not reconcile, checks of a grave kind that failed, cost that
    is unknown on part of the rows."""
    found = []
    if (reconciliation(staged)[["rows_unexplained", "amount_unexplained"]] != 0).to_numpy().any():
        found.append(say("ingest.doubt_reconcile", language))
    bad = staged.checks[(staged.checks["status"] == "failed") & staged.checks["severity"].isin(GRAVE)]
    for row in bad.to_dict("records"):
        measured = _value(row["measured"], CHECKS[row["check"]].unit, language)
        rows = say("ingest.rows", language, count=int(row["rows"])) if CHECKS[row["check"]].of_rows else measured
        check = say(f"check.{row['check']}", language)
        found.append(say("ingest.point", language, check=check, table=row["table_name"], found=rows))
    without = set(bad.loc[bad["check"] == "files_without_cost", "table_name"])
    for name, column in (("order_lines", "cost_amount"), ("contract_terms", "monthly_cost")):
        if name not in staged.tables or name in without:
            continue
        share = staged.tables[name][column].isnull().ifelse(1, 0).mean().to_pandas()
        if share == share and share > 0:
            part = percent(share, language, decimals=0)
            found.append(say("ingest.doubt_cost", language, table=name, share=part))
    return found


def trust(staged: Staged, language: str = "en") -> str:
    """The answer to the notebook's question, and the line that is signed."""
    against = points(staged, language)
    as_of = day(staged.as_of, language)
    if against:
        lines = [say("note.ingest_trust_care", language, count=len(against), day=as_of)]
        lines += [f"{number}. {point}" for number, point in enumerate(against, 1)]
    else:
        lines = [say("note.ingest_trust", language, day=as_of)]
    return "\n".join([*lines, say("ingest.signature", language)])
