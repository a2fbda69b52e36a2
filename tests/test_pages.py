"""Pages: names stay inert, nothing is loaded from elsewhere, every part stands in both languages, absence is said."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import nbformat
import numpy as np
import pytest

from ltvlab_utils.errors import LtvLabError, Refused, StepFailed
from ltvlab_utils.pages import asked, cards, footer, reading_copy, svg
from ltvlab_utils.pages.executive import Page, css
from ltvlab_utils.pages.html import Html, el, join
from ltvlab_utils.pages.reading import CSP, page
from ltvlab_utils.pages.voice import Voice
from tests import fixtures_pages as company

LANGUAGES = ("ja", "en")
BOTH = pytest.mark.parametrize("language", LANGUAGES)
MAKERS = pytest.mark.parametrize(
    "make", [company.facts, company.orders_only, company.nothing], ids=lambda m: m.__name__
)
VOID = {"meta", "br", "hr"}


class Document(HTMLParser):
    """What a browser would see: elements with attributes, text, and whether every element is closed."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.texts)

    def tags(self, name: str) -> list[dict]:
        return [attributes for tag, attributes in self.elements if tag == name]


def parts(facts, language, owner="") -> Html:
    made = Page(facts, language, owner)
    return join(made.top(), made.moved(), made.watchlist(), made.value_and_measures(), made.footer())


def document(facts, language) -> str:
    return page(parts(facts, language), language, "title")


def notebook(tmp_path, outputs: list, tags=()) -> str:
    """An executed notebook whose cells hold the given outputs."""
    book = nbformat.v4.new_notebook()
    for output in outputs:
        cell = nbformat.v4.new_code_cell("secret_source()")
        cell.metadata["tags"] = list(tags)
        cell.outputs = [output]
        book.cells.append(cell)
    file = tmp_path / "executed.ipynb"
    nbformat.write(book, file)
    return file


