"""Each campaign read by its design: balance before, effect in the window, and a verdict (floor 2).

A verdict is one of
- works, harms: the 95 % interval and the p-value adjusted for several campaigns (Holm) both exclude zero, for a
  secondary metric only where they do for the primary one;
- cannot_tell: they do not, or there is too little to compare (data insufficient);
- not_causal: customers were chosen, not drawn; there is no effect, and the naive reading stands apart;
- not_finished: the window is not over at as-of;
- broken_randomisation: the arms differed before by more than chance allows (p < 0.001 on all covariates, or on the
  planned split), or customers were assigned after the start.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import numpy as np
import pandas as pd
from scipy import stats

from ltvlab_utils.errors import Refused
from ltvlab_utils.experiments.design import (
    balance_p_value,
    merge_thin_blocks,
    minimum_detectable_effect,
    sample_ratio_p_value,
)
from ltvlab_utils.experiments.estimators import Effect, adjusted, estimate, randomisation_p_value
from ltvlab_utils.experiments.outcomes import COVARIATES, METRICS, MONEY, CampaignOutcomes
from ltvlab_utils.experiments.staggered import group_time_att
from ltvlab_utils.tables import contract_of

BROKEN = 0.001
LEVEL = 0.95
SMALL = 50  # customers of an arm below which t alone is not trusted
PER_COVARIATE = 10  # customers of the smaller arm per covariate that lin needs
DRAWS = 999
Z = 1.959963984540054


def arms(customers: pd.DataFrame) -> np.ndarray:
    """1 treatment, 0 control. Arms a and b without a control: b is read against a; with one, both are treatment."""
    names = set(customers["arm"])
    reference = "control" if "control" in names or "treatment" in names else "a"
    if "a" in names and reference == "control" and "control" not in names:
        raise Refused(
            f'Table "assignments": a campaign has the arms {", ".join(sorted(names))}: treatment beside a and b needs '
            "a control, or only a and b."
        )
    return (customers["arm"] != reference).to_numpy(dtype=int)


def usable(customers: pd.DataFrame) -> tuple[np.ndarray | None, np.ndarray]:
    """Blocks to estimate within (None = no blocks) and which customers have a comparison in theirs."""
    if customers["block"].isna().all() or customers["cluster"].notna().any():
        return None, np.ones(len(customers), dtype=bool)
    return merge_thin_blocks(arms(customers), customers["block"])


def left_out(outcomes: CampaignOutcomes) -> pd.DataFrame:
    """What the evaluation does not use: campaign_id, reason (code), customers."""
    rows = [("", "note.effects_stranger", outcomes.strangers)] if outcomes.strangers else []
    for campaign in outcomes.campaigns.query("design == 'randomised'")["campaign_id"]:
        customers = outcomes.of(campaign)
        missing = int((~usable(customers)[1]).sum()) if len(customers) else 0
        if missing:
            rows.append((campaign, "note.effects_thin_block", missing))
    return pd.DataFrame(rows, columns=["campaign_id", "reason", "customers"])


def campaign_balance(outcomes: CampaignOutcomes) -> pd.DataFrame:
    """The contract campaign_balance: pre-period means by arm; campaigns that have not started are left out."""
    rows = []
    started = outcomes.campaigns[outcomes.campaigns["starts_on"] <= pd.Timestamp(outcomes.as_of)]
    for campaign in started["campaign_id"]:
        customers = outcomes.of(campaign)
        for covariate in COVARIATES if len(customers) else ():
            if customers[covariate].notna().all():
                rows.append({"campaign_id": campaign, "covariate": covariate, **_balance(customers, covariate)})
    return pd.DataFrame(rows, columns=contract_of("campaign_balance").names)


def _balance(customers: pd.DataFrame, covariate: str) -> dict:
    d, x = arms(customers), customers[covariate].to_numpy()
    treated, control = x[d == 1], x[d == 0]
    means = [v.mean() if len(v) else np.nan for v in (treated, control)]
    pooled = np.sqrt((treated.var(ddof=1) + control.var(ddof=1)) / 2) if min(len(treated), len(control)) > 1 else np.nan
    return {
        "mean_treatment": means[0],
        "mean_control": means[1],
        "standardised_difference": (means[0] - means[1]) / pooled if pooled > 0 else np.nan,
        "n_treatment": len(treated),
        "n_control": len(control),
    }


def campaign_effects(
    outcomes: CampaignOutcomes,
    rng: np.random.Generator | int = 0,
    planned_share: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """The contract campaign_effects: one row a campaign, metric and estimator.

    Randomised: neyman, lin (pre-period of the metric, orders before, tenure) and cuped (pre-period of the metric),
    within blocks and clusters; for money and small arms the p-value is the larger of t and a studentised randomisation
    test. Staggered: group-time effects by month, summed over the months of the window, never-treated as control where
    there are any. p-values are adjusted by Holm over the primary metrics of all finished campaigns, and apart from
    them over the secondary ones. `planned_share`: planned share of treatment by campaign_id; without it the split is
    not tested. `naive` is the treated mean in the window, which is what a reading without a control credits to the
    campaign; for any_order it is the response rate.
    """
    generator = np.random.default_rng(rng)
    rows: list[dict] = []
    for campaign in outcomes.campaigns.to_dict("records"):
        rows += _rows(campaign, outcomes, generator, (planned_share or {}).get(campaign["campaign_id"]))
    frame = pd.DataFrame(rows, columns=[*contract_of("campaign_effects").names])
    return _judged(frame)


def _rows(campaign: dict, outcomes: CampaignOutcomes, rng: np.random.Generator, planned: float | None) -> list[dict]:
    customers = outcomes.of(campaign["campaign_id"])
    d = arms(customers) if campaign["design"] != "staggered" else customers["treated_on"].notna().to_numpy(dtype=int)
    primary = campaign["primary"] or campaign["primary_metric"]
    base = {
        "campaign_id": campaign["campaign_id"],
        "campaign_name": campaign["name"],
        "action": campaign["action"],
        "design": campaign["design"],
        "cost_amount": campaign["cost_amount"],
        "n_treatment": int(d.sum()),
        "n_control": int(len(d) - d.sum()),
        "causal": False,
        "window_ends_on": campaign["window_ends_on"],
    }
    if campaign["design"] == "staggered":
        return _staggered(base, primary, campaign, customers, outcomes)
    known = [m for m in METRICS if len(customers) and customers[m].notna().all()]
    metrics = [primary, *(m for m in known if m != primary)]

    def unjudged(verdict: str, estimator: str, names: list[str]) -> list[dict]:
        naive = {m: customers.loc[d == 1, m].mean() for m in known} if campaign["finished"] and d.any() else {}
        shared = {**base, "estimator": estimator, "verdict": verdict}
        return [{**shared, "metric": m, "primary": m == primary, "naive": naive.get(m, np.nan)} for m in names]

    if campaign["design"] == "targeted":
        return unjudged("not_causal", "naive_response", metrics)
    if not campaign["finished"]:
        return unjudged("not_finished", "none", [primary])
    ratio = sample_ratio_p_value([int(d.sum()), int((1 - d).sum())], [planned, 1 - planned]) if planned else np.nan
    base["sample_ratio_p"] = ratio
    blocks, keep = usable(customers)
    if min(d[keep].sum(), (1 - d[keep]).sum()) < 2:
        return unjudged("cannot_tell", "none", metrics)
    customers, d, blocks = customers[keep].reset_index(drop=True), d[keep], None if blocks is None else blocks[keep]
    base |= {"n_treatment": int(d.sum()), "n_control": int((1 - d).sum())}
    if _broken(campaign, customers, d, blocks, ratio):
        return unjudged("broken_randomisation", "none", metrics)
    found = []
    for metric in metrics:
        estimated = _estimates(metric, customers, d, blocks, rng) if metric in known else []
        for estimator, effect in estimated:
            naive = float(customers.loc[d == 1, metric].mean())
            found.append({**base, **_row(effect), "metric": metric, "estimator": estimator, "naive": naive})
        if not estimated:
            found += unjudged("cannot_tell", "none", [metric])
    return [{**row, "primary": row["metric"] == primary} for row in found]


def _broken(campaign: dict, customers: pd.DataFrame, d: np.ndarray, blocks: np.ndarray | None, ratio: float) -> bool:
    if ratio < BROKEN or (customers["assigned_at"] > campaign["starts_on"]).any():
        return True
    known = [c for c in COVARIATES if customers[c].notna().all()]
    before = customers[known].assign(_arm=d)
    if customers["cluster"].notna().all():
        before = before.groupby(customers["cluster"].astype(str)).mean()
        blocks = None
    return bool(known) and balance_p_value(before[known], before["_arm"].round(), blocks) < BROKEN


def _estimates(
    metric: str, customers: pd.DataFrame, d: np.ndarray, blocks: np.ndarray | None, rng: np.random.Generator
) -> list[tuple[str, Effect]]:
    """(estimator, Effect) of one metric; empty where nothing can be estimated."""
    y = customers[metric].to_numpy()
    cluster = customers["cluster"].to_numpy() if customers["cluster"].notna().all() else None
    own = f"pre_{metric}" if customers[f"pre_{metric}"].notna().all() else "pre_revenue"
    wanted = list(dict.fromkeys([own, "pre_orders", "tenure_months"]))
    sets = {"neyman": None, "lin": customers[wanted].to_numpy(), "cuped": customers[[own]].to_numpy()}
    columns = len(wanted) + (0 if blocks is None else len(np.unique(blocks)) - 1)
    smaller = int(min(d.sum(), (1 - d).sum()))
    found = []
    for method, x in sets.items():
        if method == "lin" and smaller < PER_COVARIATE * columns:
            continue
        try:
            effect = estimate(y, d, method, x, blocks, cluster, LEVEL)
        except Refused:  # one arm without variance, too few clusters: nothing can be said by this estimator
            continue
        if cluster is None and (metric in MONEY or smaller < SMALL) and effect.standard_error > 0:
            p = randomisation_p_value(y if x is None else adjusted(y, x), d, blocks, DRAWS, rng)
            effect = Effect(**{**vars(effect), "p_value": max(p, effect.p_value)})
        found.append((method, effect))
    return found


def _row(effect: Effect) -> dict:
    n = effect.n_treatment
    sd = effect.standard_error / np.sqrt(1 / n + 1 / effect.n_control)
    return {
        "effect": effect.estimate,
        "low": effect.low,
        "high": effect.high,
        "p_value": effect.p_value,
        "total_effect": effect.estimate * n,
        "total_low": effect.low * n,
        "total_high": effect.high * n,
        "minimum_detectable": minimum_detectable_effect(sd, n, effect.n_control) if sd > 0 else np.nan,
        "causal": True,
    }


# --- staggered --------------------------------------------------------------------------------------------------------


def _month(day: date | pd.Timestamp) -> int:
    return day.year * 12 + day.month - 1


def _staggered(base: dict, primary: str, campaign: dict, customers: pd.DataFrame, outcomes: CampaignOutcomes) -> list:
    """Group-time effects on a panel of calendar months; the first treated month is that of the first treated day."""
    length = max(1, round(campaign["window_days"] / (365.25 / 12)))
    starts = customers["treated_on"].dropna()
    last = starts.max() if len(starts) else campaign["starts_on"]
    base = {**base, "window_ends_on": last + pd.Timedelta(days=campaign["window_days"] - 1)}
    nothing = [{**base, "metric": primary, "primary": True, "estimator": "none"}]
    until = _month(outcomes.as_of)
    if base["window_ends_on"] > pd.Timestamp(outcomes.as_of) or _month(last) + length - 1 > until:
        return [{**row, "verdict": "not_finished"} for row in nothing]
    panel = _panel(customers, outcomes.months.query("campaign_id == @campaign['campaign_id']"), starts, until)
    found = []
    known = [m for m in METRICS if m in panel and panel[m].notna().all()]
    for metric in [m for m in (primary, *(k for k in known if k != primary)) if m in known]:
        never = customers["treated_on"].isna().any()
        try:
            fit = group_time_att(panel, "customer_id", "month", "first_month", metric, "never" if never else "notyet")
            total = fit.total(length).iloc[0]
        except Refused:  # no group that can be compared over the whole window
            continue
        effect = _normal(total["att"], total["standard_error"], base)
        treated = panel["month"].sub(panel["first_month"]).between(0, length - 1)
        naive = float(panel.loc[treated, metric].sum() / len(starts))
        row = {"metric": metric, "primary": metric == primary, "estimator": "group_time_att", "naive": naive}
        found.append({**base, **_row(effect), **row})
    if not any(row["primary"] for row in found):
        found = [{**row, "verdict": "cannot_tell"} for row in nothing] + found
    return found


def _panel(customers: pd.DataFrame, months: pd.DataFrame, starts: pd.Series, until: int) -> pd.DataFrame:
    first = _month(starts.min()) - 12
    grid = pd.MultiIndex.from_product(
        [customers["customer_id"], range(first, until + 1)], names=["customer_id", "month"]
    )
    sums = ["orders", "revenue", "gross_profit", "no_cost"]
    panel = months.set_index(["customer_id", "month"])[sums].reindex(grid).fillna(0.0).reset_index()
    if panel.pop("no_cost").sum() > 0:
        panel = panel.drop(columns="gross_profit")
    month = customers.set_index("customer_id")["treated_on"]
    month = month.dt.year * 12 + month.dt.month - 1
    return panel.assign(first_month=panel["customer_id"].map(month).astype(float))


def _normal(att: float, error: float, base: dict) -> Effect:
    p = float(2 * stats.norm.sf(abs(att) / error)) if error > 0 else 1.0
    return Effect(att, error, att - Z * error, att + Z * error, p, base["n_treatment"], base["n_control"])


# --- verdicts and actions ---------------------------------------------------------------------------------------------


def holm(p: np.ndarray) -> np.ndarray:
    """p-values adjusted for being several (Holm 1979)."""
    order = np.argsort(p, kind="stable")
    adjusted_p = np.empty(len(p))
    adjusted_p[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return adjusted_p


def _judged(frame: pd.DataFrame) -> pd.DataFrame:
    """Holm-adjusted p-values (a family: primary or secondary metrics, one estimator) and the verdict of each row.

    A secondary metric is called only where the primary one of its campaign is (gatekeeping): else the best of several
    would be picked afterwards.
    """
    frame = frame.copy()
    raw, p = frame["p_value"].astype(float), frame["p_value"].astype(float)
    for primary in (True, False):
        judged = raw.notna() & (frame["primary"] == primary)
        names = set(frame.loc[judged, "estimator"]) - {"group_time_att"} or {"group_time_att"}
        for name in sorted(names):
            family = judged & frame["estimator"].isin([name, "group_time_att"])
            p[family] = np.maximum(p[family], holm(raw[family].to_numpy())) if family.any() else []
    frame["p_value"] = p
    sure = frame["effect"].notna() & (p < 1 - LEVEL)
    judged = np.select([sure & (frame["low"] > 0), sure & (frame["high"] < 0)], ["works", "harms"], "cannot_tell")
    pairs = pd.MultiIndex.from_frame(frame[["campaign_id", "estimator"]])
    shown = pairs.isin(pairs[(judged != "cannot_tell") & frame["primary"].to_numpy(dtype=bool)])
    judged = np.where(shown, judged, "cannot_tell")
    frame["verdict"] = frame["verdict"].where(frame["effect"].isna(), judged)
    return frame


def headline(effects: pd.DataFrame) -> pd.DataFrame:
    """One row a campaign: its primary metric by the first of lin, cuped, neyman, group_time_att that is there."""
    rank = {"lin": 0, "cuped": 1, "neyman": 2, "group_time_att": 3, "naive_response": 4, "none": 5}
    order = effects["estimator"].map(rank)
    rows = effects[effects["primary"].astype(bool)].assign(_order=order).sort_values(["campaign_id", "_order"])
    return rows.drop_duplicates("campaign_id").drop(columns="_order").reset_index(drop=True)


def action_effects(effects: pd.DataFrame, outcomes: CampaignOutcomes) -> pd.DataFrame:
    """The contract action_effects: effect on value per treated customer in the window, pooled by action.

    Value is gross profit net of the campaign's cost per treated customer; where no campaign has gross profit it is
    revenue, before cost. Only causal effects against a control enter; campaigns are weighted by 1 / (variance +
    variance between campaigns), DerSimonian & Laird (1986), which is inverse variance where they agree. Randomised
    campaigns alone where there are any, else staggered (grade quasi). What lasts after the window is not claimed:
    half_life_months is null.
    """
    names = contract_of("action_effects").names
    pairs = outcomes.customers.groupby("campaign_id")["arm"].agg(set)
    controlled = {c for c, found in pairs.items() if "control" in found}
    controlled |= set(effects.loc[effects["design"] == "staggered", "campaign_id"])
    causal = effects[effects["causal"].astype(bool) & effects["campaign_id"].isin(controlled)]
    metric = "gross_profit" if (causal["metric"] == "gross_profit").any() else "revenue"
    rows = causal[causal["metric"] == metric].assign(primary=True)
    rows = headline(rows)
    rows = rows[rows["high"] > rows["low"]]
    pooled = [_pool(action, group, metric) for action, group in rows.groupby("action", sort=True)]
    return pd.DataFrame(pooled, columns=names)


def _pool(action: str, rows: pd.DataFrame, metric: str) -> dict:
    drawn = rows["design"] == "randomised"
    rows = rows[drawn] if drawn.any() else rows
    cost = rows["cost_amount"] / rows["n_treatment"] if metric == "gross_profit" else 0.0
    effect = (rows["effect"] - cost).to_numpy()
    variance = ((rows["high"] - rows["low"]).to_numpy() / (2 * Z)) ** 2
    weight = 1 / variance
    mean = weight @ effect / weight.sum()
    spread = weight @ (effect - mean) ** 2 - (len(effect) - 1)
    scale = weight.sum() - (weight**2).sum() / weight.sum()
    between = max(0.0, spread / scale) if len(effect) > 1 else 0.0
    weight = 1 / (variance + between)
    mean, half = weight @ effect / weight.sum(), Z / np.sqrt(weight.sum())
    return {
        "action": action,
        "model_segment": "all",
        "effect": mean,
        "low": mean - half,
        "high": mean + half,
        "n": int((rows["n_treatment"] + rows["n_control"]).sum()),
        "half_life_months": np.nan,
        "half_life_source": "none",
        "grade": "randomised" if drawn.any() else "quasi",
        "campaigns": ",".join(sorted(rows["campaign_id"])),
    }
