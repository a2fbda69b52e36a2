"""`ltvlab links`: the file that it writes, and what a run makes of it."""

from __future__ import annotations

import pytest
import yaml

from ltvlab_utils import cli, links
from tests.sources_world import write
from tests.test_sources_linking import FILES, TABLES


@pytest.fixture
def acme(tmp_path, monkeypatch):
    """A company with shop and CRM; names are matched by rule."""
    write(tmp_path / "data", FILES)
    home = tmp_path / "params" / "acme"
    home.mkdir(parents=True)
    text = f"identity: {{links: auto}}\nlimits: {{rejected_share: 1.0}}\nsources:\n{TABLES}"
    (home / "company.yaml").write_text(text, encoding="utf-8")
    for name in ("DATA", "PARAMS", "REPORTS"):
        monkeypatch.setenv(f"LTVLAB_{name}", str(tmp_path / name.lower()))
    return home


def say(capsys, *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        cli.main(list(words))
    return stop.value.code, *capsys.readouterr()


def test_proposals_are_written_decided_and_kept(acme, capsys):
    status, out, _ = say(capsys, "links", "acme", "2025-06")
    assert status == 0 and "2 records linked to another, 0 decisions" in out and "1 pairs wait" in out
    file = acme / "links.csv"
    text = file.read_text(encoding="utf-8-sig")
    assert file.read_bytes().startswith(b"\xef\xbb\xbf")
    lines = text.splitlines()
    file.write_text("\n".join([lines[0], "same" + lines[1]]), encoding="cp932")  # as a Japanese spreadsheet saves it
    status, out, _ = say(capsys, "links", "acme", "2025-06")
    assert status == 0 and "3 records linked to another, 1 decisions" in out and "0 pairs wait" in out
    (kept,) = links.decisions(file.read_text(encoding="utf-8-sig"), "links.csv")
    assert kept.decision == "same" and kept.decided_on is not None


@pytest.mark.slow
def test_with_links_off_the_command_shows_but_numbers_do_not_move(acme, capsys):
    config = yaml.safe_load((acme / "company.yaml").read_text(encoding="utf-8"))
    del config["identity"]
    (acme / "company.yaml").write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
    status, out, _ = say(capsys, "links", "acme", "2025-06")
    assert status == 0 and "4 pairs wait" in out and "identity.links is off" in out


def test_a_broken_file_is_refused_and_left_alone(acme, capsys):
    (acme / "links.csv").write_text("decision,left_source,left_key,right_source,right_key\nmaybe,a,1,b,2\n")
    before = (acme / "links.csv").read_bytes()
    status, _, err = say(capsys, "links", "acme", "2025-06")
    assert status == 2 and 'params/acme/links.csv, row 2: decision is "maybe"' in err
    assert (acme / "links.csv").read_bytes() == before and [p.name for p in acme.glob(".*")] == []


def test_a_company_without_review_needs_a_month(acme, capsys):
    status, _, err = say(capsys, "links", "acme")
    assert status == 2 and "name the month" in err