def shown(html: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_output("execute_result", {"text/html": html, "text/plain": "plain"}, execution_count=1)


# --- names that attack ------------------------------------------------------------------------------------------------


@BOTH
def test_a_hostile_name_makes_no_element_and_no_attribute(language):
    """The same page with kind and with hostile names has the same elements and attribute names, in the same order."""
    kind, hostile = (Document(document(company.facts(h), language)) for h in (False, True))
    shape = [[(tag, tuple(attributes)) for tag, attributes in d.elements] for d in (kind, hostile)]
    assert shape[0] == shape[1]
    assert "<img src=x onerror=alert(1)>" in hostile.text, "the name should be readable as text"
    assert not hostile.tags("script") and not hostile.tags("img")
    assert "\u202e" not in document(company.facts(True), language), "text may not be turned round"


def test_attributes_and_text_are_escaped():
    made = el("p", "<b>", title="\"'><script>", data_label="&")
    assert made == '<p title="&quot;&#x27;&gt;&lt;script&gt;" data-label="&amp;">&lt;b&gt;</p>'
    assert join("a<b", [None, el("i", "x")]) == "a&lt;b<i>x</i>"


def test_a_name_with_braces_is_no_template():
    voice = Voice(company.facts(), "en")
    assert voice("watch.owner_only", owner="{owner.__class__}") == "Customers of {owner.__class__} only"


# --- nothing from elsewhere -------------------------------------------------------------------------------------------


@BOTH
@MAKERS
def test_the_page_loads_nothing_and_runs_nothing(make, language):
    text = document(make(), language)
    seen = Document(text)
    loading = {"src", "srcset", "href", "xlink:href", "action", "data", "poster", "background"}
    for tag, attributes in seen.elements:
        assert tag not in {"script", "link", "iframe", "object", "embed", "base", "img"}
        assert not [name for name in attributes if name in loading or name.startswith("on")], tag
    assert not re.search(r"url\((?!#)|@import|https?://", text)
    assert {"http-equiv": "Content-Security-Policy", "content": CSP} in seen.tags("meta")
    assert "default-src 'none'" in CSP and "script-src" not in CSP
    assert seen.tags("html") == [{"lang": language}]
    assert len(text.encode()) < 300_000


@pytest.mark.parametrize("template", ["index.html.j2"])
def test_the_live_form_names_no_outside_address(template):
    folder = company_root() / "notebooks/dashboards"
    text = (folder / "share/voila/templates/ltvlab" / template).read_text(encoding="utf-8")
    assert not re.search(r"https?://", text)
    settings = json.loads((folder / "voila.json").read_text(encoding="utf-8"))["VoilaConfiguration"]
    assert settings["template"] == "ltvlab" and settings["strip_sources"] and settings["file_allowlist"] == []
    assert not settings["show_tracebacks"] and settings["allow_template_override"] == "NO"


def company_root():
    from pathlib import Path

    return Path(__file__).resolve().parents[1]


# --- every part, both languages ---------------------------------------------------------------------------------------


@BOTH
@MAKERS
def test_every_part_is_there_and_every_word_is_filled(make, language):
    seen = Document(document(make(), language))
    assert len([a for a in seen.tags("section") if a.get("class") == "card"]) == 6
    assert len([a for a in seen.tags("section") if a.get("class") == "block"]) == 5
    assert len(seen.tags("h1")) == 1 and len(seen.tags("h2")) == 5 and len(seen.tags("footer")) == 1
    assert not re.search(r"\{\w+\}|\bnan\b|\bNone\b|finding\.|card\.\w|page\.\w", seen.text)
    japanese = re.search("[ぁ-ん]", seen.text.replace("みなと商会（見本）", "").replace("休眠復活メール", ""))
    assert bool(japanese) == (language == "ja") or make is company.facts


def test_english_sentences_hold_no_japanese():
    facts = replace(company.orders_only(), names={"ja": "x", "en": "x"})
    assert not re.search("[ぁ-んァ-ン一-龥、。]", Document(document(facts, "en")).text)


@BOTH
def test_figures_and_tables_can_be_heard(language):
    seen = Document(document(company.facts(), language))
    figures = [a for a in seen.tags("svg") if a.get("role") == "img"]
    assert len(figures) >= 10 and all(a["aria-label"].strip() for a in figures)
    assert len(seen.tags("title")) == len(figures) + 1, "each figure has a title, and so has the document"
    assert all(a.get("scope") in ("row", "col") for a in seen.tags("th"))


def contrast(a: str, b: str) -> float:
    """WCAG 2.2 contrast ratio of two #rrggbb colours."""

    def light(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((light(a), light(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_words_are_readable_on_every_ground():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    colours = {k: "#fff" if v == "#fff" else v for k, v in re.findall(r"--(\w+): (#\w+);", css())}
    colours["paper"] = "#ffffff"
    for ink in ("ink", "mute", "blue", "orange"):
        for ground in ("paper", "ground"):
            assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
    assert contrast(colours["ink"], colours["sky"]) >= 4.5, "words on the deepest cell of the grid"


# --- cards ------------------------------------------------------------------------------------------------------------


def card(make, facts, language="ja") -> str:
    return Document(make(facts, Voice(facts, language))).text


def test_card_1_revenue_against_budget_and_last_year():
    """482 / 497.4 - 1 = −3.1 %, 482 / 453 - 1 = +6.4 %, 1410 / 1425 - 1 = −1.1 %."""
    text = card(cards.revenue, company.facts())
    for words in ("4.82", "億円", "1.91億円", "−3.1%", "+6.4%", "14.1億円", "−1.1%"):
        assert words in text


def test_card_2_landing_with_its_interval():
    text = card(cards.landing, company.facts())
    for words in ("22.6", "21.4〜23.9億円", "23.2億円", "28%", "新規の獲得は含まない"):
        assert words in text


def test_card_3_change_of_value_and_what_is_not_known_about_it():
    text = card(cards.future_value, company.facts(), "en")
    for words in ("6.13", "bn", "¥5.78–6.49bn", "Since May", "+¥50.0m", "Not split into customers and calculation"):
        assert words in text
    assert "No earlier review" in card(cards.future_value, company.orders_only(), "en")


def test_card_4_retention_or_with_orders_only_the_revenue_of_existing_customers():
    text = card(cards.retention, company.facts())
    for words in ("104.2", "93.8%", "106.0%", "+2.1ポイント", "2.6%"):
        assert words in text
    orders = card(cards.retention, company.orders_only())
    assert "61.0" in orders and "contract_terms" in orders and "GRR（" not in orders


def test_card_5_deadlines_within_90_days():
    """Of the five contracts due within 90 days two are within 30, and two were not contacted."""
    text = card(cards.deadlines, company.facts())
    for words in ("1.34", "38件", "4,200万円", "2件"):
        assert words in text
    assert text.count("2件") == 2
    assert "contract_terms" in card(cards.deadlines, company.orders_only())


def test_card_6_measures_after_cost_at_80_per_cent():
    """(22 − 3) + (−1 − 6.2) + (9 − 2) = 18.8 million; the half-widths 10, 3.5, 11 of the 95 % intervals add as squares:
    √(10² + 3.5² + 11²) = 15.27, times 1.2816 / 1.9600 = 9.98, so 8.8 to 28.8."""
    text = card(cards.effect, company.facts(), "en")
    for words in ("+¥", "18.8", "¥8.8–28.8m", "¥11.2m", "1, 1, 2"):
        assert words in text
    assert "campaigns" in card(cards.effect, company.orders_only(), "en")


@BOTH
def test_nothing_without_cost_is_called_profit(language):
    """CDNOW has order lines alone: the words for profit appear only where they are said to be unknown, and where costs
    are named as what would unlock it."""
    text = Document(document(company.orders_only(), language)).text
    voice = Voice(company.orders_only(), language)
    told, unlocked = voice("card.no_cost"), footer.unlocks(company.orders_only(), voice)
    rest = text.replace(told, "").replace(unlocked, "")
    assert told in text and unlocked in text and "support_costs" in unlocked
    assert not re.search("粗利|利益|profit", rest)


def test_a_card_without_data_names_the_file_that_would_unlock_it():
    facts = company.nothing()
    for make, file in (
        (cards.revenue, "order_lines"),
        (cards.retention, "contract_terms"),
        (cards.effect, "campaigns"),
    ):
        assert "—" in card(make, facts) and file in card(make, facts)


def test_stale_data_and_preliminary_reviews_are_marked():
    text = Document(document(company.orders_only(), "en")).text
    assert "Preliminary" in text and "Data end on 18 June 2025, 12 days before the as-of date" in text
    assert "Final" in Document(document(company.facts(), "en")).text


# --- sections ---------------------------------------------------------------------------------------------------------


def test_the_grid_holds_each_customer_once():
    text = Document(Page(company.facts(), "en").value_and_measures()).text
    cells = [int(n.replace(",", "")) for n in re.findall(r"([\d,]+) customers?", text)]
    # the heading, the line below it and the total name the whole; the nine cells add up to it
    nine = [n for n in cells if n not in (1200, 240)]
    assert sum(nine) == 1200


def test_the_watchlist_of_one_owner():
    text = Document(Page(company.facts(), "ja", owner="佐藤").watchlist()).text
    assert "4社" in text and "鈴木" not in text


def test_a_reason_is_a_sentence_with_its_figures_and_an_unknown_one_shows_its_code():
    voice = Voice(company.facts(), "ja")
    assert voice.coded("reason", "silent", '{"usual_days": 12, "silent_days": 41}') == "通常12日ごとの注文が41日なし"
    for code, figures in (("silent", "{}"), ("silent", "[1"), ("silent", "")):
        assert voice.coded("reason", code, figures) == "silent"
    assert voice.coded("action", "not_in_catalogue") == "not in catalogue"


def test_a_measure_without_control_shows_the_naive_reading_alone():
    text = Document(Page(company.facts(), "ja").value_and_measures()).text
    assert "純増効果は分からない" in text and "対照群なし" in text
    assert "◇ +2,890万円" in text  # 31 − 2.1 million


# --- figures ----------------------------------------------------------------------------------------------------------


def test_the_axis_is_cut_only_where_levels_dwarf_the_changes():
    steps = [svg.Step("a", "", 469, level=True), svg.Step("b", "", 13), svg.Step("c", "", 482, level=True)]
    assert 0 < svg.cut_of(steps) < 469
    far = [svg.Step("a", "", 100, level=True), svg.Step("b", "", 300), svg.Step("c", "", 400, level=True)]
    assert svg.cut_of(far) == 0
    assert 'class="cut"' in svg.waterfall(steps, str, "t", "d") and 'class="cut"' not in svg.waterfall(
        far, str, "t", "d"
    )


def test_a_waterfall_draws_each_bar_where_its_money_is():
    """0 to 100 on 180 pixels (26 to 206): the step from 100 to 60 begins at the top and ends at 98."""
    steps = [svg.Step("a", "", 100, level=True), svg.Step("b", "", -40), svg.Step("c", "", 60, level=True)]
    drawn = Document(svg.waterfall(steps, lambda s: "", "t", "d")).tags("rect")
    assert [(a["class"], float(a["y"]), float(a["height"])) for a in drawn] == [
        ("level", 26, 180),
        ("loss", 26, 72),
        ("level", 98, 108),
    ]


def test_calculation_is_hatched_and_no_other_step():
    facts = company.facts()
    tables = {**facts.tables, "ltv_bridge": company.ltv_bridge(calculation=True)}
    drawn = Document(Page(replace(facts, tables=tables), "ja").moved())
    assert len([a for a in drawn.tags("rect") if a.get("class") == "calc"]) == 1
    assert not [a for a in Document(Page(facts, "ja").moved()).tags("rect") if a.get("class") == "calc"]


def test_a_gap_in_a_history_stays_a_gap():
    lines = Document(svg.sparkline([1.0, 2.0, np.nan, 3.0, 4.0], [np.nan] * 5, "t", "d")).tags("polyline")
    assert [len(a["points"].split()) for a in lines] == [2, 2]
    assert svg.sparkline([1.0, np.nan], [np.nan] * 2, "t", "d") is None


# --- reading copy -----------------------------------------------------------------------------------------------------


@BOTH
def test_a_reading_copy_holds_what_cells_show_and_no_source(tmp_path, language):
    html = parts(company.facts(True), language)
    file = notebook(tmp_path, [shown(html), nbformat.v4.new_output("stream", text="printed")])
    made = reading_copy(file, tmp_path / "page.html", language, company.HOSTILE)
    text = made.read_text(encoding="utf-8")
    seen = Document(text)
    assert str(html) in text
    assert "secret_source" not in text and "printed" not in text
    assert not seen.tags("script") and not seen.tags("img")


def test_cells_for_the_live_form_alone_stay_out(tmp_path):
    file = notebook(tmp_path, [shown("<p>style</p>")], tags=["style"])
    with pytest.raises(StepFailed, match="shows nothing"):
        reading_copy(file, tmp_path / "page.html", "ja", "t")


@pytest.mark.parametrize(
    "html",
    [
        "<script>x</script>",
        "<p onclick=x>",
        '<img src="x">',
        '<a href="javascript:x">',
        '<svg><use href="http://x"/></svg>',
    ],
)
def test_a_reading_copy_refuses_what_acts_or_loads(tmp_path, html):
    with pytest.raises(StepFailed, match="without scripts"):
        reading_copy(notebook(tmp_path, [shown(html)]), tmp_path / "page.html", "ja", "t")
    assert not (tmp_path / "page.html").exists()


def test_text_that_only_looks_like_an_attack_passes(tmp_path):
    file = notebook(tmp_path, [shown(el("p", "<script> onerror=1"))])
    assert "&lt;script&gt; onerror=1" in reading_copy(file, tmp_path / "p.html", "ja", "t").read_text(encoding="utf-8")


def test_a_failed_notebook_gets_no_page(tmp_path):
    error = nbformat.v4.new_output("error", ename="Refused", evalue="x", traceback=[])
    with pytest.raises(StepFailed, match="ended with Refused"):
        reading_copy(notebook(tmp_path, [error]), tmp_path / "page.html", "ja", "t")


def test_a_page_that_is_too_large_is_refused(tmp_path):
    with pytest.raises(StepFailed, match="more than 300,000"):
        reading_copy(notebook(tmp_path, [shown("<p>" + "x" * 300_000 + "</p>")]), tmp_path / "page.html", "ja", "t")


# --- the address of the live form -------------------------------------------------------------------------------------


def test_elsewhere_the_parameters_stand(monkeypatch):
    monkeypatch.setenv("QUERY_STRING", "company=other")
    monkeypatch.delenv("SERVER_SOFTWARE", raising=False)
    assert vars(asked("sample", "2025-06", "ja")) == {"company": "sample", "period": "2025-06", "language": "ja"}


def test_the_address_chooses_company_period_and_language(monkeypatch, tmp_path):
    monkeypatch.setenv("SERVER_SOFTWARE", "voila/0.5.13")
    monkeypatch.setenv("QUERY_STRING", "company=cdnow&period=1997-09&language=en&run_id=x")
    assert vars(asked("sample", "2025-06", "ja")) == {"company": "cdnow", "period": "1997-09", "language": "en"}
    for period in ("1997-08", "1997-09"):
        (tmp_path / "cdnow" / period).mkdir(parents=True)
        (tmp_path / "cdnow" / period / "published.json").write_text("{}")
    monkeypatch.setenv("QUERY_STRING", "company=cdnow")
    assert asked("sample", "2025-06", "ja", str(tmp_path)).period == "1997-09"  # its last review


@pytest.mark.parametrize("query", ["company=../etc", "company=a/b", "company=%00", "period=2025-13", "language=xx"])
def test_an_address_that_is_none_is_refused(monkeypatch, query):
    monkeypatch.setenv("SERVER_SOFTWARE", "voila/0.5.13")
    monkeypatch.setenv("QUERY_STRING", query)
    with pytest.raises(Refused):
        asked("sample", "2025-06", "ja")


def test_a_page_in_an_unknown_language_is_an_error():
    with pytest.raises(LtvLabError, match="not written in"):
        Page(company.facts(), "fr").top()
