"""Runs reviews: checks all periods, then executes, keeps and publishes one after the other (floor 5).

Only notebook 01, which of the period before reads nothing but what its 01 has staged, may begin while that is at work:
in its own run's folder, under its own period's lock. Whatever becomes of it is told when its period's turn comes.

A run is published by its last act alone; everything before happens in a folder that no reader looks at. See
docs/decisions.md for what a crash leaves behind.
"""

from __future__ import annotations

import contextlib
import time
import traceback
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ltvlab_utils.errors import LtvLabError, StepFailed
from ltvlab_utils.periods import Period, period_range
from ltvlab_utils.runner import delivered, keys, plan, reuse
from ltvlab_utils.runner.crew import Crew, Job
from ltvlab_utils.runner.environment import as_sentence, checkout, machine, sentences, terminate_as_interrupt
from ltvlab_utils.runner.plan import FINAL, PRELIMINARY, Plan
from ltvlab_utils.runner.progress import Reporter, reporter
from ltvlab_utils.runner.steps import Step, check_kernel, check_notebooks, find_steps, waves
from ltvlab_utils.store import layout, parquet, publish
from ltvlab_utils.tables import contract_of


@dataclass(frozen=True)
class Outcome:
    """What became of one period: the published run, and whether it was made now."""

    company: str
    period: str
    kind: str
    folder: Path
    made: bool
    seconds: float
    notes: tuple[str, ...] = ()

    @property
    def run_id(self) -> str:
        return self.folder.name


def run(
    company: str,
    periods: str,
    preliminary: bool = False,
    reports_dir: str = "",
    notebooks_dir: str = "",
    now: datetime | None = None,
    report: Reporter | None = None,
) -> list[Outcome]:
    """Reviews a period, or each of `2025-05..2025-06` in order. Raises LtvLabError with its exit status.

    Every period is checked before the first starts. `now` decides whether a month is over.
    """
    kind = PRELIMINARY if preliminary else FINAL
    moment = now or datetime.now(UTC)
    layout.check_company(company)
    params = [layout.resolve_params(company, str(month)) for month in period_range(periods)]
    for one in params:
        plan.check_period(one, kind, moment)
    steps = find_steps(notebooks_dir)
    root = str(layout.reports_root(reports_dir)) if str(reports_dir) else ""
    plans = [plan.make(one, kind, root, steps) for one in params]
    out, code = report or reporter(), keys.code_hash()
    outcomes: list[Outcome] = []
    checked = False
    with terminate_as_interrupt(), contextlib.ExitStack() as held, Crew() as crew:
        works = [_Work(one, out, crew, code) for one in plans]
        for work, following in zip(works, [*works[1:], None], strict=True):
            work.following = following
            held.enter_context(work.held)  # a period whose turn does not come is given back
        for number, one in enumerate(plans):
            try:
                one.look()
                same = _unchanged(one)
                if same:
                    outcomes.append(same)
                    continue
                if not checked:
                    check_notebooks(steps)
                    check_kernel()
                    checked = True
                outcomes.append(_review(works[number]))
            except LtvLabError as error:
                left = [p.params.period for p in plans[number + 1 :]]
                if left:
                    error.args = (f"{error} Not started for that reason: {', '.join(left)}.",)
                raise
    return [*outcomes[:-1], _with_note_on_later(outcomes[-1])]


def _with_note_on_later(last: Outcome) -> Outcome:
    """Says so where the month after was reviewed against other tables of this one."""
    later = Period.parse(last.period).shift(1)
    folder = last.folder.parents[1] / str(later)
    with contextlib.suppress(LtvLabError):
        run_id = publish.published_run_id(folder)
        prior = publish.read_manifest(folder / run_id).get("prior") if run_id else None
        if run_id and (prior or {}).get("tables_hash") != publish.read_manifest(last.folder)["tables_hash"]:
            return replace(
                last, notes=(*last.notes, f"{later} was reviewed against other tables of {last.period}: run it again.")
            )
    return last


def _unchanged(one: Plan) -> Outcome | None:
    run_id = reuse.unchanged(one.period_folder, one.keys, one.kind)
    if not run_id:
        return None
    return Outcome(one.params.company, one.params.period, one.kind, one.period_folder / run_id, False, 0.0)


def _review(work: _Work) -> Outcome:
    began, one, out = time.monotonic(), work.plan, work.out
    with sentences("The reports folder"), work.held:
        if not work.opened and (same := work.open()):
            return same
        work.manifest["prior"] = one.prior  # which a run that was opened early could not know
        if work.removed:
            out.line(f"{one.title}  removed unfinished or failed runs: {', '.join(work.removed)}")
        try:
            out.start(one.title, len(one.steps))
            work.steps()
            out.stop()
            work.complete()
        except BaseException as error:
            out.stop()
            told = work.failed(error)
            if told is error:
                raise
            raise told from error
    took = time.monotonic() - began
    return Outcome(one.params.company, one.params.period, one.kind, work.folder, True, took, tuple(work.notes))


