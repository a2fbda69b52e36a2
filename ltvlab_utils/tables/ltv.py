"""Contracts of what notebook 02 writes: histories, values, models and their record."""

from __future__ import annotations

from ltvlab_utils.tables.contract import (
    NULL,
    amount,
    code,
    contract,
    count,
    day,
    flag,
    number,
    share,
    text,
)

TIME = "model time unit of company.yaml"
SEGMENT = text("model_segment", "configured segment that pools the models; 'all' where none is configured")

HISTORIES = contract(
    "histories",
    "one row a customer with at least one order",
    "customer_id",
    "02",
    text("customer_id", "the customer"),
    SEGMENT,
    count("frequency", "repeat purchase days: days with a sale after the first one", unit="days"),
    number("recency", "time from first to last purchase day", TIME, minimum=0),
    number("T", "time from first purchase day to as-of (age)", TIME, minimum=0),
    amount("monetary_value", "mean net amount per repeat purchase day; 0 without a repeat"),
    day("first_order_on", "first purchase day"),
    day("last_order_on", "last purchase day"),
    count("days_since_last_order", "days from the last purchase day to as-of", unit="days"),
    amount("revenue_total", "net amount of all lines to date, returns netted"),
    flag("start_unknown", "first order within 12 months of the start of the data: may be older than they say"),
    number("log_interval_sum", "sum of ln(time between purchase days) over the repeats", "ln of time units"),
)

LTV_BY_CUSTOMER = contract(
    "ltv_by_customer",
    "one row a customer",
    "customer_id",
    "02",
    text("customer_id", "the customer"),
    SEGMENT,
    day("as_of", "last day of the period"),
    code("basis", "what the value rests on", "orders contracts both none"),
    code("value_basis", "what is counted as value", "net_profit gross_profit revenue"),
    count("horizon_months", "horizon of future_value", unit="months", minimum=1),
    share("p_alive", "P(alive): chance that the customer is still one", **NULL),
    share("p_alive_orders", "P(alive) of the orders alone; null without orders or where the model cannot tell", **NULL),
    share(
        "p_lost_12_months",
        "chance that orders and contracts have all ended 12 months later; null where the model cannot tell, for a "
        "prospect, and with a shorter horizon",
        **NULL,
    ),
    share(
        "p_renew_next", "chance that the next renewal happens, given that the contract runs until notice_due_on", **NULL
    ),
    day("next_renewal_on", "day after the running term ends", **NULL),
    day("notice_due_on", "解約申出期限 of the next renewal", **NULL),
    number("expected_orders", "expected purchase days within the horizon", "orders", minimum=0, **NULL),
    amount("expected_order_revenue", "discounted revenue from orders", **NULL),
    amount("expected_contract_revenue", "discounted revenue from contracts at today's amount", **NULL),
    amount(
        "expected_expansion", "discounted revenue from changes of contracts and further ones (may be negative)", **NULL
    ),
    amount("expected_cogs", "discounted cost of goods; null = unknown", **NULL),
    amount("expected_servicing_cost", "discounted cost per order; null = unknown", **NULL),
    amount("expected_support_cost", "discounted support cost while alive; null = unknown", **NULL),
    amount("expected_credit_loss", "discounted loss on what is invoiced; null = unknown", **NULL),
    amount("future_value", "revenue + expansion − cogs − servicing − support − credit loss, discounted"),
    amount("future_value_low", "10th percentile of the predictive distribution"),
    amount("future_value_high", "90th percentile of the predictive distribution"),
    amount("realised_profit", "value to date, same basis, not discounted"),
    day("realised_since", "first day that realised_profit counts", **NULL),
    amount("acquisition_cost", "CAC; null = unknown", **NULL),
    amount("ltv", "realised_profit + future_value − acquisition_cost; null without acquisition_cost", **NULL),
    amount("ltv_low", "10th percentile", **NULL),
    amount("ltv_high", "90th percentile", **NULL),
    text("model", "models behind the value"),
    share("pooled_weight", "weight of the pooled prior against the segment's own data"),
    text("note", "codes of remarks, comma-separated", **NULL),
)

