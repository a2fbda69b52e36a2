"""A generated company too large for Python: every row is made and written by DuckDB, as Parquet.

The world has the spirit of the small company: three lines of business, log-normal rates and spend that go together,
whales with Pareto spend, regular orders (Erlang-2 intervals), a March peak, births over the whole window, Weibull
lives, fading before death, returns, cancellations, a backlog. There are no futures, as no company this large has any.

**Random numbers** are hashes of (seed, key, purpose). DuckDB's hash of several values joins their hashes by xor, so
that two purposes of one key would always differ by the same bits; here a purpose is a salt that enters before the hash.
**Number of lines**: one factor scales every rate, so that the expected number of lines, a sum of renewal functions over
the latent facts of all customers, is the number wanted. What comes differs from it by about 1.5 times its square root.
**Bytes**: a part is a range of customers, made by one thread and sorted by key; more threads make more parts at once.
So the same seed and the same version of DuckDB give the same bytes, whatever the number of threads.
**Memory**: a part holds about PART_LINES lines, however large the company is.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import duckdb

from ltvlab_utils.errors import Refused, StepFailed
from ltvlab_utils.periods import Period
from ltvlab_utils.sample.names import PLACES, STEMS, TRADES
from ltvlab_utils.store.atomic import sync

PART_LINES = 2_500_000  # expected lines of a part
MOST_LINES = 60  # of a customer in a month, on average: order numbers have five digits
PER_ORDER, WHALES, RETURNED, CANCELLED, FADED, FADE_DAYS = 3, 0.01, 0.012, 0.006, 0.4, 120
LINE_BYTES, CUSTOMER_BYTES, THREAD_MEMORY = 20, 100, 256 * 10**6  # on disk, with room to spare; at least in memory

# line of business: share, orders a month and yen an order (medians), margin
SHAPE = {
    "software": (0.30, 0.35, 420_000, 0.45),
    "manufacturing": (0.38, 0.75, 380_000, 0.33),
    "wholesale": (0.32, 1.10, 210_000, 0.24),
}
# factor on the order rate by calendar month, January to December
SEASON = {
    "software": (1,) * 12,
    "manufacturing": (1, 1, 1.25, 0.95, 1, 1, 1, 0.8, 1, 1, 1, 1),
    "wholesale": (0.9, 1.1, 2, 0.6, 0.95, 1, 1, 0.85, 1, 1, 1, 1.1),
}
GOODS = 8  # of each line of business
CATEGORIES = {
    "software": ("ライセンス", "端末", "周辺機器", "研修"),
    "manufacturing": ("部品", "素材", "治具", "消耗品"),
    "wholesale": ("食品", "日用品", "紙", "資材"),
}
REGIONS = ("関東", "関東", "関東", "関東", "関西", "関西", "中部", "中部", "東北", "九州")
CHANNELS = (("referral", 40_000), ("exhibition", 260_000), ("web", 90_000), ("outbound", 190_000))

SETUP = """
CREATE MACRO mix(k, salt) AS hash(xor(k, salt::UBIGINT));
CREATE MACRO u(k, salt) AS ((mix(k, salt) >> 12)::DOUBLE + 0.5) * 2.220446049250313e-16;
CREATE MACRO normal(k, salt) AS sqrt(-2 * ln(u(k, salt))) * cos(2 * pi() * u(mix(k, salt), @second));
CREATE MACRO digits(number, width) AS CASE WHEN number < 10 ** width
  THEN substr(((10 ** width)::BIGINT + number)::VARCHAR, 2) ELSE number::VARCHAR END;
-- orders expected in a time t after an order, at one order a unit of time: the renewal function of Erlang-2 intervals
CREATE MACRO renewals(t) AS t - (1 - exp(-4 * t)) / 4;
-- business time before and after each day of a line of business, and the day in which each eighth of it begins
CREATE TABLE busy AS
  SELECT line, day, (after - factor)::DOUBLE AS before, after::DOUBLE AS after
  FROM (SELECT line, day, factor, sum(factor) OVER (PARTITION BY line ORDER BY day) AS after
    FROM (SELECT day, month(DATE '{first}' + day::INTEGER) AS month FROM range({days} + 1) d(day))
    JOIN (VALUES {season}) s(line, month, factor) USING (month));
