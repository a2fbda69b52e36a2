"""The `ltvlab` command: its sentences, exit statuses and what it prints."""

import io
import json
import shutil
import sys

import pandas as pd
import pytest

from ltvlab_utils import cli, store
from ltvlab_utils.cli.show import _print_table
from ltvlab_utils.store import publish
from ltvlab_utils.tables import contract_of
from tests.stubs import ltvlab, state

HOSTILE = '=cmd|" /C calc"!A0 [red]\x1b[2J株\x07式\u202e会社[/red]'


@pytest.fixture
def say(capsys):
    """Runs a verb in this process: exit status, stdout, stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            cli.main(list(words))
        out, err = capsys.readouterr()
        return stop.value.code, out, err

    return run


@pytest.fixture
def reviewed(workspace):
    """A published run and a failed one, made without notebooks; one customer's name is hostile."""
    folder = workspace / "reports" / "small" / "2025-06"
    params = store.resolve_params("small", "2025-06").to_json()
    publish.start_run(folder, "20250701-090000-aaaaaaaa", params, {"kind": "final", "tables": {}})
    run = store.open("small", "2025-06", "20250701-090000-aaaaaaaa")
    contract = contract_of("customers")
    frame = pd.DataFrame({"customer_id": ["alpha", "beta"], "customer_name": ["Alpha", HOSTILE]})
    run.write("customers", frame.reindex(columns=contract.names))
    totals = {"scope": ["company"], "customers": [2], "value": [1234.5], "low": [1000.25], "high": [2000.0]}
    run.write("ltv_totals", pd.DataFrame(totals))
    done = {"status": "complete", "finished_at": "2025-07-01T09:05:00+09:00", "tables": {"customers": {}, "t": {}}}
    publish.write_manifest(run.folder, {**run.manifest, **done})
    publish.publish(folder, run.folder.name)
    publish.start_run(folder, "20250702-090000-bbbbbbbb", params, {"kind": "final", "tables": {}})
    failed = folder / "20250702-090000-bbbbbbbb"
    told = {"status": "failed", "failure": "02_ltv.ipynb, cell 4 failed with ZeroDivisionError"}
    publish.write_manifest(failed, {**publish.read_manifest(failed), **told})
    return workspace


# --- sentences and statuses ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("run", "smal", "2025-06"), 'there is no params/smal/company.yaml. Did you mean "small"?'),
        (("run", "small", "2025-6"), '"2025-6" is not a period: a period is a calendar month written YYYY-MM'),
        (("run", "small", "2025-06..2025-05"), 'ends before it starts. Did you mean "2025-05..2025-06"?'),
        (("run", "small", "2099-01"), "2099-01 has not begun in Asia/Tokyo"),
        (("show", "small", "2025-07"), "small 2025-07 has no published review (published: 2025-06). `ltvlab run small"),
        (("show", "small", "2025-06", "ltv_total"), 'No table is called "ltv_total". Did you mean "ltv_totals"?'),
        (("show", "small", "2025-06", "kpis"), 'small 2025-06 has no table "kpis" (notebook 03 writes it)'),
        (("show", "small", "2025-06", "--run", "../x"), 'has no run "../x"'),
        (("show", "small"), "Name a company and a period"),
        (("show", "--contract", "kpi"), 'No table is called "kpi". Did you mean "kpis"?'),
        (("check", "smal"), 'Did you mean "small"?'),
        (("list", "smal"), 'Did you mean "small"?'),
        (("sample", "small"), "small is not a generated company"),
        (("init", "small", "--orders", "x.csv"), "is already there and is not overwritten"),
        (("init", "../up", "--orders", "x.csv"), '"../up" cannot be the name of a company'),
        (("init", "new"), "Name at least one file"),
        (("init", "new", "--orders", "nowhere.csv"), "nowhere.csv does not exist"),
    ],
)  # fmt: skip
def test_a_newcomers_mistakes_get_one_sentence_and_status_2(reviewed, say, words, sentence):
    before = state(reviewed)
    status, out, err = say(*words)
    assert status == 2 and out == ""
    assert sentence in err and err.startswith("ltvlab: ") and len(err.splitlines()) == 1
    assert state(reviewed) == before


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("rum",), "No such command 'rum'. Did you mean 'run'?"),
        (("run", "small", "2025-06", "--final"), "No such option: --final"),
        (("run", "small"), "Missing argument 'PERIOD[..PERIOD]'"),
        (("show", "small", "2025-06", "kpis", "--head", "0"), "'--head'"),
    ],
)
def test_unknown_verbs_and_options_are_typers_own_message(workspace, say, words, sentence):
    status, _, err = say(*words)
    assert status == 2 and sentence in err and "Traceback" not in err


def test_every_verb_has_help_with_an_example(say):
    for verb in ("run", "check", "init", "links", "sample", "list", "show"):
        status, out, _ = say(verb, "--help")
        assert status == 0 and f"ltvlab {verb}" in out.split("Example", 1)[1]


