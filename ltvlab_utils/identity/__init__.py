"""Which records of several systems are one firm (名寄せ, floor 2): certain links, and proposals for a person.

features = identity.features(records)              # names and evidence in comparable forms
found = identity.resolve(records, decisions)       # .links, .proposals, .unknown

A link is certain where the 法人番号 are equal, or where the registered name (core, legal form and its place) is equal
and nothing speaks against it, and something beside the name speaks for it or the name is long and stands once in each
source. Everything else that looks alike is proposed, never done. Different valid 法人番号 are different firms.
"""

from ltvlab_utils.identity.decided import check_decisions
from ltvlab_utils.identity.matching import Resolved, features, resolve
from ltvlab_utils.identity.parents import check_parents

__all__ = ["Resolved", "check_decisions", "check_parents", "features", "resolve"]
