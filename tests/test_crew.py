"""Steps that do not rest on each other run side by side, in processes that end with the run."""

import os
import signal
import time
from pathlib import Path

import pytest

from ltvlab_utils import runner, store
from ltvlab_utils.errors import StepFailed
from ltvlab_utils.runner.crew import size
from tests.stubs import OPEN, REJECTED, Child, alive, notebook, total, until

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