def test_a_fault_of_the_package_is_one_sentence_with_the_place_of_its_details(workspace, say, monkeypatch, tmp_path):
    monkeypatch.setattr("ltvlab_utils.store.layout.companies", lambda: 1 / 0)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    status, _, err = say("list")
    assert status == 1 and err.startswith("ltvlab: unexpected ZeroDivisionError: division by zero. Details: ")
    assert "Traceback" not in err and "companies" in next(tmp_path.glob("ltvlab-*.log")).read_text()
    monkeypatch.setenv("LTVLAB_DEBUG", "1")
    assert "Traceback" in say("list")[2]


def test_the_command_stands_alone_in_a_process(workspace):
    done = ltvlab("run", "nowhere", "2025-06")
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.startswith("ltvlab: No company is called")


# --- list, show, check -----------------------------------------------------------------------------------------------


def test_list_shows_what_is_published_and_what_failed(reviewed, say):
    (reviewed / "params" / "fresh").mkdir()
    (reviewed / "params" / "fresh" / "company.yaml").write_text("")
    status, out, _ = say("list")
    rows = [line.split() for line in out.splitlines()]
    assert status == 0
    assert ["fresh", "–", "no", "review", "yet"] in rows
    assert ["small", "2025-06", "published", "final", "20250701-090000-aaaaaaaa", "2025-07-01", "09:05", "2"] in rows
    assert ["small", "2025-06", "failed", "final", "20250702-090000-bbbbbbbb", "0"] in rows
    assert "Failed: small 2025-06: 02_ltv.ipynb, cell 4 failed with ZeroDivisionError" in out


def test_show_names_tables_with_rows(reviewed, say):
    status, out, _ = say("show", "small", "2025-06")
    rows = [line.split() for line in out.splitlines()]
    assert status == 0 and "final run 20250701-090000-aaaaaaaa" in out
    assert ["customers", "01", "2", "a", "customer"] in rows and ["ltv_totals", "02", "1", "a", "scope"] in rows


def test_show_makes_hostile_names_harmless(reviewed, say):
    _, out, _ = say("show", "small", "2025-06", "customers")
    assert '=cmd|" /C calc"!A0 [red]株式会社[/red]' in out, "markup is text, escape sequences and marks are gone"
    assert not {"\x1b", "\x07", "\u202e"} & set(out)
    _, out, _ = say("show", "small", "2025-06", "customers", "--format", "csv")
    names = pd.read_csv(io.StringIO(out))["customer_name"].tolist()
    assert names == ["Alpha", '\'=cmd|" /C calc"!A0 [red]株式会社[/red]'], "a spreadsheet sees text, not a formula"
    _, out, _ = say("show", "small", "2025-06", "customers", "--format", "json", "--head", "1")
    [row] = json.loads(out)
    assert row["customer_id"] == "alpha" and row["industry"] is None and "\x1b" not in out


def test_show_aligns_numbers_and_honours_head(reviewed, say):
    _, out, _ = say("show", "small", "2025-06", "ltv_totals")
    assert ["company", "2", "1,234", "1,000", "2,000"] in [line.split() for line in out.splitlines()]
    _, out, _ = say("show", "small", "2025-06", "customers", "--head", "1", "--format", "csv")
    assert len(out.splitlines()) == 2


def test_a_table_too_wide_for_the_terminal_stands_upright_and_whole(capsys):
    frame = pd.DataFrame({f"a_rather_long_name_{i}": [f"{i}-{j}" for j in range(7)] for i in range(30)})
    _print_table(frame, "")
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert "…" not in str(lines)
    for i in range(30):
        cells = [cell for line in lines if line and line[0] == f"a_rather_long_name_{i}" for cell in line[1:]]
        assert cells == [f"{i}-{j}" for j in range(7)]


def test_show_contract_prints_grain_units_and_meaning(say):
    status, out, _ = say("show", "--contract", "ltv_totals")
    assert status == 0 and "ltv_totals (version 1): one row a scope; written by notebook 02" in out
    for column in contract_of("ltv_totals").columns:
        assert column.name in out and column.meaning in out


def test_check_says_what_is_missing_and_what_it_would_unlock(workspace, say):
    status, out, _ = say("check", "small")
    assert status == 0 and "orders.csv" in out and "Ready: ltvlab run small 2025-01" in out
    assert "  contract_terms: renewal rates" in out and "order_lines.cost_amount" not in out
    header = "order_id,line_no,customer_id,ordered_at,quantity,net_amount\n"
    (workspace / "data/small/orders.csv").write_text(header + "a,1,b,2025-01-01,1,5\n")
    assert "  order_lines.cost_amount: gross profit instead of revenue" in say("check", "small")[1]
    (workspace / "params/small/2025-05.yaml").write_text("horizon_months: many")
    status, _, err = say("check", "small")
    assert status == 2 and "params/small/2025-05.yaml: horizon_months" in err
    (workspace / "params/small/2025-05.yaml").rename(workspace / "params/small/may.yaml")
    assert "a period file is called YYYY-MM.yaml" in say("check", "small")[2]
    assert not list((workspace / "reports").iterdir())


