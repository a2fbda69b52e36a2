"""What a run checks before it starts, what it publishes, what it reuses, and how it fails."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ltvlab_utils import runner, store
from ltvlab_utils.errors import ContractError, LtvLabError, Refused, StepFailed
from ltvlab_utils.periods import Period
from ltvlab_utils.runner import keys, plan, reuse
from ltvlab_utils.runner.steps import Step, check_kernel, check_notebooks, find_steps
from tests.stubs import OPEN, PAGE_PARAMETERS, PARAMETERS, REJECTED, folders, notebook, state, total

PERIOD = "2025-06"


@pytest.fixture
def books(workspace) -> Path:
    return workspace / "notebooks"


@pytest.fixture
def same_code(monkeypatch):
    """The package's files count as unchanged, also where somebody edits them while the tests run."""
    monkeypatch.setattr(keys, "code_hash", lambda: "code")


def run(books, periods=PERIOD, **more):
    return runner.run("small", periods, notebooks_dir=str(books), **more)


def period_folder(workspace, period=PERIOD) -> Path:
    return workspace / "reports" / "small" / period


def nothing_written(workspace) -> bool:
    return not list((workspace / "reports").iterdir())


# --- before anything is written --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "ended"),
    [
        ("2025-06-30T14:59:59+00:00", False),  # 23:59:59 of 30 June in Tokyo
        ("2025-06-30T15:00:00+00:00", True),  # midnight there, while it is still June in London
    ],
)
def test_a_final_review_waits_for_the_end_of_the_month_in_the_companys_zone(workspace, now, ended):
    params, moment = store.resolve_params("small", PERIOD), datetime.fromisoformat(now)
    plan.check_period(params, "preliminary", moment)
    if ended:
        plan.check_period(params, "final", moment)
    else:
        with pytest.raises(Refused, match=r"2025-06 has not ended in Asia/Tokyo \(it is 2025-06-30 there\).*--prelim"):
            plan.check_period(params, "final", moment)


def test_a_month_that_has_not_begun_is_refused_even_as_preliminary(workspace, books):
    notebook(books / "02_ltv.ipynb", OPEN, total())
    with pytest.raises(Refused, match="2031-01 has not begun"):
        run(books, "2031-01", preliminary=True, now=datetime(2030, 12, 31, tzinfo=UTC))
    assert nothing_written(workspace)


@pytest.mark.parametrize(
    ("parameters", "tags", "sentence"),
    [
        (PARAMETERS, (), r'02_ltv.ipynb has no cell tagged "parameters": exactly one is needed'),
        (PARAMETERS.replace("run_id", "runid"), ("parameters",), r'unknown parameter "runid". Did you mean "run_id"'),
        (PARAMETERS.replace('run_id: str = ""\n', ""), ("parameters",), r'the parameters cell lacks "run_id"'),
        (PAGE_PARAMETERS, ("parameters",), r'unknown parameter "language"'),
        (PARAMETERS + "year = period[:4]", ("parameters",), "the parameters cell holds more than plain values"),
        (PARAMETERS + "if", ("parameters",), "the parameters cell holds more than plain values"),
    ],
)
def test_parameter_cells_are_checked_before_anything_is_written(workspace, books, parameters, tags, sentence):
    notebook(books / "01_ingest.ipynb", OPEN, REJECTED)
    notebook(books / "02_ltv.ipynb", OPEN, total(), parameters=parameters, tags=tags)
    with pytest.raises(Refused, match=sentence):
        run(books)
    assert nothing_written(workspace)


def test_comments_of_parameters_may_hold_an_equals_sign(books):
    commented = PARAMETERS.replace('run_id: str = ""', 'run_id: str = ""  # empty = the _lab, so == nothing published')
    check_notebooks([Step(notebook(books / "02_ltv.ipynb", parameters=commented))])


