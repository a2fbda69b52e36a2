"""Extracts and truth of a generated company, written when they are missing or their setting or generator changed.

Extracts lie in data/<company>/, the truth in data/.truth/<company>/, which nothing in this package ever reads: it is
for tests, benchmarks and people. `ensure_generated` writes the facts (latents, faults, links, decisions, realised
values), which take a second; `write_futures` what needs thousands of futures.
"""

from __future__ import annotations

import hashlib
import json
import os
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import yaml
from filelock import FileLock

import ltvlab_utils.sample
from ltvlab_utils import sample
from ltvlab_utils.errors import Refused
from ltvlab_utils.params import LIVED, Generator, Params
from ltvlab_utils.sources import at_scale, formats
from ltvlab_utils.sources.files import TRUTH

STAMP = ".generated.json"
PARQUET = {"usage"}
# the order system speaks Japanese, so that the mapping of company.yaml has something to do
HEADERS = {
    "order_lines": {
        "order_id": "受注番号", "line_no": "行番号", "customer_id": "得意先コード", "ordered_at": "受注日時",
        "status": "受注状態", "shipped_on": "出荷日", "invoiced_on": "請求日", "bill_to_id": "請求先コード",
        "end_user_id": "エンドユーザーコード", "product_id": "商品コード", "category": "商品分類", "quantity": "数量",
        "net_amount": "金額（税抜）", "discount_amount": "値引額", "cost_amount": "原価", "tax_rate": "消費税率",
        "kind": "区分", "returns_order_id": "元受注番号",
    },
}  # fmt: skip
CODES = {
    "order_lines": {
        "status": {"confirmed": "確定", "cancelled": "取消", "backlog": "受注残"},
        "kind": {"sale": "売上", "return": "返品"},
    }
}
# the same firms in other systems: file, encoding, names of key and name
OTHERS = {
    "shop": ("shop_members.csv", "utf-8", "会員ID", "会社名"),
    "accounting": ("accounting_partners.csv", "cp932", "取引先コード", "取引先名"),
    "old_list": ("old_list.csv", "utf-8-sig", "No", "顧客名"),
}
SYSTEMS = {
    "customers": "crm", "customer_owners": "crm", "products": "order_system", "contract_terms": "contract_system",
    "contract_changes": "contract_system", "support_costs": "help_desk", "usage": "product_log", "activities": "crm",
    "milestones": "help_desk", "surveys": "help_desk", "deals": "crm", "contacts": "crm", "receivables": "accounting",
    "targets": "budget", "campaigns": "campaign_list", "assignments": "campaign_list", "touches": "campaign_list",
}  # fmt: skip
LINES_PER_CUSTOMER = 20  # of a company at scale, where `lines` is not given


def is_at_scale(generator: Generator) -> bool:
    """Whether the company is too large to be lived month by month: DuckDB draws it, and its futures are not known."""
    return generator.customers > LIVED


def sources_of(generator: Generator) -> dict[str, list[dict]]:
    """The `sources:` of company.yaml by which the extracts of a generated company are read."""
    if is_at_scale(generator):
        files = {
            "order_lines": "order_lines/*.parquet",
            "customers": "customers.parquet",
            "products": "products.parquet",
        }
        return {table: [{"name": "order_system", "path": path, "format": "parquet"}] for table, path in files.items()}
    codes = {column: {ja: code for code, ja in words.items()} for column, words in CODES["order_lines"].items()}
    columns, order_lines = HEADERS["order_lines"], {"name": "order_system", "path": "order_lines.csv"}
    found = {"order_lines": [{**order_lines, "columns": dict(columns), "values": codes}]}
    for table, system in SYSTEMS.items():
        path = {"path": f"{table}.parquet", "format": "parquet"} if table in PARQUET else {"path": f"{table}.csv"}
        found[table] = [{"name": system, **path}]
    return found


def company_yaml(company: str, generator: Generator) -> str:
    """Parameters of a generated company, ready to run."""
    known = generator.model_dump(exclude_none=True)
    costs = {} if is_at_scale(generator) else {"servicing_cost_per_order": sample.SERVICING}
    basis = "gross_profit" if is_at_scale(generator) else "net_profit"
    settings = {
        "name": {"ja": company, "en": company},
        "time_zone": "Asia/Tokyo",
        "currency": "JPY",
        "fiscal_year_start_month": 4,
        "value_basis": basis,
        **costs,
        "models": {"segment_by": "industry"},
        "generator": known,
        "sources": sources_of(generator),
    }
    head = f"# A generated company: its extracts are made from the settings below into data/{company}/.\n"
    return head + yaml.safe_dump(settings, allow_unicode=True, sort_keys=False, width=110)