@dataclass
class _Work:
    """A run that is being made."""

    plan: Plan
    out: Reporter
    crew: Crew
    code: str  # hash of the code that this process has loaded
    following: _Work | None = None  # the period after
    held: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)  # the period's lock
    opened: bool = False
    beside: dict[str, str] = field(default_factory=dict)  # the run of the period before, while that is at work
    early: Job | None = None  # notebook 01, begun while the period before was at work; None when its turn has come
    removed: list[str] = field(default_factory=list)
    folder: Path = Path()
    manifest: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def open(self) -> Outcome | None:
        """Takes the period and makes the run's folder. The published run instead when it is what would be made."""
        one = self.plan
        with contextlib.ExitStack() as held:
            held.enter_context(publish.run_lock(one.period_folder))
            one.look()  # another run may have published between the first look and the lock
            if same := _unchanged(one):
                return same
            plan.check_kind(one.period_folder, one.kind)
            self.removed = publish.clean_leftovers(one.period_folder)
            self._start()
            self.opened = True
            self.held.push(held.pop_all())
        return None

    def begin_early(self, before: Path) -> None:
        """Opens the run and begins its 01 while the period before is at work in the folder `before`: what its 01 has
        staged, with which this one compares, does not change any more.

        Not where an earlier run may serve: then nothing may be left to do. What hinders it is told when its turn comes.
        """
        first = self.plan.steps[0]
        if self.crew.size == 1 or first.number != "01":
            return
        with contextlib.suppress(LtvLabError, OSError):
            self.beside = {"period": before.parent.name, "run_id": before.name}
            self.plan.look()
            earlier = reuse.earlier_runs(self.plan.period_folder)
            if any(run.has(first.name, self.plan.keys[first.name]) for run in earlier) or self.open():
                return
            self.held.callback(self._clear_early)
            self.early = self._job(first, False)
            self.crew.begin(self.early)

    def _clear_early(self) -> None:
        """Leaves nothing of a run whose turn did not come. The crew has ended by then."""
        if self.early:
            with contextlib.suppress(OSError):
                publish.clean_leftovers(self.plan.period_folder)

    def _start(self) -> None:
        one = self.plan
        self.manifest = {
            "company": one.params.company,
            "period": one.params.period,
            "kind": one.kind,
            "inputs": [{**s, "rows": None} for s in one.sources],
            "prior": self.beside or one.prior,
            "git": checkout(),
            "packages": one.packages,
            **machine(),
            "seeds": one.seeds(),
            "started_at": _now(),
            "steps": {},
            "tables": {},
        }
        run_id = new_run_id(one.period_folder, datetime.now(), one.inputs_hash)
        self.folder = publish.start_run(one.period_folder, run_id, one.params_json, self.manifest)

    def save(self, status: str) -> None:
        self.manifest.update(run_id=self.folder.name, status=status)
        publish.write_manifest(self.folder, self.manifest)

    def steps(self) -> None:
        earlier = reuse.earlier_runs(self.plan.period_folder)
        later = waves(self.plan.steps)
        early, self.early = self.early, None
        if early and keys.notebook_hash(early.step.notebook) != early.expected:
            raise StepFailed(f"{early.step.notebook.name} was changed while the run was at work: start the run again.")
        if early:
            self._execute(later.pop(0), later, {})
        while later:
            wave, new = later.pop(0), []
            for step in wave:
                tables = self.manifest["tables"]
                record = reuse.link_step(step.name, self.plan.keys[step.name], earlier, self.folder, tables)
                if record is None:
                    new.append(step)
                else:
                    self._keep(step, record, None)
            if new:
                self._execute(new, later, _tables(self.folder))

    def _keep(self, step: Step, made: dict[str, Any], seconds: float | None) -> None:
        """The record of a finished step, in the order of the plan."""
        self.out.done(step, seconds)
        records = self.manifest["steps"] | {step.name: made}
        self.manifest["steps"] = {s.name: records[s.name] for s in self.plan.steps if s.name in records}
        if step.number == "01":
            delivered.count_inputs(self.folder, self.manifest["inputs"])
            self.manifest["restated"] = delivered.restated(self.folder)
        self.save("running")

    def _execute(self, wave: list[Step], later: list[list[Step]], before: dict[str, tuple[int, int]]) -> None:
        """`before` are the tables that the wave found."""
        together = bool(later) and len(later[0]) > 1  # what comes next runs side by side, in the crew's processes
        if len(wave) > 1:
            more = together
        else:
            more = bool(self.following) or any(len(w) == 1 for w in later)
            if wave[0].number == "02" and self.following:
                self.following.begin_early(self.folder)
            if together:
                self.crew.prepare(self._job(later[0][0], False).folder)
        marks: dict[str, tuple[int, int]] = {}
        for step in wave:
            self.out.step(step)
        for step, done in self.crew.run([self._job(step, more) for step in wave], self.out.cell):
            if step.is_page:
                self._page(step, self.folder / "notebooks" / f"{step.name}.ipynb")
            written = [name for name, mark in _tables(self.folder).items() if before.get(name) != mark]
            if len(wave) == 1:
                _check_writers(wave, written)
            own = sorted(name for name in written if _owner(name) == step.number)
            marks |= {name: mark for name, mark in _tables(self.folder).items() if name in own}
            for name in own:
                self.manifest["tables"][name] = describe_table(self.folder / "tables" / name, name)
            record = {
                "key": self.plan.keys[step.name],
                "notebook": step.notebook.name,
                "language": step.language or None,
                "seconds": done.seconds,
                "kernel_start_seconds": done.kernel_start_seconds,
                "cells": done.cells,
                "reused_from": None,
                "tables": own,
                "files": _files(self.folder, step.name),
            }
            self._keep(step, record, done.seconds)
        after = _tables(self.folder)
        _check_writers(wave, [name for name, mark in after.items() if before.get(name) != mark])
        for name in (n for n, mark in marks.items() if after.get(n) != mark):
            raise StepFailed(
                f'The table "{name}" was written again by a notebook that it does not belong to, beside '
                f"{' and '.join(step.notebook.name for step in wave)}: it belongs to notebook {_owner(name)} alone."
            )

    def _job(self, step: Step, more: bool) -> Job:
        one = self.plan
        values = step.values(one.params.company, one.params.period, self.folder.name, one.reports_dir)
        copy = self.folder / "notebooks" / f"{step.name}.ipynb"
        return Job(step, values, copy, self.folder / f"{step.name}.log", keys.notebook_hash(step.notebook), more)

    def _page(self, step: Step, copy: Path) -> None:
        from ltvlab_utils.pages import reading_copy

        name = self.plan.params.settings.name
        company = getattr(name, step.language) or name.ja or name.en or self.plan.params.company
        title = f"{company} {self.plan.params.period}"
        reading_copy(copy, self.folder / "pages" / f"{step.name}.html", step.language, title)

    def complete(self) -> None:
        """Everything is there: say so, make it a record, and let readers see it."""
        if not keys.code_hash() == self.plan.code == self.code:
            for record in self.manifest["steps"].values():
                record["key"] = ""
            self.notes.append("The code changed while the run was at work: the next run will reuse nothing of it.")
        told = self.manifest["tables"]
        self.manifest["tables_hash"] = keys.digest({name: told[name]["sha256"] for name in told})
        self.manifest["finished_at"] = _now()
        self.save("complete")
        publish.seal(self.folder)
        publish.publish(self.plan.period_folder, self.folder.name)

    def failed(self, error: BaseException) -> BaseException:
        """Marks the run as failed; returns what to raise. A run that is already complete stays complete."""
        if isinstance(error, Exception) and not isinstance(error, LtvLabError):
            error = as_sentence(error, "The run", self._keep_details(error))
        if self.manifest.get("status") != "complete":
            why = "stopped by a person or the system" if not isinstance(error, Exception) else str(error)
            self.manifest["failure"] = why
            with contextlib.suppress(OSError):  # a full disk: the next run cleans up what says `running`
                self.save("failed")
        return error

    def _keep_details(self, error: Exception) -> Path | None:
        file = self.folder / "error.log"
        try:
            file.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
        except OSError:
            return None
        return file