def test_two_parameter_cells_and_foreign_kernels_are_refused(books):
    file = notebook(books / "02_ltv.ipynb", OPEN)
    content = json.loads(file.read_text())
    content["cells"][2]["metadata"] = {"tags": ["parameters"]}
    file.write_text(json.dumps(content))
    with pytest.raises(Refused, match='2 cells tagged "parameters"'):
        check_notebooks([Step(file)])
    content["cells"][2]["metadata"] = {}
    content["metadata"]["kernelspec"]["name"] = "ir"
    file.write_text(json.dumps(content))
    with pytest.raises(Refused, match='asks for the kernel "ir"'):
        check_notebooks([Step(file)])
    file.write_text("{}")
    with pytest.raises(Refused, match="not readable as a notebook"):
        check_notebooks([Step(file)])


def test_a_kernel_of_another_environment_is_refused(tmp_path, monkeypatch):
    check_kernel()
    spec = tmp_path / "kernels" / "python3" / "kernel.json"
    spec.parent.mkdir(parents=True)
    content = {"argv": ["/elsewhere/bin/python", "-m", "ipykernel_launcher"], "display_name": "x", "language": "python"}
    spec.write_text(json.dumps(content))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    with pytest.raises(StepFailed, match="starts /elsewhere/bin/python, which is not this environment"):
        check_kernel()


def test_steps_are_01_to_04_then_each_page_in_each_language_without_the_customer_page(books):
    for name in ("02_ltv", "01_ingest", "dashboards/sales", "dashboards/customer", "dashboards/executive", "scratch"):
        notebook(books / f"{name}.ipynb")
    found = [step.name for step in find_steps(books)]
    assert found == ["01_ingest", "02_ltv", "executive.ja", "executive.en", "sales.ja", "sales.en"]


def test_a_missing_notebook_of_the_review_is_refused(monkeypatch, books):
    for name in ("01_ingest", "02_ltv", "04_campaigns"):
        notebook(books / f"{name}.ipynb")
    monkeypatch.setattr("ltvlab_utils.runner.steps.workspace", lambda: books.parent)
    with pytest.raises(Refused, match=r"notebooks/03_segments.ipynb is missing"):
        find_steps()


@pytest.mark.parametrize(
    ("break_it", "sentence"),
    [
        (lambda w: (w / "data/small/orders.csv").unlink(), "orders.csv"),
        (lambda w: (w / "data/small/orders.csv").write_text(""), "orders.csv.* empty"),
        (lambda w: (w / "data/small/orders.csv").write_text("a,b\n1,2\n"), "orders.csv.*(column|customer_id|order_id)"),
        (lambda w: (w / "params/small/2025-06.yaml").write_text("horizon: 3"), 'unknown key "horizon".*horizon_months'),
    ],
)
def test_parameters_and_sources_are_checked_before_anything_is_written(workspace, books, break_it, sentence):
    notebook(books / "02_ltv.ipynb", OPEN, total())
    break_it(workspace)
    with pytest.raises(Refused, match=sentence):
        run(books, "2025-05..2025-06")
    assert nothing_written(workspace)


# --- publishing ------------------------------------------------------------------------------------------------------


