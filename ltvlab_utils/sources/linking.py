"""One firm, one customer: links between the customers of several sources, put into every staged table."""

from __future__ import annotations

from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa

from ltvlab_utils import identity
from ltvlab_utils.links import FILE
from ltvlab_utils.params import Params
from ltvlab_utils.sources import link_records, systems
from ltvlab_utils.sources.judge import MONEY
from ltvlab_utils.tables import CONTRACTS
from ltvlab_utils.tables.contract import KINDS

RULE = "rule"
# tables with a row a customer: two rows that links make one are added up, or the later of them is refused
SUMMED = {"usage": "value"}
REFUSED = ("customer_owners", "assignments")
REASON = "linked_duplicate"


@dataclass(frozen=True)
class Linked:
    """What links did. `tables`: the staged tables with the linked customers; `links`, `proposals`: customer_links and
    link_proposals; `refused`: rows of rejected_rows that repeat another row of the same firm; `unknown`: decisions that
    name a record that is not in the data."""

    tables: dict[str, ir.Table]
    links: pd.DataFrame
    proposals: pd.DataFrame
    refused: ir.Table | None
    unknown: int

    @property
    def outputs(self) -> dict[str, pd.DataFrame]:
        """What is written beside the staged tables."""
        return {"link_proposals": self.proposals}

    def reported(self, report: ir.Table, rejected: ir.Table) -> tuple[ir.Table, ir.Table]:
        """ingest_report and rejected_rows with the rows that links made repeat another."""
        if self.refused is None:
            return report, rejected
        keys = ["table_name", "source", "file"]
        again = self.refused.group_by(keys).aggregate(again_=lambda t: t.count())
        joined = report.left_join(again, keys)
        n = joined.again_.fill_null(0)
        counted = joined.mutate(rows_accepted=joined.rows_accepted - n, rows_rejected=joined.rows_rejected + n)
        return counted.select(report.columns), ibis.union(rejected, self.refused.cast(rejected.schema()))


def link(
    params: Params, tables: dict[str, ir.Table], judged: dict[str, ir.Table], connection: ibis.BaseBackend
) -> Linked:
    """Links the customers of the staged tables as `identity` of company.yaml and links.csv say.

    The customer_id of a firm is that of its first record: of the source that stands first in company.yaml (those that
    deliver customers before others), then the smallest key. Raises Refused for decisions that contradict each other.
    """
    records = link_records.gather(params, tables, judged)
    decisions, records = link_records.decided(params, tables, records)
    identity.check_decisions(decisions, f"params/{params.company}/{FILE}")
    settings = params.settings.identity
    found = identity.resolve(records, decisions, settings.links == "auto", settings.parents == "rule")
    links = _links(params, records, decisions, found.links)
    at = pd.MultiIndex.from_frame(records[["source", "source_key"]])
    ids = pd.DataFrame({"old": records["customer_id"].to_numpy(), "place": _places(records)}, index=at)
    now = pd.Series(links["customer_id"].to_numpy(), index=pd.MultiIndex.from_frame(links[["source", "source_key"]]))
    ids = ids.assign(new=now.reindex(at).fillna(ids["old"]))
    schema = pa.schema([("old", pa.string()), ("place", pa.int64()), ("new", pa.string())])
    member = _stored(pa.Table.from_pandas(ids[ids.index.isin(now.index)], schema, preserve_index=False), connection)
    out = {name: _renamed(table, member) for name, table in tables.items() if name != "customers"}
    out["customers"] = _customers(tables["customers"], member, _parents(decisions, ids))
    refused = []
    for name in (n for n in SUMMED if n in out):
        out[name] = _summed(out[name], CONTRACTS[name].keys, SUMMED[name])
    for name in (n for n in REFUSED if n in out):
        out[name], again = _first_of_each(name, tables[name], member, judged[name])
        refused.append(again)
    proposals = _proposals(found.proposals, records, ids)
    out["customer_links"] = _engine("customer_links", links, connection)
    return Linked(out, links, proposals, ibis.union(*refused) if len(refused) > 1 else next(iter(refused), None),
                  len(found.unknown))  # fmt: skip


