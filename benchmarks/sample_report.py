"""Does the generated company look like a company? Pictures and figures for a person to judge by, in docs/sample.md.

`make readme` runs it; alone: python -m benchmarks.sample_report. Real data beside it: CDNOW comes with lifetimes,
Online Retail is read below the folder that LTVLAB_SHARED_DATA names, and left out where it is not there.
"""

from __future__ import annotations

import os
import time
from calendar import month_name
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from PIL import Image
from scipy.special import betainc
from scipy.stats import ks_2samp, kstest, skew, spearmanr

from benchmarks.readme import IMAGES, put
from ltvlab_utils import sample
from ltvlab_utils.models import GammaGamma
from ltvlab_utils.plots.theme import BLUE, INK, LINE, MUTE, ORANGE, SAND, SKY, use_theme

PAGE = "docs/sample.md"
LINES = ("software", "manufacturing", "wholesale")
LOOK = {"software": (ORANGE, "-"), "manufacturing": (MUTE, "--"), "wholesale": (BLUE, "-")}  # hue, dash
MADE = {"generated wholesaler": (BLUE, "-"), "generated manufacturer": (BLUE, "--")}
REAL = {"Online Retail": (ORANGE, "-"), "CDNOW": (ORANGE, "--")}
WINDOW = 364  # days in which the data sets are compared
BUSY = 15  # intervals of a customer from which on its regularity is judged
FEW = 15  # at risk, below which a survival curve ends
OWN_LEVEL = (-39, -27)  # weeks before a notice that say what a customer's own usage is
INTERVAL_DRAWS, SPEND_DRAWS = 999, 99
DAY = np.timedelta64(1, "D")


@cache
def company(world: str = "misspecified") -> sample.Company:
    """The default company without faulty rows: what is judged is the company, not what is wrong in its files."""
    return sample.generate(sample.Setting(world=world), faulty=False)


@cache
def orders(world: str = "misspecified") -> pd.DataFrame:
    """One row an order that was not cancelled, by customer and time: customer, at, day, amount, line."""
    made = company(world)
    lines = made.frames["order_lines"]
    sold = lines[(lines["kind"] == "sale") & (lines["status"] != "cancelled")]
    by = sold.groupby("order_id").agg(
        customer=("customer_id", "first"), at=("ordered_at", "first"), amount=("net_amount", "sum")
    )
    line = pd.Series(np.array(LINES)[made.history.people["line"]], index=sample.Truth(made.history).ids)
    by = by.assign(day=by["at"].dt.normalize(), line=by["customer"].map(line))
    return by.sort_values(["customer", "at"], ignore_index=True)


def intervals(world: str = "misspecified") -> tuple[np.ndarray, np.ndarray]:
    """Days between orders of customers with at least BUSY intervals, and the number of the customer of each."""
    table = orders(world)
    gap = table.groupby("customer")["at"].diff().dt.total_seconds() / 86_400
    kept = gap.notna() & (gap.groupby(table["customer"]).transform("count") >= BUSY)
    return gap[kept].to_numpy(), pd.factorize(table["customer"][kept])[0]


def _variation(gaps: np.ndarray, who: np.ndarray) -> float:
    """Median over customers of the coefficient of variation (CV) of their intervals."""
    n = np.bincount(who)
    mean = np.bincount(who, gaps) / n
    return float(np.median(np.sqrt((np.bincount(who, gaps**2) - n * mean**2) / (n - 1)) / mean))


@cache
def regularity(world: str = "misspecified") -> tuple[float, float, float, int]:
    """CV of intervals, the CV that exponential ones would show, p-value, customers. With any parameters, orders of
    Pareto/NBD, MBG/NBD, BG/NBD and NBD lie between a customer's first and last as independent uniform moments, so that
    the intervals over their mean are those of as many exponential numbers."""
    gaps, who = intervals(world)
    found, rng = _variation(gaps, who), np.random.default_rng(7)
    chance = np.array([_variation(rng.standard_exponential(len(gaps)), who) for _ in range(INTERVAL_DRAWS)])
    p = (1 + (chance <= found).sum()) / (1 + INTERVAL_DRAWS)
    return found, float(np.median(chance)), p, int(who.max()) + 1