LTV_BY_PARENT = contract(
    "ltv_by_parent",
    "one row a parent company",
    "parent_id",
    "02",
    text("parent_id", "the parent; a customer without one is its own"),
    count("customers", "customers below it"),
    amount("future_value", "sum over its customers"),
    amount("future_value_low", "10th percentile of the sum of draws"),
    amount("future_value_high", "90th percentile of the sum of draws"),
    amount("realised_profit", "sum over its customers"),
    amount("ltv", "sum over its customers; null where one is unknown", **NULL),
)

LTV_TOTALS = contract(
    "ltv_totals",
    "one row a scope",
    "scope",
    "02",
    text("scope", "company, or segment:NAME"),
    count("customers", "customers in the scope"),
    amount("value", "future value"),
    amount("low", "10th percentile of totals of draws"),
    amount("high", "90th percentile of totals of draws"),
)

LTV_DRAWS = contract(
    "ltv_draws",
    "one row a model_segment and draw",
    "model_segment draw",
    "02",
    SEGMENT,
    count("draw", "number of the draw, 0 to 199", unit="number"),
    amount("future_value", "future value of the segment in this draw"),
    amount("fiscal_year_revenue", "revenue of existing customers from as-of to the end of the fiscal year"),
    amount("fiscal_year_profit", "gross profit of the same; revenue where cost is unknown"),
)

COHORT_LTV = contract(
    "cohort_ltv",
    "one row a channel and cohort",
    "acquisition_channel cohort",
    "02",
    text("acquisition_channel", "channel; 'unknown' where not given"),
    text("cohort", "year of the first purchase or contract"),
    count("customers", "customers won, dead ones included"),
    amount("value", "value per customer before CAC, discounted to acquisition, fixed horizon"),
    amount("low", "10th percentile", **NULL),
    amount("high", "90th percentile", **NULL),
    amount("acquisition_cost", "mean CAC; null = unknown", **NULL),
)

MODEL_CARD = contract(
    "model_card",
    "one row a model, engine, segment and parameter",
    "model engine model_segment parameter",
    "02",
    text("model", "pareto_nbd, mbg_nbd, gamma_gamma, shifted_beta_geometric, …"),
    code("engine", "who fitted", "ltvlab lifetimes"),
    SEGMENT,
    text("parameter", "symbol as in the paper"),
    number("estimate", "maximum-likelihood estimate", "as the parameter", **NULL),
    number("standard_error", "from the Hessian", "as the parameter", minimum=0, **NULL),
    number("log_likelihood", "at the estimate, on the paper's scale with full constants", "nats", **NULL),
    count("customers", "customers behind the fit"),
    flag("converged", "the fit is a maximum"),
    flag("chosen", "values of this run rest on it"),
    text("warning", "codes of warnings, comma-separated", **NULL),
)

BACKTEST = contract(
    "backtest",
    "one row a model, origin and metric",
    "model model_segment origin metric",
    "02",
    text("model", "model or naive baseline"),
    SEGMENT,
    day("origin", "cut: nothing later was used"),
    text("metric", "bias, rmse, mae, crps, coverage_50, coverage_80, coverage_90, gini, …"),
    number("value", "value of the metric", "as the metric"),
    count("customers", "customers graded"),
)

FORECAST_LEDGER = contract(
    "forecast_ledger",
    "one row a forecast and horizon",
    "forecast_of scope metric horizon_months",
    "02",
    text("forecast_of", "period of the forecast"),
    text("scope", "company, or segment:NAME"),
    text("metric", "what was forecast"),
    count("horizon_months", "months ahead", unit="months", minimum=1),
    amount("forecast", "as sealed"),
    amount("low", "as sealed"),
    amount("high", "as sealed"),
    amount("naive", "naive forecast of the same day"),
    amount("actual", "what happened; null = not yet known", **NULL),
    text("sealed_hash", "SHA-256 of the sealed forecast"),
)

LTV = (
    HISTORIES, LTV_BY_CUSTOMER, LTV_BY_PARENT, LTV_TOTALS, LTV_DRAWS, COHORT_LTV, MODEL_CARD, BACKTEST,
    FORECAST_LEDGER,
)  # fmt: skip
