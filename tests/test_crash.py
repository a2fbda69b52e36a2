"""A crash at any instant leaves the earlier published run readable and the next run clean (real processes, SIGKILL)."""

import errno
import os
import shutil
import signal
from pathlib import Path

import pytest

from ltvlab_utils import runner, store
from ltvlab_utils.store import publish
from tests.conftest import COMPANY, ORDERS
from tests.stubs import OPEN, Child, alive, folders, notebook, total, until

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads process states from /proc")
PERIOD = "2025-06"
SLEEP = (
    "import os, pathlib, time\n"
    "pathlib.Path(os.environ['PID_FILE']).write_text(str(os.getpid()) + '\\n')\n"
    "time.sleep(float(os.environ.get('SLEEP', '0')))"
)


def settle(monkeypatch, root: Path) -> None:
    for variable, name in (("LTVLAB_PARAMS", "params"), ("LTVLAB_DATA", "data"), ("LTVLAB_REPORTS", "reports")):
        monkeypatch.setenv(variable, str(root / name))
    monkeypatch.setenv("LTVLAB_WORKERS", "1")
    monkeypatch.setenv("PID_FILE", str(root / "pid"))


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory) -> Path:
    """A workspace whose one notebook was run and published once, with value 10."""
    root = tmp_path_factory.mktemp("reviewed")
    for name, content in (("params/small/company.yaml", COMPANY), ("data/small/orders.csv", ORDERS)):
        (root / name).parent.mkdir(parents=True)
        (root / name).write_text(content, encoding="utf-8")
    notebook(root / "notebooks" / "02_ltv.ipynb", OPEN, total(10.0))
    with pytest.MonkeyPatch.context() as patch:
        settle(patch, root)
        runner.run("small", PERIOD, notebooks_dir=str(root / "notebooks"))
    return root


@pytest.fixture
def place(reviewed, tmp_path, monkeypatch) -> Path:
    """A copy of it whose notebook would now write value 20."""
    root = tmp_path / "place"
    shutil.copytree(reviewed, root)
    notebook(root / "notebooks" / "02_ltv.ipynb", OPEN, SLEEP, total(20.0))
    settle(monkeypatch, root)
    return root


def start(place: Path, **more) -> Child:
    words = ("run", "small", PERIOD, "--notebooks-dir", place / "notebooks")
    return Child(*words, out=place / "out", **more)


def value() -> float:
    """The value that readers see; reads manifest, parameters and table of the published run."""
    run = store.read("small", PERIOD)
    assert run.manifest["status"] == "complete"
    return float(run.frame("ltv_totals")["value"].iloc[0])


def next_run(place: Path) -> None:
    """The next run publishes value 20 and leaves nothing unfinished."""
    [outcome] = runner.run("small", PERIOD, notebooks_dir=str(place / "notebooks"))
    assert value() == 20.0 and store.read("small", PERIOD).run_id == outcome.run_id
    period = place / "reports" / "small" / PERIOD
    assert set(folders(period).values()) <= {"complete", "failed"}
    assert [p.name for p in (*period.glob(".*"), *(period / outcome.run_id).rglob(".*"))] == [".lock"]
    assert store.read("small", PERIOD).manifest["tables"].keys() == {"ltv_totals"}


AROUND = ("before", "after")
BY_RUNNER = [
    *(pytest.param(f"{when}:{what}", marks=pytest.mark.slow if when in AROUND else [])
      for what in ("params", "manifest:running", "manifest:complete", "published")
      for when in ("before", "during", "after")),
    "during:seal",
]  # fmt: skip


@pytest.mark.parametrize("point", BY_RUNNER)
def test_a_power_cut_in_the_runner(place, point):
    assert start(place, LTVLAB_CRASH_AT=point).wait() == -signal.SIGKILL
    assert value() == (20.0 if point == "after:published" else 10.0)
    next_run(place)


@pytest.mark.parametrize(
    "point",
    ["during:table:ltv_totals", *(pytest.param(f"{w}:table:ltv_totals", marks=pytest.mark.slow) for w in AROUND)],
)
def test_a_power_cut_in_a_kernel(place, point):
    child = start(place, LTVLAB_CRASH_AT=point)
    assert child.wait() == 1
    assert "02_ltv.ipynb, cell 5 (`totals = " in child.said and "the kernel died" in child.said
    assert "Traceback" not in child.said and value() == 10.0
    next_run(place)


def test_a_power_cut_while_leftovers_are_cleared_or_results_reused(place):
    assert start(place, LTVLAB_CRASH_AT="after:manifest:running").wait() == -signal.SIGKILL
    assert start(place, LTVLAB_CRASH_AT="during:clean").wait() == -signal.SIGKILL
    assert value() == 10.0
    assert start(place, LTVLAB_CRASH_AT="before:published").wait() == -signal.SIGKILL  # complete, never published
    assert start(place, LTVLAB_CRASH_AT="during:reuse").wait() == -signal.SIGKILL
    assert value() == 10.0
    next_run(place)
    [step] = store.read("small", PERIOD).manifest["steps"].values()
    assert step["reused_from"], "the complete run's results serve again"


def test_kill_9_of_a_whole_run_ends_its_kernel_too(place):
    child = start(place, SLEEP="120")
    pid_file = place / "pid"
    until(lambda: pid_file.exists() and pid_file.read_text().endswith("\n"), what="the notebook to work")
    kernel = int(pid_file.read_text())
    assert alive(kernel) and value() == 10.0
    os.killpg(child.process.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    until(lambda: not alive(kernel), 15, "the orphaned kernel to end by itself")
    assert "running" in folders(place / "reports" / "small" / PERIOD).values()
    assert value() == 10.0
    next_run(place)


def test_two_runs_at_once_one_is_refused(place):
    first = start(place, SLEEP="4")
    until((place / "pid").exists, what="the notebook to work")
    second = Child("run", "small", PERIOD, "--notebooks-dir", place / "notebooks", out=place / "out2")
    assert second.wait() == 3
    assert "Another run of small 2025-06 is at work" in second.said and "Traceback" not in second.said
    assert publish.is_locked(place / "reports" / "small" / PERIOD)
    assert first.wait() == 0 and value() == 20.0
    assert not publish.is_locked(place / "reports" / "small" / PERIOD)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_ends_with_130_and_no_kernel(place, sent):
    child = start(place, SLEEP="120")
    pid_file = place / "pid"
    until(lambda: pid_file.exists() and pid_file.read_text().endswith("\n"), what="the notebook to work")
    os.kill(child.process.pid, sent)
    assert child.wait() == 130
    assert child.said.splitlines()[-1] == "ltvlab: stopped. What was published before is unchanged."
    assert "Traceback" not in child.said
    until(lambda: not alive(int(pid_file.read_text())), 5, "the kernel to end")
    assert "failed" in folders(place / "reports" / "small" / PERIOD).values()
    assert value() == 10.0
    next_run(place)


def test_a_disk_that_takes_no_more_is_a_sentence(place):
    """A limit on the size of files stands in for a full disk: the system refuses the write in the same way."""
    child = start(place, file_size=3000)
    assert child.wait() == 1
    assert os.strerror(errno.EFBIG) in child.said and "Traceback" not in child.said
    assert len(child.said.strip().splitlines()) == 1
    assert value() == 10.0
    next_run(place)


def test_a_reports_folder_that_cannot_be_written_is_a_sentence(place):
    (place / "file").write_text("no folder")
    child = start(place, LTVLAB_REPORTS=str(place / "file"))
    assert child.wait() == 1
    assert "The reports folder cannot be written" in child.said and "Traceback" not in child.said
