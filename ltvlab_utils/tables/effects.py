"""Contracts of what notebook 04 writes: the effects of campaigns and what the next plan reads."""

from __future__ import annotations

from ltvlab_utils.tables.contract import NULL, amount, code, contract, count, day, flag, number, share, text

CAMPAIGN = text("campaign_id", "the campaign")

CAMPAIGN_BALANCE = contract(
    "campaign_balance",
    "one row a campaign and pre-period covariate",
    "campaign_id covariate",
    "04",
    CAMPAIGN,
    text("covariate", "measured before the assignment"),
    number("mean_treatment", "mean in treatment", "as the covariate", **NULL),
    number("mean_control", "mean in control", "as the covariate", **NULL),
    number("standardised_difference", "difference of means / pooled standard deviation", "standard deviations", **NULL),
    count("n_treatment", "customers in treatment"),
    count("n_control", "customers in control"),
)

CAMPAIGN_EFFECTS = contract(
    "campaign_effects",
    "one row a campaign, metric and estimator",
    "campaign_id metric estimator",
    "04",
    CAMPAIGN,
    text("campaign_name", "name of the campaign"),
    text("action", "action, as plans name it"),
    code("design", "how customers were chosen", "randomised staggered targeted"),
    text("metric", "what was measured per customer in the window"),
    flag("primary", "the metric fixed before the start"),
    text("estimator", "neyman, lin, cuped, group_time_att, naive_response, none"),
    number("effect", "effect per treated customer; null = no causal effect is known", "as the metric", **NULL),
    number("low", "2.5th percentile", "as the metric", **NULL),
    number("high", "97.5th percentile", "as the metric", **NULL),
    share("p_value", "two-sided, adjusted for several primary metrics (Holm)", **NULL),
    number("total_effect", "effect x treated customers", "as the metric", **NULL),
    number("total_low", "low x treated customers", "as the metric", **NULL),
    number("total_high", "high x treated customers", "as the metric", **NULL),
    amount("cost_amount", "full cost of the campaign"),
    number("naive", "what a reading without control would say, per treated customer", "as the metric", **NULL),
    number("minimum_detectable", "smallest effect this design could see with 80 % power", "as the metric", **NULL),
    share("sample_ratio_p", "p-value of the planned against the actual split", **NULL),
    count("n_treatment", "customers in treatment"),
    count("n_control", "customers in control"),
    flag("causal", "the design identifies the effect"),
    text("verdict", "works, harms, cannot_tell, not_causal, not_finished, broken_randomisation"),
    day("window_ends_on", "last day of the window"),
)

ACTION_EFFECTS = contract(
    "action_effects",
    "one row an action and model_segment",
    "action model_segment",
    "04",
    text("action", "the action"),
    text("model_segment", "segment of the models; 'all' = pooled"),
    amount("effect", "effect on value per treated customer"),
    amount("low", "2.5th percentile"),
    amount("high", "97.5th percentile"),
    count("n", "customers behind it"),
    number("half_life_months", "half-life of what lasts after the window; 0 = nothing", "months", minimum=0, **NULL),
    code("half_life_source", "where the half-life comes from", "prior rechecks none"),
    code("grade", "grade of the evidence", "randomised quasi prior"),
    text("campaigns", "campaigns behind it, comma-separated"),
)

EFFECTS = (CAMPAIGN_BALANCE, CAMPAIGN_EFFECTS, ACTION_EFFECTS)
