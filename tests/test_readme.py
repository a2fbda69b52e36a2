"""Figures and pictures in the READMEs are those of benchmarks/results.json and of this code."""

import re
from dataclasses import fields
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.readme import block_in, blocks
from ltvlab_utils import sources
from ltvlab_utils.params import resolve
from ltvlab_utils.sample.knobs import Knobs

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(("file", "block"), list(blocks()))
def test_marked_blocks_are_what_the_code_makes(file, block):
    text = (ROOT / file).read_text(encoding="utf-8")
    assert block_in(text, block) == blocks()[file, block], "run `make readme`"


@pytest.mark.parametrize("file", ["README.md", "README.ja.md"])
def test_every_local_link_and_picture_exists(file):
    text = (ROOT / file).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", text):
        if "://" not in target:
            assert (ROOT / target).exists(), target


def test_pictures_are_small():
    for picture in (ROOT / "docs" / "img").glob("*"):
        assert picture.stat().st_size <= 300 * 1024, picture.name


@pytest.mark.parametrize("file", ["README.md", "README.ja.md"])
def test_the_tree_in_the_readme_names_what_is_there(file):
    text = (ROOT / file).read_text(encoding="utf-8")
    for name in (
        "notebooks/",
        "ltvlab_utils/",
        "params/",
        "reports/",
        "tests/",
        "environment.yml",
        "requirements.lock",
    ):
        assert name in text and (ROOT / name).exists()


def test_japanese_and_english_readme_have_the_same_sections():
    def headings(file: str) -> list[int]:
        lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
        return [len(line) - len(line.lstrip("#")) for line in lines if line.startswith("#")]

    assert headings("README.md") == headings("README.ja.md")


@pytest.fixture(scope="module")
def about_the_sample():
    return (ROOT / "docs" / "sample.md").read_text(encoding="utf-8")


def test_the_page_of_the_sample_names_every_knob(about_the_sample):
    told = re.findall(r"^\| `(\w+)` \|", about_the_sample.split("## Knobs")[1].split("\n## ")[0], flags=re.M)
    assert told == [f.name for f in fields(Knobs)]


def test_the_page_of_the_sample_names_every_file_and_column_of_the_truth(about_the_sample, tmp_path):
    extracts = "generator: {customers: 20, months: 18}\nsources: {order_lines: [{path: order_lines.csv}]}\n"
    parameters = resolve("acme", "2025-06", extracts)
    sources.ensure_generated(parameters, tmp_path / "acme")
    truth = sources.write_futures(parameters, tmp_path / "acme", paths=2)
    part = about_the_sample.split("## The truth")[1].split("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \|(.*)$", part, flags=re.M))
    assert set(rows) == {file.stem for file in truth.glob("*.parquet")}
    for name, row in rows.items():
        columns = pd.read_parquet(truth / f"{name}.parquet").columns
        assert [c for c in columns if f"`{c}`" not in row] == [], name


def test_the_page_of_the_sample_has_its_pictures_and_figures(about_the_sample):
    shown = re.findall(r"!\[[^]]*\]\(([^)]+)\)", about_the_sample)
    assert len(shown) == 2
    for picture in shown:
        assert 0 < (ROOT / "docs" / picture).stat().st_size <= 300 * 1024, picture
    blocks_there = re.findall(r"<!-- begin:(\w+) -->", about_the_sample)
    assert len(blocks_there) == 3 and all(block_in(about_the_sample, b).count("|") > 20 for b in blocks_there)
