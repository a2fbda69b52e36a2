"""Folders: params/, data/ and reports/, and what lies where below them."""

from __future__ import annotations

import os
import re
from pathlib import Path

import ltvlab_utils
from ltvlab_utils import links
from ltvlab_utils.errors import Refused, nearest
from ltvlab_utils.params import COMPANY_PATTERN, Params, resolve
from ltvlab_utils.periods import Period

LAB = "_lab"
TRUTH = ".truth"


def workspace() -> Path:
    """The folder that holds notebooks/ and params/: beside the package, else the current folder or one above it."""
    beside = Path(ltvlab_utils.__file__).resolve().parents[1]
    here = Path.cwd()
    return next((p for p in (beside, here, *here.parents) if (p / "params").is_dir()), beside)


def _root(variable: str, name: str) -> Path:
    moved = os.environ.get(variable, "")
    return _no_truth(Path(moved).expanduser().resolve(), variable) if moved else workspace() / name


def _no_truth(folder: Path, setting: str) -> Path:
    """The folder, unless it lies within the truth of generated companies, which no review may read."""
    if TRUTH in folder.parts:
        raise Refused(
            f"{setting} leads into the folder {TRUTH}, which holds the truth of generated companies and is never read: "
            "name another folder."
        )
    return folder


def params_root() -> Path:
    return _root("LTVLAB_PARAMS", "params")


def data_root() -> Path:
    return _root("LTVLAB_DATA", "data")


def reports_root(reports_dir: str | Path = "") -> Path:
    """The reports folder: the argument, else LTVLAB_REPORTS, else reports/ of the workspace."""
    if str(reports_dir):
        return _no_truth(Path(reports_dir).expanduser().resolve(), "reports_dir")
    return _root("LTVLAB_REPORTS", "reports")


def companies() -> list[str]:
    """Companies with a company.yaml, by name."""
    root = params_root()
    return sorted(p.parent.name for p in root.glob("*/company.yaml") if re.fullmatch(COMPANY_PATTERN, p.parent.name))


def check_company(company: str) -> str:
    """The name of a company that has parameters. Raises Refused with the nearest name; safe against path tricks."""
    known = companies()
    if company not in known:
        raise Refused(
            f'No company is called "{company}": there is no params/{_shown(company)}/company.yaml.'
            f"{nearest(company, known)}"
        )
    return company


def _shown(company: str) -> str:
    return company if re.fullmatch(COMPANY_PATTERN, str(company)) else "NAME"


def params_dir(company: str) -> Path:
    return params_root() / check_company(company)


def check_name(company: str) -> str:
    """A name that a company may have. Raises Refused."""
    if not re.fullmatch(COMPANY_PATTERN, company):
        raise Refused(
            f'"{_printable(company)}" cannot be the name of a company: small letters, digits, - and _, 64 at most.'
        )
    return company


def new_company(company: str, text: str) -> Path:
    """Writes params/<company>/company.yaml of a company that is new. Raises Refused for an impossible name."""
    file = params_root() / check_name(company) / "company.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(".company.yaml.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(file)
    return file


def _printable(name: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in name)[:64]


def data_dir(company: str) -> Path:
    """The folder of a company's extracts. The truth of generated companies is not reachable from here."""
    return data_root() / check_company(company)


def resolve_params(company: str, period: str) -> Params:
    """Reads params/<company>/company.yaml and, if present, <period>.yaml. Raises Refused."""
    from ltvlab_utils.sources import ready  # sources imports store

    month = Period.parse(period)
    folder = params_dir(company)
    period_file = folder / f"{month}.yaml"
    return resolve(
        company,
        str(month),
        _text(folder / "company.yaml"),
        _text(period_file) if period_file.is_file() else None,
        f"params/{company}/company.yaml",
        f"params/{company}/{month}.yaml",
        ready.keys_of,
        links_text(company),
    )


def links_text(company: str) -> str:
    """The text of params/<company>/links.csv; "" where there is none. Raises Refused."""
    file = params_dir(company) / links.FILE
    if not file.is_file():
        return ""
    if file.stat().st_size > links.MOST_BYTES:
        raise Refused(f"params/{company}/{links.FILE} has more than {links.MOST_BYTES >> 20} MB: it holds decisions.")
    data = file.read_bytes()
    for encoding in ("utf-8-sig", "cp932"):  # a Japanese spreadsheet saves CSV as cp932
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise Refused(f"params/{company}/{links.FILE} is neither UTF-8 nor Shift-JIS: save it as CSV UTF-8.")


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except IsADirectoryError:
        raise Refused(f"params/{file.parent.name}/{file.name} is a folder: a file of that name is needed.") from None
    except UnicodeDecodeError:
        raise Refused(f"params/{file.parent.name}/{file.name} is not UTF-8: save it as UTF-8.") from None


def period_dir(company: str, period: Period, reports_dir: str | Path = "") -> Path:
    return reports_root(reports_dir) / company / str(period)


def periods_with_review(company: str, reports_dir: str | Path = "") -> list[Period]:
    """Periods of a company that have a published run, in order."""
    folder = reports_root(reports_dir) / company
    found = (p.parent.name for p in folder.glob("*/published.json"))
    return sorted(Period.parse(name) for name in found if re.fullmatch(r"\d{4}-\d{2}", name))
