"""Typed parameters: the text of company.yaml and of a thin period file in, one frozen `Params` out (floor 1). No file,
no clock. Unknown keys and wrong types are refused in one sentence: file, key, the nearest right name."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from ltvlab_utils.errors import Refused, nearest
from ltvlab_utils.links import FILE, Decision, Identity, decisions
from ltvlab_utils.periods import Period, is_time_zone
from ltvlab_utils.source_keys import HELPERS, Source, Strict, with_ready
from ltvlab_utils.tables import CONTRACTS
from ltvlab_utils.tables.checks import CheckSetting, settings_of_checks

COMPANY_PATTERN = r"[a-z0-9][a-z0-9_-]{0,63}"
ValueBasis = Literal["net_profit", "gross_profit", "revenue"]
LIVED = 50_000  # customers up to which a generated company is lived month by month, and its futures are known
Attribute = Literal["acquisition_channel", "size_band", "industry", "region", "role"]
OrderModel = Literal["auto", "pareto_nbd", "mbg_nbd"]


class Models(Strict):
    """Settings of notebook 02."""

    time_unit: Literal["auto", "day", "week", "month"] = Field(
        "auto", description="clock of orders; auto: week; month (BG/BB) where dates are those of invoices | | 02"
    )
    orders: OrderModel = Field("auto", description="auto: pareto_nbd unless looks back clearly favour mbg_nbd | | 02")
    segment_by: str = Field("", description="column of customers that splits the models; one model where empty | | 02")
    covariates: list[Attribute] = Field([], description="known at the start: tested on orders and renewals | | 02")
    draws: int = Field(400, ge=200, le=20_000, description="predictive draws per customer | draws | 02")
    seed: int = Field(20_250_630, ge=0, description="seed of all random streams | | 02, 04")
    order_rate_after_lapse: float = Field(
        0.5, ge=0, le=1, description="prior: factor on the order rate once the last contract has lapsed | factor | 02"
    )


class Budget(Strict):
    money: float | None = Field(None, ge=0, description="money for measures in the period | currency | no step yet")
    hours: float | None = Field(None, ge=0, description="staff hours for measures in the period | hours | no step yet")


class Capacity(Strict):
    watchlist: int = Field(
        20, ge=1, le=10_000, description="customers that the team can look after in a month | customers | 03"
    )


class Limits(Strict):
    rejected_share: float = Field(
        0.05, ge=0, le=1, description="share of rejected rows of a table that stops the run | fraction | 01"
    )


class Generator(Strict):
    """A generated company: its extracts are made from a seed when they are missing or these settings changed."""

    seed: int = Field(7, ge=0, lt=2**63, description="seed of the company | | ltvlab sample")
    customers: int = Field(1200, ge=20, le=5_000_000, description="customers | customers | ltvlab sample")
    months: int = Field(36, ge=12, le=240, description="months of history | months | ltvlab sample")
    last_period: str = Field("2025-06", description="last month of the extracts | YYYY-MM | ltvlab sample")
    world: Literal["misspecified", "home"] = Field(
        "misspecified", description="home shares the assumptions of the models, misspecified does not | | ltvlab sample"
    )
    lines: int | None = Field(
        None, ge=1, le=200_000_000, description="order lines, above 50,000 customers only | lines | ltvlab sample"
    )

    @field_validator("last_period")
    @classmethod
    def _period(cls, text: str) -> str:
        return str(_value_error(Period.parse, text))

    @model_validator(mode="after")
    def _lines(self) -> Generator:
        if self.lines is not None and self.customers <= LIVED:
            raise ValueError(f"lines goes with more than {LIVED:,} customers; below, they follow from the customers")
        if self.lines is not None and self.lines < 3 * self.customers:
            raise ValueError(f"lines is {self.lines:,}: ask for at least three a customer, {3 * self.customers:,}")
        return self


class Tax(Strict):
    basis: Literal["excluded", "included"] = Field(
        "excluded", description="whether amounts of sources include tax | | 01"
    )
    rounding: Literal["down", "half_up", "up"] = Field("down", description="rounding once per invoice and rate | | 01")


class Name(Strict):
    ja: str = ""
    en: str = ""


class Settings(Strict):
    """The keys of company.yaml; a period file may replace any of them but `sources` and `generator`."""

    name: Name = Field(Name(), description="display name | | pages")
    engine: Literal["duckdb"] = Field("duckdb", description="engine of all tables | | 01 to 04")
    time_zone: str = Field("Asia/Tokyo", description="zone in which a month is cut | IANA name | 01, runner")
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = Field(
        "JPY", description="reporting currency | ISO 4217 | 01 to 04, pages"
    )
    fiscal_year_start_month: int = Field(4, ge=1, le=12, description="first month of the fiscal year | month | 02, 03")
    closing_day: int = Field(31, ge=1, le=31, description="締め日, 31 = month end | day of month | 01")
    date_basis: Literal["ordered", "shipped", "recognised", "invoiced"] = Field(
        "ordered", description="which date counts for revenue | | 01"
    )
    tax: Tax = Field(Tax(), description="consumption tax | | 01")
    customer_key: Literal["sold_to", "end_user", "parent"] = Field("sold_to", description="who the customer is | | 01")
    value_basis: ValueBasis = Field("net_profit", description="what is counted as value, as far as the data go | | 02")
    assumed_margin_rate: float | None = Field(
        None,
        ge=-1,
        le=1,
        description="margin rate that a person assumed where cost is unknown, so labelled | fraction of revenue | 02",
    )
    servicing_cost_per_order: float | None = Field(
        None, ge=0, description="cost per purchase day; null = unknown | currency per order | 02"
    )
    credit_loss_rate: float | None = Field(
        None,
        ge=0,
        le=1,
        description="share of revenue that is lost; null = from receivables, else unknown | fraction | 02",
    )
    horizon_months: int = Field(36, ge=1, le=120, description="horizon of future value | months | 02")
    discount_rate_annual: float = Field(
        0.10, ge=0, le=1, description="effective annual discount rate | fraction per year | 02"
    )
    models: Models = Field(Models(), description="settings of notebook 02 | | 02")
    budget: Budget = Field(Budget(), description="budget of the plan | | no step yet")
    capacity: Capacity = Field(Capacity(), description="what the team can do | | 03")
    identity: Identity = Field(Identity(), description="名寄せ | | 01")
    limits: Limits = Field(Limits(), description="limits that stop a run | | 01")
    checks: dict[str, CheckSetting] = Field({}, description="named check of docs/checks.md: how it is taken | | 01")
    language: Literal["ja", "en"] = Field("ja", description="first language of pages | | pages")
    generator: Generator | None = Field(None, description="settings of a generated company | | ltvlab sample")
    sources: dict[str, list[Source]] = Field(description="input table: its deliveries | | 01")

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, name: str) -> str:
        if not is_time_zone(name):
            raise ValueError(f'"{name}" is no time zone of the IANA list, such as Asia/Tokyo')
        return name

    _checks = field_validator("checks", mode="before")(settings_of_checks)

    @field_validator("sources")
    @classmethod
    def _tables(cls, sources: dict[str, list[Source]]) -> dict[str, list[Source]]:
        inputs = [name for name, c in CONTRACTS.items() if c.step == "input"]
        for name, deliveries in sources.items():
            if name not in inputs:
                raise ValueError(f'no input table is called "{name}".{nearest(name, inputs)}')
            for source in deliveries:
                known = [*CONTRACTS[name].names, *HELPERS.get(name, {})]
                if unknown := next((c for c in source.named if c not in known), None):
                    raise ValueError(f'table "{name}" has no column "{unknown}".{nearest(unknown, known)}')
        if not sources.get("order_lines") and not sources.get("contract_terms"):
            raise ValueError("order_lines or contract_terms is needed; every other table is optional")
        return sources

    @model_validator(mode="after")
    def _margin(self) -> Settings:
        if self.assumed_margin_rate is not None and self.value_basis == "revenue":
            raise ValueError("assumed_margin_rate makes no sense with value_basis revenue: choose gross_profit")
        return self


class Params(Strict):
    """The resolved, frozen parameters of one run: what params.json holds."""

    company: Annotated[str, Field(pattern=f"^{COMPANY_PATTERN}$")]
    period: str
    settings: Settings
    links: tuple[Decision, ...] = ()  # what persons decided: links.csv

    @property
    def month(self) -> Period:
        return Period.parse(self.period)

    @property
    def as_of(self) -> date:
        return self.month.last_day

    def to_json(self) -> str:
        """Canonical text: sorted keys, so that equal parameters are equal bytes."""
        return json.dumps(self.model_dump(mode="json"), indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Params:
        return cls.model_validate_json(text)


def _value_error(function, *args):
    """Refused as the ValueError that pydantic collects."""
    try:
        return function(*args)
    except Refused as error:
        raise ValueError(str(error)) from None


class _Loader(yaml.SafeLoader):
    """YAML 1.2 habits: dates stay text, yes/no/on/off are words, a key stands once."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} must be text", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f'key "{key}" stands twice', key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in rules
        if tag not in ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:bool", "tag:yaml.org,2002:merge")
    ]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_BOOLS = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
