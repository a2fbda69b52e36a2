"""Pages for managers: tables in, markup out; every name is escaped, no script, no outside asset (floor 4).

page = executive(run, language)        # its parts are what a dashboard notebook shows
reading_copy(executed, html, language, title)   # the executed notebook as one self-contained page
"""

from ltvlab_utils.pages.executive import Page, executive
from ltvlab_utils.pages.facts import Facts, read_facts
from ltvlab_utils.pages.html import Html
from ltvlab_utils.pages.live import asked
from ltvlab_utils.pages.reading import reading_copy

__all__ = ["Facts", "Html", "Page", "asked", "executive", "read_facts", "reading_copy"]