CREATE TABLE slots AS
  SELECT line, unnest(range(ceil(before * 8)::BIGINT, ceil(after * 8)::BIGINT)) AS slot, day AS begins, after FROM busy;
"""

# What is true of customers a to b. Days count from the first day of the data; the rate is the one before scaling.
PEOPLE = """people AS NOT MATERIALIZED (
SELECT *, CASE WHEN old THEN -born ELSE 0 END AS age,
  scale * ((age / scale) ** 1.3 - ln(u(k, @death))) ** (1 / 1.3) AS life,
  greatest(born + ceil(least(life, 36500)), 1)::BIGINT AS dies
FROM (SELECT *, 2300 * exp(0.5 * normal(k, @scale) + 0.2 * size) AS scale,
  least(greatest({rate} * exp(0.8 * (0.4 * size + sqrt(0.84) * normal(k, @rate))), 0.02), 6) AS rate,
  round({spend} * CASE WHEN whale THEN least(15 / sqrt(u(k, @pareto)), 15000) ELSE exp(0.8 * size) END) AS spend,
  CASE WHEN u(k, @poor) < 0.04 THEN -0.08
    ELSE least(greatest({margin} + 0.07 * normal(k, @margin), 0.05), 0.8) END AS margin,
  CASE WHEN old THEN -floor(1 + 2000 * u(k, @born) ** 1.5)
    ELSE floor({days} * (sqrt(1 + 3 * u(k, @born)) - 1)) END::BIGINT AS born
FROM (SELECT *, 'C' || digits(i + 1, {width}) AS customer_id, normal(k, @size) AS size,
  u(k, @whale) < {whales} AS whale, u(k, @old) < 0.45 AS old, u(k, @line) AS draw, {line} AS line
FROM (SELECT i, mix(i::UBIGINT, @customer) AS k FROM range({a}, {b}) r(i)))))"""

# Business time in which a customer may order, and from which it fades.
WINDOWS = """windows AS NOT MATERIALIZED (
SELECT p.*, s.before AS start, f.before AS fade, e.before AS stop
FROM (SELECT *, least(dies, {days}) AS leaves, greatest(least(dies - {fade_days}, {days}), born, 0) AS fades
  FROM people) p
JOIN busy s ON s.line = p.line AND s.day = greatest(p.born, 0)
JOIN busy f ON f.line = p.line AND f.day = p.fades
JOIN busy e ON e.line = p.line AND e.day = p.leaves)"""

RATES = (
    f"CREATE TABLE rates AS WITH {PEOPLE}, {WINDOWS}"
    """
SELECT old, rate / 30.4375 * (fade - start) AS fade, rate / 30.4375 * (stop - start) AS stop FROM windows"""
)
EXPECTED = """
SELECT sum(round(1e6 * CASE WHEN old THEN fade + {kept} * (stop - fade)
  ELSE 1 + {kept} * renewals(stop) + {faded} * renewals(fade) END)::BIGINT)
FROM (SELECT old, $factor * fade AS fade, $factor * stop AS stop FROM rates)"""

# Points of a Poisson process at twice the rate of orders, counted in cells of one expected point; every second point is
# an order. Who is new orders on the first day; who was there before is met in the middle of an interval.
ORDERS = """orders AS NOT MATERIALIZED (
SELECT * FROM (SELECT *, least(begins + (clock >= after)::BIGINT, leaves - 1) AS day
FROM (SELECT *, floor(clock * 8)::BIGINT AS slot, mix(mix(k, @order), order_no) AS ko
FROM (SELECT * EXCLUDE (points, chosen), unnest(range(1, len(chosen) + 1)) AS order_no,
  start + unnest(chosen) / pace AS clock
FROM (SELECT *, CASE WHEN old THEN list_slice(points, 1 + (mix(k, @phase) >> 63)::BIGINT, len(points), 2)
  ELSE list_concat([0.0::DOUBLE], list_slice(points, 2, len(points), 2)) END AS chosen
FROM (SELECT *, list_filter(list_sort(list_transform(range(n), lambda j:
  cells * u(mix(kp, j), @point))), lambda point: point < length) AS points
FROM (SELECT *, mix(k, @points) AS kp, list_sum(list_transform(
  list_transform(range(cells), lambda j: mix(kc, j) >> 32), lambda h: {one}))::BIGINT AS n
FROM (SELECT *, 2 * {factor} * rate / 30.4375 AS pace, pace * (stop - start) AS length, ceil(length)::BIGINT AS cells,
  mix(k, @cells) AS kc
FROM windows)))))) JOIN slots USING (line, slot))
WHERE day < fades OR u(ko, @faded) >= {faded} OR (order_no = 1 AND NOT old))"""

ORDER_LINES = (
    f"WITH {PEOPLE}, {WINDOWS}, {ORDERS}"
    """
