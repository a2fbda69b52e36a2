"""Steps that do not rest on each other run side by side, in processes that end with the run."""

import os
import signal
import time
from pathlib import Path

import pytest

from ltvlab_utils import runner, store
from ltvlab_utils.errors import Busy, StepFailed
from ltvlab_utils.runner.crew import size
from ltvlab_utils.store import publish
from tests.stubs import OPEN, REJECTED, Child, alive, folders, notebook, total, until

PERIOD = "2025-06"
HERE = "import os, pathlib, time\nhere = pathlib.Path(os.environ['LTVLAB_DATA'])"
LEAVE_PIDS = "(here / f'{NAME}.pid').write_text(f'{os.getpid()} {os.getppid()}\\n')"
MEET = (
    "end = time.monotonic() + 60\n"
    "while not (here / f'{OTHER}.pid').exists():\n"
    "    assert time.monotonic() < end, 'the other notebook never came'\n"
    "    time.sleep(0.05)"
)
EMPTY = (
    "from ltvlab_utils.tables import contract_of\n"
    "run.write(TABLE, pd.DataFrame({name: [] for name in contract_of(TABLE).names}))"
)


def place(workspace: Path, three: str = "", four: str = "") -> Path:
    """Notebooks 01 to 04: 03 and 04 wait for each other, then run what is given, then write a table each."""
    books = workspace / "notebooks"
    notebook(books / "01_ingest.ipynb", OPEN, REJECTED)
    notebook(books / "02_ltv.ipynb", OPEN, total())
    for name, other, table, more in (("03", "04", "segment_moves", three), ("04", "03", "action_effects", four)):
        names = f"NAME, OTHER, TABLE = '{name}', '{other}', '{table}'"
        title = f"{name}_{'segments' if name == '03' else 'campaigns'}.ipynb"
        notebook(books / title, OPEN, HERE, names, LEAVE_PIDS, MEET, *([more] if more else []), EMPTY)
    return books


def pids(workspace: Path, name: str) -> tuple[int, int]:
    """(kernel, worker) of a notebook that has begun."""
    file = workspace / "data" / f"{name}.pid"
    until(lambda: file.exists() and file.read_text().endswith("\n"), 60, f"notebook {name} to work")
    kernel, worker = file.read_text().split()
    return int(kernel), int(worker)


@pytest.fixture
def two(workspace, monkeypatch) -> Path:
    monkeypatch.setenv("LTVLAB_WORKERS", "2")
    return workspace


def test_03_and_04_run_at_the_same_time_and_keep_their_own_tables(two):
    [done] = runner.run("small", PERIOD, notebooks_dir=str(place(two)))
    run = store.read("small", PERIOD)
    steps = run.manifest["steps"]
    assert list(steps) == ["01_ingest", "02_ltv", "03_segments", "04_campaigns"]
    assert [steps[name]["tables"] for name in steps] == [
        ["rejected_rows"], ["ltv_totals"], ["segment_moves"], ["action_effects"],
    ]  # fmt: skip
    assert pids(two, "03")[1] != pids(two, "04")[1] and done.run_id == run.run_id
    assert not list(run.folder.glob("*.log"))
    for process in (*pids(two, "03"), *pids(two, "04")):
        until(lambda process=process: not alive(process), 20, "kernels and workers to end with the run")


@pytest.mark.slow
def test_a_table_written_by_the_other_notebook_is_refused(two):
    """04 writes 03's table once more, after 03 has ended: what the manifest says of it would be wrong."""
    waits = (
        "steps = lambda: (here.parent / 'reports').glob('small/2025-06/2*/tables/segment_moves')\n"
        "while not list(steps()):\n    time.sleep(0.05)\ntime.sleep(3)\nTABLE = 'segment_moves'"
    )
    with pytest.raises(StepFailed, match=r"segment_moves.*belongs to notebook 03"):
        runner.run("small", PERIOD, notebooks_dir=str(place(two, four=waits)))
    assert not (two / "reports" / "small" / PERIOD / "published.json").exists()


