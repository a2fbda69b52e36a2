"""Words and numbers in both languages, against what a Japanese and an English reader would write by hand."""

from __future__ import annotations

from datetime import date

import pytest

from ltvlab_utils import i18n
from ltvlab_utils.errors import LtvLabError
from ltvlab_utils.i18n import words


@pytest.mark.parametrize(
    ("value", "currency", "ja", "en"),
    [
        (482_000_000, "JPY", "4.82億円", "¥482m"),
        (2_260_000_000, "JPY", "22.6億円", "¥2.26bn"),
        (84_123_000, "JPY", "8,410万円", "¥84.1m"),
        (99_995_000, "JPY", "1.00億円", "¥100m"),  # rounding carries into the next unit
        (12_345, "JPY", "1.23万円", "¥12.3k"),
        (9_870, "JPY", "9,870円", "¥9.87k"),
        (35.22, "JPY", "35円", "¥35"),  # yen has no decimals
        (35.22, "USD", "35.2ドル", "$35.2"),
        (-12_340_000, "JPY", "−1,230万円", "−¥12.3m"),
        (1_250_000_000_000, "JPY", "1.25兆円", "¥1.25tn"),
        (0, "JPY", "0円", "¥0"),
        (None, "JPY", "—", "—"),
        (float("nan"), "USD", "—", "—"),
    ],
)
def test_money(value, currency, ja, en):
    assert i18n.money(value, "ja", currency) == ja
    assert i18n.money(value, "en", currency) == en


def test_money_with_sign_and_two_digits():
    assert i18n.money(18_700_000, "en", "JPY", digits=2, sign=True) == "+¥19m"
    assert i18n.money(18_700_000, "ja", "JPY", sign=True) == "+1,870万円"
    assert i18n.money(0, "ja", "JPY", sign=True) == "±0円"


@pytest.mark.parametrize(
    ("low", "high", "sign", "ja", "en"),
    [
        (2.14e9, 2.39e9, False, "21.4〜23.9億円", "¥2.14–2.39bn"),
        (-1.2e6, 3.1e7, True, "−120〜+3,100万円", "−¥1.2m to +¥31.0m"),
        (None, 3.1e7, False, "—", "—"),
    ],
)
def test_a_range_is_written_in_one_unit(low, high, sign, ja, en):
    assert i18n.money_range(low, high, "ja", "JPY", sign=sign) == ja
    assert i18n.money_range(low, high, "en", "JPY", sign=sign) == en


def test_half_is_rounded_up_as_people_do():
    assert i18n.percent(0.00125, "en", decimals=2) == "0.13%"  # binary rounding would give 0.12
    assert i18n.money(2.665e8, "ja", "JPY") == "2.67億円"


def test_rates_points_and_counts():
    assert i18n.percent(-0.031, "ja") == "−3.1%"
    assert i18n.percent(1.042, "en") == "104.2%"
    assert i18n.percent(0.0, "en", sign=True) == "±0.0%"
    assert i18n.points(0.012, "ja") == "+1.2ポイント"
    assert i18n.points(-0.012, "en") == "−1.2 pts"
    assert i18n.whole(1200, "ja") == "1,200"
    assert i18n.signed(-48_200, "ja") == "−4.82万"
    assert i18n.compact(48_200, "en") == "48.2k"


def test_days_and_months():
    assert i18n.month(date(2025, 6, 30), "ja") == "2025年6月"
    assert i18n.month(date(2025, 6, 30), "en") == "June 2025"
    assert i18n.month(date(2025, 6, 30), "ja", year=False) == "6月"
    assert i18n.month(date(2025, 6, 30), "en", year=False) == "June"
    assert i18n.day(date(2025, 6, 30), "ja") == "2025年6月30日"
    assert i18n.day(date(2025, 6, 30), "en") == "30 June 2025"
    assert i18n.day(None, "en") == "—"


def test_words_are_those_of_the_glossary():
    assert i18n.say("glossary.churn_risk", "ja") == "離反懸念先"  # never 要注意先: that is a credit class
    assert i18n.say("glossary.nrr", "ja") == "売上継続率（増額込み）"
    assert "要注意先" not in str(words.catalogue())


def test_unknown_code_names_the_nearest():
    with pytest.raises(LtvLabError, match=r'Did you mean "glossary\.future_value"'):
        i18n.say("glossary.future_valeu", "ja")


def test_unknown_language_is_refused():
    with pytest.raises(LtvLabError, match='not written in "jp"'):
        i18n.say("glossary.nrr", "jp")


def test_a_slot_without_a_value_is_an_error():
    with pytest.raises(LtvLabError, match=r"needs a value for \{months\}"):
        i18n.say("glossary.future_value_horizon", "en")


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"a.yaml": "x: {ja: あ, en: a}", "b.yaml": "x: {ja: い, en: b}"}, '"x" stands in a.yaml and in b.yaml'),
        ({"a.yaml": "x: {ja: あ, en: a}\nx: {ja: い, en: b}"}, 'line 2: the code "x" stands twice'),
        ({"a.yaml": "x: {en: a}"}, "needs exactly the languages ja, en"),
        ({"a.yaml": "x: {ja: '', en: a}"}, 'ja of "x" is empty'),
        ({"a.yaml": "x: {ja: '{n}件', en: a}"}, "slot n in one language only"),
        ({"a.yaml": "x: {ja: '{n.__class__}', en: '{n.__class__}'}"}, "is not a plain name"),
    ],
)
def test_faults_of_a_catalogue_are_refused(tmp_path, files, sentence):
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(LtvLabError) as caught:
        i18n.read_catalogue(tmp_path)
    assert sentence in str(caught.value)


def test_one_and_other(tmp_path, monkeypatch):
    text = 'x: {ja: "{count}件", en: {one: "{count} contract", other: "{count} contracts"}}'
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(words, "catalogue", lambda: i18n.read_catalogue(tmp_path))
    assert i18n.say("x", "en", count=1) == "1 contract"
    assert i18n.say("x", "en", count=1200) == "1,200 contracts"
    assert i18n.say("x", "ja", count=1) == "1件"


def test_values_are_not_read_as_templates():
    """A customer may be called {0} or {language.__class__}: what fills a slot stays as it is."""
    assert "{0.__class__}" in i18n.say("glossary.future_value_horizon", "en", months="{0.__class__}")