def setting_of(generator: Generator) -> sample.Setting:
    """The setting of a company from its parameters."""
    return sample.Setting(**generator.model_dump(exclude={"lines"}))


def truth_dir(data_dir: str | Path) -> Path:
    """Where the truth of the company with this data folder is written."""
    return Path(data_dir).parent / TRUTH / Path(data_dir).name


def ensure_generated(params: Params, data_dir: str | Path, facts: bool = False) -> bool:
    """Makes extracts (below `data_dir`) and facts of a company with `generator` settings; True when it wrote.

    `facts`: makes both again where the facts alone are gone, which a review does not miss. Raises Refused where files
    that it would replace are not its own, or `sources` reads files that it would not write.
    """
    settings = params.settings.generator
    if settings is None:
        return False
    _refuse_other_sources(params)
    folder = Path(data_dir)
    folder.mkdir(parents=True, exist_ok=True)
    wanted = _key(settings)
    with FileLock(folder / ".generate.lock"):
        stamp = _stamp(folder)
        complete = not facts or (truth_dir(folder) / "customers.parquet").is_file()
        if complete and stamp["key"] == wanted and all((folder / name).is_file() for name in stamp["files"]):
            return False
        refuse_strangers(settings, folder)
        # whoever finds this stamp knows what is ours, and that it is not whole
        ours = sorted({*stamp["files"], *files_of(settings)})
        _replace(folder / STAMP, json.dumps({"key": "", "files": ours}).encode())
        if is_at_scale(settings):
            made = _write_at_scale(folder, settings)
        else:
            company = sample.generate(setting_of(settings))
            _write_facts(truth_dir(folder), company)
            made = [_write(folder, name, frame) for name, frame in company.frames.items()]
            made += [_write_other(folder, source, frame) for source, frame in company.other.items()]
        for old in set(ours) - set(made):
            (folder / old).unlink(missing_ok=True)
        _replace(folder / STAMP, json.dumps({"key": wanted, "files": sorted(made)}).encode())
    return True


def files_of(generator: Generator) -> list[str]:
    """Names of the extracts of a company; of its parts, at scale, the first."""
    tables = [source["path"].replace("*", "part-00000") for found in sources_of(generator).values() for source in found]
    return tables if is_at_scale(generator) else [*tables, *(name for name, *_ in OTHERS.values())]


def refuse_strangers(generator: Generator, folder: Path) -> None:
    """Raises Refused where a file that would be written is there already and was not written by this module."""
    ours = _stamp(folder)["files"]
    strange = [name for name in files_of(generator) if (folder / name).exists() and name not in ours]
    if strange:
        raise Refused(
            f"data/{folder.name}/{strange[0]} is there and was not made by `ltvlab sample`, which would replace it"
            f"{f' and {len(strange) - 1} more' if strange[1:] else ''}: move it away, or choose another name."
        )


def _refuse_other_sources(params: Params) -> None:
    paths = [source.path for source in params.settings.sources.get("order_lines", [])]
    wanted = sources_of(params.settings.generator)["order_lines"][0]["path"]
    if paths and wanted not in paths:
        raise Refused(
            f"params/{params.company}/company.yaml: with {params.settings.generator.customers:,} customers the orders "
            f"are written to {wanted}, but `sources` reads {paths[0]}. Make a company of that size under another name."
        )


def _write_at_scale(folder: Path, settings: Generator) -> list[str]:
    for old in truth_dir(folder).glob("*.parquet"):  # of a smaller company
        old.unlink()
    at_scale.write_at_scale(
        folder,
        truth_dir(folder),
        seed=settings.seed,
        customers=settings.customers,
        lines=settings.lines or LINES_PER_CUSTOMER * settings.customers,
        months=settings.months,
        last_period=settings.last_period,
    )
    parts = sorted(p.relative_to(folder).as_posix() for p in folder.glob("order_lines/part-*.parquet"))
    return ["customers.parquet", "products.parquet", *parts]


def export(params: Params, data_dir: str | Path, form: str) -> formats.Written:
    """The extracts of a generated company without faulty rows, as the exports of a system (formats.FORMS), below
    exports/FORM/ of its data folder. Raises Refused for an unknown form or a company at scale."""
    if is_at_scale(params.settings.generator):
        raise Refused(f"Exports are written for at most {LIVED:,} customers; this company has Parquet files already.")
    company = sample.generate(setting_of(params.settings.generator), faulty=False)
    folder = Path(data_dir) / "exports" / form
    folder.mkdir(parents=True, exist_ok=True)
    return formats.write(company.frames, folder, form)


