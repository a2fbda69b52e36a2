"""Rows as systems hand them over: doubled, garbled, without a customer, dated wrongly. Each stands in the truth."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ltvlab_utils.sample import draws
from ltvlab_utils.sample.names import variants

DAY_FORM, MOMENT_FORM = "%Y/%m/%d", "%Y/%m/%d %H:%M"
BAD_DATES = ("未定", "2024/13/05 10:00", "2023/02/30 09:15")
UNKNOWN_STATUS = "保留"


@dataclass
class Faults:
    """What is wrong and where: kind, table, key, customer_id (the true one), detail."""

    rows: list[pd.DataFrame] = field(default_factory=list)

    def note(self, kind: str, table: str, key, customer_id, detail="") -> None:
        columns = {"kind": kind, "table": table, "key": key, "customer_id": customer_id, "detail": detail}
        self.rows.append(pd.DataFrame(columns, index=range(len(key))))

    def frame(self) -> pd.DataFrame:
        names = ["kind", "table", "key", "customer_id", "detail"]
        return pd.concat(self.rows, ignore_index=True) if self.rows else pd.DataFrame(columns=names)


def _keys(lines: pd.DataFrame) -> np.ndarray:
    return (lines["order_id"] + "/" + lines["line_no"].astype(str)).to_numpy()


def spoil_lines(seed: int, lines: pd.DataFrame, faults: Faults) -> pd.DataFrame:
    """order_lines with dates as text and faulty rows; at most one row in eight is touched."""
    rng = draws.stream(seed, "faulty lines")
    dates = {"ordered_at": MOMENT_FORM, "shipped_on": DAY_FORM, "invoiced_on": DAY_FORM}
    lines = pd.concat([lines, _strays(rng, lines, faults)], ignore_index=True)
    gone = lines[lines["status"] == "cancelled"]
    faults.note("cancelled_order", "order_lines", _keys(gone), gone["customer_id"].to_numpy())
    out = lines.assign(**{c: _text(lines[c], form) for c, form in dates.items()}).astype(object)
    usable = np.flatnonzero((lines["kind"] == "sale").to_numpy())
    rows = rng.permutation(usable)[: min(90, len(usable) // 8)]
    guest, empty, bad, code, twice, ahead, closing = np.split(rows, [36, 43, 50, 53, 60, 63])
    month_end = (lines["ordered_at"] + pd.offsets.MonthEnd(0)).dt.strftime("%Y/%m/%d 18:00")
    future = (lines["ordered_at"] + pd.DateOffset(years=27)).dt.strftime(MOMENT_FORM)
    wrong = np.resize(np.array(BAD_DATES, dtype=object), len(bad))
    for kind, at, column, value in (
        ("guest", guest, "customer_id", None),
        ("missing_amount", empty, "net_amount", None),
        ("bad_date", bad, "ordered_at", wrong),
        ("unknown_status", code, "status", UNKNOWN_STATUS),
        ("future_date", ahead, "ordered_at", future.iloc[ahead].to_numpy()),
        ("month_end_invoice", closing, "ordered_at", month_end.iloc[closing].to_numpy()),
        ("duplicate", twice, "", None),
    ):
        was = out[column].iloc[at].astype(str).to_numpy() if column else ""
        faults.note(kind, "order_lines", _keys(lines.iloc[at]), lines["customer_id"].to_numpy()[at], was)
        if column:
            out.iloc[at, out.columns.get_loc(column)] = value
    order = np.argsort(np.r_[np.arange(len(out)), twice], kind="stable")
    return out.iloc[np.r_[np.arange(len(out)), twice][order]].reset_index(drop=True)


def _text(moments: pd.Series, form: str) -> np.ndarray:
    """Dates in words; each distinct one is written once."""
    code, distinct = pd.factorize(moments)
    words = np.append(pd.DatetimeIndex(distinct).strftime(form).to_numpy(dtype=object), None)
    return words[code]


def _strays(rng: np.random.Generator, lines: pd.DataFrame, faults: Faults) -> pd.DataFrame:
    """Returns by customers that had not bought anything yet."""
    sales = lines[(lines["kind"] == "sale") & (lines["status"] == "confirmed")]
    first = sales.drop_duplicates("customer_id")
    late = first[first["ordered_at"] > lines["ordered_at"].min() + pd.Timedelta(days=90)]
    chosen = late.iloc[np.sort(rng.permutation(len(late))[:4])]
    stray = chosen.assign(
        order_id=[f"RT9{i:05d}" for i in range(len(chosen))],
        line_no=1,
        ordered_at=chosen["ordered_at"] - pd.Timedelta(days=40),
        shipped_on=pd.NaT,
        invoiced_on=pd.NaT,
        kind="return",
        returns_order_id=[f"SOX{i:05d}" for i in range(len(chosen))],
        discount_amount=0,
        **{c: -chosen[c] for c in ("quantity", "net_amount", "cost_amount")},
    )
    faults.note("return_without_sale", "order_lines", _keys(stray), stray["customer_id"].to_numpy())
    return stray


def spoil_terms(seed: int, terms: pd.DataFrame, faults: Faults) -> pd.DataFrame:
    """contract_terms with a few terms entered twice, the second time overlapping the first and ended at once."""
    rng = draws.stream(seed, "faulty terms")
    ended = np.flatnonzero(terms["outcome"].isin(["renewed", "churned"]).to_numpy())
    chosen = terms.iloc[np.sort(rng.permutation(ended)[: min(3, len(ended) // 8)])]
    starts = chosen["starts_on"] + pd.DateOffset(months=3)
    twice = chosen.assign(
        term_no=chosen["term_no"] + 50, starts_on=starts, outcome="superseded", outcome_on=starts,
        outcome_reason=None, notice_given_on=pd.NaT, paused_from=pd.NaT, paused_to=pd.NaT,
    )  # fmt: skip
    key = (twice["contract_id"] + "/" + twice["term_no"].astype(str)).to_numpy()
    faults.note("overlapping_term", "contract_terms", key, twice["customer_id"].to_numpy())
    return pd.concat([terms, twice], ignore_index=True).sort_values(["contract_id", "term_no"], ignore_index=True)


def spoil_customers(seed: int, customers: pd.DataFrame, faults: Faults) -> pd.DataFrame:
    """customers with some names in a wrong encoding and some firms entered twice under another spelling."""
    rng = draws.stream(seed, "faulty customers")
    rows = rng.permutation(len(customers))
    garbled, doubled = rows[: min(3, len(rows) // 10)], rows[3 : 3 + min(6, len(rows) // 10)]
    out = customers.copy()
    names = out["customer_name"].to_numpy(dtype=object).copy()
    names[garbled] = [n.encode().decode("cp932", errors="replace") for n in names[garbled]]
    out["customer_name"] = names
    ids = customers["customer_id"].to_numpy()
    faults.note(
        "wrong_encoding", "customers", ids[garbled], ids[garbled], customers["customer_name"].to_numpy()[garbled]
    )
    again = customers.iloc[doubled].assign(
        customer_id=[f"C9{i:04d}" for i in range(len(doubled))],
        customer_name=variants(customers["customer_name"].to_numpy()[doubled])["short"],
        acquisition_cost=np.nan, parent_id=None, corporate_number=None,
    )  # fmt: skip
    faults.note("entered_twice", "customers", again["customer_id"].to_numpy(), ids[doubled])
    return pd.concat([out, again], ignore_index=True)


SPOIL = {"customers": spoil_customers, "order_lines": spoil_lines, "contract_terms": spoil_terms}


def other_systems(seed: int, customers: pd.DataFrame) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """The same firms in the shop, in accounting and in an old list, with keys and spellings of their own, and the true
    links (source, source_key, customer_id, name)."""
    rng = draws.stream(seed, "other systems")
    spelt = variants(customers["customer_name"].to_numpy())
    tables, links = {}, []
    for source, prefix, share in (("shop", "M", 0.6), ("accounting", "A", 0.9), ("old_list", "L", 0.4)):
        rows = np.flatnonzero(rng.random(len(customers)) < share)
        rows = rows[rng.permutation(len(rows))]
        key = prefix + pd.Series(np.arange(1, len(rows) + 1)).astype(str).str.zfill(5)
        own = customers.iloc[rows].reset_index(drop=True)
        number = own["corporate_number"].where(rng.random(len(own)) < (0.7 if source == "accounting" else 0.0))
        tables[source] = pd.DataFrame(
            {"key": key, "name": spelt[source][rows], "region": own["region"], "corporate_number": number}
        )
        links.append(
            pd.DataFrame({"source": source, "source_key": key, "customer_id": own["customer_id"],
                          "name": spelt[source][rows]})
        )  # fmt: skip
    return tables, pd.concat(links, ignore_index=True)
