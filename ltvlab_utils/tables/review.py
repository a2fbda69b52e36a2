"""Contracts of what notebook 03 writes: KPIs, bridges, segments, lists and the plan."""

from __future__ import annotations

from ltvlab_utils.tables.contract import NULL, amount, code, contract, count, day, flag, number, share, text

CUSTOMER = text("customer_id", "the customer")
SCOPE_TYPE = text("scope_type", "company, owner, segment, line")
SCOPE_ID = text("scope_id", "which one; - for the company")

KPIS = contract(
    "kpis",
    "one row a metric and scope",
    "metric_id scope_type scope_id",
    "03",
    text("metric_id", "metric of the dictionary"),
    SCOPE_TYPE,
    SCOPE_ID,
    number("value", "value in the period; null = cannot be known", "as the metric", **NULL),
    number("prior", "value in the period before", "as the metric", **NULL),
    number("last_year", "value in the same month last year", "as the metric", **NULL),
    number("target", "target of the period", "as the metric", **NULL),
    count("n", "customers or contracts behind the value"),
    number(
        "low", "10th percentile where the value is a forecast, 2.5th where it is an effect", "as the metric", **NULL
    ),
    number(
        "high", "90th percentile where the value is a forecast, 97.5th where it is an effect", "as the metric", **NULL
    ),
    code("timing", "kind of indicator", "leading lagging"),
    text("unit", "currency, fraction, count, months"),
)

KPI_HISTORY = contract(
    "kpi_history",
    "one row a metric and month, company scope, up to 24 months",
    "metric_id month",
    "03",
    text("metric_id", "metric of the dictionary"),
    text("month", "YYYY-MM"),
    number("value", "value as known at this as-of", "as the metric", **NULL),
    number("target", "target of the month", "as the metric", **NULL),
)

LANDING = contract(
    "landing",
    "one row a fiscal year and metric",
    "fiscal_year metric_id",
    "03",
    text("fiscal_year", "FY2025"),
    text("metric_id", "revenue or gross_profit"),
    amount("to_date", "actual from the start of the fiscal year to as-of"),
    amount("backlog", "受注残 not yet recognised", **NULL),
    amount("existing_customers", "expected from existing customers to the year end"),
    amount("new_business", "labelled assumption for new business; null = left out", **NULL),
    amount("landing", "sum of the parts"),
    amount("low", "10th percentile"),
    amount("high", "90th percentile"),
    amount("budget", "budget of the fiscal year", **NULL),
    share("p_reach_budget", "share of draws that reach the budget", **NULL),
)

REVENUE_BRIDGE = contract(
    "revenue_bridge",
    "one row a step",
    "step",
    "03",
    count("position", "order on the page", unit="number"),
    text("step", "opening, new, expansion, return, contraction, churn, closing"),
    amount("value", "level for opening and closing, change for the others"),
    count("customers", "customers behind the step"),
)

LTV_BRIDGE = contract(
    "ltv_bridge",
    "one row a step",
    "step",
    "03",
    count("position", "order on the page", unit="number"),
    text("step", "opening, won, lost, grown, shrunk, time_passed, …, closing"),
    amount("value", "level for opening and closing, change for the others"),
    count("customers", "customers behind the step"),
    flag("calculation", "a change of model, cost or data, not of customers"),
)

SEGMENTS_BY_CUSTOMER = contract(
    "segments_by_customer",
    "one row a customer",
    "customer_id",
    "03",
    CUSTOMER,
    text("value_segment", "cell of the value x risk grid, VALUE_RISK"),
    code("value_class", "class by future_value", "high middle low"),
    code("risk_class", "class by churn risk", "low middle high"),
    text("lifecycle", "new, active, at_risk, dormant, lost, returned"),
    text("rfm", "RFM class, digits 1 to 5 each; null without orders", **NULL),
    amount("future_value", "as in ltv_by_customer"),
    share("churn_probability", "chance that the customer is lost within 12 months", **NULL),
    amount("value_at_risk", "future_value x churn probability, at least 0"),
)