def test_a_review_of_two_months_with_pages_is_published_reused_and_kept(workspace, books, same_code, monkeypatch):
    """One long story in one language, since each kernel costs seconds."""
    monkeypatch.setattr("ltvlab_utils.runner.steps.LANGUAGES", ("ja",))
    page = "from IPython.display import HTML\nHTML(f\"<p>{language} {run.manifest['kind']}</p>\")"
    notebook(books / "01_ingest.ipynb", OPEN, REJECTED)
    notebook(books / "02_ltv.ipynb", OPEN, "before = 0 if run.prior is None else 1", total("10.0 + before"))
    notebook(books / "dashboards" / "executive.ipynb", OPEN, page, parameters=PAGE_PARAMETERS)

    may, june = run(books, "2025-05..2025-06", preliminary=True)
    assert (may.made, june.made) == (True, True)
    assert store.read("small", "2025-05").frame("ltv_totals")["value"].tolist() == [10.0]
    assert store.read("small", "2025-06").frame("ltv_totals")["value"].tolist() == [11.0], "June reads May"
    manifest = store.read("small", PERIOD).manifest
    assert manifest["status"] == "complete" and manifest["kind"] == "preliminary"
    assert manifest["prior"]["run_id"] == may.run_id
    assert manifest["prior"]["tables_hash"] == store.read("small", "2025-05").manifest["tables_hash"]
    [source] = manifest["inputs"]
    assert source["table"] == "order_lines" and len(source["fingerprint"]) == 64
    assert manifest["packages"]["papermill"] and manifest["python"] and manifest["seeds"] == {"models": 20250630}
    assert manifest["tables"]["ltv_totals"]["rows"] == 1
    assert list(manifest["steps"]) == ["01_ingest", "02_ltv", "executive.ja"]
    for step in manifest["steps"].values():
        assert 0 < step["kernel_start_seconds"] < step["seconds"]
    assert "ja preliminary" in (june.folder / "pages" / "executive.ja.html").read_text()
    assert not list(june.folder.glob("*.log"))
    assert {oct(p.stat().st_mode & 0o777) for p in june.folder.rglob("*") if p.is_file()} == {"0o444"}

    # nothing changed: no file is touched
    before = state(workspace / "reports")
    again = run(books, "2025-05..2025-06", preliminary=True)
    assert [o.made for o in again] == [False, False] and [o.run_id for o in again] == [may.run_id, june.run_id]
    assert state(workspace / "reports") == before

    # a final run takes the place of a preliminary one; 01 is the same, 02 seals, the page tells
    [final] = run(books)
    steps = store.read("small", PERIOD).manifest["steps"]
    assert store.read("small", PERIOD).run_id == final.run_id != june.run_id
    assert {name: bool(step["reused_from"]) for name, step in steps.items()} == {
        "01_ingest": True, "02_ltv": False, "executive.ja": False,
    }  # fmt: skip
    assert "ja final" in (final.folder / "pages" / "executive.ja.html").read_text()
    with pytest.raises(Refused, match=f"already has the final review {final.run_id}"):
        run(books, preliminary=True)
    (period_folder(workspace) / "published.json").write_text("{")
    with pytest.raises(Refused, match=f"already has the final review {final.run_id}"):
        run(books, preliminary=True)  # a damaged pointer does not open the door
    [repaired] = run(books)
    assert store.read("small", PERIOD).run_id == repaired.run_id


def test_equal_inputs_give_equal_bytes_and_only_what_changed_runs_again(workspace, books, same_code):
    notebook(books / "01_ingest.ipynb", OPEN, REJECTED)
    notebook(books / "02_ltv.ipynb", OPEN, total())
    [first] = run(books)
    one = {p.relative_to(first.folder): p for p in (first.folder / "tables").rglob("*.parquet")}

    notebook(books / "02_ltv.ipynb", OPEN, total(), "'one more cell'")
    [second] = run(books)
    two = {p.relative_to(second.folder): p for p in (second.folder / "tables").rglob("*.parquet")}
    assert {k: v.read_bytes() for k, v in one.items()} == {k: v.read_bytes() for k, v in two.items()}
    same_file = {p.parent.name: one[p].samefile(two[p]) for p in one}
    assert same_file == {"rejected_rows": True, "ltv_totals": False}
    assert (first.folder / "notebooks/01_ingest.ipynb").samefile(second.folder / "notebooks/01_ingest.ipynb")
    assert first.folder.is_dir(), "the earlier run stays as a record"

    # outputs, counts and metadata of an editor are noise
    file = books / "02_ltv.ipynb"
    content = json.loads(file.read_text())
    content["cells"][2].update(execution_count=7, outputs=[{"output_type": "stream", "name": "stdout", "text": "x"}])
    content["metadata"]["language_info"] = {"name": "python", "version": "3.13.0"}
    file.write_text(json.dumps(content))
    assert not run(books)[0].made

    # a changed source file runs everything again
    orders = workspace / "data" / "small" / "orders.csv"
    orders.write_text(orders.read_text().replace("1200", "1300"))
    [third] = run(books)
    assert not any(s["reused_from"] for s in store.read("small", PERIOD).manifest["steps"].values())
    assert third.made


