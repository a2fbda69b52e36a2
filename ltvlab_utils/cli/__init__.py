"""The `ltvlab` command (floor 5): a file a verb. Exit status: 0 done, 1 failed, 2 refused, 3 busy, 130 stopped."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from pathlib import Path

import typer

from ltvlab_utils.cli import check, init, links, listing, run, sample, show
from ltvlab_utils.errors import LtvLabError

DEBUG_VARIABLE = "LTVLAB_DEBUG"
STOPPED = 130

app = typer.Typer(
    name="ltvlab",
    help="Monthly customer value reviews from a company's own extracts. Start with `ltvlab list`.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for verb in (run, check, init, links, sample, listing, show):
    verb.register(app)


def main(arguments: list[str] | None = None) -> None:
    """Runs one verb and ends the process with its exit status; every foreseen failure is one sentence on stderr."""
    try:
        status = app(args=arguments, standalone_mode=False)
    except LtvLabError as error:
        status = _say(f"ltvlab: {error}", error.exit_status)
        if os.environ.get(DEBUG_VARIABLE):
            traceback.print_exc()
    except OSError as error:
        status = _say(f"ltvlab: {error.strerror or type(error).__name__}: {error.filename or 'a file'}.", 1)
        if os.environ.get(DEBUG_VARIABLE):
            traceback.print_exc()
    except typer.Abort:
        status = STOPPED
    except Exception as error:
        status = _usage(error) or _unexpected(error)
    if status == STOPPED:  # typer returns this for Ctrl-C
        _say("ltvlab: stopped. What was published before is unchanged.", STOPPED)
    raise SystemExit(status if isinstance(status, int) else 0)


def _say(sentence: str, status: int) -> int:
    from ltvlab_utils.runner.words import harmless

    print(harmless(sentence.replace("\n", " ")), file=sys.stderr, flush=True)
    return status


def _usage(error: Exception) -> int:
    """typer's own message for unknown verbs and options; 0 when the error is none of these."""
    if not hasattr(error, "format_message") or not hasattr(error, "exit_code"):
        return 0
    error.show()
    return error.exit_code


def _unexpected(error: Exception) -> int:
    from ltvlab_utils.runner.words import clean

    what = f"ltvlab: unexpected {type(error).__name__}: {clean(error)}."
    if os.environ.get(DEBUG_VARIABLE):
        traceback.print_exc()
        return _say(what, 1)
    try:
        with tempfile.NamedTemporaryFile("w", prefix="ltvlab-", suffix=".log", delete=False, encoding="utf-8") as log:
            log.write("".join(traceback.format_exception(error)))
        return _say(f"{what} Details: {Path(log.name)}", 1)
    except OSError:
        return _say(f"{what} {DEBUG_VARIABLE}=1 shows the details.", 1)
