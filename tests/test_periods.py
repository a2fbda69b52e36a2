from datetime import UTC, date, datetime

import pytest

from ltvlab_utils.errors import Refused
from ltvlab_utils.periods import Period, add_months, period_range


def test_a_month_is_a_calendar_month():
    assert Period.parse("2024-02").last_day == date(2024, 2, 29)
    assert Period.parse("2025-02").last_day == date(2025, 2, 28)
    assert str(Period.parse("2025-01").shift(-1)) == "2024-12"
    assert str(Period.parse("2025-12").shift(13)) == "2027-01"
    assert add_months(date(2025, 1, 31), 1) == date(2025, 2, 28)
    assert add_months(date(2024, 2, 29), 12) == date(2025, 2, 28)


@pytest.mark.parametrize(
    ("written", "meant"),
    [("2025-6", "2025-06"), ("2025/06", "2025-06"), ("202506", "2025-06"), ("2025年6月", "2025-06")],
)
def test_near_misses_are_refused_with_what_was_meant(written, meant):
    with pytest.raises(Refused, match=f'Did you mean "{meant}"'):
        Period.parse(written)


@pytest.mark.parametrize("text", ["2025-13", "2025-00", "0000-01", "June", "", "2025-06-01x", "../2025-06", None])
def test_impossible_periods(text):
    with pytest.raises(Refused, match="YYYY-MM"):
        Period.parse(text)


def test_fiscal_year_from_april():
    assert str(Period.parse("2025-03").fiscal_year_start(4)) == "2024-04"
    assert str(Period.parse("2025-04").fiscal_year_start(4)) == "2025-04"
    assert str(Period.parse("2025-12").fiscal_year_start(1)) == "2025-01"


def test_ranges():
    assert [str(p) for p in period_range("2024-11..2025-02")] == ["2024-11", "2024-12", "2025-01", "2025-02"]
    assert [str(p) for p in period_range("2025-06")] == ["2025-06"]
    with pytest.raises(Refused, match=r"2025-05\.\.2025-06"):
        period_range("2025-06..2025-05")


def test_a_month_ends_in_the_companys_time_zone():
    june = Period.parse("2025-06")
    instant = datetime(2025, 6, 30, 15, 30, tzinfo=UTC)  # 00:30 on 1 July in Tokyo, 11:30 on 30 June in New York
    assert june.has_ended("Asia/Tokyo", instant)
    assert not june.has_ended("America/New_York", instant)