def new_run_id(period_folder: Path, moment: datetime, inputs_hash: str) -> str:
    """Local time and a short hash of the inputs: sorts by time, never names an existing run."""
    while True:
        run_id = f"{moment:%Y%m%d-%H%M%S}-{inputs_hash[:8]}"
        if not (period_folder / run_id).exists():
            return run_id
        moment += timedelta(seconds=1)


def describe_table(home: Path, name: str) -> dict[str, Any]:
    return {"rows": parquet.row_count(home), "sha256": parquet.content_hash(home), "contract": contract_of(name).tag}


def _tables(folder: Path) -> dict[str, tuple[int, int]]:
    """Table -> mark of its folder: a table that is written again gets another folder."""
    homes = (p for p in (folder / "tables").glob("[!.]*") if p.is_dir())
    return {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in homes}


def _files(folder: Path, step: str) -> list[str]:
    """Executed notebook and page of a step, relative to the run."""
    found = (folder / "notebooks" / f"{step}.ipynb", folder / "pages" / f"{step}.html")
    return [p.relative_to(folder).as_posix() for p in found if p.is_file()]


def _owner(table: str) -> str:
    """Number of the notebook that a table belongs to."""
    step = contract_of(table).step
    return "01" if step == "input" else step


def _check_writers(wave: list[Step], written: list[str]) -> None:
    """A table belongs to one notebook: reuse and readers rely on it."""
    for name in written:
        if _owner(name) not in [step.number for step in wave]:
            writer = " or ".join(step.notebook.name for step in wave)
            raise StepFailed(
                f'{writer} wrote the table "{name}", which belongs to notebook {_owner(name)}: move that cell.'
            )


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")
