"""Where the files of a new company go: below data/<company>/, the only place that a review reads."""

from __future__ import annotations

import filecmp
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from ltvlab_utils.errors import Refused

SUFFIXES = (".csv", ".tsv", ".txt", ".gz", ".xlsx", ".xlsm", ".xls", ".ods", ".parquet")


def path_from(given: str) -> Path:
    """The path that a person wrote; ~ is the home folder where there is one."""
    try:
        return Path(given).expanduser()
    except RuntimeError:
        return Path(given)


def files_of(given: str) -> list[Path]:
    """The files that a person named: one file, or every table in a folder. Raises Refused."""
    path = path_from(given)
    try:
        if not path.is_dir():
            return [path]
        inside = sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith((".", "~$")))
    except (OSError, ValueError) as error:
        raise Refused(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    tables = [p for p in inside if p.name.lower().endswith(SUFFIXES)]
    if not tables:
        there = f" It holds {', '.join(p.name for p in inside[:3])}." if inside else ""
        raise Refused(f"{path} is a folder without a table ({', '.join(SUFFIXES)}).{there}")
    return tables


def is_inside(file: Path, home: Path) -> bool:
    return file.resolve().is_relative_to(home.resolve())


def names(files: Sequence[Path], folders: Sequence[Path], home: Path) -> dict[Path, str]:
    """Path below `home` of every file: where it lies if it lies there, else its own name, below the name of its folder
    where the folder was given. Raises Refused where two files would take one place."""
    made: dict[Path, str] = {}
    taken: dict[str, Path] = {}
    for file in dict.fromkeys(files):
        if is_inside(file, home):
            name = file.resolve().relative_to(home.resolve()).as_posix()
        else:
            parts = [file.resolve().parent.name, file.name] if file.parent in folders else [file.name]
            name = "/".join(_safe(part) for part in parts)
        if name in taken:
            raise Refused(f"{taken[name]} and {file} would both become {name}: rename one of them.")
        taken[name], made[file] = file, name
    return made


def _safe(name: str) -> str:
    return re.sub(r'[\\\x00-\x1f\x7f:*?"<>|\[\]]', "_", name).lstrip("~.") or "file"


def path_of(files: Sequence[Path], placed: Mapping[Path, str]) -> str:
    """The path of a source below data/<company>/: of its one file, or of the folder that holds its files."""
    first = placed[files[0]]
    return first if len(files) == 1 else first.rpartition("/")[0]


def refuse_taken(placed: dict[Path, str], home: Path) -> None:
    """Refused where another file already has the place of one."""
    for file, name in placed.items():
        there = home / name
        if there.exists() and not is_inside(file, home) and not filecmp.cmp(file, there, shallow=False):
            raise Refused(
                f"data/{home.name}/{name} is already there with other content and is not overwritten: rename {file}."
            )


def copy(file: Path, target: Path) -> bool:
    """Copies a file to a place that is free; it appears whole or not at all. False where it is there already."""
    if target.exists():
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        shutil.copyfile(file, temporary)
        os.link(temporary, target)  # unlike a rename it never replaces a file that came meanwhile
    except FileExistsError:
        return False
    except OSError as error:
        if target.exists():
            return False
        raise Refused(f"{file} cannot be copied to {target}: {error.strerror or error}.") from None
    finally:
        temporary.unlink(missing_ok=True)
    return True
