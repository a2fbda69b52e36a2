"""What can go wrong, as sentences: what happened, where, and the remedy (floor 0).

An error of this module is written for the person who reads it. Notebooks and the command line show the sentence
alone; a traceback appears only for faults of this package.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LtvLabError(Exception):
    """Base of all errors that a user may meet; `exit_status` is what `ltvlab` ends with."""

    exit_status = 1

    def _render_traceback_(self) -> list[str]:
        """IPython's hook: in a notebook the sentence stands alone, without a traceback."""
        return [f"{type(self).__name__}: {self}"]


class Refused(LtvLabError):
    """Parameters or data were refused; nothing was written (exit 2)."""

    exit_status = 2


class ContractError(Refused):
    """A table does not keep its contract (exit 2)."""


class StepFailed(LtvLabError):
    """A notebook or its surroundings (disk, memory, database) failed (exit 1)."""


class Busy(LtvLabError):
    """Another run of this company and period is at work (exit 3)."""

    exit_status = 3


def nearest(word: str, known: Iterable[str]) -> str:
    """' Did you mean "x"?' for the known word nearest to `word`, else the known words, else nothing."""
    options = [str(k) for k in known]
    close = difflib.get_close_matches(str(word), options, n=1, cutoff=0.6)
    if close:
        return f' Did you mean "{close[0]}"?'
    if not options:
        return ""
    shown = ", ".join(sorted(options)[:12]) + (", …" if len(options) > 12 else "")
    return f" Known: {shown}."