@cache
def spend(line: str, world: str = "misspecified") -> dict[str, float]:
    """The fitted Gamma-Gamma against repeat purchase days: it makes a day's share of its customer's total
    Beta(p, p (x - 1)), whatever the customer's mean; and it makes frequency and spend independent."""
    table = orders(world)
    days = table[table["line"] == line].groupby(["customer", "day"], as_index=False)["amount"].sum()
    days = days[days.groupby("customer").cumcount() > 0]
    by = days.groupby("customer")["amount"]
    histories = pd.DataFrame({"frequency": by.size(), "monetary_value": by.mean()})
    model = GammaGamma.fit(histories)
    x, total = by.transform("size").to_numpy(), by.transform("sum").to_numpy()
    many = x > 1
    x, share, who = x[many], (days["amount"].to_numpy() / total)[many], pd.factorize(days["customer"][many])[0]
    p, rng = model.params["p"], np.random.default_rng(7)

    def distance(share: np.ndarray) -> float:
        return kstest(np.clip(betainc(p, p * (x - 1), np.clip(share, 0, 1)), 0, 1), "uniform").statistic

    found, chance = distance(share), []
    for drawn in model.draw_params(SPEND_DRAWS, rng)["p"]:
        amount = rng.standard_gamma(drawn, len(x))
        chance.append(distance(amount / np.bincount(who, amount)[who]))
    link = spearmanr(histories["frequency"], histories["monetary_value"])
    return {
        "n": len(histories), "days": len(x), "p": p, "distance": found, "chance": float(np.median(chance)),
        "p_value": (1 + (np.array(chance) >= found).sum()) / (1 + SPEND_DRAWS),
        "rho": link.statistic, "rho_p": link.pvalue,
    }  # fmt: skip


def survival(entry: np.ndarray, leave: np.ndarray, event: np.ndarray, most: int) -> np.ndarray:
    """Kaplan-Meier at 0, 1, …, most of units seen from `entry` to `leave` (late entry, censored where no `event`); NaN
    from where fewer than FEW are at risk."""
    age = np.arange(1, most + 1)[:, None]
    risk = ((entry < age) & (leave >= age)).sum(axis=1)
    ends = ((leave == age) & event).sum(axis=1)
    return np.r_[1.0, np.cumprod(np.where(risk < FEW, np.nan, 1 - ends / np.maximum(risk, 1)))]


@cache
def accounts() -> pd.DataFrame:
    """Months of life of each customer within the data: line, entry, leave, gone (bool), from the truth."""
    past = company().history
    alive, born = np.array(past.log.alive), past.people["born"].to_numpy()
    months = np.arange(len(alive))[:, None]
    dead = ~alive & (months >= np.maximum(born, 0))
    gone = dead.any(axis=0)
    last = np.where(gone, dead.argmax(axis=0), len(alive) - 1)
    entry = np.maximum(-born, 0)
    return pd.DataFrame(
        {"line": np.array(LINES)[past.people["line"]], "entry": entry, "leave": last - born + 1, "gone": gone}
    )


@cache
def renewals() -> pd.DataFrame:
    """Terms with a renewal decision: line, term_no, lost (bool), due (deadline), day (of the notice, else deadline)."""
    terms, made = company().frames["contract_terms"], company()
    decided = terms[terms["outcome"].isin(["renewed", "churned"])]
    lost = decided["outcome"] == "churned"
    industry = made.frames["customers"].set_index("customer_id")["industry"]
    return decided.assign(
        line=decided["customer_id"].map(industry), lost=lost,
        day=pd.to_datetime(decided["notice_given_on"].where(lost, decided["notice_due_on"])),
    )  # fmt: skip


def term_survival(table: pd.DataFrame, most: int) -> np.ndarray:
    """Kaplan-Meier of contracts by renewal decision: each term with a decision is at risk at it."""
    term, lost = table["term_no"].to_numpy(), table["lost"].to_numpy()
    return survival(term - 1, term, lost, most)


