"""Bytes of a file: unpacked where it is packed, looked through once, and the encoding that they are in.

Memory is one chunk, whatever the file holds; a packed file is followed only as far as a real one could go.
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ltvlab_utils.errors import Refused, nearest

PACKAGE = "package:"
MEGABYTE = 1 << 20
CHUNK = 4 * MEGABYTE
# A packed file may unpack to 256 MB, or to 200 times its size where that is more: repetitive exports reach 100 times.
UNPACKED, RATIO = 256 * 10**6, 200
MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
# In this order: each is strict enough to refuse the ones before it (ISO-2022-JP is ASCII with escapes, so it comes
# first, and only where a file holds the escape).
ESCAPED = ("iso2022_jp", "iso2022_jp_ext")
GUESSES = ("utf-8", "cp932", "euc_jp")


@dataclass(frozen=True)
class Look:
    """What one pass over a file tells. `fingerprint`: SHA-256 of the file; `content`: of what it unpacks to; `bytes`:
    its size; `plain`: no blank line, NUL, bare CR or open quote, and no line near the longest; `lines`: how many there
    are, 0 where quotes may hold line ends; `rows`: something follows the first line; `encoding`: Python's name, empty
    for a file that is no text."""

    fingerprint: str
    content: str
    bytes: int
    empty: bool
    plain: bool
    lines: int
    rows: bool
    encoding: str


def where(shown: str) -> str:
    """A file of a source as people know it."""
    return shown if shown.startswith((PACKAGE, "database:")) else f"data/{shown}"


def unpacks_too_far(unpacked: int, packed: int) -> bool:
    """True where no real extract of this packed size would unpack to so much."""
    return unpacked > max(UNPACKED, RATIO * packed)


def is_packed(path: Path) -> bool:
    return path.name.lower().endswith(".gz")


@contextmanager
def opened(path: Path, shown: str) -> Iterator[BinaryIO]:
    """The bytes of the file, unpacked. Raises Refused for what cannot be read, and for a bomb."""
    try:
        with path.open("rb") as raw:
            if not is_packed(path):
                yield raw
                return
            with gzip.GzipFile(fileobj=raw) as unpacked:
                yield io.BufferedReader(_Bounded(unpacked, path.stat().st_size, shown), 1 << 16)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise Refused(f"{where(shown)} is not a whole gzip file: copy it again, or deliver it unpacked.") from None
    except OSError as error:
        raise Refused(f"{where(shown)} cannot be read: {error.strerror or error}.") from None


class _Bounded(io.RawIOBase):
    """An unpacking stream that ends in a refusal where a real file would have ended long before."""

    def __init__(self, stream: BinaryIO, packed: int, shown: str) -> None:
        self.stream, self.packed, self.shown, self.seen = stream, packed, shown, 0

    def readable(self) -> bool:
        return True

    def readinto(self, into) -> int:
        data = self.stream.read(len(into))
        self.seen += len(data)
        if unpacks_too_far(self.seen, self.packed):
            raise Refused(
                f"{where(self.shown)} has {self.packed:,} bytes and unpacks to more than "
                f"{max(UNPACKED, RATIO * self.packed):,}, which no extract does: deliver it unpacked if it is real."
            )
        into[: len(data)] = data
        return len(data)


def look(path: Path, shown: str, is_text: bool, declared: str = "") -> Look:
    """One pass over the file; over a text in no UTF-8 one more for each encoding that is tried. Raises Refused."""
    content, size, head, odd, tail = hashlib.sha256(), 0, b"", False, b"\n"
    header = filled = rows = escaped = False
    lines = quotes = 0
    utf8 = codecs.getincrementaldecoder("utf-8")()
    with opened(path, shown) as file:
        while chunk := file.read(CHUNK):
            if chunk.endswith(b"\r"):
                chunk += file.read(1)
            content.update(chunk)
            head, size = head or chunk[:3], size + len(chunk)
            if is_text:
                seen = tail + chunk
                odd = odd or re.search(rb"\r(?!\n)|\n\r?\n|\x00", seen) is not None or _has_long_line(chunk)
                lines, quotes = lines + chunk.count(b"\n"), quotes + chunk.count(b'"')
                filled = filled or bool(chunk.removeprefix(codecs.BOM_UTF8).strip())
                after = chunk if header else chunk.partition(b"\n")[2]
                header, rows = header or b"\n" in chunk, rows or bool(after.strip())
                escaped = escaped or b"\x1b$" in seen
                utf8 = utf8 and _goes_on(utf8, chunk)
                tail = chunk[-2:]
    fingerprint = _sha256(path) if is_packed(path) else content.hexdigest()
    if not is_text:
        return Look(fingerprint, content.hexdigest(), size, not size, False, 0, True, "")
    mark = next((name for mark, name in MARKS.items() if head.startswith(mark)), "")
    utf8 = utf8 and _goes_on(utf8, b"", final=True)
    encoding = ""
    if filled:
        encoding = _declared(declared, mark, shown) if declared else mark or _found(path, shown, escaped, bool(utf8))
    lines = 0 if quotes else lines + (not tail.endswith(b"\n"))
    plain = not odd and quotes % 2 == 0
    return Look(fingerprint, content.hexdigest(), path.stat().st_size, not filled, plain, lines, rows, encoding)


def _has_long_line(chunk: bytes) -> bool:
    """True for a line of 2 MB, of which a chunk of even size has a whole megabyte; false for one of less than 1 MB."""
    return any(chunk.find(b"\n", at, at + MEGABYTE) < 0 for at in range(0, len(chunk) - MEGABYTE + 1, MEGABYTE))


def _goes_on(decoder: codecs.IncrementalDecoder, chunk: bytes, final: bool = False):
    """The decoder where the chunk fits, else None."""
    try:
        decoder.decode(chunk, final)
    except UnicodeError:
        return None
    return decoder


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _declared(declared: str, mark: str, shown: str) -> str:
    """Python's name of a declared encoding; a byte order mark of UTF-8 says more than company.yaml."""
    try:
        name = codecs.lookup(declared).name
        "".encode(name)  # hex, zip and the like are codecs of bytes
    except (LookupError, UnicodeError, ValueError):
        known = [*GUESSES, *ESCAPED[:1], "utf-16", "shift_jis"]
        raise Refused(f'{where(shown)}: no encoding is called "{declared}".{nearest(declared, known)}') from None
    return "utf-8-sig" if mark == "utf-8-sig" or name == "utf-8" else name


