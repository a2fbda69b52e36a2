"""The text of company.yaml for a proposal: valid as it stands, a comment wherever a person should look."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path

from ltvlab_utils.sources.place import path_of
from ltvlab_utils.sources.propose import Proposal, Proposed

ORDER = (
    "mapping", "format", "encoding", "delimiter", "sheet", "skip", "header", "only", "repeats", "columns", "constants",
    "values", "date_format", "time_zone", "amounts_include_tax", "amount_unit", "fill_down", "returns",
    "further_lines", "may_lack",
)  # fmt: skip
COMMENT_WIDTH = 160


def text_of(
    company: str, proposal: Proposal, placed: Mapping[Path, str], margin: float | None = None, guests: float = 0.0
) -> str:
    """company.yaml. `placed`: path of each file below data/<company>/; `margin`: the rate that a person assumed;
    `guests`: share of rows that may be refused, where many have no customer."""
    said = sorted({f.path.name for s in proposal.sources for f in s.looks})
    lines = [
        _commented(f"# {company}: proposed by ltvlab init from {_harmless(', '.join(said))}."),
        "# A comment that begins with ? marks a guess: confirm it by taking the comment away, or correct the line.",
        f"name: {{ja: {scalar(company)}, en: {scalar(company)}}}",
    ]
    unsure = "  # ? the files do not say"
    home = "  # ? zone in which a month is cut" if proposal.time_zone == "UTC" else ""
    lines.append(f"time_zone: {proposal.time_zone}{home}")
    if len(proposal.currencies_seen) > 1:
        seen = ", ".join(proposal.currencies_seen[:6])
        lines.append(f"currency: {proposal.currency}  # ? the files hold {seen}; one reporting currency is read")
    else:
        lines.append(f"currency: {proposal.currency}{'' if proposal.currencies_seen else unsure}")
    lines.append(f"fiscal_year_start_month: {4 if proposal.japanese else 1}{unsure}")
    lines.append(f"language: {'ja' if proposal.japanese else 'en'}")
    lines += _value(proposal, margin)
    if guests > 0:
        lines.append(f"limits: {{rejected_share: {guests:g}}}  # many rows have no customer: they are set apart")
    lines.append("sources:")
    for table in proposal.tables():
        lines.append(f"  {table}:")
        for source in proposal.sources:
            if source.table == table:
                lines += _source(source, path_of([f.path for f in source.looks], placed))
    return "\n".join(lines) + "\n"


def questions(proposal: Proposal) -> list[str]:
    """What a person should look at, one sentence each."""
    return [
        f"{source.table}: {key} {_harmless(text.removeprefix('? '))}"
        for source in proposal.sources
        for key, text in source.comments.items()
        if text.startswith("?")
    ]


def _value(proposal: Proposal, margin: float | None) -> list[str]:
    if margin is not None:
        return [
            "value_basis: gross_profit  # of an assumed margin, and so labelled",
            f"assumed_margin_rate: {margin:g}  # assumed by a person: the files tell no cost",
        ]
    if proposal.lacks_cost():
        return ["value_basis: revenue  # no cost is known: add costs, or assumed_margin_rate with gross_profit"]
    if "support_costs" in proposal.tables():
        return ["value_basis: net_profit"]
    return ["value_basis: gross_profit  # net_profit once support costs are delivered"]


def _source(source: Proposed, path: str) -> list[str]:
    lines = [f"    - path: {scalar(path)}"]
    keys = {**({"mapping": source.mapping} if source.mapping else {}), **source.keys}
    for key in sorted(keys, key=lambda k: ORDER.index(k) if k in ORDER else len(ORDER)):
        lines += _key(key, keys[key], source.comments)
    for key in source.comments:
        if key == "date_format" and "date_format" not in keys:
            lines.append(_commented(f"      # {source.comments[key]}"))
    return lines


def _key(key: str, value: object, comments: Mapping[str, str]) -> list[str]:
    note = comments.get(key, "")
    if key == "columns" or (key == "values" and isinstance(value, dict)):
        lines = [_with(f"      {key}:", note)]
        for name, inner in value.items():
            if key == "values" and len(flow(inner)) > 80:
                lines.append(_with(f"        {name}:", comments.get(f"{key}.{name}", "")))
                lines += [f"          {scalar(old)}: {scalar(new)}" for old, new in inner.items()]
            else:
                lines.append(_with(f"        {name}: {flow(inner)}", comments.get(f"{key}.{name}", "")))
        return lines
    return [_with(f"      {key}: {flow(value)}", note)]


def _with(line: str, note: str) -> str:
    return f"{line}  # {_harmless(note)}" if note else line


def _harmless(text: str) -> str:
    """The text in one line that no line break of a file's header can leave."""
    line = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text)
    return line[:COMMENT_WIDTH].rstrip()


def _commented(line: str) -> str:
    return _harmless(line) if line.startswith("#") else line


def flow(value: object) -> str:
    """A value in one line of YAML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(str(k))}: {flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(flow(v) for v in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return scalar(value) if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)


def scalar(text: str) -> str:
    """A YAML scalar that is read back as this very text, in a flow or a block."""
    simple = re.fullmatch(r"[^\W\d_][\w./-]*( ?[\w./()%-]+)*", text) and text.isprintable()
    if simple and text.lower() not in ("true", "false", "null", "nan", "inf") and text.strip() == text:
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else "".join(f"\\u{u:04x}" for u in _units(c)) for c in quoted)


def _units(character: str) -> list[int]:
    """Its code point, or beyond the 16 bits that \\u holds nothing: such characters are replaced."""
    return [ord(character)] if ord(character) <= 0xFFFF else [0xFFFD]