def test_a_failure_stops_the_other_at_once(two):
    books = place(two, three="raise ValueError('no such luck')", four="time.sleep(600)")
    began = time.monotonic()
    with pytest.raises(StepFailed, match=r"03_segments.ipynb, cell 8 .* failed with ValueError: no such luck"):
        runner.run("small", PERIOD, notebooks_dir=str(books))
    assert time.monotonic() - began < 120
    for process in (*pids(two, "03"), *pids(two, "04")):
        until(lambda process=process: not alive(process), 20, "kernels and workers to end")


def test_a_kernel_that_dies_before_its_first_cell_is_started_once_more(two, monkeypatch):
    """Two processes that start kernels at once may pick one port: nothing has run yet, so a second start is safe."""
    from ltvlab_utils.runner import execute

    monkeypatch.setenv("LTVLAB_WORKERS", "1")
    books = two / "notebooks"
    notebook(books / "02_ltv.ipynb", OPEN, total())
    real, made = execute._Kernel, []

    def stillborn(folder, ahead):
        kernel = real(folder, ahead)
        made.append(kernel)
        if len(made) == 1:
            kernel.manager.provisioner.process.kill()
        return kernel

    monkeypatch.setattr(execute, "_Kernel", stillborn)
    runner.run("small", PERIOD, notebooks_dir=str(books))
    assert len(made) == 2 and store.read("small", PERIOD).frame("ltv_totals")["value"].tolist() == [10.0]


@pytest.mark.slow
def test_a_worker_that_is_killed_is_named(two):
    books = place(two, three="os.kill(os.getppid(), 9)\ntime.sleep(600)", four="time.sleep(600)")
    with pytest.raises(StepFailed, match=r"03_segments.ipynb: the process that ran it died.*LTVLAB_WORKERS=1"):
        runner.run("small", PERIOD, notebooks_dir=str(books))
    until(lambda: not alive(pids(two, "03")[0]), 20, "the orphaned kernel to end")