def _found(path: Path, shown: str, escaped: bool, utf8: bool) -> str:
    for name in ESCAPED if escaped else ():
        if misfit(path, shown, name) is None:
            return name
    if utf8:
        return "utf-8-sig"
    for name in GUESSES[1:]:
        if misfit(path, shown, name) is None:
            return name
    raise Refused(
        f"{where(shown)}, line {misfit(path, shown, 'utf-8')}: in no encoding that is known (UTF-8, cp932, EUC-JP, "
        "ISO-2022-JP, UTF-16 with its mark). Set `encoding` at this source, or export it as UTF-8."
    )


def misfit(path: Path, shown: str, encoding: str) -> int | None:
    """The line (from 1) at which the file does not fit the encoding; None where it fits."""
    decoder, line = codecs.getincrementaldecoder(encoding)(), 1
    with opened(path, shown) as file:
        while True:
            chunk = file.read(CHUNK)
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeError as error:
                return line + chunk[: max(getattr(error, "start", 0), 0)].count(b"\n")
            if not chunk:
                return None
            line += chunk.count(b"\n")


def not_decoded(path: Path, shown: str, encoding: str, declared: str) -> str:
    """The sentence for a text that does not fit its encoding, with the one that fits."""
    with opened(path, shown) as file:
        head = file.read(3)
    mark = next((name for mark, name in MARKS.items() if head.startswith(mark)), "")
    fits = [g for g in ((mark,) if mark else GUESSES) if misfit(path, shown, g) is None]
    hint = f" It reads as {fits[0]}: set `encoding: {fits[0]}` at this source." if fits else " Export it as UTF-8."
    return f"{where(shown)}, line {misfit(path, shown, encoding) or 1}: not {declared or encoding}.{hint}"