@pytest.mark.slow
def test_a_damaged_table_is_made_anew(workspace, books, same_code):
    notebook(books / "02_ltv.ipynb", OPEN, total())
    [first] = run(books)
    part = next(first.folder.rglob("*.parquet"))
    part.chmod(0o644)
    part.write_bytes(b"damaged")
    with pytest.raises(ContractError, match=r'Table "ltv_totals" is damaged .* run the period again'):
        store.read("small", PERIOD).frame("ltv_totals")
    [second] = run(books)
    assert second.made and store.read("small", PERIOD).frame("ltv_totals")["value"].tolist() == [10.0]
    assert store.read("small", PERIOD).manifest["steps"]["02_ltv"]["reused_from"] is None


def test_keys_depend_on_what_they_should(workspace, books):
    one, two = notebook(books / "01_ingest.ipynb", OPEN), notebook(books / "02_ltv.ipynb", OPEN)
    page = notebook(books / "dashboards" / "executive.ipynb", OPEN)
    steps = [Step(one), Step(two), Step(page, "ja"), Step(page, "en")]
    plain = {"code": "c", "packages": {"p": "1"}, "params_json": "{}", "fingerprints": [("t", "s", "f", "1")],
             "prior_hash": None, "kind": "final"}  # fmt: skip
    base = keys.step_keys(steps, **plain)
    assert len(set(base.values())) == 4

    def changed(**more) -> set[str]:
        return {name for name, key in keys.step_keys(steps, **(plain | more)).items() if key != base[name]}

    everything = set(base)
    assert changed(code="d") == changed(packages={"p": "2"}) == changed(params_json="{ }") == everything
    assert changed(fingerprints=[("t", "s", "f", "2")]) == everything
    assert changed(prior_hash="x") == everything - {"01_ingest"}
    assert changed(staged_before="x") == everything
    assert changed(kind="preliminary") == everything - {"01_ingest"}
    # the run that sealed the period's forecasts keeps its key, any other one follows that seal
    assert changed(sealed=(base["02_ltv"], "s")) == set()
    assert changed(sealed=("another", "s")) == everything - {"01_ingest"}
    after = keys.step_keys(steps, **plain, sealed=("another", "s"))
    assert keys.step_keys(steps, **plain, sealed=(after["02_ltv"], "s")) == after
    notebook(two, OPEN, "1")
    assert changed() == everything - {"01_ingest"}


