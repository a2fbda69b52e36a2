"""Words, numbers and dates in Japanese and English (floor 0).

Tables carry codes; the words live in catalogue/*.yaml (`code: {ja: ..., en: ...}`), all files merged, a code once.

say("metric.revenue", "ja"); say("note.rows", "en", count=3)
"""

from ltvlab_utils.i18n.formats import (
    UNKNOWN,
    compact,
    currency_words,
    day,
    decimal,
    is_known,
    money,
    money_parts,
    money_range,
    month,
    percent,
    points,
    signed,
    step_of,
    whole,
)
from ltvlab_utils.i18n.words import LANGUAGES, check_language, knows, read_catalogue, say

__all__ = [
    "LANGUAGES",
    "UNKNOWN",
    "check_language",
    "compact",
    "currency_words",
    "day",
    "decimal",
    "is_known",
    "knows",
    "money",
    "money_parts",
    "money_range",
    "month",
    "percent",
    "points",
    "read_catalogue",
    "say",
    "signed",
    "step_of",
    "whole",
]
