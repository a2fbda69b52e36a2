"""A company's extracts into staged tables (floor 3).

sources.ensure_generated(params, data_dir)   # a generated company: makes its extracts when needed
sources.survey(params, data_dir)             # the files a run would read; refuses in one sentence
staged = sources.stage(params, data_dir, connection)
staged.tables["order_lines"], staged.report, staged.rejected
"""

from ltvlab_utils.sources.files import SourceFile
from ltvlab_utils.sources.formats import FORMS
from ltvlab_utils.sources.generated import (
    company_yaml,
    effect_paths,
    ensure_generated,
    export,
    is_at_scale,
    refuse_strangers,
    write_futures,
)
from ltvlab_utils.sources.stage import Staged, refuse_unsupported, stage, survey

__all__ = [
    "FORMS", "SourceFile", "Staged", "company_yaml", "effect_paths", "ensure_generated", "export", "is_at_scale",
    "refuse_strangers", "refuse_unsupported", "stage", "survey", "write_futures",
]  # fmt: skip