def test_code_of_floors_0_to_4_counts_and_floor_5_does_not(tmp_path):
    for name in ("value/a.py", "pages/style.css", "runner/b.py", "cli/c.py", "value/__pycache__/a.pyc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    base = keys.code_hash(tmp_path)
    for name, counts in (("value/a.py", True), ("pages/style.css", True), ("runner/b.py", False), ("cli/c.py", False),
                         ("value/__pycache__/a.pyc", False)):  # fmt: skip
        (tmp_path / name).write_text("2")
        assert (keys.code_hash(tmp_path) != base) == counts, name
        (tmp_path / name).write_text("1")


def test_an_earlier_run_serves_only_where_it_worked_from_the_same_tables(workspace):
    folder = period_folder(workspace)
    for name, sha in (("20250701-000000-aa", "1"), ("20250702-000000-bb", "2")):
        (folder / name / "tables").mkdir(parents=True)
        record = {"key": "k", "tables": [], "files": [], "reused_from": None}
        manifest = {"status": "complete", "steps": {"02_ltv": record}, "tables": {"rejected_rows": {"sha256": sha}}}
        (folder / name / "manifest.json").write_text(json.dumps(manifest))
    earlier = reuse.earlier_runs(folder)
    assert [run.folder.name for run in earlier] == ["20250702-000000-bb", "20250701-000000-aa"]
    found = reuse.link_step("02_ltv", "k", earlier, workspace, {"rejected_rows": {"sha256": "1"}})
    assert found["reused_from"] == "20250701-000000-aa"
    assert reuse.link_step("02_ltv", "k", earlier, workspace, {"rejected_rows": {"sha256": "3"}}) is None
    assert reuse.link_step("02_ltv", "other", earlier, workspace, {}) is None


def test_run_ids_never_meet(workspace):
    folder, moment = period_folder(workspace), datetime(2025, 7, 1, 9, 0, 0)
    first = runner.review.new_run_id(folder, moment, "abcdef0123")
    (folder / first).mkdir(parents=True)
    second = runner.review.new_run_id(folder, moment, "abcdef0123")
    assert (first, second) == ("20250701-090000-abcdef01", "20250701-090001-abcdef01")


# --- failing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "error", "sentence"),
    [
        ("# why\nvalue = 1 / 0", StepFailed,
         r"02_ltv.ipynb, cell 4 \(`value = 1 / 0`\) failed with ZeroDivisionError: division by zero. Open .*02_ltv"),
        ("import os; os._exit(1)", StepFailed, r"02_ltv.ipynb, cell 4 \(`import os; .*the kernel died"),
        ("from ltvlab_utils.errors import Refused; raise Refused('Row 7 of orders.csv: no date. Correct it.')", Refused,
         r"Row 7 of orders.csv: no date. Correct it. Found by 02_ltv.ipynb, cell 4 .*executed copy: "),
        (f"import pandas as pd\n{total().replace('value=10.0', 'customers=-1')}", Refused,
         r'Table "ltv_totals", column "customers": 1 of 1 rows lie outside'),
        ("raise MemoryError", StepFailed, "failed with MemoryError. Not enough memory"),
        ("raise OSError(28, 'No space left on device')", StepFailed, "No space left on device. If the disk is full"),
        (REJECTED, StepFailed, 'wrote the table "rejected_rows", which belongs to notebook 01'),
        ("raise ValueError('\\x1b[31mred\\x1b[0m\\x07 [bold]株式会社[/bold]\\n' + 'x' * 999)", StepFailed,
         r"ValueError: red \[bold\]株式会社\[/bold\] x+…"),
    ],
)  # fmt: skip
def test_failures_name_notebook_cell_error_and_copy(workspace, books, cell, error, sentence):
    notebook(books / "02_ltv.ipynb", OPEN, cell)
    with pytest.raises(error, match=sentence) as caught:
        run(books, "2025-05..2025-06")
    assert type(caught.value).exit_status == (2 if error is Refused else 1)
    assert str(caught.value).endswith("Not started for that reason: 2025-06.")
    assert "\x1b" not in str(caught.value) and "\n" not in str(caught.value)
    folder = period_folder(workspace, "2025-05")
    assert list(folders(folder).values()) == ["failed"] and not (folder / "published.json").exists()
    [name] = folders(folder)
    manifest = json.loads((folder / name / "manifest.json").read_text())
    assert manifest["failure"] in str(caught.value)
    copy = json.loads((folder / name / "notebooks" / "02_ltv.ipynb").read_text())
    if "wrote the table" not in sentence:
        assert copy["metadata"]["papermill"]["exception"] is True


@pytest.mark.slow
def test_a_failed_run_keeps_its_good_steps_for_the_next(workspace, books, same_code):
    notebook(books / "01_ingest.ipynb", OPEN, REJECTED)
    notebook(books / "02_ltv.ipynb", OPEN, "1 / 0")
    with pytest.raises(StepFailed):
        run(books)
    notebook(books / "02_ltv.ipynb", OPEN, total())
    [done] = run(books)
    steps = store.read("small", PERIOD).manifest["steps"]
    assert steps["01_ingest"]["reused_from"] and not steps["02_ltv"]["reused_from"]
    assert done.made


