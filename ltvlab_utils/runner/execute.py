"""Executes one notebook in its own kernel by papermill, and says in one sentence what went wrong (floor 5).

This module imports papermill (seconds): import it only when something will run.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import papermill
from jupyter_client import AsyncKernelManager
from jupyter_core.utils import run_sync
from nbclient.exceptions import DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError

from ltvlab_utils import errors
from ltvlab_utils.errors import LtvLabError, Refused, StepFailed
from ltvlab_utils.runner import keys
from ltvlab_utils.runner.crew import Job
from ltvlab_utils.runner.environment import kernel_variables
from ltvlab_utils.runner.steps import KERNEL, Step
from ltvlab_utils.runner.words import clean, shown

logging.getLogger("papermill").setLevel(logging.CRITICAL)  # the sentence of the failure says it once

REMEDIES = {
    "MemoryError": " Not enough memory: close other programs, or use a machine with more.",
    "OSError": " If the disk is full, free some space and start again.",
}


# What notebooks of a review import: loaded by a kernel that waits for its notebook, in a namespace of its own.
PRELOAD = "import pandera.pandas, ltvlab_utils.store, ltvlab_utils.value, ltvlab_utils.pages, ltvlab_utils.plots"


class _Kernel:
    """A kernel that starts at once; `ahead` of its notebook it loads what notebooks of a review import."""

    def __init__(self, folder: Path, ahead: bool):
        self.folder = folder
        self.code = keys.code_hash() if ahead else ""  # what it loaded
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 - what it prints outside cells; lives as long as it does
        self.manager = AsyncKernelManager(kernel_name=KERNEL)
        run_sync(self.manager.start_kernel)(
            extra_arguments=[
                "--IPKernelApp.log_level=40",  # errors, not advice
                *([f'--IPKernelApp.exec_lines=exec("{PRELOAD}", {{}})'] if ahead else []),
                "--HistoryManager.hist_file=:memory:",
            ],
            env=kernel_variables(),
            cwd=str(folder),
            stdout=self.log,
            stderr=self.log,
        )

    def fits(self, folder: Path) -> bool:
        return self.folder == folder and run_sync(self.manager.is_alive)() and self.code == keys.code_hash()

    def end(self) -> None:
        with contextlib.suppress(OSError, RuntimeError):
            run_sync(self.manager.shutdown_kernel)(now=True)
        self.log.close()


_spare: list[_Kernel] = []


def prepare(folder: Path) -> None:
    """Starts a kernel for the next notebook of this process, so that it need not wait for one."""
    if not _spare:
        _spare.append(_Kernel(folder, ahead=True))


def end_spares() -> None:
    """Ends kernels that no notebook took."""
    while _spare:
        _spare.pop().end()


def _kernel(folder: Path) -> _Kernel:
    spare = _spare.pop() if _spare else None
    if spare and spare.fits(folder):
        return spare
    if spare:
        spare.end()
    return _Kernel(folder, ahead=False)


class _Engine(NBClientEngine):
    """papermill's engine, which takes a kernel that is there, reports each cell, and marks any failure."""

    kernel: _Kernel | None = None  # of the notebook at work in this process

    @classmethod
    def execute_managed_notebook(
        cls, nb_man, kernel_name, on_cell=None, on_error=None, kernel=None, start_timeout=120, **_
    ):
        state = {"cell": None, "index": 0}
        begin, fail = nb_man.cell_start, nb_man.cell_exception

        def cell_start(cell, cell_index=None, **more):
            state.update(cell=cell, index=cell_index)
            begin(cell, cell_index, **more)
            on_cell(cell_index)

        def cell_exception(cell, cell_index=None, exception=None, **more):
            on_error(exception)
            fail(cell, cell_index, exception=exception, **more)

        nb_man.cell_start, nb_man.cell_exception = cell_start, cell_exception
        client = PapermillNotebookClient(
            nb_man,
            km=kernel.manager,
            timeout=None,
            startup_timeout=start_timeout,
            kernel_name=kernel_name,
            log=logging.getLogger("papermill"),
        )
        try:
            return client.execute(cleanup_kc=True)
        except BaseException as error:  # a dead kernel or Ctrl-C would else leave a copy that looks complete
            nb_man.nb.metadata.papermill["exception"] = True
            error.ltvlab_cell = (state["index"], state["cell"])
            if state["cell"] is not None:
                nb_man.cell_exception(state["cell"], cell_index=state["index"], exception=error)
            raise


papermill_engines.register("ltvlab", _Engine)


def kill_kernels() -> None:
    """Kills the kernels of this process, in any thread: when nobody is left to wait for them."""
    for kernel in [*_spare, *filter(None, [_Engine.kernel])]:
        process = getattr(kernel.manager.provisioner, "process", None)
        if process is not None:
            with contextlib.suppress(OSError):
                process.kill()


@dataclass(frozen=True)
class Executed:
    """Times of a finished notebook: seconds in all, seconds until its kernel took the first cell, number of cells."""

    seconds: float
    kernel_start_seconds: float
    cells: int


