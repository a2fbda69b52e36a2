"""What a run says while it works: a bar on a terminal, one plain line a step in a log."""

from __future__ import annotations

import sys
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ltvlab_utils.runner.steps import read_cells


class Reporter:
    """Plain lines, flushed one by one; also the base of the bar."""

    def __init__(self, out: TextIO | None = None):
        self._out = out or sys.stdout
        self._title = ""
        self._count = (0, 0)

    def line(self, text: str) -> None:
        print(text, file=self._out, flush=True)

    def start(self, title: str, steps: int) -> None:
        self._title, self._count = title, (0, steps)

    def step(self, step) -> None:
        """A notebook begins."""

    def cell(self, step, index: int) -> None:
        """A cell of it begins."""

    def done(self, step, seconds: float | None) -> None:
        """A notebook is done; `seconds` is None when it was reused."""
        self._count = (self._count[0] + 1, self._count[1])
        how = "reused" if seconds is None else f"{seconds:.1f} s"
        self.line(f"{self._title}  {self._count[0]}/{self._count[1]}  {step.name:<16} {how}")

    def stop(self) -> None:
        """The run ended, well or not."""


class Bar(Reporter):
    """A bar with notebook and cell counts, for a terminal."""

    def __init__(self, console: Console):
        super().__init__()
        self._console = console
        self._bar: Progress | None = None
        self._running: dict[str, tuple[int, int]] = {}  # step: cell at work, cells

    def line(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False)

    def start(self, title: str, steps: int) -> None:
        super().start(title, steps)
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[what]}", markup=False),
        )
        self._bar = Progress(*columns, TimeElapsedColumn(), console=self._console, transient=True)
        self._bar.start()
        self._task = self._bar.add_task(title, total=steps, what="")

    def step(self, step) -> None:
        self._running[step.name] = (0, max(1, len(read_cells(step.notebook)["cells"]) + 1))
        self._show()

    def _show(self) -> None:
        done, steps = self._count
        what = ", ".join(f"{name} {cell + 1}/{cells}" for name, (cell, cells) in self._running.items())
        part = sum(cell / cells for cell, cells in self._running.values())
        self._bar.update(self._task, completed=done + part, what=f"{done}/{steps} done; cell of {what}" if what else "")

    def cell(self, step, index: int) -> None:
        self._running[step.name] = (index, self._running[step.name][1])
        self._show()

    def done(self, step, seconds: float | None) -> None:
        self._running.pop(step.name, None)
        super().done(step, seconds)
        if self._bar:
            self._show()

    def stop(self) -> None:
        if self._bar:
            self._bar.stop()
            self._bar = None


def reporter() -> Reporter:
    """The bar where somebody watches, plain lines elsewhere."""
    console = Console()
    return Bar(console) if console.is_terminal and not console.is_dumb_terminal else Reporter()
