"""Contracts of the input tables, staged by notebook 01 from the company's extracts.

`order_lines` or `contract_terms` is required; every other table, and every optional column, may be absent.
Money is DECIMAL(18,4), tax excluded, in the reporting currency; dates are company-local.
"""

from __future__ import annotations

from ltvlab_utils.tables.contract import (
    NULL,
    OPT,
    code,
    contract,
    count,
    day,
    flag,
    moment,
    money,
    number,
    share,
    text,
)

CUSTOMER = text("customer_id", "the customer (得意先)")

CUSTOMERS = contract(
    "customers",
    "one row a customer",
    "customer_id",
    "input",
    CUSTOMER,
    text("customer_name", "name as the source writes it; hostile until escaped"),
    text("parent_id", "customer_id of the parent company", **OPT),
    text("corporate_number", "法人番号, 13 digits with check digit", **OPT),
    code("role", "what the customer is in the chain", "end_user distributor", **OPT),
    text("industry", "industry as of the extract; never a feature of the past", **OPT),
    text("size_band", "size class as of the extract", **OPT),
    text("region", "region as of the extract", **OPT),
    day("acquired_on", "day the customer was won", **OPT),
    text("acquisition_channel", "channel that won the customer", **OPT),
    money("acquisition_cost", "cost of winning the customer; null = unknown, never 0", **OPT),
    money("credit_limit", "与信枠", **OPT),
    count("billing_close_day", "締め日, 31 = month end", minimum=1, maximum=31, unit="day of month", **OPT),
    count("payment_days", "days from invoice to payment", unit="days", **OPT),
)

CUSTOMER_LINKS = contract(
    "customer_links",
    "one row a key of a source and validity (名寄せ)",
    "source source_key valid_from",
    "input",
    text("source", "source system"),
    text("source_key", "the customer's key in that source"),
    CUSTOMER,
    text("method", "how the link was found"),
    share("confidence", "how sure the link is"),
    text("decided_by", "rule or person that decided"),
    day("valid_from", "first day the link holds; of a rule, the first day of the key in the data"),
    day("valid_to", "last day the link holds", **OPT),
    day("decided_on", "day of the decision; null = a rule", **OPT),
)

CUSTOMER_OWNERS = contract(
    "customer_owners",
    "one row a customer, role and validity",
    "customer_id role valid_from",
    "input",
    CUSTOMER,
    code("role", "what the owner does for the customer", "sales success"),
    text("owner", "person in charge (担当)"),
    text("department", "department of the owner", **OPT),
    day("valid_from", "first day in charge"),
    day("valid_to", "last day in charge", **OPT),
)

PRODUCTS = contract(
    "products",
    "one row a product",
    "product_id",
    "input",
    text("product_id", "the product"),
    text("name", "product name"),
    text("line", "product line"),
    text("kind", "kind of product"),
    money("list_price", "list price per unit", **OPT),
    money("standard_cost", "standard cost per unit", **OPT),
    day("sold_until", "last day of sale", **OPT),
    text("successor_id", "product that replaces it", **OPT),
)

ORDER_LINES = contract(
    "order_lines",
    "one row a line of an order",
    "order_id line_no",
    "input",
    text("order_id", "order number of the source"),
    count("line_no", "line within the order", unit="number"),
    CUSTOMER,
    moment("ordered_at", "when the order was placed (受注)"),
    code("status", "state of the order as of the extract", "confirmed cancelled backlog"),
    day("shipped_on", "出荷日", **OPT),
    day("recognised_on", "売上計上日", **OPT),
    day("invoiced_on", "請求日", **OPT),
    text("bill_to_id", "請求先", **OPT),
    text("ship_to_id", "納品先", **OPT),
    text("end_user_id", "エンドユーザー behind a distributor", **OPT),
    text("sales_owner", "owner named on the order", **OPT),
    text("product_id", "the product", **OPT),
    text("category", "product category", **OPT),
    number("quantity", "units, negative for a return", "units"),
    money("net_amount", "amount of the line after discount, tax excluded; negative for a return"),
    money("discount_amount", "discount already taken off net_amount", **OPT),
    money("cost_amount", "cost of the line; null = unknown, never 0", **OPT),
    share("tax_rate", "consumption tax rate", **OPT),
    code("kind", "what the line is", "sale return shipping fee"),
    text("returns_order_id", "order that a return reduces", **OPT),
)