@cache
def usage() -> tuple[pd.DataFrame, dict[bool, int], float]:
    """Usage by week before a notice (lost) or a deadline let pass: lost, week, level (median over customers of the mean
    of four weeks against the own level), low, high (its 95 % interval); decisions of each kind; level of the lost over
    that of the rest in the last eight weeks."""
    table = renewals().reset_index(names="term")
    both = company().frames["usage"].merge(table[["customer_id", "term", "day", "lost"]], on="customer_id")
    both = both.assign(week=(pd.to_datetime(both["week"]) - both["day"]).dt.days // 7)
    before = both[both["week"].between(*OWN_LEVEL)].groupby("term")["value"].agg(["mean", "size"])
    own = before["mean"][(before["size"] >= 8) & (before["mean"] > 0)]
    wide = both[both["week"].between(-29, -1) & both["term"].isin(own.index)].pivot(
        index="term", columns="week", values="value"
    )
    lost = table.set_index("term")["lost"].reindex(wide.index)
    level = wide.T.rolling(4).mean().T.loc[:, -26:].div(own.reindex(wide.index), axis=0)
    n = lost.value_counts().to_dict()
    rows = []
    for kind, size in n.items():
        half = 0.98 / np.sqrt(size)  # order statistics about the median
        ranks = level[lost == kind].quantile([0.5, 0.5 - half, 0.5 + half]).T.set_axis(["level", "low", "high"], axis=1)
        rows.append(ranks.rename_axis("week").reset_index().assign(lost=kind))
    last = level.loc[:, [-5, -1]].mean(axis=1)
    return pd.concat(rows), n, float(last[lost].median() / last[~lost].median())


@cache
def discounts() -> tuple[pd.DataFrame, pd.DataFrame]:
    """By discount offered: n, naive (share renewed less the share without a discount), error (half of its 95 %
    interval), true (mean gain in the chance of renewal); and all decisions."""
    table = sample.Truth(company().history).decisions()
    given, none = table[table["discount"] > 0], table.loc[table["discount"] == 0, "renews"]
    table = table.assign(gain=table["chance"] - table["chance_without"])
    by = (
        table.loc[given.index]
        .groupby("discount")
        .agg(n=("renews", "size"), share=("renews", "mean"), true=("gain", "mean"))
    )
    variance = by["share"] * (1 - by["share"]) / by["n"] + none.mean() * (1 - none.mean()) / len(none)
    return by.assign(naive=by["share"] - none.mean(), error=1.96 * np.sqrt(variance)), table


@cache
def revenue() -> np.ndarray:
    """Revenue of the last 12 months by customer (orders and contracts, yen), largest first, customers without left
    out."""
    past, table = company().history, orders()
    start = past.setting.month_day(past.setting.months - 12)
    sold = table[table["day"] >= start].groupby("customer")["amount"].sum()
    fees = np.array(past.log.revenue)[-12:].sum(axis=0)
    both = sold.reindex(sample.Truth(past).ids).fillna(0).to_numpy() + fees
    return np.sort(both[both > 0])[::-1]


def top(share: float) -> float:
    """Share of revenue of the largest customers."""
    found = revenue()
    return float(found[: round(share * len(found))].sum() / found.sum())


def gini(amounts: np.ndarray) -> float:
    x, n = np.sort(amounts), len(amounts)
    return float((2 * np.arange(1, n + 1) - n - 1) @ x / (n * x.sum()))


def _cdnow() -> pd.DataFrame:
    file = Path(find_spec("lifetimes").origin).parent / "datasets" / "CDNOW_master.txt"
    table = pd.read_csv(file, sep=r"\s+", skiprows=1, header=None, names=["customer", "day", "units", "amount"])
    return table.assign(day=pd.to_datetime(table["day"].astype(str), format="%Y%m%d"))


def _online_retail() -> pd.DataFrame | None:
    folder = os.environ.get("LTVLAB_SHARED_DATA")
    file = Path(folder or "") / "online_retail" / "onlineretail.csv.gz"
    if not folder or not file.is_file():
        why = f"{file} is not there" if folder else "LTVLAB_SHARED_DATA is not set"
        print(f"Online Retail is left out: {why}.")
        return None
    table = pd.read_csv(file, usecols=["CustomerID", "InvoiceDate", "Quantity", "UnitPrice"])
    table = table[table["CustomerID"].notna() & (table["Quantity"] > 0) & (table["UnitPrice"] > 0)]
    day = pd.to_datetime(table["InvoiceDate"], format="ISO8601").dt.normalize()
    return pd.DataFrame({"customer": table["CustomerID"], "day": day, "amount": table["Quantity"] * table["UnitPrice"]})


@cache
def data_sets() -> dict[str, pd.DataFrame]:
    """Purchase days (customer, day, amount) of each data set in its comparable WINDOW."""
    made = orders()
    found = {
        "generated wholesaler": (made[made["line"] == "wholesale"], "2025-06-30"),
        "generated manufacturer": (made[made["line"] == "manufacturing"], "2025-06-30"),
        "Online Retail": (_online_retail(), "2011-12-09"),
        "CDNOW": (_cdnow(), "1997-12-31"),
    }
    out = {}
    for name, (table, last) in found.items():
        if table is not None:
            end = np.datetime64(last)
            table = table[table["day"].between(end - (WINDOW - 1) * DAY, end)]
            days = table.groupby(["customer", "day"], as_index=False)["amount"].sum()
            out[name] = days[days["amount"] > 0].assign(end=end)
    return out


def customers(days: pd.DataFrame) -> pd.DataFrame:
    """By customer: repeats (purchase days after the first), recency (share of the time since the first purchase day at
    which the last one lies; NaN if the first was the last day), revenue, variation (CV of at least ten intervals)."""
    by = days.groupby("customer").agg(
        n=("day", "size"), first=("day", "min"), last=("day", "max"), revenue=("amount", "sum"), end=("end", "first")
    )
    gap = days.sort_values(["customer", "day"]).groupby("customer")["day"].diff().dt.days
    own = gap.groupby(days["customer"]).agg(["mean", "std", "count"])
    long = (by["end"] - by["first"]).dt.days
    return pd.DataFrame(
        {
            "repeats": by["n"] - 1,
            "recency": ((by["last"] - by["first"]).dt.days / long.where(long > 0)),
            "revenue": by["revenue"],
            "variation": (own["std"] / own["mean"]).where(own["count"] >= 10),
        }
    )


def standard_spend(days: pd.DataFrame) -> np.ndarray:
    """log10 of the spend of each purchase day, mean 0 and sd 1."""
    log = np.log10(days["amount"].to_numpy())
    return (log - log.mean()) / log.std()


def _panel(axis: Axes, finding: str, how: str) -> Axes:
    """The finding as heading, below it how to read the panel."""
    axis.set_title(finding + "\n" * (1 + how.count("\n")), fontsize=11, color=INK)
    axis.annotate(how, (0, 1), xycoords="axes fraction", xytext=(0, 6), textcoords="offset points", fontsize=8.5,
                  color=MUTE, linespacing=1.3, in_layout=False)  # fmt: skip
    return axis


def _word(axis: Axes, x: float, y: float, words: str, hue: str, **more) -> None:
    """A label beside what it names."""
    axis.annotate(words, (x, y), color=hue, fontsize=8.5, in_layout=False, **more)


def _percent(*axes) -> None:
    for axis in axes:
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def _draw_intervals(axis: Axes) -> None:
    gaps, who = intervals()
    scaled = gaps / (np.bincount(who, gaps) / np.bincount(who))[who]
    found, chance, _, n = regularity()
    edges = np.arange(0, 4.01, 0.1)
    axis.hist(scaled, edges, density=True, color=LINE, edgecolor="white", linewidth=0.5)
    axis.plot(edges, np.exp(-edges), color=ORANGE, linewidth=1.6)
    _word(axis, 0.12, 1.0, "exponential: orders at random", ORANGE)
    verdict = "more regular than chance" if found < chance else "no more regular than chance"
    _panel(axis, f"Orders are {verdict}: CV of intervals {found:.2f}, by chance {chance:.2f}",
           f"Intervals between orders; {n:,} customers with at least {BUSY}, {len(gaps):,} intervals")  # fmt: skip
    axis.set(xlim=(0, 4), ylim=(0, 1.12), xlabel="interval / own mean interval of the customer", ylabel="density")


def _draw_survival(accounts_axis: Axes, terms_axis: Axes) -> None:
    table, decided = accounts(), renewals()
    months, most = np.arange(97), 6
    alive = {w: survival(*(own[c].to_numpy() for c in ("entry", "leave", "gone")), months[-1])
             for w, own in table.groupby("line")}  # fmt: skip
    kept = {w: term_survival(own, most) for w, own in decided.groupby("line")}
    for w in LINES:
        hue, dash = LOOK[w]
        accounts_axis.plot(months, alive[w], dash, color=hue, linewidth=1.8)
        terms_axis.plot(range(most + 1), kept[w], dash, marker="o", color=hue, linewidth=1.8, markersize=3.5)
        own, terms = table[table["line"] == w], decided[decided["line"] == w]
        y = 0.19 - 0.075 * LINES.index(w)
        _word(accounts_axis, 3, y, f"{w}: n = {len(own):,}, {int(own['gone'].sum())} left", hue)
        _word(terms_axis, 0.1, y, f"{w}: n = {len(terms):,}, {int(terms['lost'].sum())} refused", hue)
    for axis in (accounts_axis, terms_axis):
        axis.set_ylim(0, 1.02)
        _percent(axis.yaxis)
    five, low = [v[60] for v in alive.values()], [v[4] for v in kept.values() if np.isfinite(v[4])]
    _panel(accounts_axis, f"{_range(five, '.0%')} stay five years",
           "Accounts: Kaplan-Meier, truth")  # fmt: skip
    _panel(terms_axis, f"{_range(low, '.0%')} renew four times",
           "Contracts: Kaplan-Meier, extracts")  # fmt: skip
    accounts_axis.set(xlim=(0, 96), xticks=range(0, 97, 24), xlabel="months since the account began")
    terms_axis.set(xlim=(-0.1, most + 0.1), xlabel="renewal decisions (early ends apart)")


@cache
def season() -> pd.DataFrame:
    """Orders an account alive by calendar month (1 to 12), by line; 1 = the line's mean month."""
    past, table = company().history, orders()
    first = np.datetime64(past.setting.first_day, "M")
    at = (table["day"].to_numpy().astype("datetime64[M]") - first).astype(int)
    line, alive = np.array(LINES)[past.people["line"]], np.array(past.log.alive)
    calendar = (past.cast.first_month + np.arange(len(alive))) % 12 + 1
    out = {}
    for w in LINES:
        made = np.bincount(at[(table["line"] == w).to_numpy()], minlength=len(alive))
        rate = pd.Series(made / alive[:, line == w].sum(axis=1)).groupby(calendar).mean()
        out[w] = rate / rate.mean()
    return pd.DataFrame(out)


def _draw_season(axis: Axes) -> None:
    table = season()
    axis.axhline(1, color=LINE, linewidth=1)
    for w in LINES:
        hue, dash = LOOK[w]
        axis.plot(table.index, table[w], dash, marker="o", color=hue, linewidth=1.8, markersize=3.5)
        n = int((orders()["line"] == w).sum())
        _word(axis, 5.2, 2.3 - 0.15 * LINES.index(w), f"{w}: {n:,} orders", hue)
    top_line, peak = table.max().idxmax(), table.max().max()
    _panel(axis, f"{top_line.capitalize()} orders {peak:.1f} times its mean month in "
                 f"{month_name[int(table[top_line].idxmax())]}",
           "Orders an account alive, mean of three years")  # fmt: skip
    axis.set(xlim=(0.8, 12.2), ylim=(0, max(2.5, peak * 1.08)), ylabel="1 = mean month of the line")
    axis.set_xticks(range(1, 13), [name[:3] for name in month_name[1:]])


def _draw_concentration(axis: Axes) -> None:
    found = revenue()
    axis.plot([0, 1], [0, 1], color=LINE, linewidth=1)
    axis.plot(np.arange(len(found) + 1) / len(found), np.r_[0, np.cumsum(found)] / found.sum(), color=BLUE, linewidth=2)
    for share in (0.05, 0.10):
        axis.plot(share, top(share), "o", color=BLUE, markersize=6)
        _word(axis, share + 0.025, top(share) - 0.03, f"top {share:.0%}: {top(share):.0%}", BLUE)
    _word(axis, 0.6, 0.54, "all customers alike", MUTE)
    _percent(axis.xaxis, axis.yaxis)
    _panel(axis, f"One customer in twenty brings {top(0.05):.0%} of revenue",
           f"Orders and contracts of the last 12 months; {len(found):,} customers, "
           f"{found.sum() / 1e6:,.0f} million yen, Gini {gini(found):.2f}")  # fmt: skip
    axis.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="customers, largest first", ylabel="share of revenue")


