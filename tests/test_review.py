"""The whole way: the sample review that `make review` made, the public CDNOW log, an analyst at work."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from ltvlab_utils import store
from ltvlab_utils.store.publish import read_manifest

ROOT = Path(__file__).resolve().parents[1]
LTVLAB = Path(sys.executable).with_name("ltvlab")


def ltvlab(*words: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [LTVLAB, *words], env={**os.environ, **environment}, capture_output=True, text=True, cwd=ROOT, timeout=500
    )


def tree(folder: Path) -> dict[str, str]:
    """Every file below a folder, the analyst's _lab apart, with its hash."""
    files = {p.relative_to(folder): p for p in folder.rglob("*") if p.is_file() and p.name != ".lock"}
    return {str(k): hashlib.sha256(p.read_bytes()).hexdigest() for k, p in files.items() if "_lab" not in k.parts}


@pytest.mark.parametrize("period", ["2025-05", "2025-06"])
def test_the_sample_review_is_complete(sample_reports, period):
    run = store.read("sample", period, reports_dir=sample_reports)
    manifest = run.manifest
    assert (manifest["status"], manifest["kind"]) == ("complete", "final")
    assert manifest["run_id"] == run.run_id
    for name in ("01_ingest", "02_ltv", "03_segments", "04_campaigns"):
        assert (run.folder / "notebooks" / f"{name}.ipynb").is_file()
    for language in ("ja", "en"):
        assert (run.folder / "pages" / f"executive.{language}.html").is_file()
    for name, about in manifest["tables"].items():
        assert len(run.frame(name)) == about["rows"], name  # every table keeps its contract
    if period == "2025-06":
        assert manifest["prior"]["period"] == "2025-05"


def test_every_yen_of_the_sample_reconciles(sample_reports):
    report = store.read("sample", "2025-06", reports_dir=sample_reports).frame("ingest_report")
    assert (report["rows_read"] == report["rows_accepted"] + report["rows_rejected"]).all()
    assert (abs(report["amount_read"] - report["amount_accepted"] - report["amount_rejected"]) < 1e-9).all()
    assert report["rows_rejected"].sum() > 0  # the planted rows were found


def test_parts_of_the_value_add_up_to_one_yen(sample_reports):
    ltv = store.read("sample", "2025-06", reports_dir=sample_reports).frame("ltv_by_customer")
    revenue = ltv[["expected_order_revenue", "expected_contract_revenue", "expected_expansion"]].fillna(0).sum(axis=1)
    costs = ["expected_cogs", "expected_servicing_cost", "expected_support_cost", "expected_credit_loss"]
    assert (abs(revenue - ltv[costs].fillna(0).sum(axis=1) - ltv["future_value"]) <= 1).all()
    known = ltv.dropna(subset=["acquisition_cost"])
    assert len(known) > 0
    assert (abs(known["realised_profit"] + known["future_value"] - known["acquisition_cost"] - known["ltv"]) <= 1).all()
    assert ltv.loc[ltv["acquisition_cost"].isna(), "ltv"].isna().all()
    assert (ltv["future_value_low"] <= ltv["future_value_high"]).all()


@pytest.mark.slow  # make test holds it for a review of stubs (test_runner)
def test_the_same_inputs_give_equal_bytes(sample_reports, tmp_path):
    """A second run of 2025-05, elsewhere and later, writes the same tables."""
    done = ltvlab("run", "sample", "2025-05", LTVLAB_REPORTS=str(tmp_path))
    assert done.returncode == 0, done.stderr
    first = store.read("sample", "2025-05", reports_dir=sample_reports).folder / "tables"
    second = store.read("sample", "2025-05", reports_dir=tmp_path).folder / "tables"
    assert tree(first) == tree(second)


@pytest.mark.slow
def test_cdnow_gives_the_published_numbers(tmp_path):
    """Pareto/NBD and Gamma-Gamma on the CDNOW sample: Fader, Hardie & Lee (2005), Marketing Science 24(2), JMR 42."""
    done = ltvlab("run", "cdnow", "1997-09", LTVLAB_REPORTS=str(tmp_path))
    assert done.returncode == 0, done.stderr
    run = store.read("cdnow", "1997-09", reports_dir=tmp_path)
    assert len(run.frame("ltv_by_customer")) == 2357
    assert (run.frame("ltv_by_customer")["value_basis"] == "revenue").all()
    card = run.frame("model_card").set_index(["model", "engine", "parameter"])
    published = {
        "pareto_nbd": {"r": 0.5533, "alpha": 10.578, "s": 0.6062, "beta": 11.669},
        "gamma_gamma": {"p": 6.25, "q": 3.74, "v": 15.44},
    }
    for model, values in published.items():
        for name, value in values.items():
            ours = card.loc[(model, "ltvlab", name)]
            assert ours["converged"] and ours["estimate"] == pytest.approx(value, rel=2e-3), (model, name)
            assert (model, "lifetimes", name) in card.index
    assert card.loc[("pareto_nbd", "ltvlab", "r"), "log_likelihood"] == pytest.approx(-9594.976, abs=0.02)
    for page in (run.folder / "pages").glob("*.html"):
        assert "gross profit" not in page.read_text(encoding="utf-8").lower(), "nothing without cost is called profit"


@pytest.mark.parametrize("which", ["04*.ipynb", pytest.param("0*.ipynb", marks=pytest.mark.slow)])
def test_an_analyst_runs_all_notebooks_and_changes_nothing_published(sample_reports, tmp_path, monkeypatch, which):
    """In JupyterLab, as far as papermill and the runner are concerned. nbval runs all four on each make test, too."""
    for period in ("2025-05", "2025-06"):
        target = tmp_path / "sample" / period
        shutil.copytree(sample_reports / "sample" / period, target, ignore=shutil.ignore_patterns("_lab", ".lock"))
    before = tree(tmp_path)
    monkeypatch.setenv("LTVLAB_REPORTS", str(tmp_path))
    for file in sorted((ROOT / "notebooks").glob(which)):
        notebook = nbformat.read(file, 4)
        resources = {"metadata": {"path": str(file.parent)}}
        NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    assert tree(tmp_path) == before
    lab = tmp_path / "sample" / "2025-06" / "_lab" / "tables"
    published = store.read("sample", "2025-06").folder / "tables"
    seen = tree(lab)
    assert seen and seen == {file: tree(published)[file] for file in seen}  # the analyst sees what the run saw


def test_the_manifest_says_where_a_run_comes_from(sample_reports):
    run = store.read("sample", "2025-06", reports_dir=sample_reports)
    manifest = read_manifest(run.folder)
    text = json.dumps(manifest)
    for key in ("inputs", "prior", "packages", "python", "seed", "steps", "tables_hash"):
        assert key in text, key
    assert {i["file"] for i in manifest["inputs"]} == set(run.frame("ingest_report")["file"])