CONTRACT_TERMS = contract(
    "contract_terms",
    "one row a term of a contract",
    "contract_id term_no",
    "input",
    text("contract_id", "the contract"),
    CUSTOMER,
    text("product_id", "the product", **NULL),
    count("term_no", "1 = first term", minimum=1, unit="number"),
    day("starts_on", "first day of the term"),
    day("ends_on", "last day of the term"),
    count("term_months", "length of the term", minimum=1, unit="months"),
    code("billing", "how the term is billed", "monthly annual upfront"),
    money("monthly_amount", "amount per month after discount"),
    money("monthly_cost", "cost per month; null = unknown, never 0", **OPT),
    share("discount_rate", "discount in the monthly amount", **OPT),
    flag("auto_renew", "renews unless notice is given (自動更新)", **OPT),
    day("notice_due_on", "解約申出期限", **OPT),
    day("notice_given_on", "day notice was given", **OPT),
    text("end_user_id", "エンドユーザー behind a distributor", **OPT),
    day("paused_from", "first day of a pause", **OPT),
    day("paused_to", "last day of a pause", **OPT),
    code("outcome", "how the term ended", "renewed churned cancelled_early superseded open"),
    day("outcome_on", "day the outcome was known; null only while open", **NULL),
    text("outcome_reason", "reason as written", **OPT),
)

CONTRACT_CHANGES = contract(
    "contract_changes",
    "one row a change of a contract's amount",
    "contract_id changed_on reason",
    "input",
    text("contract_id", "the contract"),
    CUSTOMER,
    day("changed_on", "first day of the new amount"),
    money("amount_before", "monthly amount before"),
    money("amount_after", "monthly amount after"),
    code("reason", "why it changed", "upsell downsell cross_sell price"),
)

SUPPORT_COSTS = contract(
    "support_costs",
    "one row an entry of support work",
    "entry_id",
    "input",
    text("entry_id", "number of the entry; made from file and row where the source has none"),
    CUSTOMER,
    day("occurred_on", "day of the work"),
    number("hours", "hours worked", "hours", **OPT),
    money("cost_amount", "cost of the work"),
    text("kind", "kind of work"),
)

USAGE = contract(
    "usage",
    "one row a customer, week and metric",
    "customer_id week metric",
    "input",
    CUSTOMER,
    day("week", "Monday of the week"),
    text("metric", "what is counted"),
    number("value", "value of the metric in the week", "as the metric"),
)

ACTIVITIES = contract(
    "activities",
    "one row a contact with a customer",
    "activity_id",
    "input",
    text("activity_id", "number of the activity; made from file and row where the source has none"),
    CUSTOMER,
    day("occurred_on", "day of the activity"),
    text("kind", "visit, call, mail, …"),
    text("owner", "who did it"),
    number("hours", "hours spent", "hours", **OPT),
    day("next_due_on", "day of the next follow-up", **OPT),
)

MILESTONES = contract(
    "milestones",
    "one row an onboarding milestone",
    "milestone_id",
    "input",
    text("milestone_id", "number of the milestone; made from file and row where the source has none"),
    CUSTOMER,
    text("contract_id", "the contract it belongs to", **OPT),
    text("name", "the milestone"),
    day("due_on", "day it is due"),
    day("done_on", "day it was reached", **OPT),
)

SURVEYS = contract(
    "surveys",
    "one row a survey sent",
    "survey_id",
    "input",
    text("survey_id", "number of the survey; made from file and row where the source has none"),
    CUSTOMER,
    day("sent_on", "day it was sent"),
    day("answered_on", "day of the answer; null = no answer, which is not neutral", **OPT),
    number("score", "answer on the survey's scale", "points", **OPT),
)