def test_importing_the_command_loads_no_heavy_library(workspace):
    code = (
        "import sys, ltvlab_utils.cli\n"
        "print([m for m in ('papermill', 'nbconvert', 'pandas', 'ibis', 'scipy', 'seaborn') if m in sys.modules])"
    )
    import subprocess

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_sample_makes_a_company_with_parameters_extracts_and_truth(say, workspace):
    words = ("sample", "acme", "--customers", "40", "--months", "24", "--seed", "7")
    code, out, err = say(*words, "--paths", "20", "--also", "eccube", "--also", "xlsx")
    assert code == 0 and "Next: ltvlab run acme 2025-06" in out and "Traceback" not in err
    assert (workspace / "params" / "acme" / "company.yaml").is_file()
    truth = {f.stem for f in (workspace / "data" / ".truth" / "acme").iterdir()}
    assert {"true_expected", "true_realised", "campaign_effects", "discount_effect", "customers", "faults"} <= truth
    assert (workspace / "data" / "acme" / "exports" / "eccube" / "order.csv").is_file()
    assert (workspace / "data" / "acme" / "exports" / "xlsx" / "company.xlsx").is_file()
    assert say("check", "acme", "2025-06")[0] == 0
    code, out, _ = say(*words, "--paths", "0")
    assert code == 0 and "already up to date" in out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("sample", "Acme!"), "cannot be the name of a company"),
        (("sample", "acme", "--last-period", "2025-13"), "2025-13"),
        (("sample", "acme", "--world", "hom"), 'Did you mean "home"'),
        (("sample", "acme", "--lines", "1000"), "lines goes with more than 50,000 customers"),
        (("sample", "acme", "--customers", "60000", "--lines", "1000"), "at least three a customer"),
        (("sample", "acme", "--seed", "99999999999999999999"), "seed"),
        (("sample", "acme", "--also", "ecube"), 'Did you mean "eccube"'),
        (("sample", "gen", "--seed", "8"), "seed 7 (asked for 8)"),
    ],
)
def test_sample_refuses_in_a_sentence_and_writes_nothing(say, workspace, words, sentence):
    file = workspace / "params" / "gen" / "company.yaml"
    file.parent.mkdir()
    file.write_text("generator: {seed: 7, customers: 40}\nsources: {order_lines: [{path: order_lines.csv}]}\n")
    code, _, err = say(*words, "--paths", "0")
    assert code == 2 and sentence in err and len(err.strip().splitlines()) == 1
    assert not (workspace / "params" / "acme").exists() and not list((workspace / "data").glob("[!s]*"))


@pytest.mark.slow
def test_a_company_at_scale_is_written_as_parquet(say, workspace):
    words = ("sample", "large", "--customers", "50001", "--months", "24", "--lines", "160000")
    code, out, _ = say(*words)
    assert code == 0 and "Next: ltvlab run large 2025-06" in out
    assert list((workspace / "data" / "large" / "order_lines").glob("*.parquet"))
    assert {f.name for f in (workspace / "data" / ".truth" / "large").iterdir()} == {"customers.parquet"}
    assert say("check", "large", "2025-06")[0] == 0
    code, _, err = say(*words, "--also", "csv")
    assert code == 2 and "at most 50,000 customers" in err


def test_sample_never_replaces_files_of_others(say, workspace):
    mine = workspace / "data" / "real" / "customers.csv"
    mine.parent.mkdir()
    mine.write_text("customer_id\nprecious\n")
    code, _, err = say("sample", "real", "--customers", "20", "--months", "12", "--paths", "0")
    assert code == 2 and "data/real/customers.csv is there and was not made by" in err
    assert mine.read_text() == "customer_id\nprecious\n" and not (workspace / "params" / "real").exists()


def test_sample_makes_a_lost_truth_again_and_finishes_what_was_cut(say, workspace):
    words = ("sample", "acme", "--customers", "20", "--months", "12", "--paths", "0")
    assert say(*words)[0] == 0
    truth, stamp = workspace / "data" / ".truth" / "acme", workspace / "data" / "acme" / ".generated.json"
    shutil.rmtree(truth)
    assert say(*words)[0] == 0 and (truth / "true_realised.parquet").is_file()
    stamp.write_text(json.dumps({**json.loads(stamp.read_text()), "key": ""}))  # as a killed run leaves it
    code, out, _ = say(*words)
    assert code == 0 and ": made" in out


def test_a_generator_that_its_sources_do_not_fit_is_refused(say, workspace):
    assert say("sample", "acme", "--customers", "20", "--months", "12", "--paths", "0")[0] == 0
    file = workspace / "params" / "acme" / "company.yaml"
    file.write_text(file.read_text().replace("customers: 20", "customers: 60000"))
    code, _, err = say("sample", "acme", "--paths", "0")
    assert code == 2 and "order_lines/*.parquet, but `sources` reads order_lines.csv" in err


def test_a_data_folder_that_links_into_the_truth_is_refused(say, workspace):
    assert say("sample", "acme", "--customers", "20", "--months", "12", "--paths", "0")[0] == 0
    (workspace / "data" / "small").rename(workspace / "data" / "elsewhere")
    (workspace / "data" / "small").symlink_to(workspace / "data" / ".truth" / "acme")
    code, _, err = say("check", "small")
    assert code == 2 and "never read" in err