def _draw_discount(axis: Axes) -> None:
    table, decisions = discounts()
    axis.axhline(0, color=LINE, linewidth=1)
    for at, row in table.iterrows():
        axis.plot([at + 0.004] * 2, row["naive"] + row["error"] * np.array([-1, 1]), color=SAND, linewidth=2)
        axis.plot(at + 0.004, row["naive"], "D", color=ORANGE, markerfacecolor="white", markersize=7)
        axis.plot(at - 0.004, row["true"], "o", color=BLUE, markersize=7)
    axis.plot(table.index - 0.004, table["true"], color=BLUE, linewidth=1.2)
    labels = [f"{d:.0%} (n = {n})" for d, n in table["n"].items()]
    _word(axis, table.index[-1] - 0.004, table["true"].iloc[-1] + 0.012, "true effect on those who got it", BLUE,
          ha="right", bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})  # fmt: skip
    low, high = (table["naive"] - table["error"]).min(), (table["naive"] + table["error"]).max()
    _word(axis, 0.035, low - 0.01, "naive: share renewed less the share without a discount, 95 %", ORANGE, va="top")
    naive, true = np.average(table[["naive", "true"]], axis=0, weights=table["n"])
    given = decisions["discount"] > 0
    none, some = (decisions.loc[kind, "renews"] for kind in (~given, given))
    wide = 1.96 * np.sqrt(none.var() / len(none) + some.var() / len(some))
    _panel(axis, f"A discount looks like {100 * naive:+.1f} points of renewal and does {100 * true:+.1f}",
           f"{len(none):,} renewal decisions without a discount ({none.mean():.0%} renew), {len(some):,} with one; "
           f"naive {100 * (naive - wide):+.0f} to {100 * (naive + wide):+.0f}")  # fmt: skip
    axis.set(xlim=(0.03, 0.22), ylim=(low - 0.04, max(high, table["true"].max()) + 0.04), xlabel="discount offered",
             xticks=table.index, xticklabels=labels, ylabel="points of renewal")  # fmt: skip
    _percent(axis.yaxis)


