"""Processes that execute notebooks, so that steps of a review that do not rest on each other run side by side.

papermill changes the folder of its process and nbclient wants the main thread, so each notebook at work has a process
of its own. A worker ends with the run: asked to stop, it closes its kernel; when the run was killed, it kills it.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from ltvlab_utils.errors import LtvLabError, StepFailed
from ltvlab_utils.runner.steps import Step

WORKERS_VARIABLE = "LTVLAB_WORKERS"
STOP_SECONDS = 10


@dataclass(frozen=True)
class Job:
    """One notebook to execute: what `execute` takes."""

    step: Step
    values: dict[str, str]
    copy: Path
    log: Path  # where what its kernel printed outside cells is kept when it fails
    expected: str  # hash of the notebook as it was checked
    more: bool  # another notebook will follow in the same process: a kernel for it may start

    @property
    def folder(self) -> Path:
        """Where its kernel works."""
        return self.step.notebook.parents[1] if self.step.is_page else self.step.notebook.parent


def size() -> int:
    """Notebooks at work at once: LTVLAB_WORKERS, else two where there are two cores. Raises StepFailed."""
    told = os.environ.get(WORKERS_VARIABLE, "")
    if told and not (told.isdecimal() and 1 <= int(told) <= 64):
        raise StepFailed(f'{WORKERS_VARIABLE} is "{told}": set the number of notebooks at work at once, 1 to 64.')
    return int(told) if told else min(2, os.cpu_count() or 1)


class Crew:
    """Up to `size()` workers, started when they are first needed; a context that ends them."""

    def __init__(self):
        self.size = size()
        self._idle: list[_Worker] = []
        self._busy: dict[Connection, tuple[_Worker, Job]] = {}
        self._told: dict[Path, Any] = {}  # executed copy -> what became of it, until `run` is asked for it

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        self._end_busy()
        _stop(self._idle)
        if "ltvlab_utils.runner.execute" in sys.modules:
            sys.modules["ltvlab_utils.runner.execute"].end_spares()

    def prepare(self, folder: Path) -> None:
        """Gets each worker ready for a notebook: called while another is at work on the other core."""
        if self.size == 1:
            return
        busy = [worker for worker, _ in self._busy.values()]
        self._idle += [_Worker() for _ in range(self.size - len(self._idle) - len(busy))]
        for worker in [*self._idle, *busy]:  # one at work does so afterwards
            worker.send(folder)

    def begin(self, job: Job) -> None:
        """Begins a notebook beside those that `run` is asked for meanwhile; `run` yields it when it is asked for it."""
        worker = self._idle.pop() if self._idle else _Worker()
        self._busy[worker.pipe] = (worker, job)
        worker.send(job)

    def run(self, jobs: list[Job], on_cell: Callable[[Step, int], None]) -> Iterator[tuple[Step, Any]]:
        """Yields (step, Executed) as notebooks finish. One failure stops the others and is raised."""
        begun = {*self._told, *(job.copy for _, job in self._busy.values())}
        waiting = [job for job in jobs if job.copy not in begun]
        if len(waiting) == len(jobs) == 1 or self.size == 1:
            from ltvlab_utils.runner.execute import execute

            for job in jobs:
                job = replace(job, more=job.more and self.size > 1)
                yield job.step, execute(job, lambda index, step=job.step: on_cell(step, index))
            return
        wanted = {job.copy: job.step for job in jobs}
        try:
            while wanted:
                while waiting and len(self._busy) < self.size:
                    self.begin(waiting.pop(0))
                for copy in [copy for copy in wanted if copy in self._told]:
                    told = self._told.pop(copy)
                    if isinstance(told, BaseException):
                        raise told
                    yield wanted.pop(copy), told
                if wanted:
                    self._hear(wanted, on_cell)
        except BaseException:
            self._end_busy()
            raise

    def _hear(self, wanted: Collection[Path], on_cell: Callable[[Step, int], None]) -> None:
        """Waits for news of notebooks at work: passes the cells of the wanted ones on, keeps what became of any."""
        for pipe in wait(list(self._busy)):
            worker, job = self._busy[pipe]
            told = worker.hear(job)
            if not isinstance(told, int):
                del self._busy[pipe]
                self._told[job.copy] = told
                if worker.dead:
                    _stop([worker])
                else:
                    self._idle.append(worker)
            elif job.copy in wanted:
                on_cell(job.step, told)

    def _end_busy(self) -> None:
        _stop([worker for worker, _ in self._busy.values()])
        self._busy.clear()


class _Worker:
    def __init__(self):
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self.process.start()
        self.dead = False
        theirs.close()

    def send(self, what: Job | Path | None) -> None:
        """A job, a folder to get ready in, or None: end. A dead worker is heard of when its answer is waited for."""
        with contextlib.suppress(OSError):
            self.pipe.send(what)

    def hear(self, job: Job) -> Any:
        """The number of a cell that begins, what `execute` gave, or the error that it raised."""
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            self.dead = True
            return StepFailed(
                f"{job.step.notebook.name}: the process that ran it died, most often for want of memory. Start again, "
                f"with {WORKERS_VARIABLE}=1 to run one notebook at a time."
            )


def _stop(workers: list[_Worker]) -> None:
    """Ends workers and their kernels."""
    for worker in workers:
        worker.send(None)
    for worker in workers:
        worker.process.join(STOP_SECONDS)
        worker.pipe.close()  # a worker that hangs sees the end of the pipe and kills its kernel
        worker.process.join(1)
        if worker.process.is_alive():
            worker.process.kill()


def _serve(pipe: Connection) -> None:
    """A worker's life: for a folder it gets a kernel ready, a job it executes."""
    if hasattr(os, "setsid"):
        os.setsid()  # Ctrl-C at the terminal reaches the run alone, which then stops its workers
    # A run that a shell put in the background ignores this signal, and its children would too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    jobs: queue.SimpleQueue[Job | Path | None] = queue.SimpleQueue()
    at_work = threading.Event()
    threading.Thread(target=_listen, args=(pipe, jobs, at_work), daemon=True).start()
    from ltvlab_utils.runner.execute import end_spares, execute, prepare

    with contextlib.suppress(KeyboardInterrupt, OSError):
        while job := jobs.get():
            if isinstance(job, Path):
                prepare(job)
                continue
            at_work.set()
            try:
                told: Any = execute(job, pipe.send)
            except LtvLabError as error:
                told = error
            except Exception as error:
                told = _portable(error)
            at_work.clear()
            pipe.send(told)
    end_spares()


def _portable(error: Exception) -> Exception:
    """The error with its traceback as a note, which the run keeps; a copy where it cannot be sent."""
    told = traceback.format_exc()
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    error.add_note(told)
    return error


def _listen(pipe: Connection, jobs: queue.SimpleQueue, at_work: threading.Event) -> None:
    try:
        while job := pipe.recv():
            jobs.put(job)
    except (EOFError, OSError):  # the run was killed: nothing more may be written
        from ltvlab_utils.runner.execute import kill_kernels

        kill_kernels()
        os._exit(1)
    jobs.put(None)
    if at_work.is_set():
        os.kill(os.getpid(), signal.SIGINT)