DEALS = contract(
    "deals",
    "one row a deal (商談)",
    "deal_id",
    "input",
    text("deal_id", "the deal"),
    text("customer_id", "the customer; null before it is one", **OPT),
    text("owner", "person in charge"),
    text("kind", "kind of deal"),
    text("stage", "stage as of the extract"),
    money("amount", "amount of the deal"),
    share("probability", "probability written by the owner", **OPT),
    share("discount_rate", "discount offered", **OPT),
    day("opened_on", "day it was opened"),
    day("expected_close_on", "day it is expected to close", **OPT),
    day("closed_on", "day it was closed", **OPT),
    text("lost_reason", "失注理由", **OPT),
)

RECEIVABLES = contract(
    "receivables",
    "one row an invoice",
    "invoice_id",
    "input",
    text("invoice_id", "the invoice"),
    CUSTOMER,
    day("invoiced_on", "請求日"),
    day("due_on", "支払期日"),
    day("paid_on", "入金日", **OPT),
    money("amount", "invoiced amount, tax excluded"),
    money("written_off", "amount written off (貸倒)", **OPT),
)

TARGETS = contract(
    "targets",
    "one row a target of a period, scope and metric",
    "fiscal_period scope_type scope_id metric_id version",
    "input",
    text("fiscal_period", "month YYYY-MM or fiscal year FY2025"),
    text("scope_type", "company, owner, segment, line"),
    text("scope_id", "which one; - for the company"),
    text("metric_id", "metric of the dictionary"),
    number("target", "the target", "as the metric"),
    text("version", "version of the budget"),
)

CONTACTS = contract(
    "contacts",
    "one row a person at a customer",
    "contact_id",
    "input",
    text("contact_id", "the contact"),
    CUSTOMER,
    text("name", "name", **OPT),
    text("department", "department", **OPT),
    text("role", "role", **OPT),
    text("email", "address for mail", **OPT),
    text("postal_code", "postal code", **OPT),
    text("address", "address for post", **OPT),
    text("phone", "telephone number", **OPT),
    text("consent_basis", "basis of consent", **OPT),
    text("consent_evidence", "where the consent is recorded", **OPT),
    flag("opt_out_mail", "refuses mail", **OPT),
    flag("opt_out_dm", "refuses post", **OPT),
    day("left_on", "day the person left", **OPT),
)

CAMPAIGNS = contract(
    "campaigns",
    "one row a campaign (施策)",
    "campaign_id",
    "input",
    text("campaign_id", "the campaign"),
    text("name", "name of the campaign"),
    text("department", "department that runs it"),
    text("channel", "channel"),
    text("action", "action, as plans name it"),
    day("starts_on", "first day"),
    day("ends_on", "last day"),
    money("cost_amount", "full cost"),
    text("primary_metric", "metric it is judged by, fixed before it starts"),
    count("window_days", "days after the start in which it is judged", minimum=1, unit="days"),
    code("design", "how customers were chosen", "randomised staggered targeted"),
    text("version", "version of the definition"),
)

ASSIGNMENTS = contract(
    "assignments",
    "one row a campaign and customer",
    "campaign_id customer_id",
    "input",
    text("campaign_id", "the campaign"),
    CUSTOMER,
    code("arm", "arm of the customer", "treatment control a b"),
    day("assigned_at", "day of the assignment"),
    text("block", "block of the assignment", **OPT),
    text("cluster", "customers that were assigned together", **OPT),
    day("starts_on", "staggered: first treated day; null = not treated", **OPT),
    text("version", "version of the definition"),
)

TOUCHES = contract(
    "touches",
    "one row a contact of a campaign",
    "touch_id",
    "input",
    text("touch_id", "number of the touch; made from file and row where the source has none"),
    text("campaign_id", "the campaign"),
    CUSTOMER,
    day("touched_at", "day of the touch"),
    text("kind", "mail, post, call, …"),
    money("cost_amount", "cost of the touch"),
)

INPUTS = (
    CUSTOMERS, CUSTOMER_LINKS, CUSTOMER_OWNERS, PRODUCTS, ORDER_LINES, CONTRACT_TERMS, CONTRACT_CHANGES,
    SUPPORT_COSTS, USAGE, ACTIVITIES, MILESTONES, SURVEYS, DEALS, RECEIVABLES, TARGETS, CONTACTS, CAMPAIGNS,
    ASSIGNMENTS, TOUCHES,
)  # fmt: skip