def _draw_usage(axis: Axes) -> None:
    table, n, ratio = usage()
    axis.axhline(1, color=LINE, linewidth=1)
    for lost, hue, band, words in ((False, BLUE, SKY, "contracts that stay"), (True, ORANGE, SAND, "notice given")):
        own = table[table["lost"] == lost]
        axis.fill_between(own["week"], own["low"], own["high"], color=band, alpha=0.35, linewidth=0)
        axis.plot(own["week"], own["level"], color=hue, linewidth=1.8)
        edge = own["high"].max() + 0.02 if not lost else own["low"].min() - 0.02
        _word(axis, -25.7, edge, f"{words}: n = {n[lost]}", hue, va="top" if lost else "bottom")
    _panel(axis, f"Before a notice usage is {abs(1 - ratio):.0%} {'below' if ratio < 1 else 'above'} that of contracts "
                 "that stay",
           "In the last eight weeks before it, or before a deadline let pass. Mean of four weeks against the\n"
           "customer's own level 27 to 39 weeks before; median over customers, 95 % band")  # fmt: skip
    axis.set(xlim=(-26, -1), ylim=(min(0.6, table["low"].min() - 0.1), max(1.3, table["high"].max() + 0.1)),
             xticks=(-26, -20, -14, -8, -1), xlabel="weeks before", ylabel="usage / own level")  # fmt: skip


