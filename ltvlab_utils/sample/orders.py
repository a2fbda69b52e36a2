"""Orders of the sample company: gamma intervals, log-normal rates, year-end buying, death, returns."""

from __future__ import annotations

import numpy as np
import pandas as pd

# orders a month (median), spread of the log rate, yen an order (median), margin
SHAPE = {
    "software": (0.35, 0.8, 420_000, 0.45),
    "manufacturing": (0.75, 0.8, 380_000, 0.33),
    "wholesale": (1.10, 0.8, 210_000, 0.24),
}
# factor on the order rate by calendar month, January to December
SEASON = {
    "software": [1.0] * 12,
    "manufacturing": [1, 1, 1.25, 0.95, 1, 1, 1, 0.8, 1, 1, 1, 1],
    "wholesale": [0.9, 1.1, 2.0, 0.6, 0.95, 1, 1, 0.85, 1, 1, 1, 1.1],
}
REGULARITY = 1.8  # shape of the gamma intervals; 1 would be the Poisson process of the textbooks


def order_days(rng: np.random.Generator, people: pd.DataFrame, first: np.datetime64, days: int) -> pd.DataFrame:
    """Purchase days: customer (row of `people`), day (0 = first day of the data)."""
    n = len(people)
    rate = np.clip(people["rate"].to_numpy(), 0.02, 6.0) / 30.4375
    most = int(np.ceil(rate.max() * days * 2.2)) + 8
    steps = rng.gamma(REGULARITY, 1 / REGULARITY, (n, most)) / rate[:, None]
    born = people["born"].to_numpy()
    # a customer of before the data is met somewhere within an interval; a new one orders on its first day
    steps[:, 0] = np.where(born < 0, steps[:, 0] * rng.random(n), 0.0)
    clock = np.cumsum(steps, axis=1)
    months = (first + np.arange(days)).astype("datetime64[M]").astype(int) % 12
    found = []
    for industry, season in SEASON.items():
        rows = np.flatnonzero(people["industry"].to_numpy() == industry)
        busy = np.r_[0.0, np.cumsum(np.asarray(season, float)[months])]
        start = np.interp(np.maximum(born[rows], 0), np.arange(days + 1), busy)
        day = np.interp(clock[rows] + start[:, None], busy, np.arange(days + 1), right=np.inf)
        customer = np.broadcast_to(rows[:, None], day.shape)
        kept = np.isfinite(day)
        found.append(pd.DataFrame({"customer": customer[kept], "day": np.floor(day[kept]).astype(int)}))
    orders = pd.concat(found, ignore_index=True)
    dies, lapses = (people[c].to_numpy()[orders["customer"]] for c in ("dies", "lapses"))
    draw = rng.random(len(orders))
    fading = (orders["day"] > dies - 120) & (draw < 0.4)
    lapsed = (orders["day"] > lapses) & (draw < 0.5)
    alive = (orders["day"] < dies) & (orders["day"] < days) & ~fading & ~lapsed
    return orders[alive].sort_values(["day", "customer"], kind="stable", ignore_index=True)