SELECT * EXCLUDE (i, order_no, back, nth) FROM (
SELECT i, order_no, back, line_no AS nth, CASE WHEN back THEN order_id || 'R' || digits(nth, 2) ELSE order_id END
    AS order_id, CASE WHEN back THEN 1 ELSE nth END AS line_no, customer_id,
  (DATE '{first}' + bought::INTEGER)::TIMESTAMP + to_minutes(minute) AS ordered_at, status,
  CASE WHEN status = 'confirmed' THEN DATE '{first}' + (CASE WHEN back THEN bought ELSE ships END)::INTEGER END
    AS shipped_on,
  {product_id} AS product_id, {category} AS category, (sign * units)::DOUBLE AS quantity, sign * net AS net_amount,
  CASE WHEN back THEN 0 ELSE discount END AS discount_amount, sign * cost AS cost_amount, 0.1::DOUBLE AS tax_rate,
  CASE WHEN back THEN 'return' ELSE 'sale' END AS kind, CASE WHEN back THEN order_id END AS returns_order_id
FROM (SELECT *, CASE WHEN back THEN -1 ELSE 1 END AS sign, CASE WHEN back THEN returned_on ELSE day END AS bought
FROM (SELECT *, round(net * (1 - margin - 0.04 * normal(kl, @cost)))::BIGINT AS cost,
  1 + (mix(kl, @quantity) % 20)::BIGINT AS units, {goods} * line + (mix(kl, @product) % {goods})::BIGINT AS product,
  CASE WHEN u(kl, @discounted) < 0.15 THEN round(net * (0.03 + 0.09 * u(kl, @discount))) ELSE 0 END::BIGINT AS discount,
  unnest(CASE WHEN status = 'confirmed' AND returned_on < leaves AND u(kl, @returned) < {returned}
    THEN [false, true] ELSE [false] END) AS back
FROM (SELECT *, day + 9 + (mix(kl, @returned_on) % 31)::BIGINT AS returned_on,
  greatest(round(typical * exp(0.6 * normal(kl, @amount) - 0.18)), 100)::BIGINT AS net
FROM (SELECT *, mix(ko, line_no) AS kl
FROM (SELECT *, spend * 1.02 ** (day / 365.25) / per_order AS typical, unnest(range(1, per_order + 1)) AS line_no
FROM (SELECT i, customer_id, line, spend, margin, leaves, day, order_no, ko, 1 + {two} AS per_order,
  'SO' || digits(i + 1, {width}) || '-' || digits(order_no, 5) AS order_id, 510 + (mix(ko, @minute) % 600)::BIGINT
    AS minute, 1 + day + (mix(ko, @shipped) % 8)::BIGINT AS ships,
  CASE WHEN u(ko, @cancelled) < {cancelled} THEN 'cancelled' WHEN ships >= {days} THEN 'backlog' ELSE 'confirmed' END
    AS status
FROM (SELECT *, mix(ko, @lines) >> 32 AS h FROM orders))))))))
ORDER BY i, order_no, back, nth"""
)

CUSTOMERS = (
    f"WITH {PEOPLE}"
    """
