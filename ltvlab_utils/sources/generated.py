"""Extracts of a generated company: written when they are missing, or when its settings or the generator changed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pandas as pd
from filelock import FileLock

import ltvlab_utils.sample
from ltvlab_utils import sample
from ltvlab_utils.params import Params

STAMP = ".generated.json"
PARQUET = {"usage"}
# the order system speaks Japanese, so that the mapping of company.yaml has something to do
HEADERS = {
    "order_lines": {
        "order_id": "受注番号", "line_no": "行番号", "customer_id": "得意先コード", "ordered_at": "受注日時",
        "status": "受注状態", "shipped_on": "出荷日", "product_id": "商品コード", "quantity": "数量",
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


def ensure_generated(params: Params, data_dir: str | Path) -> bool:
    """Makes the extracts of a company with `generator` settings below `data_dir`; True when it wrote something."""
    settings = params.settings.generator
    if settings is None:
        return False
    folder = Path(data_dir)
    folder.mkdir(parents=True, exist_ok=True)
    wanted = _key(settings.model_dump(mode="json"))
    with FileLock(folder / ".generate.lock"):
        if _is_current(folder, wanted):
            return False
        (folder / STAMP).unlink(missing_ok=True)
        frames = sample.generate(settings.seed, settings.customers, settings.months, settings.last_period)
        made = {_write(folder, name, frame) for name, frame in frames.items()}
        _replace(folder / STAMP, json.dumps({"key": wanted, "files": sorted(made)}).encode())
    return True


def _key(settings: dict) -> str:
    """Changes with the settings and with the code that makes and writes the company."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for code in [*sorted(Path(ltvlab_utils.sample.__file__).parent.glob("*.py")), Path(__file__)]:
        digest.update(code.read_bytes())
    return digest.hexdigest()


def _is_current(folder: Path, wanted: str) -> bool:
    try:
        stamp = json.loads((folder / STAMP).read_text(encoding="utf-8"))
        return stamp["key"] == wanted and all((folder / name).is_file() for name in stamp["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


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


def _replace(file: Path, data: bytes) -> None:
    temporary = file.with_name(f".{file.name}.tmp")
    temporary.write_bytes(data)
    temporary.replace(file)