def effect_paths(paths: int) -> int:
    """Futures behind an effect, where a value has `paths`: differences of paired futures vary far less."""
    return max(paths * sample.EFFECT_PATHS // sample.PATHS, 20)


def write_futures(params: Params, data_dir: str | Path, paths: int, tell=lambda words: None) -> Path:
    """Writes true_expected, campaign_effects and discount_effect of a generated company; the folder of its truth.

    `paths`: futures a customer. `tell(words)` hears what is being computed. Takes minutes for a thousand customers.
    """
    truth = sample.Truth.of(setting_of(params.settings.generator))
    folder, made_as = truth_dir(data_dir), _key(params.settings.generator)
    folder.mkdir(parents=True, exist_ok=True)
    effects = effect_paths(paths)
    for name, make in (
        ("true_expected", lambda: truth.expected(paths)),
        ("campaign_effects", lambda: truth.campaign_effects(effects)),
        ("discount_effect", lambda: truth.discount_effect(effects)),
    ):
        tell(name)
        data = make().to_parquet(index=False)
        if _stamp(Path(data_dir))["key"] != made_as:
            raise Refused(
                f"{params.company} was made anew with other settings while its truth was computed: start again."
            )
        _replace(folder / f"{name}.parquet", data)
    return folder


def _write_facts(folder: Path, company: sample.Company) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    truth = sample.Truth(company.history)
    for old in folder.glob("*.parquet"):  # of another setting
        old.unlink()
    assigned = company.history.assigned
    begun = pd.DataFrame(
        [
            {"campaign_id": a.campaign.code, "action": a.campaign.action, "treated": int(a.treated.sum())}
            for a in assigned
        ],
        columns=["campaign_id", "action", "treated"],
    )
    facts = {
        "customers": truth.latents(),
        "true_realised": truth.realised(),
        "decisions": truth.decisions(),
        "faults": company.faults,
        "links": company.links,
        "knobs": pd.DataFrame(company.history.knobs.table()),
        "actions": sample.registry(),
        "campaigns": begun,
    }
    for name, frame in facts.items():
        _replace(folder / f"{name}.parquet", frame.to_parquet(index=False))


def _key(settings: Generator) -> str:
    """Changes with the settings and with the code that makes and writes the company; at scale with DuckDB as well,
    whose hash() is not promised to stay the same."""
    digest = hashlib.sha256(settings.model_dump_json().encode())
    made_by = [*sorted(Path(ltvlab_utils.sample.__file__).parent.glob("*.py")), Path(__file__)]
    if is_at_scale(settings):
        made_by.append(Path(at_scale.__file__))
        digest.update(version("duckdb").encode())
    for code in made_by:
        digest.update(code.read_bytes())
    return digest.hexdigest()


def _stamp(folder: Path) -> dict:
    """What was made last: key ("" = not whole) and files; nothing where the stamp is not there or not readable."""
    try:
        stamp = json.loads((folder / STAMP).read_text(encoding="utf-8"))
        return {"key": str(stamp["key"]), "files": [str(name) for name in stamp["files"]]}
    except (OSError, ValueError, KeyError, TypeError):
        return {"key": "", "files": []}


def _write(folder: Path, name: str, frame: pd.DataFrame) -> str:
    out = frame.copy()
    for column in out.columns:
        if pd.api.types.is_float_dtype(out[column]) and not (out[column].dropna() % 1).any():
            out[column] = out[column].astype("Int64")  # 1000 and not 1000.0
    for column, codes in CODES.get(name, {}).items():
        out[column] = out[column].map(lambda value, codes=codes: codes.get(value, value))
    out = out.rename(columns=HEADERS.get(name, {}))
    file = folder / f"{name}.{'parquet' if name in PARQUET else 'csv'}"
    data = out.to_parquet(index=False) if name in PARQUET else out.to_csv(index=False, lineterminator="\n").encode()
    _replace(file, data)
    return file.name


def _write_other(folder: Path, source: str, frame: pd.DataFrame) -> str:
    name, encoding, key, firm = OTHERS[source]
    out = frame.rename(columns={"key": key, "name": firm, "region": "地域", "corporate_number": "法人番号"})
    _replace(folder / name, out.to_csv(index=False, lineterminator="\r\n").encode(encoding, errors="replace"))
    return name


def _replace(file: Path, data: bytes) -> None:
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    temporary.write_bytes(data)
    temporary.replace(file)