def draw_company() -> Figure:
    """Six panels on the generated company."""
    use_theme()
    figure = Figure(figsize=(12, 13), dpi=100)
    figure.get_layout_engine().set(h_pad=0.16, w_pad=0.14)
    grid = figure.add_gridspec(3, 2)
    both = grid[0, 1].subgridspec(1, 2)
    _draw_intervals(figure.add_subplot(grid[0, 0]))
    _draw_survival(figure.add_subplot(both[0]), figure.add_subplot(both[1]))
    _draw_season(figure.add_subplot(grid[1, 0]))
    _draw_concentration(figure.add_subplot(grid[1, 1]))
    _draw_discount(figure.add_subplot(grid[2, 0]))
    _draw_usage(figure.add_subplot(grid[2, 1]))
    return figure


def _steps(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points of the empirical distribution function."""
    x = np.sort(np.asarray(values))
    return x, np.arange(1, len(x) + 1) / len(x)


def draw_real() -> Figure:
    """The generated wholesaler and manufacturer beside two real shops."""
    use_theme()
    figure = Figure(figsize=(12, 4.9), dpi=100)
    figure.get_layout_engine().set(h_pad=0.14, w_pad=0.14)
    counts, recency, spent = figure.subplots(1, 3)
    found = {name: customers(days) for name, days in data_sets().items()}
    for place, (name, (hue, dash)) in enumerate((MADE | REAL).items()):
        if name not in found:
            continue
        own = found[name]
        shown = own["repeats"] + 1, own["recency"].dropna(), standard_spend(data_sets()[name])
        for axis, values in zip((counts, recency, spent), shown, strict=True):
            axis.step(*_steps(values), where="post", color=hue, linestyle=dash, linewidth=1.6)
        _word(counts, 4.6, 0.02 + 0.058 * place, f"{name} ({'dashed, ' * (dash == '--')}n = {len(own):,})", hue)
    ticks = (0, 1, 2, 5, 10, 20, 50, 100)
    counts.set(xscale="log", xlim=(0.95, 150), ylim=(0, 1.02), xlabel="repeat purchase days in 52 weeks",
               ylabel="customers with so many or fewer")  # fmt: skip
    counts.set_xticks([t + 1 for t in ticks], [str(t) for t in ticks])
    counts.minorticks_off()
    recency.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="first to last purchase / first to end of window",
                ylabel="customers with this share or less")  # fmt: skip
    spent.set(xlim=(-3.5, 3.5), ylim=(0, 1.02), xlabel="log10 spend of a purchase day, (x - mean) / sd",
              ylabel="purchase days with so much or less")  # fmt: skip
    _percent(counts.yaxis, recency.yaxis, spent.yaxis)
    made = [found[name] for name in MADE]
    real = [found[name] for name in REAL if name in found]
    middle = [np.median(own["repeats"]) for own in made], [np.median(own["repeats"]) for own in real]
    _panel(counts, f"Median {_range(middle[0])} repeats a year, real shops {_range(middle[1])}",
           "Repeat purchase days of a customer in 52 weeks")  # fmt: skip
    late = [own["recency"].median() for own in made], [own["recency"].median() for own in real]
    _panel(recency, f"Median recency {_range(late[0], '.1f')}, real shops {_range(late[1], '.1f')}",
           "When the last purchase fell (recency / T)")  # fmt: skip
    far = [d for (a, _), d in apart().items() if a in MADE]
    yard = [d for (a, _), d in apart().items() if a in REAL]
    _panel(spent, f"Log spend: KS {_range(far, '.2f')} from real shops",
           "Purchase days" + (f"; the two real shops: {yard[0]:.2f} apart" if yard else ""))  # fmt: skip
    return figure


def _range(values: list[float], form: str = "g") -> str:
    low, high = format(min(values), form), format(max(values), form)
    return low if low == high else f"{low} to {high}"


@cache
def apart() -> dict[tuple[str, str], float]:
    """KS distance of the standardised log spend of each pair of data sets that is told of."""
    found = {name: standard_spend(days) for name, days in data_sets().items()}
    real = [name for name in REAL if name in found]
    pairs = [(a, b) for b in real for a in MADE] + ([tuple(real)] if len(real) == 2 else [])
    return {(a, b): float(ks_2samp(found[a], found[b]).statistic) for a, b in pairs}


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _p(value: float, least: float = 0.0) -> str:
    """A p-value; `least` is the smallest that the number of draws allows."""
    return f"p ≤ {least:g}" if value <= least else "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def _company_block() -> str:
    past, table, decided = company().history, orders(), renewals()
    alive, fees = np.array(past.log.alive), np.array(past.log.revenue)
    line, held = np.array(LINES)[past.people["line"]], past.people["subscribes"].to_numpy()
    month = (table["day"].to_numpy().astype("datetime64[M]") - np.datetime64(past.setting.first_day, "M")).astype(int)
    goods = pd.DataFrame({"line": table["line"], "month": month, "amount": table["amount"]})
    recent = goods["month"] >= past.setting.months - 12
    lives = accounts().assign(years=(accounts()["leave"] - accounts()["entry"]) / 12)
    rows = []
    for w in (*LINES, "all"):
        own = np.ones(len(line), bool) if w == "all" else line == w
        sold = goods[recent] if w == "all" else goods[recent & (goods["line"] == w)]
        terms = decided if w == "all" else decided[decided["line"] == w]
        contracts = fees[-12:, own].sum()
        year = lives.loc[own, "gone"].sum() / lives.loc[own, "years"].sum()
        rows.append([
            w, f"{own.sum():,}", f"{alive[-1, own].sum():,}", f"{(own & held).sum():,}", f"{len(sold):,}",
            f"{sold['amount'].sum() / 1e6:,.0f}", f"{contracts / 1e6:,.0f}", f"{1 - terms['lost'].mean():.0%}",
            f"{year:.1%}",
        ])  # fmt: skip
    heads = ["line of business", "customers", "there at the end", "that may hold contracts", "orders, 12 months",
             "orders, million yen", "contracts, million yen", "decisions that renew",
             "accounts that leave, a year"]  # fmt: skip
    return _table(heads, rows)


def _real_block() -> str:
    rows = []
    for name, days in data_sets().items():
        own = customers(days)
        rows.append([
            name, f"{len(own):,}", f"{len(days):,}", f"{(own['repeats'] == 0).mean():.0%}",
            f"{gini(own['revenue']):.2f}",
            f"{np.log10(days['amount']).std():.2f}", f"{skew(np.log10(days['amount'])):+.2f}",
            f"{own['variation'].median():.2f} ({own['variation'].count():,})",
        ])  # fmt: skip
    heads = ["data set, 52 weeks", "customers", "purchase days", "one-time buyers", "Gini of revenue",
             "sd of log10 spend", "skewness of log spend", "median CV of intervals (customers with ten)"]  # fmt: skip
    pairs = [[f"{a} – {b}", f"{d:.3f}"] for (a, b), d in apart().items()]
    return _table(heads, rows) + "\n\n" + _table(["standardised log spend of a purchase day", "KS distance"], pairs)


def _family_block() -> str:
    worlds = ("misspecified", "home")
    cells = []
    for world in worlds:
        found, chance, p, n = regularity(world)
        cells.append(f"CV {found:.2f}, by chance {chance:.2f}, {_p(p, 1 / (1 + INTERVAL_DRAWS))} (n = {n:,})")
    rows = [["intervals of a customer are exponential", *cells]]
    for w in ("wholesale", "manufacturing"):
        tests = [spend(w, world) for world in worlds]
        far = [f"KS {t['distance']:.2f}, by chance {t['chance']:.2f}, {_p(t['p_value'], 1 / (1 + SPEND_DRAWS))} "
               f"(n = {t['days']:,} days, fitted p = {t['p']:.2f})" for t in tests]  # fmt: skip
        rows.append([f"spend is the fitted Gamma-Gamma, {w}", *far])
        free = [f"Spearman {t['rho']:+.2f}, {_p(t['rho_p'])} (n = {t['n']:,})" for t in tests]
        rows.append([f"frequency and spend are independent, {w}", *free])
    return _table(["the models' assumption", "generated company", "home company of the same seed"], rows)


@cache
def figures() -> dict[str, str]:
    """Markdown of each block of docs/sample.md."""
    return {"company": _company_block(), "real": _real_block(), "family": _family_block()}


def pictures() -> None:
    """Draws docs/img/sample.png and docs/img/sample_real.png, 1200 px wide."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name, draw in (("sample", draw_company), ("sample_real", draw_real)):
        image = IMAGES / f"{name}.png"
        draw().savefig(image)
        with Image.open(image) as drawn:
            drawn.convert("RGB").quantize(128).save(image, optimize=True)
        print(f"docs/img/{image.name}: {image.stat().st_size // 1024} KB")


def main() -> None:
    start = time.perf_counter()
    pictures()
    for name, content in figures().items():
        put(PAGE, name, content)
    print(f"{PAGE}: {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
