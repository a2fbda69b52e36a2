"""Which files and database tables a company delivers: files below its data folder, never outside it, in a fixed
order."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass, field
from pathlib import Path

from ltvlab_utils.errors import Refused, nearest
from ltvlab_utils.params import Params, Source
from ltvlab_utils.source_paths import DATABASE
from ltvlab_utils.sources import databases
from ltvlab_utils.sources.streams import PACKAGE, Look, look, where

TRUTH = ".truth"
# by the end of a name; whatever else it is, is csv
WORKBOOKS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
FORMATS = {".parquet": "parquet", **dict.fromkeys(WORKBOOKS, "workbook")}


@dataclass(frozen=True)
class SourceFile:
    """One file, or one database table, of one source. `format`, `encoding` and `delimiter` are settled: what
    company.yaml says, else what the file is. `path` of a database table is the Parquet file of the rows that were read.

    Made by `mapping`: `origin` says where each column comes from, `further` the places of the amount (and day) of each
    further line, `only` places and texts of the rows that are meant, `doubled` places of columns that stand twice.
    """

    table: str
    source: str
    file: str
    path: Path
    settings: Source
    fingerprint: str
    bytes: int
    plain: bool
    lines: int
    format: str
    encoding: str
    delimiter: str
    header: tuple[str, ...] = ()
    origin: dict[str, tuple[str, object]] = field(default_factory=dict)
    further: tuple[tuple[int, ...], ...] = ()
    only: tuple[tuple[int, tuple[str, ...]], ...] = ()
    doubled: tuple[tuple[int, int], ...] = ()
    columns_unknown: tuple[str, ...] = ()
    columns_missing: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """The file as people know it."""
        return where(self.file)


def format_of(source: Source, path: Path) -> str:
    """csv, text, parquet or workbook."""
    return source.format or FORMATS.get(path.suffix.lower(), "csv")


def _delimiter(source: Source, path: Path) -> str:
    return source.delimiter or ("\t" if path.name.lower().endswith((".tsv", ".tsv.gz")) else ",")


def find(params: Params, data_dir: Path) -> list[SourceFile]:
    """Every file of every source in the order of company.yaml, then by name. Raises Refused."""
    found: list[SourceFile] = []
    for table, sources in params.settings.sources.items():
        seen: dict[tuple[Path, str], str] = {}
        content: dict[tuple[str, str], str] = {}
        for number, source in enumerate(sources, 1):
            key = f"sources.{table}[{number}]"
            for shown, path in _paths(params.company, Path(data_dir), source, table, key):
                if source.sheet and path.suffix.lower() in WORKBOOKS:
                    shown = f"{shown} [{source.sheet}]"
                if (path, source.sheet) in seen:
                    raise Refused(
                        f"{shown} is matched twice for the table {table}, by {seen[path, source.sheet]} and {key}: "
                        "its rows would count twice. Make the paths in company.yaml exclusive."
                    )
                seen[path, source.sheet] = key
                form = "parquet" if source.path.startswith(DATABASE) else format_of(source, path)
                seen_as = look(path, shown, form in ("csv", "text"), source.encoding)
                if seen_as.empty:
                    raise Refused(
                        f"{where(shown)} is empty (table {table}): export it again, or take {key} out of company.yaml."
                    )
                same = content.setdefault((seen_as.content, source.sheet), shown)
                if seen_as.rows and same != shown:
                    raise Refused(
                        f"{where(shown)} is the same, byte for byte, as {where(same)}: its rows would count twice in "
                        f"{table}. Remove one of the two."
                    )
                found.append(_settled(table, source, shown, path, form, seen_as))
    return found


def _settled(table: str, source: Source, shown: str, path: Path, form: str, seen: Look) -> SourceFile:
    fingerprint = databases.fingerprint(path) if source.path.startswith(DATABASE) else seen.fingerprint
    return SourceFile(
        table, source.name or source.path, shown, path, source, fingerprint, seen.bytes, seen.plain, seen.lines, form,
        seen.encoding, _delimiter(source, path),
    )  # fmt: skip


def _paths(company: str, data_dir: Path, source: Source, table: str, key: str) -> list[tuple[str, Path]]:
    """The files of a source: how reports call them, and their real path."""
    if source.path.startswith(DATABASE):
        return [(source.path, databases.fetched(source.path, key))]
    if source.path.startswith(PACKAGE):
        return [_package_file(source.path, key)]
    root = data_dir.resolve()
    if TRUTH in root.parts:
        raise Refused(f"data/{company} leads into {TRUTH}, the truth of generated companies, which is never read.")
    pattern = source.path.replace("\\", "/").strip("/")
    if TRUTH in pattern.split("/"):
        raise Refused(f"{key}: the folder {TRUTH} holds the truth of generated companies and is never read.")
    literal = root / pattern
    if literal.is_dir():
        names = literal.iterdir()
    elif literal.exists() or not re.search(r"[*?\[]", pattern):
        names = [literal]
    else:
        names = root.glob(pattern)
    files = []
    for name in sorted(names, key=lambda p: p.as_posix()):
        real = name.resolve()
        shown = f"{company}/{name.relative_to(root).as_posix()}"
        if not real.is_relative_to(root) or TRUTH in real.parts[len(root.parts) :]:
            raise Refused(
                f"data/{shown} leads out of data/{company}/ (through a link): put the file itself into data/{company}/."
            )
        hidden = name.name.startswith((".", "~$")) and name != literal
        if real.is_file() and not hidden:
            files.append((shown, real))
    if files:
        return files
    there = [p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file() and not p.name.startswith(".")]
    have = nearest(pattern, there) if there else f" The folder data/{company}/ holds no file yet."
    raise Refused(
        f"data/{company}/{pattern} does not exist: {key} in params/{company}/company.yaml expects it for the table "
        f"{table}. Put the extract there or correct the path.{have}"
    )


def _package_file(path: str, key: str) -> tuple[str, Path]:
    name, _, inner = path.removeprefix(PACKAGE).partition("/")
    spec = importlib.util.find_spec(name) if re.fullmatch(r"[A-Za-z_]\w*", name) else None
    homes = list(spec.submodule_search_locations or []) if spec else []
    if not homes:
        raise Refused(f'{key}: no package "{name}" is installed; the path {path} needs it.')
    home = Path(homes[0]).resolve()
    real = (home / inner).resolve()
    if not real.is_relative_to(home) or not real.is_file():
        raise Refused(f'{key}: the package "{name}" has no file "{inner}".')
    return path, real