def order_lines(
    rng: np.random.Generator, orders: pd.DataFrame, people: pd.DataFrame, first: np.datetime64, days: int
) -> pd.DataFrame:
    """Lines of the orders, returns included, in order of date."""
    per_order = 1 + rng.poisson(2.0, len(orders))
    row = np.repeat(np.arange(len(orders)), per_order)
    line = np.arange(len(row)) - np.repeat(np.cumsum(per_order) - per_order, per_order) + 1
    who = people.iloc[orders["customer"].to_numpy()[row]]
    day = orders["day"].to_numpy()[row]
    prices = 1.02 ** (day / 365.25)
    size = who["spend"].to_numpy() * prices * rng.lognormal(-0.18, 0.6, len(row)) / per_order[row]
    net = np.maximum(np.round(size), 100)
    margin = who["margin"].to_numpy() + rng.normal(0, 0.04, len(row))
    product = rng.integers(0, 8, len(row)) + who["line"].to_numpy() * 8
    discount = np.where(rng.random(len(row)) < 0.15, np.round(net * rng.uniform(0.03, 0.12, len(row))), 0)
    minute = (8 * 60 + 30 + rng.integers(0, 600, len(orders)))[row]
    ship = day + rng.integers(1, 9, len(orders))[row]
    cancelled = (rng.random(len(orders)) < 0.006)[row]
    backlog = ~cancelled & (ship >= days)
    frame = pd.DataFrame(
        {
            "order_id": "SO" + pd.Series(row + 1).astype(str).str.zfill(6),
            "line_no": line,
            "customer_id": who["customer_id"].to_numpy(),
            "ordered_at": first + day.astype("timedelta64[D]") + minute.astype("timedelta64[m]"),
            "status": np.select([cancelled, backlog], ["cancelled", "backlog"], "confirmed"),
            "shipped_on": np.where(cancelled | backlog, np.datetime64("NaT"), first + ship.astype("timedelta64[D]")),
            "product_id": "P-" + pd.Series(product + 1).astype(str).str.zfill(3),
            "quantity": rng.integers(1, 21, len(row)),
            "net_amount": net.astype(int),
            "discount_amount": discount.astype(int),
            "cost_amount": np.round(net * (1 - margin)).astype(int),
            "tax_rate": 0.1,
            "kind": "sale",
            "returns_order_id": None,
        }
    )
    back = frame[(frame["status"] == "confirmed") & (rng.random(len(frame)) < 0.012)].copy()
    came = back["ordered_at"] + pd.to_timedelta(rng.integers(9, 40, len(back)), unit="D")
    back = back.assign(
        returns_order_id=back["order_id"],
        order_id="RT" + pd.Series(np.arange(len(back)) + 1, index=back.index).astype(str).str.zfill(6),
        line_no=1,
        ordered_at=came,
        shipped_on=came.dt.normalize(),
        kind="return",
        discount_amount=0,
        **{c: -back[c] for c in ("quantity", "net_amount", "cost_amount")},
    )
    back = back[back["ordered_at"] < np.datetime64(first + np.timedelta64(days, "D"), "us")]
    both = pd.concat([frame, back], ignore_index=True)
    return both.sort_values(["ordered_at", "order_id", "line_no"], kind="stable", ignore_index=True)


def with_faults(rng: np.random.Generator, lines: pd.DataFrame) -> pd.DataFrame:
    """The lines as a system would hand them over: a few rows that no review can use, and dates and codes as text."""
    moments = {"ordered_at": "%Y/%m/%d %H:%M", "shipped_on": "%Y/%m/%d"}
    out = lines.assign(**{c: lines[c].dt.strftime(form) for c, form in moments.items()}).astype(object)
    rows = rng.permutation(len(out))
    guests, empty, dates, codes, twice = np.split(rows[: min(60, len(rows) // 8)], [36, 43, 50, 53])
    out.loc[guests, "customer_id"] = None
    out.loc[empty, "net_amount"] = None
    out.loc[dates, "ordered_at"] = np.resize(["未定", "2024/13/05 10:00", "2023/02/30 09:15"], len(dates))
    out.loc[codes, "status"] = "保留"
    doubled = np.sort(np.r_[np.arange(len(out)), twice])
    return out.iloc[doubled].reset_index(drop=True)


def products() -> pd.DataFrame:
    """Product master: eight goods a line, two services under contract."""
    goods = pd.DataFrame({"n": np.arange(24)})
    lines = np.array(list(SHAPE))[goods["n"] // 8]
    services = pd.DataFrame(
        {"product_id": ["S-001", "S-002"], "name": ["業務クラウド", "保守サービス"], "line": "service"}
    )
    frame = pd.DataFrame(
        {
            "product_id": "P-" + (goods["n"] + 1).astype(str).str.zfill(3),
            "name": "商品" + (goods["n"] + 1).astype(str),
            "line": lines,
        }
    )
    return pd.concat([frame.assign(kind="goods"), services.assign(kind="service")], ignore_index=True)
