"""Runs the notebooks of a review and publishes the result (floor 5)."""

import sys

# jsonschema, by way of nbformat, would compile a grammar of international URLs: 3 s for a check that no notebook needs.
sys.modules.setdefault("rfc3987_syntax", None)

from ltvlab_utils.runner.review import Outcome, run  # noqa: E402

__all__ = ["Outcome", "run"]
