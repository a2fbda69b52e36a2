"""Which files a company delivers: found below its data folder, never outside it, in a fixed order."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from dataclasses import dataclass, field
from pathlib import Path

from ltvlab_utils.errors import Refused, nearest
from ltvlab_utils.params import Params, Source

PACKAGE = "package:"
TRUTH = ".truth"


@dataclass(frozen=True)
class SourceFile:
    """One file of one source. Made by `mapping`: `origin` says where each column comes from, `further` the places of
    the amount (and day) of each further line, `only` places and texts of the rows that are meant, `doubled` places of
    columns that stand twice in the header."""

    table: str
    source: str
    file: str
    path: Path
    settings: Source
    fingerprint: str
    bytes: int
    plain: bool
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
        return self.file if self.file.startswith(PACKAGE) else f"data/{self.file}"


def find(params: Params, data_dir: Path) -> list[SourceFile]:
    """Every file of every source in the order of company.yaml, then by name. Raises Refused."""
    found: list[SourceFile] = []
    for table, sources in params.settings.sources.items():
        seen: dict[Path, str] = {}
        content: dict[str, str] = {}
        for number, source in enumerate(sources, 1):
            key = f"sources.{table}[{number}]"
            for shown, path in _paths(params.company, Path(data_dir), source, table, key):
                if path in seen:
                    raise Refused(
                        f"{shown} is matched twice for the table {table}, by {seen[path]} and {key}: its rows would "
                        "count twice. Make the paths in company.yaml exclusive."
                    )
                seen[path] = key
                fingerprint, size, plain, rows = _look(path, shown)
                if not size:
                    raise Refused(
                        f"{_where(shown)} is empty (table {table}): export it again, or take {key} out of company.yaml."
                    )
                if rows and fingerprint in content:
                    raise Refused(
                        f"{_where(shown)} is the same, byte for byte, as {_where(content[fingerprint])}: its rows "
                        f"would count twice in {table}. Remove one of the two."
                    )
                content[fingerprint] = shown
                found.append(
                    SourceFile(table, source.name or source.path, shown, path, source, fingerprint, size, plain)
                )
    return found


def _where(shown: str) -> str:
    return shown if shown.startswith(PACKAGE) else f"data/{shown}"


def _paths(company: str, data_dir: Path, source: Source, table: str, key: str) -> list[tuple[str, Path]]:
    """The files of a source: how reports call them, and their real path."""
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


def _look(path: Path, shown: str) -> tuple[str, int, bool, bool]:
    """SHA-256, size (0 = nothing but blanks), whether lines are plain (no blank line, NUL or bare CR), and whether
    anything follows the first line."""
    digest, size, odd, tail = hashlib.sha256(), 0, False, b"\n"
    header = content = rows = False
    try:
        with path.open("rb") as file:
            while chunk := file.read(1 << 22):
                if chunk.endswith(b"\r"):
                    chunk += file.read(1)
                digest.update(chunk)
                size += len(chunk)
                odd = odd or re.search(rb"\r(?!\n)|\n\r?\n|\x00", tail + chunk) is not None
                content = content or bool(chunk.removeprefix(b"\xef\xbb\xbf").strip())
                after = chunk if header else chunk.partition(b"\n")[2]
                header, rows = header or b"\n" in chunk, rows or bool(after.strip())
                tail = chunk[-2:]
    except OSError as error:
        raise Refused(f"{_where(shown)} cannot be read: {error.strerror or error}.") from None
    return digest.hexdigest(), size if content else 0, not odd, rows
