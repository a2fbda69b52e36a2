"""The store: tables by name, the analyst's _lab, publication, equal bytes."""

import json

import ibis
import pandas as pd
import pyarrow.parquet as pq
import pytest

from ltvlab_utils import store
from ltvlab_utils.errors import Busy, ContractError, LtvLabError, Refused
from ltvlab_utils.store import atomic, publish
from ltvlab_utils.store.layout import data_dir
from ltvlab_utils.tables import contract_of

TOTALS = pd.DataFrame({"scope": ["company"], "customers": [2], "value": [10.0], "low": [5.0], "high": [20.0]})


def make_run(workspace, run_id, kind="final", value=10.0, complete=True, period="2025-06", prior=None):
    folder = workspace / "reports" / "small" / period
    params = store.resolve_params("small", period).to_json()
    run_folder = publish.start_run(folder, run_id, params, {"kind": kind, "prior": prior})
    store.open("small", period, run_id).write("ltv_totals", TOTALS.assign(value=value))
    if complete:
        publish.write_manifest(run_folder, {**publish.read_manifest(run_folder), "status": "complete"})
    return folder


def test_tables_come_back_as_written_sorted_and_typed(workspace):
    run = store.open("small", "2025-06")
    frame = pd.concat([TOTALS, TOTALS.assign(scope="a")])
    run.write("ltv_totals", frame)
    assert list(run.frame("ltv_totals")["scope"]) == ["a", "company"]
    assert run.frame("ltv_totals")["value"].dtype == "float64"


def test_equal_content_is_equal_bytes_whatever_the_row_order(workspace):
    frame = pd.DataFrame(
        {"scope": [f"segment:{i}" for i in range(500)], "customers": range(500)}
    ).assign(value=1 / 3, low=0.1, high=0.7)  # fmt: skip
    run = store.open("small", "2025-06")
    hashes = set()
    for seed in (1, 2, 3):
        shuffled = frame.sample(frac=1, random_state=seed)
        run.write("ltv_totals", shuffled)
        by_frame = (run.folder / "tables" / "ltv_totals" / "part-0.parquet").read_bytes()
        run.write("ltv_totals", ibis.memtable(shuffled))
        by_engine = (run.folder / "tables" / "ltv_totals" / "part-0.parquet").read_bytes()
        hashes.add((by_frame, by_engine))
    assert len(hashes) == 1


def test_files_carry_the_contract_version_and_an_older_one_is_refused(workspace):
    run = store.open("small", "2025-06")
    run.write("ltv_totals", TOTALS)
    part = run.folder / "tables" / "ltv_totals" / "part-0.parquet"
    assert pq.read_schema(part).metadata[b"ltvlab_contract"] == contract_of("ltv_totals").tag.encode()
    old = pq.read_table(part).replace_schema_metadata({"ltvlab_contract": "ltv_totals/0"})
    pq.write_table(old, part)
    with pytest.raises(ContractError, match=r"ltv_totals/0.*run the period again"):
        run.table("ltv_totals")


def test_a_bad_table_leaves_the_earlier_one(workspace):
    run = store.open("small", "2025-06")
    run.write("ltv_totals", TOTALS)
    for bad in (TOTALS.assign(customers=-1), ibis.memtable(TOTALS.assign(customers=-1))):
        with pytest.raises(ContractError):
            run.write("ltv_totals", bad)
    assert run.frame("ltv_totals")["customers"].tolist() == [2]
    assert [p.name for p in (run.folder / "tables").iterdir()] == ["ltv_totals"]


def test_the_lab_reads_the_published_run_and_changes_nothing_of_it(workspace):
    folder = make_run(workspace, "r1", value=10.0)
    publish.publish(folder, "r1")
    before = {p: p.read_bytes() for p in (folder / "r1").rglob("*") if p.is_file()}
    lab = store.open("small", "2025-06")
    assert lab.is_lab and lab.frame("ltv_totals")["value"].tolist() == [10.0]
    lab.write("ltv_totals", TOTALS.assign(value=99.0))
    assert lab.frame("ltv_totals")["value"].tolist() == [99.0]
    assert store.read("small", "2025-06").frame("ltv_totals")["value"].tolist() == [10.0]
    assert before == {p: p.read_bytes() for p in (folder / "r1").rglob("*") if p.is_file()}
    with pytest.raises(Refused):
        store.open("small", "2025-06", "_lab")


