"""Files and folders that appear whole or not at all, with named points where a test can pull the plug."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

CRASH_VARIABLE = "LTVLAB_CRASH_AT"


def crash_point(name: str) -> None:
    """Kills this process here when LTVLAB_CRASH_AT names the point: what a power cut would do (crash tests only).

    `before:manifest` names the first of `before:manifest:running` and `before:manifest:complete`.
    """
    wanted = os.environ.get(CRASH_VARIABLE)
    if wanted and (name == wanted or name.startswith(f"{wanted}:")):
        os.kill(os.getpid(), signal.SIGKILL)


def sync(path: Path) -> None:
    """Brings a file or folder to the disk, where the system can."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:  # Windows opens no folder
        return
    try:
        os.fsync(handle)
    except OSError as error:  # a file system that cannot sync a folder; a full disk is a failure
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise
    finally:
        os.close(handle)


def write_text(file: Path, text: str, point: str) -> None:
    """Replaces a file atomically. Crash points: before:POINT, during:POINT (half written), after:POINT."""
    temporary = file.with_name(f".{file.name}.tmp")
    crash_point(f"before:{point}")
    data = text.encode("utf-8")
    with temporary.open("wb") as out:
        out.write(data[: len(data) // 2])
        out.flush()
        crash_point(f"during:{point}")
        out.write(data[len(data) // 2 :])
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(file)
    sync(file.parent)
    crash_point(f"after:{point}")


def write_json(file: Path, content: dict[str, Any], point: str) -> None:
    write_text(file, json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n", point)


def replace_folder(temporary: Path, folder: Path, point: str) -> None:
    """Moves a finished folder to its name; an older one of that name makes way first."""
    crash_point(f"before:{point}")
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    crash_point(f"during:{point}")
    temporary.rename(folder)
    sync(folder.parent)
    crash_point(f"after:{point}")
    shutil.rmtree(old, ignore_errors=True)


def link_file(source: Path, target: Path) -> None:
    """The file under a second name: a hard link, or a copy where the file system has none."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:
        shutil.copy2(source, target)


def link_tree(source: Path, target: Path) -> None:
    """The files of a folder under a second name."""
    shutil.copytree(source, target, copy_function=lambda old, new: link_file(Path(old), Path(new)), dirs_exist_ok=True)
