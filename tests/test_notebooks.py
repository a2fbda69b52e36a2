"""The shape of every notebook: an argument in small cells, one parameters cell, no logic, no figures in git."""

import ast
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
STEPS = sorted((ROOT / "notebooks").glob("0*.ipynb"))
DASHBOARDS = sorted((ROOT / "notebooks" / "dashboards").glob("*.ipynb"))
QUESTIONS = {
    "01_ingest": "Can we trust this period's data?",
    "02_ltv": "What is each customer worth, and how sure are we?",
    "03_segments": "Who needs what, and where should the next yen and hour go?",
    "04_campaigns": "What did our measures cause, and what do we learn for the next plan?",
}
EACH = pytest.mark.parametrize("file", STEPS + DASHBOARDS, ids=lambda f: f.stem)


def cells(file: Path, kind: str = "code"):
    return [c for c in nbformat.read(file, 4).cells if c.cell_type == kind]


def parameters(file: Path):
    return [c for c in cells(file) if "parameters" in c.metadata.get("tags", [])]


def test_the_four_steps_are_there():
    assert [f.stem for f in STEPS] == list(QUESTIONS)


@EACH
def test_it_is_valid_and_its_cells_keep_their_ids(file):
    notebook = nbformat.read(file, 4)
    nbformat.validate(notebook)
    ids = [c.id for c in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert notebook.metadata.kernelspec.name == "python3"


@EACH
def test_the_first_cell_says_what_it_is(file):
    first = nbformat.read(file, 4).cells[0]
    assert first.cell_type == "markdown" and first.source.startswith("# ")
    for word in ("Question", "Reads", "Writes"):
        assert word.lower() in first.source.lower(), f"{file.stem}: the first cell lacks {word}"


@pytest.mark.parametrize("file", STEPS, ids=lambda f: f.stem)
def test_the_title_asks_the_question_of_the_step(file):
    assert QUESTIONS[file.stem] in nbformat.read(file, 4).cells[0].source


@EACH
def test_exactly_one_parameters_cell_of_plain_typed_scalars(file):
    found = parameters(file)
    assert len(found) == 1
    expected = {"company": "sample", "period": "2025-06", "run_id": "", "reports_dir": ""}
    if file in DASHBOARDS:
        expected |= {"language": "ja", "role": "", "owner": ""}
    body = ast.parse(found[0].source).body
    assert all(isinstance(n, ast.AnnAssign) and isinstance(n.value, ast.Constant) for n in body)
    assert {n.target.id: n.value.value for n in body} == expected
    assert all("#" in line for line in found[0].source.splitlines() if line.strip())


@EACH
def test_cells_are_short_and_hold_no_logic(file):
    for cell in cells(file):
        lines = [line for line in cell.source.splitlines() if line.strip()]
        assert len(lines) <= 10, f"{file.stem} {cell.id}: {len(lines)} lines"
        tree = ast.parse(cell.source)
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.While, ast.Try)
        logic = [n for n in ast.walk(tree) if isinstance(n, kinds)]
        assert not logic, f"{file.stem} {cell.id}: {type(logic[0]).__name__} at line {logic[0].lineno}"


@EACH
def test_all_imports_stand_in_one_cell(file):
    importing = [
        c.id
        for c in cells(file)
        if any(isinstance(n, ast.Import | ast.ImportFrom) for n in ast.walk(ast.parse(c.source)))
    ]
    assert len(importing) == 1, importing


@EACH
def test_no_figure_and_no_error_stays_in_git(file):
    for cell in cells(file):
        kept = "keep_output" in cell.metadata.get("tags", [])
        assert kept or not cell.outputs, f"{file.stem} {cell.id} keeps an output without the keep_output tag"
        for output in cell.outputs:
            assert output.output_type != "error"
            assert set(output.get("data", {})) <= {"text/plain"}, f"{file.stem} {cell.id} keeps a figure or HTML"


@pytest.mark.parametrize("file", STEPS, ids=lambda f: f.stem)
def test_each_step_states_results_that_nbval_proves(file):
    marked = [c for c in cells(file) if c.source.startswith("# NBVAL_CHECK_OUTPUT")]
    assert marked, "no marked result"
    for cell in marked:
        assert "keep_output" in cell.metadata.get("tags", []), cell.id
        assert cell.outputs and cell.execution_count, f"{cell.id}: run `make notebooks`"


@EACH
def test_a_notebook_sees_floors_0_to_4_alone(file):
    for cell in cells(file):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ltvlab_utils"):
                units = {node.module.split(".")[1]} if "." in node.module else {a.name for a in node.names}
                assert not units & {"runner", "server", "cli"}
                if file in DASHBOARDS:
                    assert units <= {"store", "params", "plots", "pages", "i18n", "allocation", "value"}, units


def test_the_table_of_notebooks_names_them_all():
    text = (ROOT / "notebooks" / "README.md").read_text(encoding="utf-8")
    for file in STEPS + DASHBOARDS:
        assert file.name in text
