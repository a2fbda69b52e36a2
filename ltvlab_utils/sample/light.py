"""Light worlds: histories and futures alone, in continuous time, for proofs that need hundreds of seeds.

Time is in weeks, never bucketed. A customer's clock of orders runs at rate x season x common shock x activity; the
intervals on that clock have mean 1. Activity is 1, falls to 2/3 and 1/3 in the two halves of the time of leaving, is 0
once gone, and 1 again after a return (one return at most; the life after it begins anew). All of this is Markov in
what `LightWorld.latents` holds and the shock of the month, so a future can be redrawn from the state at as-of.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import pandas as pd
from scipy.special import expit, gammaincc, gammainccinv, gammaln, ndtri

from ltvlab_utils.errors import Refused, nearest
from ltvlab_utils.sample import draws, knobs
from ltvlab_utils.sample.knobs import Kind, Knobs

YEAR = 365.25 / 7  # weeks
MONTH = YEAR / 12
MARCH = 2  # January is 0
BIRTHS = 0.6  # first purchases fall in this part of the weeks up to as-of
RETURNS = 2 * YEAR  # who is gone may return for so long
ACTIVITY = np.array([1, 2 / 3, 1 / 3, 0, 1, 2 / 3, 1 / 3, 0])  # between the edges of _edges
FRAILTY, NOISE = 0.6, 0.5  # sd on log scale: of the hazard to leave, of one order's amount around the customer's mean
TERMS = (1, 2, 3)  # renewal decisions ahead
SEEN = 7  # renewal decisions before as-of: 0 to 6
ROWS = 100_000  # customers x paths that are simulated at once


@dataclass(frozen=True)
class LightWorld:
    """A world of one seed. Rows of `histories`, `latents` and each horizon of `futures` are in the same order.

    - `histories`: customer_id, frequency (repeat orders), recency, T (weeks since the first purchase; as-of is at T),
      monetary_value (mean amount of the repeat orders, 0 if none), log_interval_sum (of ln weeks between orders).
    - `orders`: customer (row of `histories`), week (of the world, as-of is at `weeks`), amount: all repeat orders up to
      as-of, by customer and time.
    - `latents`: customer_id; born (week of the world of the first purchase); rate (orders a week at activity 1 and
      mean season); hazard (to begin to leave, per week at age 0; home mbg_nbd: chance to be gone after an order, the
      first purchase included); spend (mean amount of an order at prices of as-of); fade (weeks from beginning to leave
      to being gone); leaves_at, death_at (weeks since the first purchase at which the life under way, or the last one,
      begins to end and ends; inf: never, in mbg_nbd also not before the last horizon); returned (bool, before as-of);
      alive (bool, at as-of); elapsed (on the clock of orders since the last one, in mean intervals).
    - `futures`: customer_id, horizon (weeks), orders and revenue (of the one realised path, in (T, T + horizon]),
      expected_orders, expected_revenue (E of them given latents and state at as-of; leaves_at and death_at are known
      only if passed), expected_orders_standard_error, expected_revenue_standard_error (Monte Carlo).
    - `totals`: the same columns summed over customers, one row a horizon; its standard errors know that customers of
      one redrawn future share its shocks, so they are not the root of the sum of squares.
    - `renewals`: contract_id, renewals_made, churned (bool; the next renewal was refused), theta (chance not to renew;
      misspecified: the first time, at average satisfaction). Contracts are nobody's: independent of the customers.
    - `renewals_future`: contract_id, terms (decisions ahead), renewals (realised), expected_renewals and its
      expected_renewals_standard_error.
    - `parameters`: true values. Home: r, alpha, s, beta (or a, b), p, q, v, sbg_alpha, sbg_beta. Misspecified: rate,
      hazard, spend (medians), start_month (0 = January; week 0 is its first day).

    In home worlds expectations are exact and their standard errors 0. In misspecified ones they are means over `paths`
    futures with redrawn shocks, lives and intervals, NaN without paths; amounts enter by their mean given the date.
    """

    kind: Kind
    knobs: Knobs
    histories: pd.DataFrame
    orders: pd.DataFrame
    latents: pd.DataFrame
    futures: pd.DataFrame
    totals: pd.DataFrame
    renewals: pd.DataFrame
    renewals_future: pd.DataFrame
    parameters: dict[str, float]


def light_world(
    seed: int,
    customers: int = 1000,
    kind: Kind = "misspecified",
    weeks: int = 104,
    horizons: tuple[int, ...] = (13, 26, 52),
    paths: int = 0,
    process: Literal["pareto_nbd", "mbg_nbd"] = "pareto_nbd",
) -> LightWorld:
    """The world of a seed: `weeks` until as-of, `customers` customers and as many contracts.

    `paths`: redrawn futures behind the expectations of a misspecified world, 0 to leave them out. `process`: how
    customers of a home world order and die; a misspecified world has its own ways. Not in it: satisfaction and
    discounts of order customers, distributors, measures.
    """
    for word, known in ((kind, ("home", "misspecified")), (process, ("pareto_nbd", "mbg_nbd"))):
        if word not in known:
            raise Refused(f'light_world: "{word}" is no kind or process of a world.{nearest(word, known)}')
    if customers < 1 or weeks < 1 or paths < 0 or min(horizons, default=0) <= 0:
        raise Refused("light_world: customers, weeks and horizons must be above 0, paths not below.")
    k, n = knobs.knobs(kind, seed), customers
    truth, horizons = _parameters(seed, kind, process), tuple(sorted(set(horizons)))
    end = weeks + horizons[-1]
    people = _people(draws.stream(seed, "light people"), k, truth, n, weeks)
    born, rate, path, never = people["born"], people["rate"], np.zeros(n, dtype=int), np.full((n, 5), np.inf)
    pace = _pace(draws.stream(seed, "light shock"), k, truth, end)
    lives = never if "a" in truth else _lives(draws.stream(seed, "light lives"), k, people, born, never)
    edges = _edges(lives, born, np.full(n, float(end)))
    owner, number, clock, time = _walk(draws.stream(seed, "light orders"), k, pace, path, rate, edges)
    returned = lives[:, 2] <= weeks
    leaves_at, death_at = (np.where(returned, lives[:, 3 + j], lives[:, j]) - born for j in (0, 1))
    if "a" in truth:  # each purchase, the first included, may be the last: so many repeat orders a life has
        most = draws.stream(seed, "light deaths").geometric(people["hazard"]) - 1
        last, kept = number == most[owner], number <= most[owner]
        leaves_at = death_at = np.where(most == 0, 0.0, np.inf)
        death_at[owner[last]] = time[last] - born[owner[last]]
        owner, clock, time = owner[kept], clock[kept], time[kept]
    rng, prices = draws.stream(seed, "light amounts"), (1 + k.inflation) ** ((time - weeks) / YEAR)
    shape = truth.get("p")  # home amounts are gamma, the others log-normal; mean 1
    noise = rng.gamma(shape, 1 / shape, len(time)) if shape else rng.lognormal(-(NOISE**2) / 2, NOISE, len(time))
    amount = people["spend"][owner] * prices * noise
    past, age, last_clock, recency = time <= weeks, weeks - born, np.zeros(n), np.zeros(n)
    np.maximum.at(last_clock, owner[past], clock[past])
    np.maximum.at(recency, owner[past], time[past] - born[owner[past]])
    x, spent = np.bincount(owner[past], minlength=n), np.bincount(owner[past], amount[past], n)
    mean = np.where(x > 0, spent / np.maximum(x, 1), 0.0)
    elapsed = _clock(pace, path, rate, np.minimum(edges, weeks))[1][:, -1] - last_clock
    ids = {"customer_id": _ids("C", n)}
    order = np.lexsort((time[past], owner[past]))
    who, when = owner[past][order], time[past][order]
    log = pd.DataFrame({"customer": who, "week": when, "amount": amount[past][order]})
    gaps = np.diff(when, prepend=0.0)
    first = np.diff(who, prepend=-1) > 0
    gaps[first] = when[first] - born[who[first]]
    logs = np.bincount(who, np.log(np.maximum(gaps, 1e-9)), n)
    histories = {"frequency": x, "recency": recency, "T": age, "monetary_value": mean, "log_interval_sum": logs}
    state = {"leaves_at": leaves_at, "death_at": death_at, "returned": returned, "alive": death_at > age}
    latents = pd.DataFrame(ids | people | state | {"elapsed": elapsed})
    found = _counted(owner[~past], time[~past] - weeks, amount[~past], n, horizons)
    if kind == "home":
        expected = _exact(latents, process, horizons)
    elif paths:
        expected = _redrawn(seed, k, truth, people, lives, elapsed, pace, weeks, horizons, paths)
    else:
        expected = np.full((4, len(horizons), n + 1), np.nan)
    columns = dict(zip(_COLUMNS, np.concatenate([_with_total(found), expected]), strict=True))
    head = {"customer_id": np.tile(ids["customer_id"], len(horizons)), "horizon": np.repeat(horizons, n)}
    futures = pd.DataFrame(head | {name: c[:, :-1].ravel() for name, c in columns.items()})
    totals = pd.DataFrame({"horizon": horizons} | {name: c[:, -1] for name, c in columns.items()})
    renewals = _renewals(seed, k, truth, n, paths)
    return LightWorld(kind, k, pd.DataFrame(ids | histories), log, latents, futures, totals, *renewals, truth)


_ERRORS = ("expected_orders_standard_error", "expected_revenue_standard_error")
_COLUMNS = ("orders", "revenue", "expected_orders", "expected_revenue", *_ERRORS)


@lru_cache(maxsize=8)
def _ids(letter: str, n: int) -> pd.api.extensions.ExtensionArray:
    return (letter + pd.Series(np.arange(1, n + 1)).astype("str").str.zfill(6)).array


def _parameters(seed: int, kind: Kind, process: str) -> dict[str, float]:
    """True parameters, drawn mildly."""
    rng = draws.stream(seed, "light parameters")
    u = rng.uniform
    if kind == "misspecified":
        medians = {"rate": u(0.08, 0.20), "hazard": u(0.15, 0.35) / YEAR, "spend": u(200, 400)}
        return medians | {"start_month": float(rng.integers(0, 12))}
    r, q, p = u(0.8, 1.6), u(3, 5), u(4, 8)
    orders = {"r": r, "alpha": r / u(0.10, 0.25)}
    s, a, life, leave = u(0.5, 1.0), u(0.6, 1.2), u(25, 60), u(0.06, 0.12)
    death = {"s": s, "beta": s * life} if process == "pareto_nbd" else {"a": a, "b": a * (1 / leave - 1)}
    spend = {"p": p, "q": q, "v": u(200, 400) * (q - 1) / p}
    return orders | death | spend | {"sbg_alpha": u(0.6, 1.2), "sbg_beta": u(2, 5)}


def _people(rng, k: Knobs, truth: dict[str, float], n: int, weeks: int) -> dict[str, np.ndarray]:
    """born, rate, hazard, spend, fade: arrays (n), the columns of `latents`."""
    born = rng.uniform(0, BIRTHS * weeks, n)
    if k.kind == "home":
        mortal = "s" in truth
        return {
            "born": born,
            "rate": rng.gamma(truth["r"], 1 / truth["alpha"], n),
            "hazard": rng.gamma(truth["s"], 1 / truth["beta"], n) if mortal else rng.beta(truth["a"], truth["b"], n),
            "spend": truth["p"] * truth["v"] / rng.standard_gamma(truth["q"], n),
            "fade": np.zeros(n),
        }
    ab, ac, bc = k.copula
    z = np.linalg.cholesky(np.array([[1, ab, ac], [ab, 1, bc], [ac, bc, 1]])) @ rng.standard_normal((3, n))
    if k.rates == "log-normal":
        rate = np.exp(k.rate_sd * z[0])
    else:  # occasional and regular buyers, 40 and 60 %
        rate = np.where(z[0] > ndtri(0.4), np.exp(0.6 * k.rate_sd), np.exp(-1.2 * k.rate_sd))
    whale, tail = rng.random(n) < k.whales, 3 * rng.random(n) ** (-1 / k.whale_tail)
    return {
        "born": born,
        "rate": truth["rate"] * rate,
        "hazard": truth["hazard"] * np.exp(FRAILTY * z[2]),
        "spend": truth["spend"] * np.exp(k.spend_sd * z[1]) * np.where(whale, tail, 1.0),
        "fade": rng.uniform(0, k.fade_months * MONTH, n),
    }


@dataclass(frozen=True)
class _Pace:
    """Season x shock, constant within a month, and its integral: log shocks (paths, months), total (paths, knots)."""

    shock: np.ndarray
    knots: np.ndarray
    total: np.ndarray

    def until(self, path: np.ndarray, time: np.ndarray) -> np.ndarray:
        """The integral from week 0 to `time` on the path of each."""
        j = np.minimum((time / MONTH).astype(int), len(self.knots) - 2)
        low = self.total[path, j]
        return low + (self.total[path, j + 1] - low) * (time / MONTH - j)

    def when(self, path: np.ndarray, total: np.ndarray) -> np.ndarray:
        """The time at which the integral reaches `total`."""
        if len(self.total) == 1:
            return np.interp(total, self.total[0], self.knots)
        apart = self.total[:, -1].max() + 1  # paths one after the other make one rising line
        line = (self.total + apart * np.arange(len(self.total))[:, None]).ravel()
        return np.interp(total + apart * path, line, np.tile(self.knots, len(self.total)))


def _pace(rng, k: Knobs, truth: dict[str, float], end: float, paths: int = 1, known: np.ndarray | None = None) -> _Pace:
    """Pace of `paths` paths to week `end`; `known`: log shocks of the first months, the same on every path."""
    months = int(np.ceil(end / MONTH))
    noise = k.shock_sd * rng.standard_normal((paths, months))
    shock, start = np.empty((paths, months)), 1 if known is None else len(known)
    shock[:, :start] = noise[:, :1] if known is None else known
    for m in range(start, months):
        shock[:, m] = k.shock_memory * shock[:, m - 1] + np.sqrt(1 - k.shock_memory**2) * noise[:, m]
    march = (truth.get("start_month", 0) + np.arange(months)) % 12 == MARCH
    season = np.where(march, k.year_end, 1.0) * 12 / (11 + k.year_end)
    total = np.zeros((paths, months + 1))
    np.cumsum(MONTH * season * np.exp(shock - k.shock_sd**2 / 2), axis=1, out=total[:, 1:])
    return _Pace(shock, MONTH * np.arange(months + 1), total)


def _lives(rng, k: Knobs, people, now: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Weeks of the world (n, 5): leaves, gone, returns, leaves again, gone again. What `known` says of before `now`
    stays, the rest is drawn given that it has not happened by `now`."""
    e = rng.standard_exponential((3, len(now)))
    growth = k.gompertz / YEAR

    def ahead(age: np.ndarray, e: np.ndarray) -> np.ndarray:
        """Time to leave of who has stayed until `age`: Gompertz, exponential without growth."""
        plain = e / people["hazard"]
        return np.log1p(growth * plain * np.exp(-growth * age)) / growth if growth else plain

    leaves = np.where(known[:, 0] <= now, known[:, 0], now + ahead(now - people["born"], e[0]))
    gone = leaves + people["fade"]
    chance = -np.log1p(-k.reactivation) / MONTH
    back = np.maximum(gone, now) + e[1] / chance if chance else np.full(len(now), np.inf)
    back = np.where(known[:, 2] <= now, known[:, 2], np.where(back <= gone + RETURNS, back, np.inf))
    anew = np.maximum(back, now) + ahead(np.maximum(now - back, 0), e[2])
    again = np.where(known[:, 3] <= now, known[:, 3], anew)
    return np.column_stack([leaves, gone, back, again, again + people["fade"]])