@pytest.mark.parametrize("sent", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_workers_and_kernels_end_with_the_run(two, sent):
    books = place(two, three="time.sleep(600)", four="time.sleep(600)")
    child = Child("run", "small", PERIOD, "--notebooks-dir", books, out=two / "out")
    working = [*pids(two, "03"), *pids(two, "04")]
    os.kill(child.process.pid, sent)
    assert child.wait() == (-sent if sent == signal.SIGKILL else 130)
    for process in working:
        until(lambda process=process: not alive(process), 20, "kernels and workers to end")
    assert not (two / "reports" / "small" / PERIOD / "published.json").exists()


def test_the_number_of_workers_is_checked(monkeypatch):
    monkeypatch.setenv("LTVLAB_WORKERS", "two")
    with pytest.raises(StepFailed, match='LTVLAB_WORKERS is "two": set the number'):
        size()


# --- notebook 01 of the next period ----------------------------------------------------------------------------------

MAY_WAITS = (  # for 01 of June, while 02 of May is at work
    "if period == '2025-05':\n"
    "    end = time.monotonic() + 60\n"
    "    while not (here / 'early.pid').exists():\n"
    "        assert time.monotonic() < end, '01 of the next period never came'\n"
    "        time.sleep(0.05)"
)
JUNE_SHOWS = f"NAME = 'early'\nif period == '2025-06':\n    {LEAVE_PIDS}"


def back_fill(workspace: Path, june: str = "", may: str = "") -> Path:
    """Notebooks 01 and 02: May's 02 waits for June's 01. Then each runs what is given and writes its table."""
    books = workspace / "notebooks"
    only = "if period == '{}':\n    {}".format
    notebook(books / "01_ingest.ipynb", OPEN, HERE, JUNE_SHOWS, only("2025-06", june or "pass"), REJECTED)
    before = "before = 0 if run.prior is None else 1"
    notebook(
        books / "02_ltv.ipynb", OPEN, HERE, MAY_WAITS, only("2025-05", may or "pass"), before, total("10 + before")
    )
    return books


def reviewed(workspace: Path, period: str) -> bool:
    return (workspace / "reports" / "small" / period / "published.json").exists()


def written(reports: Path) -> dict[str, bytes]:
    """Tables of the published runs, byte for byte."""
    runs = [store.read("small", period, reports_dir=reports).folder for period in ("2025-05", "2025-06")]
    return {f"{run.parent.name}/{p.relative_to(run)}": p.read_bytes() for run in runs for p in run.rglob("*.parquet")}


@pytest.mark.slow
def test_01_of_the_next_period_runs_beside_02_and_changes_nothing(two, monkeypatch, capsys):
    monkeypatch.setattr("ltvlab_utils.runner.keys.code_hash", lambda folder=None: "code")
    locked = (
        "from ltvlab_utils.store import publish; assert publish.is_locked(run.folder.parents[1] / '2025-06')"
        "; assert not publish.published_run_id(run.folder.parent)"
    )
    books = back_fill(two, may=locked)
    may, june = runner.run("small", "2025-05..2025-06", notebooks_dir=str(books))
    said = [line.split()[1:4] for line in capsys.readouterr().out.splitlines()]
    names = [("2025-05", "1/2", "01_ingest"), ("2025-05", "2/2", "02_ltv"), ("2025-06", "1/2", "01_ingest")]
    assert said == [list(line) for line in (*names, ("2025-06", "2/2", "02_ltv"))], "each period tells its own steps"
    manifest = store.read("small", "2025-06").manifest
    assert manifest["prior"]["run_id"] == may.run_id and manifest["run_id"] == june.run_id
    assert manifest["steps"]["01_ingest"]["tables"] == ["rejected_rows"] and manifest["inputs"][0]["table"]
    assert [store.read("small", p).frame("ltv_totals")["value"][0] for p in ("2025-05", "2025-06")] == [10.0, 11.0]
    assert not runner.run("small", "2025-05..2025-06", notebooks_dir=str(books))[1].made, "the keys are those of a turn"

    # one notebook at a time: strictly in order, the same bytes
    strict = "assert publish.published_run_id(run.folder.parents[1] / '2025-05')"
    monkeypatch.setenv("LTVLAB_WORKERS", "1")
    back_fill(two, june=f"from ltvlab_utils.store import publish; {strict}")
    runner.run("small", "2025-05..2025-06", notebooks_dir=str(books), reports_dir=str(two / "strict"))
    assert written(two / "strict") == written(two / "reports")


@pytest.mark.slow
def test_an_01_that_begins_early_compares_with_the_run_at_work(two):
    """Which is not published yet; its staged tables are there and stay as they are."""
    at_work = (
        "from ltvlab_utils.store import publish; assert not publish.published_run_id(run.prior.folder.parent)"
        "; assert run.prior.folder.parent.name == '2025-05' and run.prior.has('rejected_rows')"
    )
    [may, _] = runner.run("small", "2025-05..2025-06", notebooks_dir=str(back_fill(two, june=at_work)))
    assert store.read("small", "2025-06").prior.run_id == may.run_id


@pytest.mark.slow
def test_what_an_earlier_run_did_is_not_begun_early(two, monkeypatch):
    """There may be nothing left to do for June: then nothing of it may be written, not even for a while."""
    monkeypatch.setattr("ltvlab_utils.runner.keys.code_hash", lambda folder=None: "code")
    books = back_fill(two)
    _, june = runner.run("small", "2025-05..2025-06", notebooks_dir=str(books))
    sees = (
        "from ltvlab_utils.store import publish\n"
        "assert period == '2025-06' or not publish.is_locked(run.folder.parents[1] / '2025-06')"
    )
    notebook(books / "02_ltv.ipynb", OPEN, sees, total(12.0))
    runner.run("small", "2025-05..2025-06", notebooks_dir=str(books))
    assert store.read("small", "2025-06").manifest["steps"]["01_ingest"]["reused_from"] == june.run_id


@pytest.mark.parametrize(
    ("june", "sentence"),
    [
        ("raise ValueError('no such luck')", r"01_ingest.ipynb, cell 6 .* failed with ValueError: no such luck"),
        ("os.kill(os.getppid(), 9); time.sleep(600)", "01_ingest.ipynb: the process that ran it died"),
    ],
)
@pytest.mark.slow
def test_a_failing_01_of_the_next_period_is_told_when_its_turn_comes(two, june, sentence):
    books = back_fill(two, june=june, may="time.sleep(2)")
    with pytest.raises(StepFailed, match=sentence) as caught:
        runner.run("small", "2025-05..2025-06", notebooks_dir=str(books))
    assert "Not started" not in str(caught.value)
    assert reviewed(two, "2025-05") and not reviewed(two, "2025-06")
    assert list(folders(two / "reports" / "small" / "2025-06").values()) == ["failed"]


@pytest.mark.slow
def test_a_failure_leaves_nothing_of_the_next_period(two):
    books = back_fill(two, june="time.sleep(600)", may="raise ValueError('no such luck')")
    with pytest.raises(StepFailed, match=r"02_ltv.ipynb.* no such luck.* Not started for that reason: 2025-06"):
        runner.run("small", "2025-05..2025-06", notebooks_dir=str(books))
    june = two / "reports" / "small" / "2025-06"
    assert not folders(june) and not publish.is_locked(june)
    for process in pids(two, "early"):
        until(lambda process=process: not alive(process), 20, "the kernel and the worker to end")


@pytest.mark.slow  # make test holds it for a run of one period
def test_another_run_of_the_next_period_is_told_when_its_turn_comes(two):
    books = back_fill(two)
    (two / "data" / "early.pid").touch()
    with publish.run_lock(two / "reports" / "small" / "2025-06"), pytest.raises(Busy, match="2025-06 is at work"):
        runner.run("small", "2025-05..2025-06", notebooks_dir=str(books))
    assert reviewed(two, "2025-05") and not folders(two / "reports" / "small" / "2025-06")


@pytest.mark.slow
def test_an_01_that_is_edited_after_it_began_early_is_refused(two):
    file = two / "notebooks" / "01_ingest.ipynb"
    edit = f"import pathlib; f = pathlib.Path({str(file)!r}); f.write_text(f.read_text().replace('# 01', '# 1'))"
    with pytest.raises(StepFailed, match=r"01_ingest.ipynb was changed while the run was at work"):
        runner.run("small", "2025-05..2025-06", notebooks_dir=str(back_fill(two, may=edit)))
    assert reviewed(two, "2025-05") and not reviewed(two, "2025-06")


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.slow
def test_a_stop_while_two_periods_are_at_work_leaves_the_next_run_clean(two, sent):
    books = back_fill(two, june="time.sleep(600)", may="time.sleep(600)")
    child = Child("run", "small", "2025-05..2025-06", "--notebooks-dir", books, out=two / "out")
    working = pids(two, "early")
    june = two / "reports" / "small" / "2025-06"
    assert publish.is_locked(june) and list(folders(june).values()) == ["running"]
    os.kill(child.process.pid, sent)
    assert child.wait() == (-sent if sent == signal.SIGKILL else 130)
    for process in working:
        until(lambda process=process: not alive(process), 20, "the kernel and the worker to end")
    assert list(folders(june).values()) == (["running"] if sent == signal.SIGKILL else [])
    runner.run("small", "2025-06", notebooks_dir=str(back_fill(two)))
    assert list(folders(june).values()) == ["complete"] and not reviewed(two, "2025-05")