def _run(job: Job, kernel: _Kernel, on_cell: Callable[[int], None], raised: list[Any]) -> Any:
    return papermill.execute_notebook(
        job.step.notebook,
        job.copy,
        parameters=job.values,
        engine_name="ltvlab",
        kernel_name=KERNEL,
        progress_bar=False,
        cwd=job.folder,
        on_cell=on_cell,
        on_error=raised.append,
        kernel=kernel,
    )


def execute(job: Job, on_cell: Callable[[int], None]) -> Executed:
    """Runs the notebook with the job's values, keeps the executed copy. `expected` is the hash of the checked notebook.

    Raises Refused when the notebook refused its data, StepFailed for everything else that can go wrong in it.
    """
    step, copy = job.step, job.copy
    raised: list[Any] = []  # what a cell raised, also where it could not be shown in the notebook
    kernel = _Engine.kernel = _kernel(job.folder)
    if job.more:
        prepare(job.folder)
    notebook = None
    try:
        try:
            notebook = _run(job, kernel, on_cell, raised)
        except RuntimeError as error:
            # Two kernels of two processes that start at once may pick one port: one of them dies before any cell ran.
            if getattr(error, "ltvlab_cell", (0, None))[1] is not None:
                raise
            kernel.end()
            kernel = _Engine.kernel = _Kernel(job.folder, ahead=False)
            notebook = _run(job, kernel, on_cell, raised)
    except PapermillExecutionError as error:
        told = error if error.evalue or not raised else raised[0]
        ename, evalue = getattr(told, "ename", error.ename), getattr(told, "evalue", str(told))
        raise _failure(step, copy, error.cell_index, error.source, ename, evalue) from None
    except DeadKernelError as error:
        index, cell = getattr(error, "ltvlab_cell", (0, None))
        said = _last_words(kernel)
        raise StepFailed(
            f"{step.notebook.name}{_where(copy, index, cell.source if cell else '')}: the kernel died, most often for "
            f"want of memory.{said} Open {shown(copy)}."
        ) from None
    except RuntimeError as error:  # a kernel that never answered
        raise StepFailed(f"{step.notebook.name}: no kernel came up ({clean(error)}).{_last_words(kernel)}") from None
    finally:
        _Engine.kernel = None
        if notebook is None and (printed := _printed(kernel)):
            with contextlib.suppress(OSError):  # a full disk: the failure itself says more
                job.log.write_bytes(printed)
        kernel.end()
    meta = notebook.metadata.papermill
    if meta.get("exception") or not meta.get("end_time"):
        raise StepFailed(f"{step.notebook.name} did not run to its end. Open {shown(copy)}.")
    if keys.cells_hash(notebook) != job.expected:
        raise StepFailed(f"{step.notebook.name} was changed while the run was at work: start the run again.")
    return _times(notebook)


def _times(notebook: Any) -> Executed:
    meta = notebook.metadata.papermill
    start = datetime.fromisoformat(meta["start_time"])
    first = next((c.metadata.papermill.get("start_time") for c in notebook.cells if c.metadata.get("papermill")), None)
    kernel = (datetime.fromisoformat(first) - start).total_seconds() if first else 0.0
    return Executed(round(meta["duration"], 3), round(kernel, 3), len(notebook.cells))


def _failure(step: Step, copy: Path, index: int, source: str, ename: str, evalue: str) -> LtvLabError:
    known = getattr(errors, ename, None)
    where = _where(copy, index, source)
    if isinstance(known, type) and issubclass(known, LtvLabError):
        kind = known if issubclass(known, Refused) else StepFailed
        return kind(f"{clean(evalue, 2000)}. Found by {step.notebook.name}{where}; executed copy: {shown(copy)}.")
    remedy = REMEDIES.get(ename, "")
    said = f": {clean(evalue)}" if evalue else ""
    return StepFailed(f"{step.notebook.name}{where} failed with {ename}{said}.{remedy} Open {shown(copy)}.")


def _where(copy: Path, index: int, source: str) -> str:
    """', cell 3 (`run.write(...)`)': the number that JupyterLab shows in front of the cell."""
    import nbformat

    lines = [line.strip() for line in str(source).splitlines()]
    first = next((line for line in lines if line and not line.startswith("#")), "")
    try:
        cells = [
            c for c in nbformat.read(copy, 4).cells if "papermill-error-cell-tag" not in c.metadata.get("tags", [])
        ]
        number = sum(c.cell_type == "code" for c in cells[: index + 1])
    except (OSError, ValueError):
        number = index + 1
    return f", cell {number} (`{clean(first, 80)}`)"


def _printed(kernel: _Kernel) -> bytes:
    kernel.log.seek(0)
    return kernel.log.read()


def _last_words(kernel: _Kernel) -> str:
    lines = _printed(kernel).decode("utf-8", errors="replace").strip().splitlines()
    return f' It said: "{clean(lines[-1], 160)}".' if lines else ""
