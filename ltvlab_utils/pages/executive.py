"""The executive page: six figures, what moved, who needs someone now, where the value lies, what measures caused."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ltvlab_utils.i18n import check_language
from ltvlab_utils.pages import cards, footer, measures, sections
from ltvlab_utils.pages.facts import Facts, read_facts
from ltvlab_utils.pages.html import Html, el
from ltvlab_utils.pages.voice import Voice
from ltvlab_utils.store import Run


@cache
def css() -> str:
    """The style of all pages; it loads nothing from elsewhere."""
    return (Path(__file__).parent / "style.css").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Page:
    """One page in one language; each method is a part that a notebook shows."""

    facts: Facts
    language: str
    owner: str = ""

    @property
    def voice(self) -> Voice:
        return Voice(self.facts, self.language)

    def _part(self, *content: object, class_: str = "") -> Html:
        return el("div", *content, class_=f"ltv {class_}".strip(), lang=self.language)

    def style(self) -> Html:
        """The style sheet, for the live form; a reading copy brings its own."""
        return el("style", Html(css()))

    def top(self) -> Html:
        """Header, the month in a sentence, six figures."""
        return self._part(sections.header(self.facts, self.voice), cards.cards(self.facts, self.voice), class_="top")

    def moved(self) -> Html:
        """What moved revenue and future value, side by side."""
        left, right = sections.revenue_bridge(self.facts, self.voice), sections.value_change(self.facts, self.voice)
        return self._part(el("div", left, right, class_="two"))

    def watchlist(self) -> Html:
        """Customers that need someone now."""
        return self._part(sections.watchlist(self.facts, self.voice, self.owner))

    def value_and_measures(self) -> Html:
        """Where the value lies and how safe it is; what measures caused."""
        left, right = sections.grid(self.facts, self.voice), measures.measures(self.facts, self.voice)
        return self._part(el("div", left, right, class_="two uneven"))

    def footer(self) -> Html:
        """Run, how it was computed, limits."""
        return self._part(footer.footer(self.facts, self.voice))


def executive(run: Run, language: str = "ja", role: str = "", owner: str = "") -> Page:
    """The executive page of a run. `owner` narrows the list of customers; `role` has no effect on this page."""
    return Page(read_facts(run), check_language(language), owner)
