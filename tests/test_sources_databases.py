"""Tables of databases as sources: the same rows as a file, and no word of the URL anywhere."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import time
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from ltvlab_utils import sources
from ltvlab_utils.errors import Refused
from tests.sources_world import params, stage, survey
from tests.test_sources_files import refusal
from tests.test_sources_readers import TABLE, WANTED, lines, source

VALUES = [line.split(",") for line in TABLE.splitlines()[1:]]
KINDS = (
    "order_id {text}, line_no INTEGER, customer_id {text}, ordered_at {time}, status {text}, quantity {number}, "
    "net_amount NUMERIC(12, 4), kind {text}"
)
URL = "LTVLAB_DATABASE_CORE"
ASKED = source("path: 'database:core/受注明細'")


def fill(execute, kinds: dict[str, str], rows=VALUES, table: str = '"受注明細"') -> None:
    execute(f"CREATE TABLE {table} ({KINDS.format(**kinds)})")
    for a, b, c, d, e, f, g, h in rows:
        execute(f"INSERT INTO {table} VALUES ('{a}', {b}, '{c}', '{d}', '{e}', {f}, {g}, '{h}')")


@pytest.fixture
def sqlite(tmp_path, monkeypatch) -> Path:
    file = tmp_path / "core secret.db"
    with sqlite3.connect(file) as connection:
        fill(connection.execute, {"text": "TEXT", "time": "TEXT", "number": "REAL"})
    monkeypatch.setenv(URL, f"sqlite:///{str(file).replace(' ', '%20')}")
    return file


def test_a_table_of_sqlite(tmp_path, sqlite):
    staged = stage(tmp_path, {}, ASKED)
    assert lines(staged) == WANTED
    assert staged.report[["file", "rows_read"]].to_numpy().tolist() == [["database:core/受注明細", 2]]
    assert lines(stage(tmp_path, {}, source("path: 'database:Core/main.受注明細'"))) == WANTED


def test_a_table_of_duckdb(tmp_path, monkeypatch):
    with duckdb.connect(str(tmp_path / "core.db")) as engine:
        fill(engine.execute, {"text": "VARCHAR", "time": "TIMESTAMP", "number": "DOUBLE"})
        engine.execute("CREATE SCHEMA s")
        fill(engine.execute, {"text": "VARCHAR", "time": "DATE", "number": "FLOAT"}, table="s.lines")
    monkeypatch.setenv(URL, f"duckdb://{tmp_path / 'core.db'}")
    before = (tmp_path / "core.db").read_bytes()
    assert lines(stage(tmp_path, {}, ASKED)) == WANTED
    assert lines(stage(tmp_path, {}, source("path: database:core/s.lines"))) == WANTED
    assert (tmp_path / "core.db").read_bytes() == before


def test_the_fingerprint_is_that_of_the_rows(tmp_path, sqlite):
    def fingerprint() -> str:
        (found,) = survey(tmp_path, {}, ASKED)
        return found.fingerprint

    first = fingerprint()
    with sqlite3.connect(sqlite) as connection:  # other bytes and another order, the same rows
        connection.execute('DELETE FROM "受注明細"')
        for row in VALUES[::-1]:
            connection.execute('INSERT INTO "受注明細" VALUES (?, ?, ?, ?, ?, ?, ?, ?)', row)
        connection.execute("CREATE TABLE other (a)")
    assert fingerprint() == first
    with sqlite3.connect(sqlite) as connection:
        connection.execute("""UPDATE "受注明細" SET status = NULL WHERE order_id = 'A1'""")
    second = fingerprint()
    with sqlite3.connect(sqlite) as connection:
        connection.execute("""UPDATE "受注明細" SET status = '' WHERE order_id = 'A1'""")
    assert len({first, second, fingerprint()}) == 3


@pytest.mark.slow
def test_many_rows_come_in_batches_and_keep_their_numbers(tmp_path, sqlite):
    with sqlite3.connect(sqlite) as connection:
        connection.execute('DELETE FROM "受注明細"')
        rows = [
            (f"A{i:06d}", 1, "" if i == 70_000 else "c", "2025-05-01", "confirmed", 1, 5, "sale")
            for i in range(120_000)
        ]
        connection.executemany('INSERT INTO "受注明細" VALUES (?, ?, ?, ?, ?, ?, ?, ?)', rows[::-1])
    staged = stage(tmp_path, {}, ASKED)
    assert staged.report[["rows_read", "rows_accepted"]].to_numpy().tolist() == [[120_000, 119_999]]
    assert staged.rejected["row_no"].tolist() == [70_002]


def test_an_empty_table_counts_zero_rows(tmp_path, sqlite):
    with sqlite3.connect(sqlite) as connection:
        connection.execute("CREATE TABLE costs (customer_id, occurred_on, cost_amount, kind)")
    staged = stage(tmp_path, {}, ASKED + "\n  support_costs: [{path: database:core/costs}]")
    assert staged.report.set_index("table_name").loc["support_costs", "rows_read"] == 0


def test_what_is_not_there_is_named_without_the_url(tmp_path, sqlite, monkeypatch, capsys):
    said = refusal(survey, tmp_path, {}, source("path: 'database:core/受注明'"))
    assert "sources.order_lines[1]" in said and 'Did you mean "受注明細"?' in said
    said = refusal(survey, tmp_path, {}, source("path: database:elsewhere/t"))
    assert "set the environment variable LTVLAB_DATABASE_ELSEWHERE" in said
    for url in (
        "sqlite:///nowhere/secret.db",
        f"sqlite:///{tmp_path}",
        "postgres://hidden:secret@127.0.0.1:9/secret",
        "mysql://hidden:secret@127.0.0.1:9/secret",
        "nonsense:secret",
        "secret",
        f"duckdb://{sqlite}",
    ):
        monkeypatch.setenv(URL, url)
        said = refusal(survey, tmp_path, {}, ASKED)
        assert "cannot be read" in said and "LTVLAB_DATABASE_CORE" in said, url
        assert "secret" not in said and "hidden" not in said and "127.0.0.1" not in said, said
    assert "secret" not in "".join(capsys.readouterr())
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    "path",
    ["database:", "database:core", "database:core/", "database:../core/t", "database:a b/t", "database:core/a/b",
     "database:core/../t", "database:core/a.b.c", 'database:core/x";DROP', "database:1/t", "database:core/a\\b"],
)  # fmt: skip
def test_tricks_in_the_name_of_a_table(path):
    with pytest.raises(Refused, match="database:NAME/TABLE"):
        params(f"  order_lines: [{{path: '{path}'}}]")


def test_a_table_name_is_a_name_and_no_sql(tmp_path, sqlite):
    said = refusal(survey, tmp_path, {}, source('path: "database:core/x\'; DROP TABLE y; --"'))
    assert "does not exist" in said


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


def _program(name: str) -> str | None:
    return shutil.which(name) or next((str(p) for p in Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), None)


@pytest.fixture(scope="module")
def postgres():
    """The URL of a server of its own, with a password, on a free port."""
    import pwd

    initdb, server = _program("initdb"), _program("postgres")
    if not (initdb and server):
        pytest.skip("PostgreSQL (initdb, postgres) is not installed")
    user = {}
    home = Path(tempfile.mkdtemp(prefix="ltvlab-pg-"))
    if os.geteuid() == 0:  # a server refuses to run as root
        try:
            owner = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
        user = {"user": owner.pw_uid, "group": owner.pw_gid}
        os.chown(home, owner.pw_uid, owner.pw_gid)
    (home / "password").write_text("pass word")
    (home / "password").chmod(0o644)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": home}
    made = [initdb, "-D", home / "data", "-U", "hidden", "-A", "scram-sha-256", "--pwfile", home / "password", "-N",
            "-E", "UTF8", "--no-locale"]  # fmt: skip
    subprocess.run(made, check=True, **quiet, **user)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = subprocess.Popen(
        [server, "-D", home / "data", "-p", str(port), "-k", home, "-c", "listen_addresses=127.0.0.1", "-F"],
        **quiet, **user,
    )  # fmt: skip
    url = f"postgres://hidden:pass%20word@127.0.0.1:{port}/postgres"
    try:
        _wait_for(url)
        yield url
    finally:
        running.terminate()
        running.wait(30)
        shutil.rmtree(home, ignore_errors=True)


def _wait_for(url: str) -> None:
    import psycopg

    until = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(url.replace("postgres://", "postgresql://")).close()
            return
        except psycopg.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


@pytest.mark.slow
def test_a_table_of_postgresql(tmp_path, postgres, monkeypatch):
    import psycopg

    with psycopg.connect(postgres.replace("postgres://", "postgresql://"), autocommit=True) as connection:
        connection.execute("SET TIME ZONE 'UTC'")
        fill(connection.execute, {"text": "TEXT", "time": "TIMESTAMPTZ", "number": "NUMERIC"})
        connection.execute("CREATE SCHEMA sales")
        fill(connection.execute, {"text": "VARCHAR(40)", "time": "DATE", "number": "REAL"}, table="sales.lines")
        connection.execute("ALTER TABLE sales.lines ADD extra JSONB DEFAULT '{\"a\": 1}', ADD id UUID, ADD b BYTEA")
        connection.execute("ALTER TABLE sales.lines ADD tags TEXT[] DEFAULT '{x}', ADD ok BOOLEAN DEFAULT true")
        connection.execute(
            "INSERT INTO sales.lines SELECT 'B' || i, 1, 'c', '2025-05-02', 'confirmed', 1, 0.1, 'sale' "
            "FROM generate_series(1, 120000) i"
        )
    monkeypatch.setenv(URL, postgres)
    tokyo = [(a, b, c.replace("00:00", "09:00", 1), d, e) for a, b, c, d, e in WANTED]
    assert lines(stage(tmp_path, {}, ASKED)) == tokyo
    staged = stage(tmp_path, {}, source("path: database:core/sales.lines"))
    assert lines(staged)[:2] == WANTED and staged.report["rows_accepted"].tolist() == [120_002]
    assert staged.report["amount_accepted"].tolist() == [13_500.0]
    wrong = postgres.replace("pass%20word", "secret")
    monkeypatch.setenv(URL, wrong)
    said = refusal(survey, tmp_path, {}, ASKED)
    assert "cannot be read (OperationalError)" in said and "hidden" not in said and "secret" not in said


@pytest.mark.slow
def test_a_database_and_a_file_give_the_same_tables(tmp_path, sqlite):
    a, b = stage(tmp_path, {}, ASKED).tables, stage(tmp_path, {"orders.csv": TABLE}).tables
    assert set(a) == set(b) == {"order_lines", "customers"}
    for name, key in (("order_lines", "order_id"), ("customers", "customer_id")):
        one, other = (tables[name].order_by(key).to_pandas() for tables in (a, b))
        pd.testing.assert_frame_equal(one, other)


def test_the_url_is_in_nothing_that_is_kept(tmp_path, sqlite):
    parameters = params(ASKED)
    assert "secret" not in parameters.to_json()
    (file,) = sources.survey(parameters, tmp_path)
    assert "secret" not in repr(file)
