"""A small company by hand for tests of pages: every table passes its contract, every name may be hostile."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd

from ltvlab_utils.pages.facts import Facts
from ltvlab_utils.periods import Period
from ltvlab_utils.tables import check_frame, contract_of

HOSTILE = "</script><img src=x onerror=alert(1)>\"'`{0.__class__}\u202e\x00"
SILENT = '{"usual_days": 12, "silent_days": 41}'
M = 1e6


def table(name: str, rows: list[dict]) -> pd.DataFrame:
    """A frame with all columns of the contract, checked; columns that are not given are null."""
    columns = contract_of(name).names
    frame = pd.DataFrame(rows).reindex(columns=columns)
    for column in contract_of(name).columns:
        if column.kind == "number":
            frame[column.name] = frame[column.name].astype(float)
        if column.kind == "date":
            frame[column.name] = pd.to_datetime(frame[column.name])
    return check_frame(contract_of(name), frame)


def kpi(metric_id, value, prior=None, last_year=None, target=None, n=100, unit="currency"):
    return {"metric_id": metric_id, "scope_type": "company", "scope_id": "-", "value": value, "prior": prior,
            "last_year": last_year, "target": target, "n": n, "timing": "lagging", "unit": unit}  # fmt: skip


def kpis() -> pd.DataFrame:
    return table("kpis", [
        kpi("revenue", 482 * M, 469 * M, 453 * M, 497.4 * M),
        kpi("gross_profit", 191 * M, 185 * M, 180 * M, 196 * M),
        kpi("revenue_fytd", 1410 * M, 928 * M, 1350 * M, 1425 * M),
        kpi("gross_profit_fytd", 561 * M, 370 * M, 532 * M, 570 * M),
        kpi("future_value", 6130 * M, 6080 * M, None, None),
        kpi("nrr", 1.042, 1.038, 1.021, 1.06, 412, "fraction"),
        kpi("grr", 0.938, 0.936, 0.941, None, 412, "fraction"),
        kpi("existing_revenue_yoy", 1.013, 1.01, 0.99, None, 900, "fraction"),
        kpi("logo_churn", 0.026, 0.025, 0.03, None, 412, "fraction"),
        kpi("churned_customers", 3, 2, 4, None, 3, "count"),
        kpi("active_customers", 1040, 1031, 998, None, 1040, "count"),
        kpi("new_customers", 14, 11, 12, None, 14, "count"),
        kpi("notice_90_amount", 134 * M, 120 * M, 110 * M, None, 38),
        kpi("notice_90_contracts", 38, 31, 30, None, 38, "count"),
        kpi("notice_90_at_risk", 42 * M, 38 * M, None, None, 38),
    ])  # fmt: skip


def kpi_history() -> pd.DataFrame:
    months = pd.period_range("2023-07", "2025-06", freq="M").strftime("%Y-%m")
    wave = np.sin(np.arange(24) / 24 * 4 * np.pi)
    series = {
        "revenue": (400 + 3.4 * np.arange(24) + 14 * wave, 420 + 3.36 * np.arange(24)),
        "nrr": ((1.0 + 0.0018 * np.arange(24) + 0.004 * wave) / M, np.full(24, 1.06 / M)),
        "existing_revenue_yoy": ((0.97 + 0.0018 * np.arange(24)) / M, np.full(24, np.nan)),
        "notice_90_amount": (100 + 20 * np.abs(wave) + np.arange(24), np.full(24, np.nan)),
    }
    rows = [
        {"metric_id": metric, "month": m, "value": v * M, "target": t * M}
        for metric, (values, targets) in series.items()
        for m, v, t in zip(months, values, targets, strict=True)
    ]
    return table("kpi_history", rows)


def landing(budget: float | None = 2320 * M) -> pd.DataFrame:
    rows = [
        {"fiscal_year": "FY2025", "metric_id": "gross_profit", "to_date": 561 * M, "existing_customers": 1699 * M,
         "landing": 2260 * M, "low": 2140 * M, "high": 2390 * M, "budget": budget,
         "p_reach_budget": None if budget is None else 0.28},
        {"fiscal_year": "FY2025", "metric_id": "revenue", "to_date": 1410 * M, "existing_customers": 4240 * M,
         "landing": 5650 * M, "low": 5400 * M, "high": 5900 * M, "budget": None, "p_reach_budget": None},
    ]  # fmt: skip
    return table("landing", rows)


def bridge(**changes: float) -> pd.DataFrame:
    """A revenue bridge that closes: opening 469, the given changes (in millions), closing."""
    given = {"opening": 469.0, "new": 14.0, "expansion": 21.0, "return": 6.0, "contraction": -11.0, "pause": -12.0,
             "churn": -5.0} | changes  # fmt: skip
    given["closing"] = sum(given.values())
    counts = {"opening": 720, "closing": 731, "new": 14, "expansion": 161, "return": 48, "contraction": 139,
              "pause": 45, "churn": 3}  # fmt: skip
    return table(
        "revenue_bridge",
        [{"position": i, "step": s, "value": v * M, "customers": counts[s]} for i, (s, v) in enumerate(given.items())],
    )


def ltv_bridge(calculation: bool = False) -> pd.DataFrame:
    steps = [("opening", 6080, 1038), ("won", 110, 14), ("grown", 190, 402), ("shrunk", -170, 598), ("lost", -80, 12)]
    if calculation:
        steps += [("model", -40, 1026)]
    steps += [("closing", sum(v for _, v, _ in steps), 1040)]
    return table("ltv_bridge", [
        {"position": i, "step": s, "value": v * M, "customers": n, "calculation": s == "model"}
        for i, (s, v, n) in enumerate(steps)
    ])  # fmt: skip


def segments(customers: int = 1200) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    value = np.sort(rng.lognormal(14.6, 1.3, customers))[::-1]
    value *= 6130 * M / value.sum()
    risk = rng.beta(1.2, 4, customers)
    rank = np.arange(customers) / customers
    value_class = np.where(rank < 0.2, "high", np.where(rank < 0.6, "middle", "low"))
    risk_class = np.where(risk > 0.45, "high", np.where(risk > 0.2, "middle", "low"))
    return table("segments_by_customer", [
        {"customer_id": f"C{i:04d}", "value_segment": f"{value_class[i]}_{risk_class[i]}",
         "value_class": value_class[i], "risk_class": risk_class[i], "lifecycle": "active", "rfm": None,
         "future_value": value[i], "churn_probability": risk[i], "value_at_risk": value[i] * risk[i]}
        for i in range(customers)
    ])  # fmt: skip


def watchlist(hostile: bool = False, rows: int = 12) -> pd.DataFrame:
    names = [
        "甲精工株式会社",
        "乙物産",
        "丙クラウド合同会社",
        "丁商事",
        "戊システム",
        "己運輸",
        "庚工業",
        "辛電機",
        "壬食品",
        "癸印刷",
        "子建設",
        "丑化学",
    ]
    out = []
    for i in range(rows):
        value, risk = 84 * M / (1 + 0.6 * i), 0.71 - 0.03 * i
        due = [date(2025, 7, 23), None, date(2025, 8, 27), None, date(2025, 9, 19)][i % 5]
        out.append({
            "rank": i + 1, "customer_id": f"C{i:04d}", "customer_name": HOSTILE if hostile else names[i % 12],
            "owner": HOSTILE if hostile else ["佐藤", "鈴木", None][i % 3],
            "reason": HOSTILE if hostile else "silent", "reason_values": HOSTILE if hostile else SILENT,
            "action": HOSTILE if hostile else "visit", "future_value": value, "churn_probability": risk,
            "value_at_risk": value * risk, "deadline_on": due,
            "days_left": (due - date(2025, 6, 30)).days if due else None,
        })  # fmt: skip
    return table("watchlist", out)


def renewal_calendar() -> pd.DataFrame:
    rows = []
    for i, days in enumerate((5, 23, 40, 58, 81, 120)):
        due = pd.Timestamp("2025-06-30") + pd.Timedelta(days=days)
        rows.append({
            "contract_id": f"K{i}", "customer_id": f"C{i:04d}", "customer_name": "x", "owner": None,
            "notice_due_on": due, "renewal_on": due + pd.Timedelta(days=30), "days_left": days,
            "window": "30" if days <= 30 else "90" if days <= 90 else "180", "annual_amount": 3 * M, "p_renew": 0.8,
            "value_at_risk": 0.6 * M, "contacted": i % 2 == 0,
        })  # fmt: skip
    frame = pd.DataFrame(rows)
    return check_frame(contract_of("renewal_calendar"), frame[contract_of("renewal_calendar").names])


def effect(campaign, name, total, low, high, cost, verdict, n=240, control=80, naive=None, metric="gross_profit",
           causal=True, design="randomised", estimator="lin", primary=True):  # fmt: skip
    known = total is not None
    each = {k: v * M / n if v is not None else None for k, v in (("effect", total), ("low", low), ("high", high))}
    return {
        "campaign_id": campaign, "campaign_name": name, "action": "visit", "design": design, "metric": metric,
        "primary": primary, "estimator": estimator, **each, "p_value": 0.01 if known else None,
        "total_effect": total * M if known else None, "total_low": low * M if known else None,
        "total_high": high * M if known else None, "cost_amount": cost * M,
        "naive": None if naive is None else naive * M / n, "minimum_detectable": None, "sample_ratio_p": 0.8,
        "n_treatment": n, "n_control": control, "causal": causal, "verdict": verdict,
        "window_ends_on": "2025-04-30",
    }  # fmt: skip


def effects(hostile: bool = False) -> pd.DataFrame:
    name = HOSTILE if hostile else None
    return table("campaign_effects", [
        effect("C1", name or "休眠復活メール", 22, 12, 32, 3, "works", naive=48),
        effect("C2", name or "夏の値引き", -1.0, -4.5, 2.5, 6.2, "cannot_tell", naive=40),
        effect("C3", name or "製品セミナー", None, None, None, 2.1, "not_causal", n=60, control=0, naive=31,
               causal=False, design="targeted", estimator="naive_response"),
        effect("C4", name or "更新前訪問（CS）", 9, -2, 20, 2.0, "cannot_tell", n=90, control=24, naive=12),
    ])  # fmt: skip


def totals() -> pd.DataFrame:
    return table("ltv_totals", [
        {"scope": "company", "customers": 1040, "value": 6130 * M, "low": 5780 * M, "high": 6490 * M},
    ])  # fmt: skip


def ingest_report() -> pd.DataFrame:
    return table("ingest_report", [
        {"table_name": "order_lines", "source": "erp", "file": "orders.csv", "rows_read": 12_400,
         "rows_accepted": 12_345, "rows_rejected": 55, "rows_after_as_of": 0, "rows_without_customer": 0,
         "amount_read": 0.0, "amount_accepted": 0.0, "amount_rejected": 0.0, "amount_after_as_of": 0.0,
         "fingerprint": "0" * 64},
    ])  # fmt: skip


def values(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[["customer_id", "future_value"]].assign(value_basis="net_profit")


def facts(hostile: bool = False) -> Facts:
    """A company with orders, contracts, costs, targets and measures, and a review before this one."""
    parts = segments()
    tables = {
        "kpis": kpis(), "kpi_history": kpi_history(), "landing": landing(), "revenue_bridge": bridge(),
        "ltv_bridge": ltv_bridge(), "segments_by_customer": parts, "watchlist": watchlist(hostile),
        "renewal_calendar": renewal_calendar(), "campaign_effects": effects(hostile), "ltv_totals": totals(),
        "ltv_by_customer": values(parts), "ingest_report": ingest_report(),
        "industries": pd.DataFrame({"customer_id": parts["customer_id"], "industry": HOSTILE if hostile else "製造"}),
    }  # fmt: skip
    name = {"ja": HOSTILE, "en": HOSTILE} if hostile else {"ja": "みなと商会（見本）", "en": "Minato Trading (sample)"}
    return Facts(
        company="sample", names=name, period=Period(2025, 6), as_of=date(2025, 6, 30), currency="JPY",
        value_basis="net_profit", margin_assumed=False, horizon_months=36, discount_rate=0.10,
        run_id="20250703-081200-1a2b3c4d", kind="final", version="0.1.0", data_until=date(2025, 6, 30), tables=tables,
        staged=frozenset({"order_lines", "contract_terms", "campaigns", "targets"}),
        prior_period=Period(2025, 5), prior_value=6080 * M,
    )  # fmt: skip


def orders_only() -> Facts:
    """A company with nothing but order lines without cost, at its first review."""
    parts = segments(300)
    known = kpis()
    keep = known["metric_id"].isin(["revenue", "revenue_fytd", "active_customers"])
    known.loc[~keep, ["value", "prior", "last_year"]] = np.nan
    known["target"] = np.nan
    known.loc[known["metric_id"] == "existing_revenue_yoy", "value"] = 0.61
    tables = {
        "kpis": known, "kpi_history": kpi_history().assign(target=np.nan), "landing": landing(None).iloc[1:],
        "revenue_bridge": bridge(), "segments_by_customer": parts, "watchlist": watchlist(rows=2).iloc[:0],
        "ltv_totals": totals(), "ltv_by_customer": values(parts), "campaign_effects": effects().iloc[:0],
        "ingest_report": ingest_report(),
    }  # fmt: skip
    return replace(
        facts(), company="cdnow", names={"ja": "CDNOW", "en": "CDNOW"}, tables=tables, currency="USD",
        value_basis="revenue", staged=frozenset({"order_lines"}), prior_period=None, prior_value=None,
        data_until=date(2025, 6, 18), kind="preliminary",
    )  # fmt: skip


def nothing() -> Facts:
    """A run that wrote no table at all."""
    return replace(
        facts(),
        tables={},
        staged=frozenset(),
        prior_period=None,
        prior_value=None,
        data_until=None,
        run_id="",
        kind="lab",
    )
