"""Figures and pictures in the READMEs are those of benchmarks/results.json and of this code."""

from pathlib import Path

import pytest

from benchmarks.readme import block_in, blocks

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(("file", "block"), list(blocks()))
def test_marked_blocks_are_what_the_code_makes(file, block):
    text = (ROOT / file).read_text(encoding="utf-8")
    assert block_in(text, block) == blocks()[file, block], "run `make readme`"


@pytest.mark.parametrize("file", ["README.md", "README.ja.md"])
def test_every_local_link_and_picture_exists(file):
    import re

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