SELECT customer_id, {name} AS customer_name,
  CASE WHEN u(k, @belongs) < 0.06 AND i >= {parents} THEN 'C' || digits(1 + (mix(k, @parent) % {parents})::BIGINT,
    {width}) END AS parent_id,
  {industry} AS industry, {region} AS region,
  CASE WHEN size < -0.5 THEN 'small' WHEN size < 0.8 THEN 'middle' ELSE 'large' END AS size_band,
  CASE WHEN NOT old OR u(k, @dated) < 0.5 THEN DATE '{first}' + born::INTEGER END AS acquired_on,
  {channel} AS acquisition_channel, CASE WHEN u(k, @known) < CASE WHEN old THEN 0.78 ELSE 0.92 END
    THEN (100 * round({channel_cost} * exp(0.5 * normal(k, @cost)) / 100))::BIGINT END AS acquisition_cost,
  (100000 * greatest(round(spend * 6 / 100000), 3))::BIGINT AS credit_limit,
  CASE mix(k, @pays) % 3 WHEN 0 THEN 60 ELSE 30 END::BIGINT AS payment_days
FROM (SELECT *, mix(k, @channel) % {channels} AS via, mix(k, @region) % {regions} AS place FROM people)"""
)

LATENTS = (
    f"WITH {PEOPLE}"
    """
SELECT customer_id, {industry} AS industry, {factor} * rate AS rate, spend, margin, DATE '{first}' + born::INTEGER
  AS born_on, DATE '{first}' + dies::INTEGER AS dies_on, whale
