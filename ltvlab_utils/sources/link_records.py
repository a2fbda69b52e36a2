"""What is known of each customer key: its system, name, evidence, first day and amount (one row a key)."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir
import pandas as pd

from ltvlab_utils.params import Params
from ltvlab_utils.sources import systems
from ltvlab_utils.sources.judge import DATED, MONEY

NO_SYSTEM = "customer_links"  # source of a customer that only delivered links name


def gather(params: Params, tables: dict[str, ir.Table], judged: dict[str, ir.Table]) -> pd.DataFrame:
    """One row a customer of the staged tables: customer_id, source (its system, else the name of the source),
    source_key, rank (place of that source in company.yaml), name (null where only the number is known),
    corporate_number, region, address, domain, phone, first_on (first dated row), amount (orders and contract terms,
    Decimal)."""
    known, ranks = tables["customers"], _ranks(params)
    people = known.select("customer_id", "customer_name", "corporate_number", "region")
    people = people.mutate(system=systems.of_systems(people.customer_id, _systems(params)))
    frame = people.left_join(_sources(judged, ranks), "customer_id").drop("customer_id_right").to_pandas()
    for extra in (_evidence(tables), _activity(tables)):
        if extra is not None:
            frame = frame.merge(extra, on="customer_id", how="left")
    frame = frame.assign(**{c: None for c in ("address", "domain", "phone", "first_on", "amount") if c not in frame})
    own, system = frame["source"].fillna(next(iter(ranks))), frame["system"]
    key = frame["customer_id"].where(system.isna(), frame["customer_id"].str.split(systems.BETWEEN, n=1).str[1])
    named = frame["customer_name"] != frame["customer_id"]
    return frame.assign(
        source=own.where(system.isna(), system),
        source_key=key,
        rank=system.map(ranks).fillna(own.map(ranks)).fillna(len(ranks)).astype("i8"),
        name=frame["customer_name"].where(named),
        first_on=pd.to_datetime(frame["first_on"]),
    ).drop(columns=["system", "customer_name"])


def _ranks(params: Params) -> dict[str, int]:
    """Place of each source and system: those that deliver customers first, then in the order of company.yaml."""
    sources = params.settings.sources
    tables = sorted(sources, key=lambda t: t != "customers")
    names = [n for t in tables for s in sources[t] for n in (s.system, s.name or s.path) if n]
    return {name: i for i, name in enumerate(dict.fromkeys(names))}


def _systems(params: Params) -> list[str]:
    return sorted({s.system for own in params.settings.sources.values() for s in own if s.system})


def _sources(judged: dict[str, ir.Table], ranks: dict[str, int]) -> ir.Table:
    """The source of each customer: of its row in customers, else the first that names it."""
    place = ibis.memtable(pd.DataFrame({"source": list(ranks), "place": list(ranks.values())}))
    parts = [
        rows.filter(rows.reason_.isnull() & rows.customer_id.notnull())
        .select("customer_id", source="source_", list=ibis.literal(0 if name == "customers" else 1))
        .distinct()
        for name, rows in judged.items()
        if "customer_id" in rows.columns
    ]
    all_rows = (ibis.union(*parts, distinct=True) if len(parts) > 1 else parts[0]).join(place, "source")
    order = all_rows.list * len(ranks) + all_rows.place
    return all_rows.group_by("customer_id").aggregate(source=all_rows.source.argmin(order))


def _evidence(tables: dict[str, ir.Table]) -> pd.DataFrame | None:
    """Address, mail and telephone of a customer's contacts, the first that has one; the most frequent mail domain."""
    contacts = tables.get("contacts")
    if contacts is None:
        return None
    mail = contacts.mutate(domain=contacts.email.lower().re_extract(r"@(.+)$", 1).nullif(""))
    counted = mail.filter(mail.domain.notnull()).group_by(["customer_id", "domain"]).aggregate(n=lambda t: t.count())
    order = ibis.struct({"n": -counted.n, "domain": counted.domain})
    domains = counted.group_by("customer_id").aggregate(domain=counted.domain.argmin(order))
    firsts = {
        c: contacts[c].argmin(contacts.contact_id, where=contacts[c].notnull())
        for c in ("address", "phone")
    }  # fmt: skip
    by = contacts.group_by("customer_id").aggregate(**firsts)
    return by.left_join(domains, "customer_id").drop("customer_id_right").to_pandas()


def _activity(tables: dict[str, ir.Table]) -> pd.DataFrame | None:
    """First dated row and amount of each customer."""
    zero, parts = ibis.literal(0, "decimal(38, 4)"), []
    for name, day in DATED.items():
        table = tables.get(name)
        if table is None or "customer_id" not in table.columns or name in ("customer_links", "customers"):
            continue
        amount = zero
        if name == "order_lines":
            amount = ibis.ifelse(table.status == "cancelled", ibis.literal(0, MONEY), table.net_amount)
        if name == "contract_terms":
            amount = table.monthly_amount * table.term_months.cast("decimal(9, 0)")
        when = table[day].date() if table[day].type().is_timestamp() else table[day]
        rows = table.filter(table.customer_id.notnull()).select(
            "customer_id", day_=when, amount_=amount.cast(zero.type())
        )
        parts.append(rows.group_by("customer_id").aggregate(day_=rows.day_.min(), amount_=rows.amount_.sum()))
    if not parts:
        return None
    both = ibis.union(*parts) if len(parts) > 1 else parts[0]
    return both.group_by("customer_id").aggregate(first_on=both.day_.min(), amount=both.amount_.sum()).to_pandas()


def decided(params: Params, tables: dict[str, ir.Table], records: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Decisions in force at as-of (left and right keys, decision, row, method, confidence, decided_by, decided_on,
    valid_from, valid_to), those of links.csv first, then the delivered customer_links; and `records` with a row for
    each customer that only those name."""
    own = [
        {**d.model_dump(exclude={"row"}), "row": f"row {d.row}", "method": "person", "confidence": 1.0,
         "decided_by": d.decided_by or "person"}
        for d in params.links
        if d.holds(params.as_of)
    ]  # fmt: skip
    columns = ["decision", "row", "method", "confidence", "decided_by", "decided_on", "valid_from", "valid_to"]
    columns += ["left_source", "left_key", "right_source", "right_key"]
    frame = pd.DataFrame(own, columns=columns)
    if (links := tables.get("customer_links")) is None:
        return frame, records
    given = links.to_pandas()
    ended = pd.to_datetime(given["valid_to"]) < pd.Timestamp(params.as_of)
    given = given[~ended].sort_values(["customer_id", "source", "source_key"], ignore_index=True)
    strange = pd.Index(given["customer_id"].unique()).difference(pd.Index(records["customer_id"]))
    more = pd.DataFrame({"source": NO_SYSTEM, "source_key": strange, "customer_id": strange, "rank": -1})
    records = pd.concat([records, more.astype({"source_key": "object"})], ignore_index=True)
    anchor = records.set_index("customer_id").loc[given["customer_id"], ["source", "source_key"]]
    both = given.assign(
        decision="same", row="customer_links of " + given["source"] + " " + given["source_key"],
        left_source=anchor["source"].to_numpy(), left_key=anchor["source_key"].to_numpy(),
        right_source=given["source"], right_key=given["source_key"],
    )  # fmt: skip
    return pd.concat([frame, both[columns]], ignore_index=True), records
