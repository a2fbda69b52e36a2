"""Each optional source removed in turn: staging, the answers of notebook 01, and (slow) all notebooks and pages."""

from __future__ import annotations

import re
from html import unescape

import pandas as pd
import pytest

from ltvlab_utils.i18n import LANGUAGES, say
from ltvlab_utils.plots import ingest as figures
from ltvlab_utils.sources import answers, answers_checks, restate
from ltvlab_utils.tables import CONTRACTS
from ltvlab_utils.tables.ingest import UNLOCKS
from tests.checks_world import company, deliver

COSTS = {"order_lines": "cost_amount", "contract_terms": "monthly_cost", "products": "standard_cost"}
FULL = company(21, 60, False).frames
TABLES = tuple(FULL)


def without(*tables: str) -> dict[str, pd.DataFrame]:
    return {name: frame for name, frame in FULL.items() if name not in tables}


def without_costs() -> dict[str, pd.DataFrame]:
    frames = {name: f.drop(columns=COSTS.get(name, []), errors="ignore") for name, f in FULL.items()}
    return {name: frame for name, frame in frames.items() if name != "support_costs"}


CASES = {
    "orders_alone": {"order_lines": FULL["order_lines"]},
    "contracts_alone": {"contract_terms": FULL["contract_terms"]},
    "no_costs": without_costs(),
    **{f"no_{name}": without(name) for name in TABLES},
}


def expected(frames: dict[str, pd.DataFrame]) -> set[str]:
    """What of UNLOCKS the frames lack, read off the frames themselves."""
    lacking = set()
    for what in UNLOCKS:
        table, _, column = what.partition(".")
        if (column and table in frames and column not in frames[table]) or (not column and table not in frames):
            lacking.add(what)
    return lacking


FEW = ("orders_alone", "contracts_alone", "no_costs")


@pytest.mark.parametrize("case", [c if c in FEW[:2] else pytest.param(c, marks=pytest.mark.slow) for c in CASES])
def test_notebook_01_answers_and_names_what_would_unlock_more(tmp_path, case):
    frames = CASES[case]
    staged = deliver(tmp_path, frames).stage(more="limits: {rejected_share: 0.2}\n")
    assert expected(frames) <= set(answers.unlocks(staged)["what"])
    for language in LANGUAGES:
        said = [answers.came_in, answers.reconciled, answers.refused, answers.missing, answers.reached]
        said += [answers_checks.checked, answers_checks.trust]
        text = "\n".join(answer(staged, language) for answer in said)
        assert "nan" not in text.lower().split() and "None" not in text
        for axes in (
            figures.amounts_by_month(answers.flow(staged), staged.currency, language),
            figures.refused_by_reason(answers.refusals(staged, language), language),
            figures.checks_overview(answers_checks.verdicts(staged), language),
        ):
            axes.figure.clear()
    assert not answers.arrivals(staged).isna().any().any()
    assert (answers.reconciliation(staged, answers.FILES)[["rows_unexplained", "amount_unexplained"]] == 0).all().all()
    assert restate.compare(staged.tables, staged.tables, staged.as_of, staged.made_keys).empty


@pytest.mark.slow
@pytest.mark.parametrize("case", FEW)
def test_all_notebooks_and_pages_render_and_call_nothing_profit_without_cost(tmp_path, monkeypatch, case):
    from ltvlab_utils import store
    from ltvlab_utils.runner.review import run

    for variable in ("DATA", "PARAMS", "REPORTS"):
        monkeypatch.setenv(f"LTVLAB_{variable}", str(tmp_path / variable.lower()))
    frames = CASES[case]
    if case != "no_costs":
        frames = {name: f.drop(columns=COSTS.get(name, []), errors="ignore") for name, f in frames.items()}
    delivered = deliver(tmp_path / "data", frames)
    home = tmp_path / "params" / "acme"
    home.mkdir(parents=True)
    (home / "company.yaml").write_text(delivered.yaml, encoding="utf-8")
    [done] = run("acme", "2025-06")
    made = store.read("acme", "2025-06")
    assert (made.frame("ltv_by_customer")["value_basis"] == "revenue").all()
    pages = sorted((done.folder / "pages").glob("*.html"))
    assert {p.stem.rpartition(".")[2] for p in pages} == set(LANGUAGES)
    for page in pages:
        text = unescape(re.sub(r"<style.*?</style>|<[^>]+>", " ", page.read_text(encoding="utf-8"), flags=re.S))
        language = page.stem.rpartition(".")[2]
        for what in expected(frames):
            assert what in text and say(f"unlock.{what}", language) in text, (page.name, what)
        told = re.sub("|".join(re.escape(say(f"unlock.{w}", language)) for w in UNLOCKS), "", text)
        for word in ("gross profit", "net profit", "粗利", "純利益"):
            assert word not in told.lower(), (page.name, word, told[max(told.lower().find(word) - 80, 0) :][:160])


def test_every_table_that_may_be_absent_is_taken_away_once():
    assert set(TABLES) <= set(CONTRACTS) and {"customers", "usage", "receivables", "contacts"} <= set(TABLES)
