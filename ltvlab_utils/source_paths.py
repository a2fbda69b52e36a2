"""What the path and the sheet of a source may be (floor 1)."""

from __future__ import annotations

import re

DATABASE = "database:"
# table and schema are names of the database and always quoted there; a dot parts them
_NAME = r'[^./\\\x00-\x1f\x7f"]{1,128}'
_TABLE = re.compile(rf"database:[A-Za-z][A-Za-z0-9_]{{0,63}}/({_NAME}\.)?{_NAME}")


def checked_path(path: str) -> str:
    """The path as it stands. Raises ValueError where it could lead out of the company's data folder, or names no
    table."""
    if path.startswith(DATABASE):
        if not _TABLE.fullmatch(path):
            raise ValueError(
                "a database table is written database:NAME/TABLE or database:NAME/SCHEMA.TABLE, NAME in letters, "
                "digits and _; its URL stands in the environment variable LTVLAB_DATABASE_NAME"
            )
        return path
    parts = path.replace("\\", "/").removeprefix("package:").split("/")
    if ".." in parts or path.startswith(("/", "~")) or (len(path) > 1 and path[1] == ":") or "\0" in path:
        raise ValueError("must stay below the company's data folder (no .., no absolute path)")
    return path


def checked_sheet(name: str) -> str:
    """The name as it stands. Raises ValueError for what no spreadsheet takes as the name of a sheet."""
    if odd := re.search(r"[\x00-\x1f\x7f/\\?*:\[\]]", name):
        raise ValueError(f"no sheet can be called so: a name holds no {odd[0]!r}")
    return name