SEGMENT_PROFILE = contract(
    "segment_profile",
    "one row a value_segment",
    "value_segment",
    "03",
    text("value_segment", "cell of the value x risk grid, VALUE_RISK"),
    count("customers", "customers in the segment"),
    amount("future_value", "sum"),
    amount("future_value_median", "median customer"),
    amount("value_at_risk", "sum"),
    amount("realised_profit", "sum"),
)

SEGMENT_MOVES = contract(
    "segment_moves",
    "one row a pair of segments",
    "from_segment to_segment",
    "03",
    text("from_segment", "segment in the period before; 'none' = not a customer then"),
    text("to_segment", "segment now"),
    count("customers", "customers that moved or stayed"),
    amount("future_value", "their future value now"),
)

WATCHLIST = contract(
    "watchlist",
    "one row a customer that needs someone now",
    "customer_id",
    "03",
    count("rank", "1 = most value at risk", unit="number", minimum=1),
    CUSTOMER,
    text("customer_name", "name; hostile until escaped"),
    text("owner", "person in charge", **NULL),
    text("reason", "code of the main reason"),
    text("reason_values", "figures of the reason as JSON, for the sentence on the page"),
    text("action", "code of the suggested next step"),
    amount("future_value", "as in ltv_by_customer"),
    share("churn_probability", "chance that the customer is lost within 12 months"),
    amount("value_at_risk", "future_value x churn probability"),
    day("deadline_on", "notice deadline; null = none", **NULL),
    number("days_left", "days to the deadline", "days", **NULL),
)

OPPORTUNITIES = contract(
    "opportunities",
    "one row a customer, product and kind",
    "customer_id product_id kind",
    "03",
    CUSTOMER,
    text("product_id", "the product"),
    code("kind", "kind of opportunity", "upsell cross_sell reorder"),
    share("probability", "calibrated chance within 12 months"),
    amount("value", "probability x margin"),
    text("reason", "code of the reason"),
)

RENEWAL_CALENDAR = contract(
    "renewal_calendar",
    "one row a contract with a coming notice deadline",
    "contract_id",
    "03",
    text("contract_id", "the contract"),
    CUSTOMER,
    text("customer_name", "name; hostile until escaped"),
    text("owner", "person in charge", **NULL),
    day("notice_due_on", "解約申出期限"),
    day("renewal_on", "first day of the next term"),
    number("days_left", "days to the deadline", "days"),
    text("window", "30, 90 or 180"),
    amount("annual_amount", "amount of twelve months at today's price"),
    share("p_renew", "chance of renewal", **NULL),
    amount("value_at_risk", "annual_amount x (1 − p_renew)", **NULL),
    flag("contacted", "an activity in the last 30 days", **NULL),
)

PLAN = contract(
    "plan",
    "one row a customer and action",
    "customer_id action",
    "03",
    CUSTOMER,
    text("action", "the action"),
    text("cell", "action x model_segment"),
    amount("expected_gain", "expected incremental value"),
    amount("cost", "cost of the action"),
    number("hours", "hours of the action", "hours"),
    code("assignment", "what the plan does", "treat control"),
)

DECISIONS_REVIEWED = contract(
    "decisions_reviewed",
    "one row a decision of an earlier review",
    "decided_in decision_id",
    "03",
    text("decided_in", "period of the review that decided"),
    text("decision_id", "number of the decision"),
    text("decision", "what was decided"),
    text("owner", "who does it", **NULL),
    amount("forecast", "what was expected", **NULL),
    amount("outcome", "what came of it; null = not yet known", **NULL),
    text("state", "open, done, dropped"),
)

REVIEW = (
    KPIS, KPI_HISTORY, LANDING, REVENUE_BRIDGE, LTV_BRIDGE, SEGMENTS_BY_CUSTOMER, SEGMENT_PROFILE, SEGMENT_MOVES,
    WATCHLIST, OPPORTUNITIES, RENEWAL_CALENDAR, PLAN, DECISIONS_REVIEWED,
)  # fmt: skip
