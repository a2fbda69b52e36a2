"""What a page is made of: the tables of one run, read once, and the figures looked up in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

import pandas as pd

import ltvlab_utils
from ltvlab_utils.i18n import LANGUAGES
from ltvlab_utils.periods import Period

if TYPE_CHECKING:
    from ltvlab_utils.store import Run

TABLES = [
    "kpis",
    "kpi_history",
    "landing",
    "revenue_bridge",
    "ltv_bridge",
    "segments_by_customer",
    "segment_profile",
    "watchlist",
    "renewal_calendar",
    "campaign_effects",
    "ltv_totals",
    "ingest_report",
]
SMALL = {"ltv_by_customer": ["customer_id", "future_value", "value_basis"]}


@dataclass(frozen=True)
class Kpi:
    """One row of `kpis` at company scope; what is not known is None."""

    value: float | None = None
    prior: float | None = None
    last_year: float | None = None
    target: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0

    def against(self, other: str) -> float | None:
        """Change against prior, last_year or target as a fraction of it; None where it cannot be said."""
        base = getattr(self, other)
        if self.value is None or base is None or base <= 0:
            return None
        return self.value / base - 1


@dataclass(frozen=True)
class Facts:
    """One run as pages see it. A table that the run does not have is None; nothing is filled in."""

    company: str
    names: dict[str, str]
    period: Period
    as_of: date
    currency: str
    value_basis: str
    margin_assumed: bool
    horizon_months: int
    discount_rate: float
    run_id: str = ""
    kind: str = "lab"
    version: str = ""
    data_until: date | None = None
    tables: dict[str, pd.DataFrame | None] = field(default_factory=dict)
    staged: frozenset[str] = frozenset()
    prior_period: Period | None = None
    prior_value: float | None = None

    def table(self, name: str) -> pd.DataFrame | None:
        """The table, or None where the run has none or it is empty."""
        frame = self.tables.get(name)
        return frame if frame is not None and len(frame) else None

    def name(self, language: str) -> str:
        """Display name of the company; a name from params, still hostile until escaped."""
        return self.names.get(language) or self.names.get("en") or self.names.get("ja") or self.company

    def kpi(self, metric_id: str) -> Kpi:
        """A metric at company scope; all None where it is not in the table."""
        frame = self.table("kpis")
        if frame is None:
            return Kpi()
        rows = frame[(frame["metric_id"] == metric_id) & (frame["scope_type"] == "company")]
        if rows.empty:
            return Kpi()
        row = rows.iloc[0]
        numbers = {key: _number(row[key]) for key in ("value", "prior", "last_year", "target", "low", "high")}
        return Kpi(**numbers, n=int(row["n"]))

    def history(self, metric_id: str) -> pd.DataFrame:
        """month, value, target of a metric, oldest first, missing months as gaps; empty where there is none."""
        frame = self.table("kpi_history")
        if frame is None:
            return pd.DataFrame(columns=["month", "value", "target"])
        rows = frame[frame["metric_id"] == metric_id].sort_values("month")
        if rows.empty:
            return rows[["month", "value", "target"]]
        months = pd.period_range(rows["month"].min(), rows["month"].max(), freq="M").strftime("%Y-%m")
        return rows.set_index("month")[["value", "target"]].reindex(months).rename_axis("month").reset_index()

    def landing(self) -> pd.Series | None:
        """The landing of the running fiscal year: gross profit where it is known, else revenue."""
        frame = self.table("landing")
        if frame is None:
            return None
        latest = frame[frame["fiscal_year"] == frame["fiscal_year"].max()].set_index("metric_id", drop=False)
        for metric in ("gross_profit", "revenue"):
            if metric in latest.index:
                return latest.loc[metric]
        return None

    def total(self) -> pd.Series | None:
        """The company's row of `ltv_totals`."""
        frame = self.table("ltv_totals")
        rows = frame[frame["scope"] == "company"] if frame is not None else None
        return None if rows is None or rows.empty else rows.iloc[0]

    @property
    def has_contracts(self) -> bool:
        """True when the company delivers contract terms."""
        return "contract_terms" in self.staged


def _number(value: object) -> float | None:
    return None if pd.isna(value) else float(value)


def _value_basis(values: pd.DataFrame | None, wanted: str) -> str:
    """The basis that the values really have; where customers differ, the weakest of them names the sum."""
    found = set(values["value_basis"]) if values is not None else set()
    return next((basis for basis in ("revenue", "gross_profit", "net_profit") if basis in found), wanted)


def _data_until(run: Run) -> date | None:
    """Last day on which the staged tables hold an event."""
    days = []
    for table, column in (("order_lines", "ordered_at"), ("activities", "occurred_on"), ("usage", "week")):
        if run.has(table):
            found = run.table(table)[column].max().execute()
            if not pd.isna(found):
                days.append(pd.Timestamp(found).date())
    return max(days) if days else None


def read_facts(run: Run) -> Facts:
    """Reads what pages need from a run; absent tables stay absent."""
    tables: dict[str, pd.DataFrame | None] = {t: run.frame(t) if run.has(t) else None for t in TABLES}
    for name, columns in SMALL.items():
        tables[name] = run.table(name).select(columns).to_pandas() if run.has(name) else None
    if run.has("segments_by_customer") and run.has("customers") and tables["watchlist"] is not None:
        tables["industries"] = _industries(run, tables["watchlist"])
    prior = run.prior
    prior_value = None
    if prior is not None and prior.has("ltv_totals"):
        totals = prior.frame("ltv_totals").set_index("scope")
        prior_value = float(totals.loc["company", "value"]) if "company" in totals.index else None
    settings, manifest = run.settings, run.manifest
    return Facts(
        company=run.company,
        names={language: getattr(settings.name, language) for language in LANGUAGES},
        period=run.period,
        as_of=run.as_of,
        currency=settings.currency,
        value_basis=_value_basis(tables["ltv_by_customer"], settings.value_basis),
        margin_assumed=settings.assumed_margin_rate is not None,
        horizon_months=settings.horizon_months,
        discount_rate=settings.discount_rate_annual,
        run_id=run.run_id,
        kind="lab" if run.is_lab else str(manifest.get("kind", "final")),
        version=ltvlab_utils.__version__,
        data_until=_data_until(run),
        tables=tables,
        staged=frozenset(t for t in ("order_lines", "contract_terms", "campaigns", "targets") if run.has(t)),
        prior_period=prior.period if prior is not None else None,
        prior_value=prior_value,
    )


def _industries(run: Run, watchlist: pd.DataFrame) -> pd.DataFrame:
    """customer_id, industry of the customers on the watchlist."""
    customers = run.table("customers")
    wanted = customers.filter(customers.customer_id.isin(watchlist["customer_id"].tolist()))
    return wanted.select("customer_id", "industry").to_pandas() if "industry" in customers.columns else pd.DataFrame()