def _stored(table: pa.Table, connection: ibis.BaseBackend) -> ir.Table:
    return connection.create_table(ibis.util.gen_name("ltvlab_links"), ibis.memtable(table), temp=True)


def _places(records: pd.DataFrame) -> pd.Series:
    """Order in which records are asked: rank of their source, then key."""
    order = records.sort_values(["rank", "source_key", "source"]).index
    return pd.Series(range(len(order)), index=order).reindex(records.index).to_numpy()


def _links(params: Params, records: pd.DataFrame, decisions: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """customer_links: a row a key of each firm of several records, as it holds at as-of."""
    found = found[found["source"] != link_records.NO_SYSTEM]
    said = decisions.reindex(found["by"].to_numpy()).reset_index(drop=True)
    found = found.reset_index(drop=True)
    first = records.set_index(["source", "source_key"])["first_on"]
    earliest = first.min() if first.notna().any() else pd.Timestamp(params.as_of)
    seen = (
        first.reindex(pd.MultiIndex.from_frame(found[["source", "source_key"]])).fillna(earliest).reset_index(drop=True)
    )
    by_rule = said["method"].isna()
    return pd.DataFrame({
        "source": found["source"],
        "source_key": found["source_key"],
        "customer_id": found["customer_id"],
        "method": said["method"].where(~by_rule, found["method"]),
        "confidence": said["confidence"].astype("f8").where(~by_rule, found["confidence"]),
        "decided_by": said["decided_by"].where(~by_rule, RULE),
        "valid_from": pd.to_datetime(said["valid_from"]).fillna(seen),
        "valid_to": pd.to_datetime(said["valid_to"]).where(said["valid_to"].notna()),
        "decided_on": pd.to_datetime(said["decided_on"]),
    }).sort_values(["customer_id", "source", "source_key"], ignore_index=True)  # fmt: skip


def _engine(name: str, frame: pd.DataFrame, connection: ibis.BaseBackend) -> ir.Table:
    """A frame as a table of the engine in the types of its contract."""
    contract = CONTRACTS[name]
    types = {c.name: ibis.dtype(KINDS[c.kind][1]) for c in contract.columns}
    plain = frame[contract.names].astype({c.name: "object" for c in contract.columns if c.kind in ("text", "money")})
    schema = ibis.schema({n: "timestamp(6)" if t.is_date() else t for n, t in types.items()})
    arrow = pa.Table.from_pandas(plain, schema=schema.to_pyarrow(), preserve_index=False)
    table = _stored(arrow, connection)
    return table.select(**{n: table[n].cast(t) for n, t in types.items()})


def _renamed(table: ir.Table, member: ir.Table) -> ir.Table:
    """The table with every customer number replaced by that of its firm."""
    for column in (c for c in systems.REFERENCES if c in table.columns):
        names = list(table.columns)
        own = member.select(old_="old", new_="new")
        joined = table.left_join(own, table[column] == own.old_)
        table = joined.mutate(**{column: ibis.coalesce(joined.new_, joined[column])}).select(names)
    return table


def _customers(known: ir.Table, member: ir.Table, parents: pd.DataFrame) -> ir.Table:
    """One row a firm: each column from the row of the firm that has most columns filled (of equals, the first record),
    where that is empty from the next. A parent that is the firm itself is none."""
    own = member.select(old_="old", place_="place", new_="new")
    joined = known.left_join(own, known.customer_id == own.old_)
    alone = joined.filter(joined.new_.isnull()).select(known.columns)
    several = joined.filter(joined.new_.notnull())
    values = [c for c in known.columns if c != "customer_id"]
    filled = sum((several[c].notnull().ifelse(1, 0) for c in values[1:]), several.customer_name.notnull().ifelse(1, 0))
    # a name that is only the number says least
    named = (several.customer_name != several.old_).ifelse(1, 0)
    several = several.mutate(order_=several.place_ - (filled + named).cast("int64") * 2**40)
    firsts = {c: several[c].argmin(several.order_, where=several[c].notnull()) for c in values}
    merged = several.group_by(customer_id="new_").aggregate(**firsts).select(known.columns)
    out = _renamed_parents(ibis.union(alone, merged), member)
    if len(parents):
        said = ibis.memtable(parents.rename(columns={"customer_id": "child_"}))
        joined = out.left_join(said, out.customer_id == said.child_)
        out = joined.mutate(parent_id=ibis.coalesce(joined.said_, joined.parent_id)).select(known.columns)
    return out


def _renamed_parents(table: ir.Table, member: ir.Table) -> ir.Table:
    own = member.select(old_="old", new_="new")
    joined = table.left_join(own, table.parent_id == own.old_)
    parent = ibis.ifelse(joined.new_ == joined.customer_id, ibis.null("string"), joined.new_)
    parent = ibis.ifelse(joined.new_.isnull(), joined.parent_id, parent)
    return joined.mutate(parent_id=parent).select(table.columns)


def _parents(decisions: pd.DataFrame, ids: pd.DataFrame) -> pd.DataFrame:
    """What persons decided about parents: customer_id, said_ (the parent); of several the first row counts."""
    said = decisions[decisions["decision"] == "parent"]
    ends = [
        ids["new"].reindex(pd.MultiIndex.from_frame(said[[f"{side}_source", f"{side}_key"]])).to_numpy()
        for side in ("right", "left")
    ]
    frame = pd.DataFrame({"customer_id": ends[0], "said_": ends[1]}, dtype="object").dropna()
    return frame.drop_duplicates("customer_id")


def _summed(table: ir.Table, keys: tuple[str, ...], value: str) -> ir.Table:
    return table.group_by(list(keys)).aggregate(**{value: table[value].sum()}).select(table.columns)


def _first_of_each(name: str, table: ir.Table, member: ir.Table, rows: ir.Table) -> tuple[ir.Table, ir.Table]:
    """The table with linked customers, one row a key: the row of the first record; and the other rows as they go to
    rejected_rows."""
    keys, own = list(CONTRACTS[name].keys), member.select(old_="old", place_="place", new_="new")
    joined = table.left_join(own, table.customer_id == own.old_)
    joined = joined.mutate(new_=ibis.coalesce(joined.new_, joined.customer_id), place_=joined.place_.fill_null(0))
    group = ["new_" if k == "customer_id" else k for k in keys]
    numbered = joined.mutate(
        nth_=ibis.row_number().over(ibis.window(group_by=group, order_by=["place_", "customer_id"]))
    )
    first = numbered.filter(numbered.nth_ == 0)
    out = _renamed(first.select(table.columns), member)
    again = numbered.filter(numbered.nth_ > 0).select(keys)
    accepted = rows.filter(rows.reason_.isnull()).semi_join(again, keys)
    return out, accepted.select(
        table_name=ibis.literal(name), source="source_", file="file_", row_no="row_no_",
        column=ibis.literal("customer_id"), value="customer_id", reason=ibis.literal(REASON),
        amount=ibis.literal(0, MONEY),
    )  # fmt: skip


def _proposals(found: pd.DataFrame, records: pd.DataFrame, ids: pd.DataFrame) -> pd.DataFrame:
    """link_proposals of the pairs that were found."""
    amount = records.set_index(["source", "source_key"])["amount"]
    out, amounts = found, []
    for side in ("left", "right"):
        at = pd.MultiIndex.from_frame(found[[f"{side}_source", f"{side}_key"]])
        amounts.append(amount.reindex(at).fillna(0).reset_index(drop=True))
        out = out.assign(**{f"{side}_customer_id": ids["new"].reindex(at).to_numpy()})
    least = amounts[0].where(amounts[0] < amounts[1], amounts[1])
    return out.assign(
        amount_at_stake=least.astype("f8").to_numpy(), amount_of_both=(amounts[0] + amounts[1]).astype("f8").to_numpy()
    )


def with_parents(params: Params, tables: dict[str, ir.Table]) -> dict[str, ir.Table]:
    """The tables with the parents that `identity.parents` asks for. Raises Refused where parents run in a circle."""
    customers = tables["customers"]
    if params.settings.identity.parents == "none":
        return {**tables, "customers": customers.mutate(parent_id=ibis.null("string"))}
    child = customers.filter(customers.parent_id.notnull()).select("customer_id", "parent_id")
    identity.check_parents(child.order_by("customer_id").to_pandas(), f"{params.company} {params.period}")
    return tables
