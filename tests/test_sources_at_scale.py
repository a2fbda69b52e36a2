"""The company that DuckDB writes: its bytes, its number of lines, its world, and that staging reads it whole."""

from __future__ import annotations

import hashlib
from pathlib import Path

import duckdb
import ibis
import pytest

from ltvlab_utils import sources
from ltvlab_utils.errors import Refused, StepFailed
from ltvlab_utils.params import resolve
from ltvlab_utils.sources import at_scale
from ltvlab_utils.tables import check_table, contract_of

LINES = 40_000
SETTINGS = {"seed": 7, "customers": 2_000, "lines": LINES, "months": 36, "last_period": "2025-06"}
SOURCES = """
sources:
  order_lines: [{path: "order_lines/*.parquet", format: parquet}]
  customers: [{path: customers.parquet, format: parquet}]
  products: [{path: products.parquet, format: parquet}]
"""


def write(place: Path, **more) -> dict[str, int]:
    return at_scale.write_at_scale(place / "data" / "acme", place / "truth", **SETTINGS | more)


def digests(place: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder, hidden ones too."""
    files = sorted(f for f in place.rglob("*") if f.is_file())
    return {f.relative_to(place).as_posix(): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


@pytest.fixture(scope="module", autouse=True)
def small_parts():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(at_scale, "PART_LINES", 10_000)
        yield


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Folder, rows by table, and an engine that sees lines (with the truth of their customer) and truth."""
    folder = tmp_path_factory.mktemp("scale")
    rows = write(folder, threads=1)
    engine = duckdb.connect()
    engine.execute(f"CREATE TABLE truth AS FROM '{folder}/truth/customers.parquet'")
    engine.execute(
        f"CREATE TABLE lines AS FROM '{folder}/data/acme/order_lines/*.parquet' JOIN truth USING (customer_id)"
    )
    return folder, rows, engine


def one(engine: duckdb.DuckDBPyConnection, query: str):
    row = engine.execute(query).fetchone()
    return row[0] if len(row) == 1 else row


def test_the_number_of_lines_is_the_one_asked_for(written):
    folder, rows, engine = written
    assert rows == {"order_lines": one(engine, "SELECT count(*) FROM lines"), "customers": 2_000, "products": 24}
    assert rows["order_lines"] == pytest.approx(LINES, rel=0.02)
    assert sorted(digests(folder)) == [
        "data/acme/customers.parquet",
        *(f"data/acme/order_lines/part-0000{n}.parquet" for n in range(4)),
        "data/acme/products.parquet",
        "truth/customers.parquet",
    ]


@pytest.mark.parametrize(("seed", "customers", "lines", "months"), [(1, 12_000, 36_000, 36), (2, 2_000, 60_000, 12)])
def test_fewer_or_more_lines_a_customer_come_as_asked(tmp_path, seed, customers, lines, months):
    rows = write(tmp_path, seed=seed, customers=customers, lines=lines, months=months)
    assert rows["order_lines"] == pytest.approx(lines, rel=0.02)


def test_a_seed_gives_the_same_bytes_whatever_the_threads(written, tmp_path):
    first = digests(written[0])
    write(tmp_path / "two", threads=2, memory="600MB")
    assert digests(tmp_path / "two") == first
    write(tmp_path / "two", seed=8, threads=2)  # replaces what stands there
    other = digests(tmp_path / "two")
    assert sorted(other) == sorted(first)
    same = {name for name in first if first[name] == other[name]}
    assert same == {"data/acme/products.parquet"}


def test_parts_are_ranges_of_customers_sorted_by_key(written):
    folder, _, engine = written
    for table, key in (
        ("order_lines/*", "(order_id, line_no)"),
        ("customers", "customer_id"),
        ("products", "product_id"),
    ):
        off = f"""SELECT count(*), count(*) FILTER (key <= before) FROM (SELECT {key} AS key,
            lag({key}) OVER (ORDER BY filename, file_row_number) AS before
            FROM read_parquet('{folder}/data/acme/{table}.parquet', filename = true, file_row_number = true))"""
        total, wrong = one(engine, off)
        assert total and not wrong, table  # sorted and unique, from the first part to the last


def test_nothing_is_ordered_before_birth_after_death_or_after_the_end(written):
    _, _, engine = written
    assert one(engine, "SELECT count(*) FROM lines WHERE ordered_at >= dies_on OR ordered_at < born_on") == 0
    first, last = one(engine, "SELECT min(ordered_at)::DATE::VARCHAR, max(ordered_at)::DATE::VARCHAR FROM lines")
    assert (first, last) == ("2022-07-01", "2025-06-30")
    hours = one(engine, "SELECT min(ordered_at::TIME)::VARCHAR, max(ordered_at::TIME)::VARCHAR FROM lines")
    assert "08:30" <= hours[0] < hours[1] < "18:30"


def test_births_lie_before_and_within_the_data_and_deaths_go_on_after_it(written):
    _, _, engine = written
    old, dead, dated = one(
        engine,
        """SELECT avg((born_on < DATE '2022-07-01')::INT), avg((dies_on <= DATE '2025-06-30')::INT), count(dies_on)
        FROM truth""",
    )
    assert old == pytest.approx(0.45, abs=0.04) and 0.15 < dead < 0.45 and dated == 2_000
    newcomers = "SELECT count(*), count(DISTINCT customer_id) FILTER (ordered_at::DATE = born_on) FROM lines"
    assert one(engine, f"{newcomers} WHERE born_on >= DATE '2022-07-01'")[1] == one(
        engine, "SELECT count(*) FROM truth WHERE born_on >= DATE '2022-07-01'"
    )  # who is new orders on the first day


def test_customers_order_at_the_rate_of_the_truth(written):
    # software has no season: orders of old, living customers are rate x months, however the rates were scaled
    _, _, engine = written
    orders, expected = one(
        engine,
        """SELECT sum(orders), sum(36 * rate) FROM truth LEFT JOIN (
        SELECT customer_id, count(DISTINCT order_id) AS orders FROM lines WHERE kind = 'sale' GROUP BY ALL)
        USING (customer_id) WHERE industry = 'software' AND born_on < '2022-07-01' AND dies_on > '2025-11-01'""",
    )
    assert orders == pytest.approx(expected, rel=4 / (2 * expected) ** 0.5)


def test_march_is_the_peak_of_wholesale_and_manufacturing(written):
    _, _, engine = written
    ratio = """SELECT count(*) FILTER (month(ordered_at) = 3) / count(*) FILTER (month(ordered_at) IN (1, 5, 6)) * 3
        FROM lines WHERE kind = 'sale' AND industry = '{}'"""
    assert one(engine, ratio.format("wholesale")) == pytest.approx(2.0 / 0.95, rel=0.12)
    assert one(engine, ratio.format("manufacturing")) == pytest.approx(1.25, rel=0.12)
    assert one(engine, ratio.format("software")) == pytest.approx(1.0, rel=0.25)


def test_intervals_vary_less_than_those_of_a_poisson_process(written):
    # Erlang-2: squared coefficient of variation 1/2 (Poisson: 1), successive intervals independent
    _, _, engine = written
    squared, together, n = one(
        engine,
        """SELECT avg((gap / mean - 1) ** 2 * n / (n - 1)), corr(gap / mean, next / mean), count(*) FROM (
        SELECT gap, lead(gap) OVER w AS next, avg(gap) OVER c AS mean, count(gap) OVER c AS n FROM (
          SELECT customer_id, order_id, day - lag(day) OVER (PARTITION BY customer_id ORDER BY order_id) AS gap FROM (
            SELECT DISTINCT customer_id, order_id, ordered_at::DATE AS day FROM lines
            WHERE kind = 'sale' AND industry = 'software' AND dies_on > '2025-11-01'))
        WHERE gap IS NOT NULL WINDOW w AS (PARTITION BY customer_id ORDER BY order_id), c AS (PARTITION BY customer_id))
        WHERE n >= 5""",
    )
    assert n > 500 and squared == pytest.approx(0.5, abs=0.15)
    assert -0.3 < together < 0.1  # below 0, as each is measured from the mean of both


def test_returns_name_an_earlier_order_of_the_same_customer(written):
    _, _, engine = written
    share, total, found = one(
        engine,
        """SELECT (SELECT avg((kind = 'return')::INT) FROM lines), count(*), count(*) FILTER (found) FROM (
        SELECT EXISTS (FROM lines s WHERE s.order_id = r.returns_order_id AND s.customer_id = r.customer_id
          AND s.kind = 'sale' AND s.status = 'confirmed' AND s.ordered_at < r.ordered_at - INTERVAL 8 DAY
          AND s.product_id = r.product_id AND s.net_amount = -r.net_amount AND s.cost_amount = -r.cost_amount) AS found
        FROM lines r WHERE kind = 'return')""",
    )
    assert share == pytest.approx(0.012, abs=0.003) and total == found
    assert one(engine, "SELECT count(*) FROM lines WHERE (kind = 'return') <> (returns_order_id IS NOT NULL)") == 0


def test_cancelled_and_backlog(written):
    _, _, engine = written
    cancelled, early, unshipped = one(
        engine,
        """SELECT avg((status = 'cancelled')::INT), count(*) FILTER (status = 'backlog' AND ordered_at < '2025-06-22'),
        count(*) FILTER ((status = 'confirmed') <> (shipped_on IS NOT NULL) OR shipped_on > '2025-06-30') FROM lines""",
    )
    assert cancelled == pytest.approx(0.006, abs=0.002) and early == 0 and unshipped == 0
    assert one(engine, "SELECT count(*) FROM lines WHERE status = 'backlog'") > 50


def test_whales_are_few_and_large(written):
    _, _, engine = written
    whales = one(engine, "SELECT avg(whale::INT) FROM truth")
    share = one(engine, "SELECT sum(net_amount) FILTER (whale) / sum(net_amount) FROM lines")
    assert 0.004 < whales < 0.02 and 0.04 < share < 0.6


def test_what_goes_together_and_what_does_not(written):
    # correlations of independent facts of 2,000 customers have a standard error of 0.022
    _, _, engine = written
    rate, spend = "ln(rate) - avg(ln(rate)) OVER i", "ln(spend) - avg(ln(spend)) OVER i"
    facts = f"""SELECT {rate} AS rate, {spend} AS spend, margin - avg(margin) OVER i AS margin, whale,
        (born_on - DATE '2022-07-01')::DOUBLE AS born FROM truth WHERE NOT whale WINDOW i AS (PARTITION BY industry)"""
    pairs = "SELECT corr(rate, spend), corr(rate, margin), corr(spend, margin), corr(rate, born), corr(margin, born)"
    wanted, *none = one(engine, f"{pairs} FROM ({facts})")
    assert wanted == pytest.approx(0.4, abs=0.1)
    assert max(map(abs, none)) < 0.09
    margin = "SELECT avg(1 - cost_amount / net_amount - margin) FROM lines WHERE kind = 'sale' AND net_amount > 1000"
    assert one(engine, margin) == pytest.approx(0, abs=0.005)
    typical = (
        "SELECT sum(net_amount / 1.02 ** ((ordered_at::DATE - DATE '2022-07-01') / 365.25)), sum(spend / n) FROM ("
    )
    lines = "SELECT *, count(*) OVER (PARTITION BY order_id) AS n FROM lines WHERE kind = 'sale' AND NOT whale)"
    came, expected = one(engine, typical + lines)
    assert came == pytest.approx(expected, rel=0.03)


@pytest.mark.slow
def test_staging_takes_every_row_and_finds_its_contract(written):
    folder, rows, engine = written
    params = resolve("acme", "2025-06", SOURCES)
    surveyed = sources.survey(params, folder / "data" / "acme")
    assert [f.table for f in surveyed] == ["order_lines"] * 4 + ["customers", "products"]
    assert not any(f.columns_unknown for f in surveyed)
    missing = {f.table: f.columns_missing for f in surveyed}
    assert not {"category", "cost_amount", "discount_amount", "returns_order_id"} & set(missing["order_lines"])
    staged = sources.stage(params, folder / "data" / "acme", ibis.duckdb.connect())
    assert len(staged.rejected) == 0 and staged.made_customers == 0
    for name, table in staged.tables.items():
        check_table(contract_of(name), table)
    table = staged.tables["order_lines"]
    count, amount = table.aggregate(n=table.count(), amount=table.net_amount.sum()).to_pandas().iloc[0]
    assert (count, amount) == (rows["order_lines"], one(engine, "SELECT sum(net_amount) FROM lines"))


def test_a_broken_run_leaves_what_was_there(written, tmp_path, monkeypatch):
    write(tmp_path, customers=300, lines=3_000)
    before = digests(tmp_path)
    copy = at_scale._copy

    def breaks(world, connect, text, a, b, file):
        if file.name == "part-00002.parquet":
            raise OSError(28, "No space left on device")
        return copy(world, connect, text, a, b, file)

    monkeypatch.setattr(at_scale, "_copy", breaks)
    with pytest.raises(StepFailed, match="No space left"):
        write(tmp_path, threads=2)
    assert digests(tmp_path) == before


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"customers": 0}, "at least one customer"),
        ({"lines": 1_999}, "fewer than the 2,000 customers"),
        ({"lines": 2_500}, "ask for at least"),
        ({"lines": 10**8}, "more than 60 a customer and month"),
        ({"months": 0}, "1 to 240 months"),
        ({"months": 241}, "1 to 240 months"),
        ({"seed": -1}, "whole number from 0"),
        ({"last_period": "2025/6"}, "2025-06"),
        ({"threads": 0}, "at least one"),
        ({"memory": "plenty"}, "800MB or 3GB"),
        ({"memory": "10MB"}, "at least 256MB"),
    ],
)
def test_what_makes_no_company_is_refused(tmp_path, more, sentence):
    with pytest.raises(Refused, match=sentence):
        write(tmp_path, **more)
    assert not digests(tmp_path)


def test_the_truth_never_lies_where_the_extracts_lie(tmp_path):
    with pytest.raises(Refused, match="truth"):
        at_scale.write_at_scale(tmp_path, tmp_path / ".", **SETTINGS)


def test_a_company_larger_than_the_disk_is_told_before_it_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr(at_scale, "LINE_BYTES", 10**15)
    with pytest.raises(StepFailed, match="GB are free"):
        write(tmp_path)
    assert not digests(tmp_path)