def _edges(lives: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Edges (n, 9) of the spans with the activities of ACTIVITY, in [start, end]."""
    leaves, gone, back, again, last = lives.T
    inner = [leaves, (leaves + gone) / 2, gone, back, again, (again + last) / 2, last]
    return np.column_stack([start, *(np.clip(e, start, end) for e in inner), end])


def _clock(pace: _Pace, path: np.ndarray, rate: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At each edge (n, 9): the integral of the pace, and the clock of orders since the first edge."""
    total = pace.until(path[:, None], edges)
    clock = np.zeros_like(total)
    np.cumsum(rate[:, None] * ACTIVITY * np.diff(total, axis=1), axis=1, out=clock[:, 1:])
    return total, clock


def _walk(rng, k: Knobs, pace: _Pace, path, rate, edges, first: np.ndarray | None = None):
    """Orders of each row: flat arrays of row, number (1, 2, …), clock since the first edge, time (week of the world).

    `first`: intervals to the first order, drawn like the others if not given. Rounds are repeated for the rows whose
    intervals do not yet fill their clock, so no row is cut short.
    """
    total, clock = _clock(pace, path, rate, edges)
    full, none = clock[:, -1], np.zeros(0, dtype=int)
    reached, made, parts = np.zeros(len(rate)), np.zeros(len(rate), dtype=int), [(none, none, np.zeros(0))]
    rows = np.flatnonzero(full > 0)
    while len(rows):
        left = full[rows] - reached[rows]
        n = np.ceil(left + 2 * np.sqrt(left / k.shape)).astype(int) + 1
        ends = np.cumsum(n)
        steps = _intervals(rng, k, ends[-1])
        if first is not None and len(parts) == 1:
            steps[ends - n] = first[rows]
        run = np.cumsum(steps)
        before = np.r_[0.0, run[ends[:-1] - 1]]
        which = np.repeat(np.arange(len(rows)), n)
        x = run + (reached[rows] - before)[which]
        number = np.arange(ends[-1]) + (made[rows] - (ends - n) + 1)[which]
        reached[rows], made[rows] = x[ends - 1], number[ends - 1]
        owner = rows[which]
        kept = x < full[owner]
        parts.append((owner[kept], number[kept], x[kept]))
        rows = rows[reached[rows] < full[rows]]
    owner, number, x = (np.concatenate(p) for p in zip(*parts, strict=True))
    span = np.zeros(len(owner), dtype=int)
    for j in range(1, len(ACTIVITY)):
        span += x >= clock[owner, j]
    at = total[owner, span] + (x - clock[owner, span]) / (rate[owner] * ACTIVITY[span])
    return owner, number, x, pace.when(path[owner], at)


def _intervals(rng, k: Knobs, n: int) -> np.ndarray:
    if k.interval == "weibull":
        return rng.weibull(k.shape, n) / np.exp(gammaln(1 + 1 / k.shape))
    return rng.standard_gamma(k.shape, n) / k.shape


def _rest(rng, k: Knobs, elapsed: np.ndarray) -> np.ndarray:
    """What is left of an interval that has lasted `elapsed`."""
    if k.interval == "weibull":
        scale, more = np.exp(-gammaln(1 + 1 / k.shape)), rng.standard_exponential(len(elapsed))
        return scale * ((elapsed / scale) ** k.shape + more) ** (1 / k.shape) - elapsed
    tail = gammaincc(k.shape, k.shape * elapsed) * rng.random(len(elapsed))
    return np.maximum(gammainccinv(k.shape, tail) / k.shape - elapsed, 0)


def _counted(owner, after, amount, rows: int, horizons: tuple[int, ...]) -> np.ndarray:
    """Orders and revenue of each row up to each horizon: (2, horizons, rows)."""
    key = np.searchsorted(horizons, after) * rows + owner
    size = (len(horizons) + 1) * rows  # the last block lies beyond the horizons
    both = np.stack([np.bincount(key, minlength=size), np.bincount(key, amount, size)])
    return np.cumsum(both.reshape(2, -1, rows)[:, :-1], axis=1)


def _with_total(a: np.ndarray) -> np.ndarray:
    return np.concatenate([a, a.sum(axis=-1, keepdims=True)], axis=-1)


def _exact(latents: pd.DataFrame, process: str, horizons: tuple[int, ...]) -> np.ndarray:
    """E of orders and revenue, and zeros for their errors (4, horizons, customers + 1: the total last): home worlds.

    Alive, Pareto/NBD: rate (1 - e^(-hazard t)) / hazard; MBG/NBD: (1 - e^(-rate hazard t)) / hazard.
    """
    rate, hazard, alive, spend = (latents[c].to_numpy() for c in ("rate", "hazard", "alive", "spend"))
    speed = np.maximum(hazard if process == "pareto_nbd" else rate * hazard, 1e-300)
    orders = alive * rate * -np.expm1(-speed * np.array(horizons, dtype=float)[:, None]) / speed
    return _with_total(np.stack([orders, orders * spend, 0 * orders, 0 * orders]))


def _redrawn(seed, k: Knobs, truth, people, lives, elapsed, pace: _Pace, weeks: int, horizons, paths: int):
    """Means and standard errors, shaped as in _exact, over redrawn futures."""
    rng, n = draws.stream(seed, "light futures"), len(elapsed)
    known = pace.shock[0, : int(weeks / MONTH) + 1]
    sums, block = np.zeros((2, 2, len(horizons), n + 1)), max(ROWS // n, 1)
    for done in range(0, paths, block):
        b = min(block, paths - done)
        who, path = np.tile(np.arange(n), b), np.repeat(np.arange(b), n)
        them, now = {name: column[who] for name, column in people.items()}, np.full(n * b, float(weeks))
        redrawn = _pace(rng, k, truth, weeks + horizons[-1], b, known)
        edges = _edges(_lives(rng, k, them, now, lives[who]), now, now + horizons[-1])
        rest = _rest(rng, k, elapsed[who])
        owner, _, _, time = _walk(rng, k, redrawn, path, them["rate"], edges, rest)
        money = them["spend"][owner] * (1 + k.inflation) ** ((time - weeks) / YEAR)
        found = _with_total(_counted(owner, time - weeks, money, n * b, horizons).reshape(2, len(horizons), b, n))
        sums += found.sum(axis=2), (found**2).sum(axis=2)
    return np.concatenate(_mean_and_error(*sums, paths))


def _mean_and_error(total: np.ndarray, squares: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    mean = total / n
    return mean, np.sqrt(np.maximum(squares / n - mean**2, 0) / (n - 1)) if n > 1 else np.full_like(mean, np.nan)


def _renewals(seed, k: Knobs, truth, n: int, paths: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`renewals` and `renewals_future` of n contracts."""
    rng, most = draws.stream(seed, "light renewals"), SEEN - 1 + TERMS[-1]
    seen, lag = rng.integers(0, SEEN, n), k.satisfaction_memory**12  # decisions are a year apart
    leaning, mood = rng.normal(-1.5, 0.9, n), rng.standard_normal((n, most + 1))

    def refusal(leaning, decision, satisfaction):
        """Chance not to renew: own leaning, falling with tenure, less if satisfied."""
        return expit(leaning - 0.3 * decision - k.satisfaction_pull * satisfaction)

    for j in range(1, most + 1):  # satisfaction at the start and at each decision
        mood[:, j] = lag * mood[:, j - 1] + np.sqrt(1 - lag**2) * mood[:, j]
    theta, chance = expit(leaning), refusal(leaning[:, None], np.arange(most), mood[:, 1:])
    if k.kind == "home":
        theta = rng.beta(truth["sbg_alpha"], truth["sbg_beta"], n)
        chance = np.broadcast_to(theta[:, None], (n, most))
    refused = np.column_stack([rng.random((n, most)) < chance, np.ones(n, dtype=bool)]).argmax(axis=1)
    churned, terms = refused < seen, np.array(TERMS)[:, None]
    further = np.where(churned, 0, np.clip(refused - seen, 0, terms))
    mean, error = np.full((2, len(TERMS), n), np.nan)
    if k.kind == "home":
        mean, error = np.where(churned, 0.0, np.cumsum((1 - theta) ** terms, axis=0)), np.zeros_like(mean)
    elif paths:
        rng, sums, block = draws.stream(seed, "light renewal futures"), np.zeros((2, *mean.shape)), max(ROWS // n, 1)
        for done in range(0, paths, block):
            now = np.broadcast_to(mood[np.arange(n), seen], (min(block, paths - done), n))
            kept, expected = np.where(churned, 0.0, np.ones_like(now)), np.zeros((len(TERMS), *now.shape))
            for j in range(len(TERMS)):
                now = lag * now + np.sqrt(1 - lag**2) * rng.standard_normal(now.shape)
                kept = kept * (1 - refusal(leaning, seen + j, now))
                expected[j:] += kept
            sums += expected.sum(axis=1), (expected**2).sum(axis=1)
        mean, error = _mean_and_error(*sums, paths)
    ids = _ids("K", n)
    made = {"renewals_made": np.minimum(refused, seen), "churned": churned, "theta": theta}
    head = {"contract_id": np.tile(ids, len(TERMS)), "terms": np.repeat(TERMS, n), "renewals": further.ravel()}
    ahead = {"expected_renewals": mean.ravel(), "expected_renewals_standard_error": error.ravel()}
    return pd.DataFrame({"contract_id": ids} | made), pd.DataFrame(head | ahead)
