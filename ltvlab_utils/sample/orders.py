"""Order lines from the log of a company, its products, and what the warehouse and the accounts add to them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ltvlab_utils.sample import draws
from ltvlab_utils.sample.dynamics import back_share
from ltvlab_utils.sample.history import History, Setting
from ltvlab_utils.sample.people import LINES

DAY = np.timedelta64(1, "D")
A_LINE = 8  # goods of each line of business
CATEGORIES = ("消耗品", "部品", "機器", "保守部材")
OLD = 10  # number of the good that its successor, the next, replaces


def order_days(history: History) -> pd.DataFrame:
    """One row an order: row (of people), month, place (in it), count (order number), amount, net (after returns),
    cancelled, day (0 = first of the data), back (share that comes back).

    Most orders that fall on a weekend are placed on the Monday after, or the Friday before at the end of a month.
    """
    setting = history.setting
    table = pd.DataFrame({k: np.concatenate([m[k] for m in history.log.orders]) for k in history.log.orders[0]})
    first = setting.month_day(table["month"].to_numpy())
    length = (setting.month_day(table["month"].to_numpy() + 1) - first).astype(int)
    at = first + np.floor(table["place"].to_numpy() * length).astype("timedelta64[D]")
    weekday = (at.astype("datetime64[D]").view("int64") + 3) % 7  # 0 = Monday
    key = history.cast.keys[table["row"].to_numpy(), 0]
    count = table["count"].to_numpy()
    moves = (weekday >= 5) & (draws.below(key, "weekend", count) < 0.9)
    later = at + np.where(moves, 7 - weekday, 0).astype("timedelta64[D]")
    earlier = np.maximum(at - np.where(moves, weekday - 4, 0).astype("timedelta64[D]"), first)
    at = np.where(later.astype("datetime64[M]") == first.astype("datetime64[M]"), later, earlier)
    returned = ~table["cancelled"] & (table["net"] < table["amount"])
    out = table.assign(day=(at - setting.first_day).astype(int), back=np.where(returned, back_share(key, count), 0.0))
    return out.sort_values(["day", "row", "count"], ignore_index=True)


def products(setting: Setting) -> pd.DataFrame:
    """Product master: eight goods a line of business, three services under contract; one good has a successor."""
    rng = draws.stream(setting.seed, "products")
    until = setting.first_day + np.timedelta64(int(0.6 * setting.days), "D")
    n = np.arange(A_LINE * len(LINES))
    price = np.round(np.exp(rng.normal(9.2, 0.8, len(n))), -2).clip(min=500)
    goods = pd.DataFrame(
        {
            "product_id": "P-" + pd.Series(n + 1).astype(str).str.zfill(3),
            "name": [f"{CATEGORIES[i % len(CATEGORIES)]} {chr(65 + i // A_LINE)}{i % A_LINE + 1:02d}" for i in n],
            "line": np.array(LINES)[n // A_LINE],
            "kind": "goods",
            "list_price": price,
            "standard_cost": np.round(price * rng.uniform(0.5, 0.75, len(n)), -1),
            "sold_until": np.where(n == OLD, until, np.datetime64("NaT")),
            "successor_id": np.where(n == OLD, f"P-{OLD + 2:03d}", None),
        }
    )
    services = pd.DataFrame(
        {"product_id": ["S-001", "S-002", "S-003"], "name": ["業務クラウド", "保守サービス", "分析オプション"]}
    )
    return pd.concat([goods, services.assign(line="service", kind="service")], ignore_index=True)


def _split(rng: np.random.Generator, amount: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """Whole yen of each line, so that the lines of an order add up to its amount."""
    order = np.repeat(np.arange(len(lines)), lines)
    weight = rng.gamma(2.0, 1.0, len(order))
    share = weight / np.bincount(order, weight)[order]
    net = np.floor(amount[order] * share)
    last = np.cumsum(lines) - 1
    net[last] += amount - np.bincount(order, net)
    return net


def order_lines(history: History, days: pd.DataFrame, goods: pd.DataFrame, ids: np.ndarray) -> pd.DataFrame:
    """Lines of the orders, returns included, in order of date; amounts are whole yen without tax."""
    setting, people = history.setting, history.people
    rng = draws.stream(setting.seed, "order lines")
    per_order = 1 + rng.poisson(2.0, len(days))
    order = np.repeat(np.arange(len(days)), per_order)
    line = np.arange(len(order)) - np.repeat(np.cumsum(per_order) - per_order, per_order)
    row = days["row"].to_numpy()[order]
    net = _split(rng, days["amount"].to_numpy(), per_order)
    first = (line == 0) & (rng.random(len(order)) < 0.6)
    favourite = draws.below(draws.keys(setting.seed, "favourite", people["candidate"].to_numpy()), "good")[row]
    within = np.where(first, np.floor(favourite * A_LINE), (rng.integers(0, A_LINE, len(order)) + line) % A_LINE)
    product = (people["line"].to_numpy()[row] * A_LINE + within).astype(int)
    gone = np.datetime64(goods["sold_until"].to_numpy()[OLD], "D") - setting.first_day
    product = np.where((product == OLD) & (days["day"].to_numpy()[order] > gone.astype(int)), OLD + 1, product)
    units = np.maximum(np.round(net / goods["list_price"].to_numpy()[product]), 1)
    margin = people["margin"].to_numpy()[row] + rng.normal(0, 0.03, len(order))
    day = days["day"].to_numpy()[order]
    minute = (8 * 60 + 30 + rng.integers(0, 600, len(days)))[order]
    ship = day + rng.integers(1, 9, len(days))[order]
    cancelled = days["cancelled"].to_numpy()[order]
    backlog = ~cancelled & (ship >= setting.days)
    date = lambda d: setting.first_day + np.asarray(d).astype("timedelta64[D]")  # noqa: E731
    none = np.datetime64("NaT")
    discount = np.where(rng.random(len(order)) < 0.15, np.round(net * rng.uniform(0.03, 0.12, len(order))), 0)
    through = people["through"].to_numpy()[row]
    frame = pd.DataFrame(
        {
            "order_id": "SO" + pd.Series(order + 1).astype(str).str.zfill(6),
            "line_no": line + 1,
            "customer_id": ids[row],
            "ordered_at": date(day).astype("datetime64[s]") + minute.astype("timedelta64[m]"),
            "status": np.select([cancelled, backlog], ["cancelled", "backlog"], "confirmed"),
            "shipped_on": np.where(cancelled | backlog, none, date(ship)),
            "invoiced_on": np.where(cancelled, none, _month_end(date(day))),
            "bill_to_id": np.where(through >= 0, ids[through.clip(0)], None),
            "end_user_id": np.where(through >= 0, ids[row], None),
            "product_id": goods["product_id"].to_numpy()[product],
            "category": np.array(CATEGORIES)[product % len(CATEGORIES)],
            "quantity": units.astype(int),
            "net_amount": net.astype(int),
            "discount_amount": discount.astype(int),
            "cost_amount": np.round(net * (1 - margin)).astype(int),
            "tax_rate": 0.1,
            "kind": "sale",
            "returns_order_id": None,
        }
    )
    back = _returns(rng, setting, frame, days, order)
    both = pd.concat([frame, back], ignore_index=True)
    return both.sort_values(["ordered_at", "order_id", "line_no"], kind="stable", ignore_index=True)


def _month_end(day: np.ndarray) -> np.ndarray:
    return (day.astype("datetime64[M]") + 1).astype("datetime64[D]") - DAY


def _returns(rng, setting, frame: pd.DataFrame, days: pd.DataFrame, order: np.ndarray) -> pd.DataFrame:
    """Return lines of shipped orders, each naming its order; some come back in part, nine to forty days later."""
    share = days["back"].to_numpy()
    wait = rng.integers(9, 40, len(days))
    which = (share[order] > 0) & (frame["status"] == "confirmed").to_numpy()
    back, part = frame[which].copy(), share[order][which]
    came = back["ordered_at"] + pd.to_timedelta(wait[order][which], unit="D")
    number = pd.factorize(back["order_id"])[0] + 1
    for column in ("net_amount", "cost_amount"):
        back[column] = -np.round(back[column] * part).astype(int)
    back["quantity"] = -np.floor(back["quantity"] * part).astype(int)  # 0: a part of the price, the goods stay
    back = back.assign(
        returns_order_id=back["order_id"],
        order_id="RT" + pd.Series(number, index=back.index).astype(str).str.zfill(6),
        ordered_at=came,
        shipped_on=came.dt.normalize(),
        invoiced_on=_month_end(came.to_numpy().astype("datetime64[D]")),
        kind="return",
        discount_amount=0,
    )
    end = setting.first_day + np.timedelta64(setting.days, "D")
    return back[back["ordered_at"] < end.astype("datetime64[s]")]