def test_a_complete_run_cannot_be_written(workspace):
    make_run(workspace, "r1")
    with pytest.raises(LtvLabError, match="complete and cannot be changed"):
        store.open("small", "2025-06", "r1").write("ltv_totals", TOTALS)


def test_only_complete_runs_are_published_and_final_stays_final(workspace):
    folder = make_run(workspace, "r1", complete=False)
    with pytest.raises(LtvLabError, match="not complete"):
        publish.publish(folder, "r1")
    make_run(workspace, "r2", kind="preliminary")
    publish.publish(folder, "r2")
    make_run(workspace, "r3", kind="final")
    publish.publish(folder, "r3")
    with pytest.raises(LtvLabError, match="may not replace the final run r3"):
        publish.publish(folder, "r2")
    assert json.loads((folder / "published.json").read_text()) == {"run_id": "r3"}


def test_leftovers_go_and_the_newest_failed_run_stays(workspace):
    folder = make_run(workspace, "r1")
    publish.publish(folder, "r1")
    make_run(workspace, "r2", complete=False)
    for name in ("r3", "r4"):
        make_run(workspace, name, complete=False)
        publish.write_manifest(folder / name, {**publish.read_manifest(folder / name), "status": "failed"})
    (folder / "r5").mkdir()
    store.open("small", "2025-06")  # makes the _lab
    assert publish.clean_leftovers(folder) == ["r2", "r5", "r3"]
    assert sorted(p.name for p in folder.iterdir() if p.is_dir()) == ["_lab", "r1", "r4"]


def test_the_prior_is_the_one_of_the_runs_start(workspace):
    may = make_run(workspace, "m1", value=1.0, period="2025-05")
    publish.publish(may, "m1")
    make_run(workspace, "j1", prior={"period": "2025-05", "run_id": "m1"})
    make_run(workspace, "m2", value=2.0, period="2025-05")
    publish.publish(may, "m2")
    assert store.read("small", "2025-06", "j1").prior.frame("ltv_totals")["value"].tolist() == [1.0]
    assert store.open("small", "2025-06").prior.frame("ltv_totals")["value"].tolist() == [2.0]
    assert store.read("small", "2025-05").prior is None


def test_one_run_of_a_period_at_a_time(workspace):
    folder = workspace / "reports" / "small" / "2025-06"
    with publish.run_lock(folder), pytest.raises(Busy, match="small 2025-06 is at work"), publish.run_lock(folder):
        pass
    with publish.run_lock(folder):  # freed
        pass


@pytest.mark.parametrize("company", ["../small", "small/..", "", ".truth", "SMALL", "smal", "small\0"])
def test_company_names_are_no_paths(workspace, company):
    with pytest.raises(Refused, match="No company is called"):
        store.open(company, "2025-06")
    with pytest.raises(Refused):
        data_dir(company)
    assert not list((workspace / "reports").iterdir())


@pytest.mark.parametrize("run_id", ["..", "../2025-05/r1", "_lab", ".hidden", "none"])
def test_run_ids_are_no_paths(workspace, run_id):
    make_run(workspace, "r1")
    with pytest.raises(Refused, match="has no run"):
        store.read("small", "2025-06", run_id)


def test_a_damaged_pointer_or_manifest_is_a_sentence(workspace):
    folder = make_run(workspace, "r1")
    publish.publish(folder, "r1")
    (folder / "published.json").write_text('{"run_')
    with pytest.raises(LtvLabError, match=r"published.json is damaged: run the period again"):
        store.read("small", "2025-06")


def test_random_streams_depend_on_seed_step_and_table_alone(workspace):
    run = store.open("small", "2025-06")
    first = run.rng("02", "ltv_by_customer").random(3).tolist()
    assert run.rng("02", "ltv_by_customer").random(3).tolist() == first
    assert run.rng("02", "ltv_draws").random(3).tolist() != first
    assert run.rng("03", "ltv_by_customer").random(3).tolist() != first


def test_atomic_text_is_whole(tmp_path):
    file = tmp_path / "a.json"
    atomic.write_text(file, "one", "x")
    atomic.write_text(file, "zwei", "x")
    assert file.read_text() == "zwei" and [p.name for p in tmp_path.iterdir()] == ["a.json"]
