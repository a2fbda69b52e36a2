"""What a contract is: a table's grain, keys and columns with unit, meaning and nullability."""

from __future__ import annotations

from dataclasses import dataclass, field

# kind -> (pandas dtype for a complete column, Ibis type, words for people)
KINDS: dict[str, tuple[str, str, str]] = {
    "text": ("string", "string", "text"),
    "date": ("date32[day][pyarrow]", "date", "date"),
    "timestamp": ("datetime64[us]", "timestamp(6)", "company-local date and time"),
    "integer": ("int64", "int64", "whole number"),
    "number": ("float64", "float64", "number"),
    "money": ("decimal128(18, 4)[pyarrow]", "decimal(18, 4)", "money, four decimals"),
    "flag": ("bool", "boolean", "true or false"),
}


@dataclass(frozen=True)
class Column:
    """One column: `kind` is a key of KINDS; an `optional` column may be absent, a `nullable` one may hold nulls."""

    name: str
    kind: str
    meaning: str
    unit: str = ""
    nullable: bool = False
    optional: bool = False
    values: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"column {self.name}: unknown kind {self.kind!r}")


@dataclass(frozen=True)
class Contract:
    """The contract of one hand-off table.

    `step` is who writes it: "01" to "04", or "input" for the tables that 01 stages from the company's extracts.
    """

    name: str
    grain: str
    keys: tuple[str, ...]
    step: str
    columns: tuple[Column, ...]
    version: int = 1
    column: dict[str, Column] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_name = {c.name: c for c in self.columns}
        if len(by_name) != len(self.columns):
            raise ValueError(f"contract {self.name}: a column stands twice")
        for key in self.keys:
            if key not in by_name:
                raise ValueError(f"contract {self.name}: key {key} is no column")
            if by_name[key].optional or by_name[key].nullable:
                raise ValueError(f"contract {self.name}: key {key} may not be optional or nullable")
        object.__setattr__(self, "column", by_name)

    @property
    def tag(self) -> str:
        """What a Parquet file of this table carries: name and version."""
        return f"{self.name}/{self.version}"

    @property
    def names(self) -> list[str]:
        return [c.name for c in self.columns]

    @property
    def required(self) -> list[str]:
        return [c.name for c in self.columns if not c.optional]


def text(name: str, meaning: str, **more) -> Column:
    return Column(name, "text", meaning, **more)


def code(name: str, meaning: str, values: str, **more) -> Column:
    """A text column with a closed list of codes, given space-separated."""
    return Column(name, "text", meaning, values=tuple(values.split()), **more)


def day(name: str, meaning: str, **more) -> Column:
    return Column(name, "date", meaning, **more)


def moment(name: str, meaning: str, **more) -> Column:
    return Column(name, "timestamp", meaning, **more)


def count(name: str, meaning: str, **more) -> Column:
    return Column(name, "integer", meaning, **{"unit": "count", "minimum": 0, **more})


def number(name: str, meaning: str, unit: str, **more) -> Column:
    return Column(name, "number", meaning, unit=unit, **more)


def share(name: str, meaning: str, **more) -> Column:
    return Column(name, "number", meaning, **{"unit": "fraction", "minimum": 0.0, "maximum": 1.0, **more})


def money(name: str, meaning: str, **more) -> Column:
    """Exact money in staged tables: DECIMAL(18,4) in the reporting currency, tax excluded."""
    return Column(name, "money", meaning, **{"unit": "currency", **more})


def amount(name: str, meaning: str, **more) -> Column:
    """Money from floor 2 on: float64 in the reporting currency, tax excluded."""
    return Column(name, "number", meaning, **{"unit": "currency", **more})


def flag(name: str, meaning: str, **more) -> Column:
    return Column(name, "flag", meaning, **more)


def contract(name: str, grain: str, keys: str, step: str, *columns: Column, version: int = 1) -> Contract:
    return Contract(name, grain, tuple(keys.split()), step, tuple(columns), version)


OPT = {"nullable": True, "optional": True}
NULL = {"nullable": True}