def test_a_file_or_notebook_that_changes_under_the_run_stops_it(workspace, books):
    data = workspace / "data" / "small" / "orders.csv"
    report = (
        f"import pathlib, hashlib\nfile = pathlib.Path({str(data)!r})\nfile.write_text(file.read_text() + '\\n')\n"
        "row = {'table_name': 'order_lines', 'source': 'orders.csv', 'file': 'small/orders.csv', 'rows_read': 3,\n"
        "  'rows_accepted': 3, 'rows_rejected': 0, 'rows_after_as_of': 0, 'rows_without_customer': 0,\n"
        "  'amount_read': 0, 'amount_accepted': 0, 'amount_rejected': 0, 'amount_after_as_of': 0,\n"
        "  'rows_passed_over': 0, 'columns_unknown': None, 'columns_missing': None,\n"
        "  'fingerprint': hashlib.sha256(file.read_bytes()).hexdigest()}\n"
        "run.write('ingest_report', pd.DataFrame([row]))"
    )
    notebook(books / "01_ingest.ipynb", OPEN, report)
    with pytest.raises(Refused, match=r"orders.csv was changed while the run was at work"):
        run(books)
    file = books / "01_ingest.ipynb"
    text = report.replace("file.write_text(file.read_text() + '\\n')", "")
    notebook(file, OPEN, text)
    run(books)
    assert store.read("small", PERIOD).manifest["inputs"][0]["rows"] == 3
    edit = (
        f"import pathlib\nfile = pathlib.Path({str(file)!r})\nfile.write_text(file.read_text().replace('# 01', '# 1'))"
    )
    notebook(file, OPEN, edit, text)
    [done] = run(books)
    assert done.made, "what ran is the notebook that was checked, whatever happens to the file afterwards"


@pytest.mark.slow
def test_a_first_month_that_runs_again_names_the_later_one(workspace, books, same_code):
    notebook(books / "02_ltv.ipynb", OPEN, total())
    run(books, "2025-05..2025-06")
    notebook(books / "02_ltv.ipynb", OPEN, total(12.0))
    [may] = run(books, "2025-05")
    assert may.notes == ("2025-06 was reviewed against other tables of 2025-05: run it again.",)


def test_a_damaged_prior_is_named(workspace, books):
    folder = period_folder(workspace, "2025-05")
    folder.mkdir(parents=True)
    (folder / "published.json").write_text("{")
    with pytest.raises(LtvLabError, match=r"2025-05/published.json is damaged: run the period again"):
        plan.find_prior(folder.parent / str(Period.parse(PERIOD)))


def test_the_lab_stays_untouched_and_moved_folders_reach_the_kernels(workspace, books, monkeypatch):
    notebook(books / "02_ltv.ipynb", OPEN, total())
    lab = store.open("small", PERIOD)
    (lab.folder / "note.txt").write_text("mine")
    (period_folder(workspace) / "own").mkdir()
    (period_folder(workspace) / "own" / "note.txt").write_text("mine")
    before = state(lab.folder)
    monkeypatch.chdir(workspace)
    monkeypatch.setenv("LTVLAB_REPORTS", "reports")  # relative: the kernels work in another folder
    monkeypatch.setenv("LTVLAB_PARAMS", "params")
    [done] = run(books)
    assert done.made and state(lab.folder) == before
    assert (period_folder(workspace) / "own" / "note.txt").read_text() == "mine"
    [other] = run(books, reports_dir="elsewhere")
    assert other.folder.is_relative_to(workspace / "elsewhere") and other.made
    assert [p.name for p in (workspace / "elsewhere" / "small").iterdir()] == [PERIOD]
