"""`ltvlab init`: looks at a company's files and proposes company.yaml."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

# What columns are called in exports, most telling first (compared without case, blanks, underscores and marks).
NAMES: dict[str, dict[str, tuple[str, ...]]] = {
    "order_lines": {
        "order_id": ("注文番号", "受注番号", "受注no", "伝票番号", "注文id", "受注id", "orderid", "ordernumber",
                     "orderno", "invoiceno", "invoicenumber", "name", "order"),
        "customer_id": ("得意先コード", "得意先cd", "顧客コード", "顧客id", "会員id", "取引先コード", "貴社独自会員id",
                        "customerid", "customercode", "accountid", "customeremail", "email", "customer", "会社名",
                        "得意先名", "得意先"),
        "ordered_at": ("注文日", "受注日", "注文日時", "受注日時", "売上日", "伝票日付", "orderedat", "orderdate",
                       "invoicedate", "createdat", "date", "日付"),
        "net_amount": ("税抜金額", "金額(税抜)", "明細金額", "小計", "netamount", "lineamount", "linetotal", "amount",
                       "subtotal", "revenue", "sales", "金額", "売上金額", "total"),
        "quantity": ("数量", "個数", "quantity", "lineitemquantity", "qty"),
        "cost_amount": ("原価金額", "原価", "costamount", "cost"),
        "product_id": ("商品コード", "品番", "商品cd", "productid", "productcode", "sku", "stockcode", "lineitemsku"),
        "line_no": ("明細番号", "行番号", "lineno", "linenumber"),
    },
    "contract_terms": {
        "contract_id": ("契約番号", "契約id", "contractid", "subscriptionid", "id"),
        "customer_id": ("得意先コード", "顧客コード", "顧客id", "取引先コード", "customerid", "accountid", "customer"),
        "product_id": ("商品コード", "プラン", "productid", "plan", "planid"),
        "term_no": ("期", "更新回数", "termno"),
        "starts_on": ("契約開始日", "開始日", "startson", "startdate", "currentperiodstart"),
        "ends_on": ("契約終了日", "終了日", "満了日", "endson", "enddate", "currentperiodend"),
        "term_months": ("契約月数", "契約期間", "termmonths"),
        "billing": ("請求周期", "支払周期", "billing", "interval"),
        "monthly_amount": ("月額", "月額金額", "monthlyamount", "mrr", "amount"),
        "outcome": ("結果", "更新結果", "outcome", "status"),
        "outcome_on": ("結果日", "解約日", "outcomeon", "canceledat", "endedat"),
    },
}  # fmt: skip
CONSTANTS = {"order_lines": {"status": "confirmed", "kind": "sale"}, "contract_terms": {}}
ENCODINGS = ("utf-8", "cp932", "euc-jp")


@dataclass(frozen=True)
class Look:
    """What the first lines of a file say."""

    file: Path
    encoding: str
    delimiter: str
    header: list[str]
    first: list[str]


def register(app: typer.Typer) -> None:
    app.command("init")(init)


def init(
    company: Annotated[str, typer.Argument(help="Name of the new folder: small letters, digits, - and _.")],
    orders: Annotated[str, typer.Option(metavar="FILE", help="A CSV of order lines.")] = "",
    contracts: Annotated[str, typer.Option(metavar="FILE", help="A CSV of contract terms.")] = "",
) -> None:
    """Look at a company's files and propose params/COMPANY/company.yaml. Nothing is overwritten or copied.

    Example: ltvlab init acme --orders orders.csv
    """
    from ltvlab_utils.errors import Refused
    from ltvlab_utils.params import COMPANY_PATTERN
    from ltvlab_utils.runner.words import shown
    from ltvlab_utils.store import layout

    if not re.fullmatch(COMPANY_PATTERN, company):
        raise Refused(f'"{company}" cannot be a folder name here: use small letters, digits, - and _, such as acme.')
    target = layout.params_root() / company / "company.yaml"
    if target.exists():
        raise Refused(f"{shown(target)} is already there and is not overwritten: edit it, or choose another name.")
    given = {"order_lines": orders, "contract_terms": contracts}
    looks = {table: look(Path(file).expanduser()) for table, file in given.items() if file}
    if not looks:
        raise Refused("Name at least one file: --orders FILE or --contracts FILE.")
    home = layout.data_root() / company
    text, open_questions = propose(company, looks, home)
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("x", encoding="utf-8") as out:
        out.write(text)
    typer.echo(f"Wrote {shown(target)}. Read it through; lines with `?` are guesses.")
    for question in open_questions:
        typer.echo(f"  ? {question}")
    for found in looks.values():
        if not _inside(found.file, home):
            typer.echo(f"Put {found.file.name} into {shown(home)}/")
    typer.echo(f"Then: ltvlab check {company}")


def look(file: Path) -> Look:
    """Encoding, delimiter, header and first row of a CSV. Raises Refused."""
    from ltvlab_utils.errors import Refused

    try:
        with file.open("rb") as opened:
            head = opened.read(65_536)
    except OSError as error:
        raise Refused(f"{file} cannot be read: {error.strerror}.") from None
    if not head.strip():
        raise Refused(f"{file.name} is empty: export it again.")
    if b"\0" in head[:1000]:
        raise Refused(f"{file.name} is no text file: export it as CSV.")
    head = head if len(head) < 65_536 else head[: head.rfind(b"\n") + 1] or head
    for encoding in ("iso2022_jp", *ENCODINGS) if b"\x1b$" in head else ENCODINGS:
        try:
            text = head.decode("utf-8-sig" if encoding == "utf-8" else encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        raise Refused(f"{file.name}: the encoding is none of {', '.join(ENCODINGS)}: export it as UTF-8.")
    first_line = text.splitlines()[0]
    delimiter = max(",\t;|", key=first_line.count)
    rows = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if any(row)]
    header = [name.strip() for name in rows[0]]
    if len(header) < 2:
        raise Refused(f'{file.name}: only one column ("{header[0][:40]}") is seen: export it as CSV with a header row.')
    return Look(file, encoding, delimiter, header, rows[1] if len(rows) > 1 else [])


def guess(table: str, header: list[str]) -> dict[str, str]:
    """contract column: column of the file. A column of the file serves once."""
    plain = {_plain(name): name for name in reversed(header)}
    found: dict[str, str] = {}
    for column, names in NAMES[table].items():
        hit = next((plain[_plain(n)] for n in names if _plain(n) in plain), None)
        hit = hit or next((plain[p] for n in names if len(n) > 3 for p in plain if _plain(n) in p), None)
        if hit and hit not in found.values():
            found[column] = hit
    return found


def _plain(name: str) -> str:
    return re.sub(r"[\s_\-./()（）・:]", "", name).lower()


def propose(company: str, looks: dict[str, Look], home: Path) -> tuple[str, list[str]]:
    """The text of company.yaml and what a person should look at."""
    from ltvlab_utils.tables import CONTRACTS

    questions: list[str] = []
    lines = [
        f"# {company}: proposed from the header rows of its files. `?` marks a guess: confirm or correct it.",
        f"name: {{ja: {company}, en: {company}}}",
        "time_zone: Asia/Tokyo  # ? zone in which a month is cut",
        "currency: JPY  # ?",
        "fiscal_year_start_month: 4  # ?",
    ]
    maps = {table: guess(table, found.header) for table, found in looks.items()}
    known_cost = "cost_amount" in maps.get("order_lines", {})
    basis = "gross_profit" if known_cost else "revenue"
    why = (
        "cost is known"
        if known_cost
        else "no cost column found; assumed_margin_rate: 0.3 with gross_profit would assume one"
    )
    lines += [f"value_basis: {basis}  # {why}", "sources:"]
    for table, found in looks.items():
        mapped = maps[table]
        lines += [f"  {table}:", f"    - path: {_yaml(_relative(found.file, home))}"]
        if found.encoding != "utf-8":
            lines.append(f"      encoding: {found.encoding}")
        if found.delimiter != ",":
            lines.append(f"      delimiter: {json.dumps(found.delimiter)}")
        lines.append("      columns:")
        constants = dict(CONSTANTS[table])
        for column in NAMES[table]:
            name, contract = mapped.get(column), CONTRACTS[table].column[column]
            if name:
                sure = _plain(name) == _plain(column)
                lines.append(f"        {column}: {_yaml(name)}" + ("" if sure else f"  # ? {contract.meaning}"))
                constants.pop(column, None)
            elif not contract.optional:
                questions.append(f"{table}.{column}: no column found ({contract.meaning})")
                lines.append(f"        # {column}: ?  # {contract.meaning}")
        constants = {k: v for k, v in constants.items() if k not in mapped}
        if constants:
            pairs = ", ".join(f"{k}: {v}" for k, v in constants.items())
            lines.append(f"      constants: {{{pairs}}}  # ? every row is a confirmed sale")
        shape = _date_shape(found, mapped)
        if shape:
            lines.append(
                f"      # date_format: ?  # dates look like {_yaml(shape)}; needed where they are not 2025-06-30"
            )
            questions.append(f'{table}: dates look like "{shape}": set date_format')
    return "\n".join(lines) + "\n", questions


def _date_shape(found: Look, mapped: dict[str, str]) -> str:
    """The first date, where it is not written year first."""
    for column in ("ordered_at", "starts_on"):
        name = mapped.get(column)
        index = found.header.index(name) if name else len(found.first)
        if index < len(found.first) and not re.match(
            r"\d{4}[-/]\d{1,2}[-/]\d{1,2}", value := found.first[index].strip()
        ):
            return re.sub(r"[^\w\s:/.,年月日+-]", "", value)[:25]
    return ""


def _yaml(text: str) -> str:
    """A YAML scalar that is read back as this text."""
    return (
        text
        if re.fullmatch(r"[^\W\d_][\w.*/-]*", text) and text.lower() not in ("true", "false", "null")
        else json.dumps(text, ensure_ascii=False)
    )


def _inside(file: Path, home: Path) -> bool:
    return file.resolve().is_relative_to(home.resolve())


def _relative(file: Path, home: Path) -> str:
    return file.resolve().relative_to(home.resolve()).as_posix() if _inside(file, home) else file.name