for _first in "tTfF":
    _Loader.yaml_implicit_resolvers.setdefault(_first, []).append(("tag:yaml.org,2002:bool", _BOOLS))


def load_yaml(text: str, file: str) -> dict[str, Any]:
    """A YAML mapping as a dict. Raises Refused with file and line."""
    try:
        data = yaml.load(text, Loader=_Loader)  # a SafeLoader: makes plain values only
    except RecursionError:
        raise Refused(f"{file}: brackets or lists stand too deep in each other to be parameters.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = " ".join(str(getattr(error, "problem", None) or error).split())
        raise Refused(f"{file}{where}: not readable as YAML: {problem.removesuffix('.')}.") from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise Refused(f"{file}: should hold keys and values (key: value), but holds {type(data).__name__}.")
    return data


def _known_keys(path: tuple) -> list[str]:
    """Keys that are known at a path of Settings, for the nearest right name."""
    model: Any = Settings
    for part in path:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation if part in getattr(model, "model_fields", {}) else None
        inner = [a for a in (annotation, *get_args(annotation)) if isinstance(a, type) and issubclass(a, BaseModel)]
        if inner:
            model = inner[0]
        elif part == "sources":
            model = Source
    return list(model.model_fields)


def _sentence(file: str, error: dict[str, Any]) -> str:
    path = error["loc"]
    where = ".".join(f"[{p + 1}]" if isinstance(p, int) else str(p) for p in path).replace(".[", "[")
    found = error.get("input")
    if error["type"] == "extra_forbidden":
        return f'{file}: unknown key "{where}".{nearest(str(path[-1]), _known_keys(path[:-1]))}'
    if error["type"] == "missing":
        return f'{file}: the key "{where}" is missing.'
    if error["type"] == "value_error":
        return f"{file}: {where + ': ' if where else ''}{error['ctx']['error']}"
    if error["type"] == "literal_error":
        options = re.findall("'(.*?)'", error["ctx"]["expected"])
        return f'{file}: {where} is "{found}".{nearest(str(found), options)}'
    message = error["msg"].replace("Input should be", "should be").removesuffix(".")
    return f"{file}: {where} {message}, but is {json.dumps(found, ensure_ascii=False, default=str)}."


def _period_overrides(base: dict[str, Any], changes: dict[str, Any], file: str) -> dict[str, Any]:
    for key in changes:
        if key in ("sources", "generator"):
            raise Refused(f'{file}: "{key}" belongs in company.yaml; a period file holds only what differs.')
    merged = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _period_overrides(base[key], value, file) if both else value
    return merged


def generator_of(asked: dict[str, Any]) -> Generator:
    """Settings of a generated company from the options of a command. Raises Refused."""
    try:
        return Generator.model_validate(asked)
    except ValidationError as errors:
        raise Refused(" ".join(_sentence("ltvlab sample", dict(e)) for e in errors.errors()[:3])) from None


def _validated(data: dict[str, Any], file: str) -> Settings:
    try:
        return Settings.model_validate(data)
    except ValidationError as errors:
        raise Refused(" ".join(_sentence(file, dict(e)) for e in errors.errors()[:3])) from None


def resolve(
    company: str,
    period: str,
    company_yaml: str,
    period_yaml: str | None = None,
    company_file: str = "company.yaml",
    period_file: str = "",
    ready: Callable[[str, str], Mapping[str, Any]] | None = None,
    links_csv: str = "",
) -> Params:
    """The frozen parameters of a company and period from the texts of its files. Raises Refused (one sentence).

    `ready`: keys of the ready mapping of that name for a table (`sources.ready.keys_of`).
    """
    month = Period.parse(period)
    base = with_ready(load_yaml(company_yaml, company_file), ready, company_file)
    settings = _validated(base, company_file)
    if period_yaml is not None:
        period_file = period_file or f"{month}.yaml"
        changes = load_yaml(period_yaml, period_file)
        settings = _validated(_period_overrides(base, changes, period_file), period_file)
    decided = decisions(links_csv, f"params/{company}/{FILE}")
    return Params(company=company, period=str(month), settings=settings, links=decided)


def describe(model: type[BaseModel] = Settings, prefix: str = "") -> list[dict[str, str]]:
    """Every key as documentation: one dict a key (key, type, default, unit, used by, meaning), nested keys dotted."""
    rows = []
    for name, info in model.model_fields.items():
        meaning, unit, used = ([*(part.strip() for part in (info.description or "").split("|")), "", ""])[:3]
        options = [a for a in (info.annotation, *get_args(info.annotation)) if isinstance(a, type)]
        nested = next((a for a in options if issubclass(a, BaseModel)), Source if name == "sources" else None)
        if nested:
            many = "[]." if str(info.annotation).startswith("list") else "."
            rows += describe(nested, prefix + name + {Source: ".TABLE[].", CheckSetting: ".CHECK."}.get(nested, many))
            continue
        default = "required" if info.is_required() else json.dumps(info.default, ensure_ascii=False)
        rows.append(
            {
                "key": prefix + name,
                "type": _type_words(info.annotation),
                "default": default,
                "unit": unit,
                "used by": used,
                "meaning": meaning or "display name",
            }
        )
    return rows


def _type_words(annotation: Any) -> str:
    words = {int: "whole number", float: "number", str: "text", bool: "true or false", type(None): "null"}
    if annotation in words:
        return words[annotation]
    if str(annotation).startswith("typing.Literal"):
        return ", ".join(map(str, get_args(annotation)))
    parts = get_args(annotation)
    if str(annotation).startswith(("dict", "list")):
        return "mapping" if str(annotation).startswith("dict") else "list"
    return " or ".join(_type_words(p) for p in parts) if parts else "text"