FROM people"""
)

PRODUCTS = """
SELECT {product_id} AS product_id, '商品' || (product + 1) AS name, {industry} AS line, 'goods' AS kind
FROM (SELECT product, product // {goods} AS line FROM range({products}) r(product)) ORDER BY product"""


def write_at_scale(
    folder: Path,
    truth_folder: Path,
    *,
    seed: int,
    customers: int,
    lines: int,
    months: int,
    last_period: str,
    memory: str = "3GB",
    threads: int | None = None,
) -> dict[str, int]:
    """Writes a company of about `lines` order lines (returns included) over `months` months up to `last_period`.

    Below `folder`: order_lines/part-*.parquet (a range of customers each, sorted by order_id and line_no), and
    customers.parquet and products.parquet, with the columns of their contracts; money in whole yen without tax.
    `truth_folder`/customers.parquet: customer_id, industry, rate (orders in a month without season and fading), spend
    (expected yen an order on the first day of the data; prices rise 2 % a year), margin (fraction of net_amount),
    born_on, dies_on (first day without any order; often after the data), whale. What stood under these names is
    replaced, and only once all is written: a run that is killed leaves nothing new but hidden folders.

    `memory` ("3GB") is what DuckDB may take in all; `threads` (all cores) does not change what is written. Returns the
    number of rows of each table. From 40,000 lines on their number is as good as always within 2 % of `lines`. Raises
    Refused for settings that make no company, StepFailed where the disk or the memory does not suffice.
    """
    limit = _refuse_nonsense(seed, customers, lines, months, threads, memory)
    folder, truth_folder = Path(folder), Path(truth_folder)
    if folder.resolve() == truth_folder.resolve():
        raise Refused("folder and truth_folder are the same: the truth would replace the customers.")
    world = _World(seed, customers, months, Period.parse(last_period))
    made, truth = folder / ".at_scale.tmp", truth_folder / ".at_scale.tmp"
    workers = max(1, min(threads or os.cpu_count() or 1, limit // THREAD_MEMORY))
    connect = partial(_connection, world, limit // workers, made)
    try:
        for new in (made, truth):
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir(parents=True)
        (made / "order_lines").mkdir()
        _refuse_full_disk(made, customers, lines)
        with connect("factor") as connection:
            world.factor = _factor(world, connection, customers, lines)
        per_part = max(1, customers * PART_LINES // lines)
        tasks = [
            (CUSTOMERS, 0, customers, made / "customers.parquet"),
            (LATENTS, 0, customers, truth / "customers.parquet"),
            (PRODUCTS, 0, 0, made / "products.parquet"),
        ]
        for n, a in enumerate(range(0, customers, per_part)):
            part = made / "order_lines" / f"part-{n:05d}.parquet"
            tasks.append((ORDER_LINES, a, min(a + per_part, customers), part))
        with ThreadPoolExecutor(workers) as crew:
            waiting = [crew.submit(_copy, world, connect, *task) for task in tasks]
            try:
                rows = [one.result() for one in waiting]
            except BaseException:
                crew.shutdown(wait=True, cancel_futures=True)
                raise
        _publish(made, folder, truth, truth_folder)
    except (duckdb.Error, OSError) as error:
        what = str(error).splitlines()[0][:160]
        raise StepFailed(f"The generated company could not be written below {folder}: {what}") from None
    finally:
        for new in (made, truth):
            shutil.rmtree(new, ignore_errors=True)
    return {"order_lines": sum(rows[3:]), "customers": rows[0], "products": rows[2]}


def _refuse_nonsense(seed: int, customers: int, lines: int, months: int, threads: int | None, memory: str) -> int:
    """The bytes of `memory`. Raises Refused."""
    most = customers * months * MOST_LINES
    size = re.fullmatch(r"(\d+(?:\.\d+)?) ?([MG])B", memory)
    found = int(float(size[1]) * {"M": 10**6, "G": 10**9}[size[2]]) if size else 0
    faults = {
        f"seed is {seed}: a seed is a whole number from 0.": seed < 0,
        f"customers is {customers:,}: a company has at least one customer.": customers < 1,
        f"months is {months:,}: orders cover 1 to 240 months.": not 1 <= months <= 240,
        f"lines is {lines:,}, fewer than the {customers:,} customers: ask for three a customer.": lines < customers,
        f"lines is {lines:,}, more than {MOST_LINES} a customer and month: ask for at most {most:,}.": lines > most,
        f"threads is {threads}: at least one must work.": threads is not None and threads < 1,
        f'memory is "{memory}": write at least {THREAD_MEMORY // 10**6}MB, as in 800MB or 3GB.': found < THREAD_MEMORY,
    }
    for sentence, wrong in faults.items():
        if wrong:
            raise Refused(sentence)
    return found


def _refuse_full_disk(folder: Path, customers: int, lines: int) -> None:
    need, free = lines * LINE_BYTES + customers * CUSTOMER_BYTES, shutil.disk_usage(folder).free
    if need > free:
        raise StepFailed(
            f"The generated company takes up to {need / 1e9:.1f} GB, but {free / 1e9:.1f} GB are free below {folder}: "
            "make room or ask for fewer lines."
        )


class _World:
    """The settings of a world as they enter the SQL."""

    factor = 1.0

    def __init__(self, seed: int, customers: int, months: int, end: Period) -> None:
        first = end.shift(1 - months).first_day
        shape = list(zip(*SHAPE.values(), strict=True))
        before = [round(sum(shape[0][:n]), 2) for n in (1, 2)]
        self.seed = seed
        self.words = {
            "first": first, "days": (end.last_day - first).days + 1, "width": max(7, len(str(customers))),
            "line": f"CASE WHEN draw < {before[0]} THEN 0 WHEN draw < {before[1]} THEN 1 ELSE 2 END",
            "rate": _pick(shape[1], "line"), "spend": _pick(shape[2], "line"), "margin": _pick(shape[3], "line"),
            "season": ", ".join(
                f"({n}, {m}, {f:.2f})" for n, row in enumerate(SEASON.values()) for m, f in enumerate(row, 1)
            ),
            "one": _poisson(1, "h"), "two": _poisson(PER_ORDER - 1, "h"), "whales": WHALES, "returned": RETURNED,
            "cancelled": CANCELLED, "faded": FADED, "kept": 1 - FADED, "fade_days": FADE_DAYS, "goods": GOODS,
            "product_id": _pick([f"P-{n + 1:03d}" for n in range(GOODS * len(SHAPE))], "product"),
            "category": _pick([c for names in CATEGORIES.values() for c in names for _ in range(2)], "product"),
            "industry": _pick(SHAPE, "line"), "region": _pick(REGIONS, "place"), "regions": len(REGIONS),
            "channel": _pick([c for c, _ in CHANNELS], "via"), "channels": len(CHANNELS),
            "channel_cost": _pick([c for _, c in CHANNELS], "via"), "parents": max(customers // 10, 1),
            "name": _name(), "products": GOODS * len(SHAPE),
        }  # fmt: skip

    def sql(self, text: str, a: int = 0, b: int = 0) -> str:
        """The statement for customers a to b; @purpose becomes a salt of 64 bits from the seed and the purpose."""
        filled = text.format(**self.words, factor=repr(self.factor), a=a, b=b)
        return re.sub(r"@(\w+)", lambda found: str(self._salt(found[1])), filled)

    def _salt(self, purpose: str) -> int:
        return int.from_bytes(hashlib.sha256(f"{self.seed}:{purpose}".encode()).digest()[:8], "big")


def _pick(options: Iterable[object], index: str) -> str:
    """SQL of the option with this number, from 0."""
    values = ", ".join(f"'{o}'" if isinstance(o, str) else f"{o}" for o in options)
    return f"([{values}])[1 + ({index})::BIGINT]"


def _poisson(mean: float, draw: str) -> str:
    """SQL of a Poisson number from a draw of 32 random bits."""
    cases, n, chance, below = [], 0, math.exp(-mean), 0.0
    while round((below := below + chance) * 2**32) < 2**32:
        cases.append(f"WHEN {draw} < {round(below * 2**32)} THEN {n}")
        n += 1
        chance *= mean / n
    return f"CASE {' '.join(cases)} ELSE {n} END"


def _name() -> str:
    """SQL of a company's name, each used once: place and stem run through all pairs, then a number follows."""
    places, stems, trades = PLACES.split(), ["", *STEMS.split()], [TRADES[line].split() for line in SHAPE]
    pairs, kinds = len(places) * len(stems), min(len(own) for own in trades)
    trade = _pick([t for own in trades for t in own[:kinds]], f"{kinds} * line + (mix(k, @trade) % {kinds})::BIGINT")
    return (
        f"'株式会社' || {_pick(places, f'i % {len(places)}')} || {_pick(stems, f'(i // {len(places)}) % {len(stems)}')}"
        f" || {trade} || CASE WHEN i >= {pairs} THEN '第' || (1 + i // {pairs}) ELSE '' END"
    )


def _connection(world: _World, memory: int, folder: Path, name: str) -> duckdb.DuckDBPyConnection:
    """An engine of one thread, with the macros and calendars of the world."""
    spill = str(folder / f"spill-{name}")
    connection = duckdb.connect(config={"threads": 1, "memory_limit": f"{memory}B", "temp_directory": spill})
    connection.execute(world.sql(SETUP))
    return connection


def _factor(world: _World, connection: duckdb.DuckDBPyConnection, customers: int, lines: int) -> float:
    """What all rates are scaled by, so that the expected number of lines is `lines`. Raises Refused."""
    from scipy.optimize import brentq  # half a second that no other company needs

    connection.execute(world.sql(RATES, 0, customers))
    wanted = lines / (PER_ORDER * (1 + RETURNED * (1 - CANCELLED)))

    def missing(factor: float) -> float:
        return int(connection.execute(world.sql(EXPECTED), {"factor": factor}).fetchone()[0] or 0) / 1e6 - wanted

    fewest, high = missing(0.0) + wanted, 1.0
    if fewest * 1.05 >= wanted:
        raise Refused(
            f"lines is {lines:,}, but the first orders of new customers alone are about {fewest * PER_ORDER:,.0f} "
            f"lines: ask for at least {math.ceil(fewest * PER_ORDER * 1.1):,}."
        )
    while missing(high) < 0:
        high *= 2
    return float(brentq(missing, 0.0, high, xtol=1e-9, rtol=1e-9))


def _copy(
    world: _World, connect: Callable[[str], duckdb.DuckDBPyConnection], text: str, a: int, b: int, file: Path
) -> int:
    """Writes what a query finds of customers a to b; the number of rows."""
    with connect(f"{file.parent.name}-{file.stem}") as connection:
        options = "FORMAT PARQUET, COMPRESSION ZSTD, ROW_GROUP_SIZE 122880"
        target = str(file).replace("'", "''")
        rows = connection.execute(f"COPY ({world.sql(text, a, b)}) TO '{target}' ({options})").fetchone()[0]
    sync(file)
    return int(rows)


def _publish(made: Path, folder: Path, truth: Path, truth_folder: Path) -> None:
    """Moves everything to its name, order lines last: where they stand, all is there."""
    if (folder / "order_lines").exists():
        (folder / "order_lines").rename(made / "old")
    for name in ("customers.parquet", "products.parquet"):
        (made / name).replace(folder / name)
    (truth / "customers.parquet").replace(truth_folder / "customers.parquet")
    (made / "order_lines").rename(folder / "order_lines")
    sync(folder)
