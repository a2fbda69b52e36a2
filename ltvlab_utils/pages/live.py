"""What a viewer of the live form asked for in the address: ?company=sample&period=2025-06&language=en."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import parse_qs

from ltvlab_utils.errors import Refused
from ltvlab_utils.i18n import LANGUAGES
from ltvlab_utils.params import COMPANY_PATTERN
from ltvlab_utils.periods import Period
from ltvlab_utils.store import periods_with_review


@dataclass(frozen=True)
class Asked:
    """Company, period and language of the page to show."""

    company: str
    period: str
    language: str


def asked(company: str, period: str, language: str, reports_dir: str = "") -> Asked:
    """The notebook's parameters, replaced by what the address of the live form asks for.

    Voila hands the address to the kernel as QUERY_STRING; elsewhere nothing changes. A company without a period gets
    its last review. Raises Refused for values that are no company, period or language.
    """
    if not os.environ.get("SERVER_SOFTWARE", "").startswith("voila"):
        return Asked(company, period, language)
    query = {key: values[-1] for key, values in parse_qs(os.environ.get("QUERY_STRING", "")).items()}
    company = query.get("company", company)
    if not re.fullmatch(COMPANY_PATTERN, company):
        raise Refused("The address names no company: use small letters, digits, - and _.")
    if "period" in query:
        period = str(Period.parse(query["period"]))
    elif "company" in query:
        period = str((periods_with_review(company, reports_dir) or [period])[-1])
    language = query.get("language", language)
    if language not in LANGUAGES:
        raise Refused(f"Pages are written in {' and '.join(LANGUAGES)}.")
    return Asked(company, period, language)
