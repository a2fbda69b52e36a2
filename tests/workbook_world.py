"""Workbooks for the tests, written by hand where no library of the lock writes them."""

from __future__ import annotations

import io
import struct
import zipfile

import openpyxl


def xlsx(rows: list[list], title: str = "Sheet1", **more: list[list]) -> bytes:
    """A workbook with these rows, and one more sheet for each further name."""
    book = openpyxl.Workbook()
    book.active.title = title
    for sheet, own in [(book.active, rows), *((book.create_sheet(n), r) for n, r in more.items())]:
        for row in own:
            sheet.append(row)
    book.save(out := io.BytesIO())
    return out.getvalue()


def repacked(data: bytes, name: str, change) -> bytes:
    """The workbook with one of its parts changed."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.namelist():
            content = old.read(part)
            new.writestr(part, change(content) if part == name else content)
    return out.getvalue()


def with_cached(data: bytes, formula: str, value: str) -> bytes:
    """The workbook as a spreadsheet saves it: the formula with the value that it had."""
    cell, saved = f"<f>{formula}</f><v />".encode(), f"<f>{formula}</f><v>{value}</v>".encode()

    def change(sheet: bytes) -> bytes:
        assert sheet.count(cell) + sheet.count(cell.replace(b" />", b"/>")) == 1, sheet
        return sheet.replace(cell, saved).replace(cell.replace(b" />", b"/>"), saved)

    return repacked(data, "xl/worksheets/sheet1.xml", change)


def ods(rows: list[list]) -> bytes:
    """An OpenDocument sheet: text and numbers, and dates as ISO texts that start with "date:"."""

    def cell(value) -> str:
        if isinstance(value, str) and value.startswith("date:"):
            return f'<table:table-cell office:value-type="date" office:date-value="{value[5:]}"/>'
        if isinstance(value, str):
            return f'<table:table-cell office:value-type="string"><text:p>{value}</text:p></table:table-cell>'
        return f'<table:table-cell office:value-type="float" office:value="{value}"/>'

    table = "".join(f"<table:table-row>{''.join(map(cell, row))}</table:table-row>" for row in rows)
    names = " ".join(f'xmlns:{n}="urn:oasis:names:tc:opendocument:xmlns:{n}:1.0"' for n in ("office", "table", "text"))
    content = (
        f'<?xml version="1.0"?><office:document-content {names}><office:body><office:spreadsheet>'
        f'<table:table table:name="Sheet1">{table}</table:table>'
        "</office:spreadsheet></office:body></office:document-content>"
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        file.writestr("META-INF/manifest.xml", '<?xml version="1.0"?><manifest/>')
        file.writestr("content.xml", content)
    return out.getvalue()


def xls(rows: list[list], title: str = "Sheet1") -> bytes:
    """An Excel 97 workbook ([MS-XLS] records in an [MS-CFB] file): texts and numbers."""

    def record(kind: int, body: bytes) -> bytes:
        return struct.pack("<HH", kind, len(body)) + body

    begin = struct.pack("<HHHHII", 0x0600, 0, 0x0DBB, 0x07CC, 0, 6)
    name = title.encode("utf-16-le")
    sheet_at = struct.pack("<IBBBB", 0, 0, 0, len(title), 1) + name
    start = len(record(0x809, begin)) + len(record(0x85, sheet_at)) + len(record(0x0A, b""))
    sheet_at = struct.pack("<I", start) + sheet_at[4:]
    book = record(0x809, begin[:2] + b"\5\0" + begin[4:]) + record(0x85, sheet_at) + record(0x0A, b"")
    book += record(0x809, begin[:2] + b"\x10\0" + begin[4:])
    for y, row in enumerate(rows):
        for x, value in enumerate(row):
            at = struct.pack("<HHH", y, x, 0)
            if isinstance(value, str):
                body = at + struct.pack("<HB", len(value), 1) + value.encode("utf-16-le")
                book += record(0x204, body)
            else:
                book += record(0x203, at + struct.pack("<d", value))
    book += record(0x0A, b"")
    return compound({"Workbook": book})


def compound(streams: dict[str, bytes]) -> bytes:
    """A compound file ([MS-CFB], version 3) of a few streams, each at least as long as the cutoff of short ones."""
    free, end, fat_sector = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
    sectors, fat, entries = [], [fat_sector, end], []
    for name, data in streams.items():
        padded = data.ljust(max(4096, -(-len(data) // 512) * 512), b"\0")
        first, count = len(fat), len(padded) // 512
        sectors += [padded[i : i + 512] for i in range(0, len(padded), 512)]
        fat += [*range(first + 1, first + count), end]
        entries.append((name, 2, first, len(padded)))
    assert len(fat) <= 128 and len(entries) == 1

    def entry(name: str, kind: int, child: int, first: int, size: int) -> bytes:
        text = (name + "\0").encode("utf-16-le")
        head = text.ljust(64, b"\0") + struct.pack("<HBBIII", len(text) if name else 0, kind, 1, free, free, child)
        return head + b"\0" * 36 + struct.pack("<IQ", first, size)

    (name, kind, first, size) = entries[0]
    folder = entry("Root Entry", 5, 1, end, 0) + entry(name, kind, free, first, size)
    folder += entry("", 0, free, 0, 0) * 2
    table = struct.pack("<128I", *fat, *[free] * (128 - len(fat)))
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 16 + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6)
    header += b"\0" * 6 + struct.pack("<IIIIIIIII", 0, 1, 1, 0, 4096, end, 0, end, 0)
    header += struct.pack("<109I", 0, *[free] * 108)
    return header + table + folder + b"".join(sectors)
