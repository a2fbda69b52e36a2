"""The steps of a review: which notebooks run, in which order, with which parameters; checked before anything starts."""

from __future__ import annotations

import ast
import json
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltvlab_utils.errors import Refused, StepFailed, nearest
from ltvlab_utils.store.layout import workspace

NOTEBOOKS = ("01_ingest", "02_ltv", "03_segments", "04_campaigns")
LIVE_ONLY = ("customer",)  # this page is rendered from tables on request
PARAMETERS = ("company", "period", "run_id", "reports_dir")
PAGE_PARAMETERS = (*PARAMETERS, "language", "role", "owner")
LANGUAGES = ("ja", "en")
KERNEL = "python3"


@dataclass(frozen=True)
class Step:
    """One execution of one notebook; `language` is set for dashboards."""

    notebook: Path
    language: str = ""

    @property
    def name(self) -> str:
        """`02_ltv`, `executive.ja`: the stem of the executed copy and of the page."""
        return f"{self.notebook.stem}.{self.language}" if self.language else self.notebook.stem

    @property
    def is_page(self) -> bool:
        return bool(self.language)

    @property
    def number(self) -> str:
        """ "01" to "04", which the table contracts name as the writer; "" for a dashboard."""
        return "" if self.is_page else self.notebook.stem[:2]

    @property
    def wanted(self) -> tuple[str, ...]:
        return PAGE_PARAMETERS if self.is_page else PARAMETERS

    def values(self, company: str, period: str, run_id: str, reports_dir: str) -> dict[str, str]:
        """What is injected into the notebook's parameters cell."""
        values = {"company": company, "period": period, "run_id": run_id, "reports_dir": reports_dir}
        return values | {"language": self.language, "role": "", "owner": ""} if self.is_page else values


def find_steps(notebooks_dir: str | Path = "") -> tuple[Step, ...]:
    """01 to 04, then each dashboard in each language. A folder of one's own may hold fewer. Raises Refused."""
    folder = Path(notebooks_dir).expanduser().resolve() if str(notebooks_dir) else workspace() / "notebooks"
    numbered = sorted(folder.glob("0[1-9]_*.ipynb"))
    found = [p.stem for p in numbered]
    if not str(notebooks_dir):
        missing = [name for name in NOTEBOOKS if name not in found]
        if missing:
            raise Refused(f"{folder.name}/{missing[0]}.ipynb is missing: restore it (`git checkout -- notebooks`).")
    if not numbered:
        raise Refused(f"{folder} holds no notebook such as 01_ingest.ipynb.")
    pages = [p for p in sorted((folder / "dashboards").glob("*.ipynb")) if p.stem not in LIVE_ONLY]
    return tuple([Step(p) for p in numbered] + [Step(p, language) for p in pages for language in LANGUAGES])


def waves(steps: Iterable[Step]) -> list[list[Step]]:
    """Steps that may run side by side: 03 and 04 (neither reads the other of its own period), and all pages."""
    found: dict[str, list[Step]] = {}
    for step in steps:
        found.setdefault("pages" if step.is_page else step.number.replace("04", "03"), []).append(step)
    return list(found.values())


def read_cells(notebook: Path) -> dict[str, Any]:
    """A notebook file as a dict. Raises Refused when it is not one."""
    try:
        content = json.loads(notebook.read_text(encoding="utf-8"))
        content["cells"], content["metadata"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Refused(f"{notebook.name} is not readable as a notebook ({str(error)[:80]}): restore it.") from None
    return content


def check_notebooks(steps: Iterable[Step]) -> None:
    """Each notebook has exactly one `parameters` cell with exactly the expected names: papermill checks neither.

    Without the tag it injects values that the notebook's own defaults override; an unknown name is only a warning.
    Raises Refused.
    """
    for step in {s.notebook: s for s in steps}.values():
        name = step.notebook.name
        tagged = [c for c in read_cells(step.notebook)["cells"] if "parameters" in c["metadata"].get("tags", [])]
        if len(tagged) != 1:
            raise Refused(
                f'{name} has {len(tagged) or "no"} cell{"s" * (len(tagged) > 1)} tagged "parameters": exactly one is '
                f"needed, holding {', '.join(step.wanted)} (tags stand in the property inspector of JupyterLab)."
            )
        found = _names(name, "".join(tagged[0]["source"]))
        unknown = [n for n in found if n not in step.wanted]
        if unknown:
            raise Refused(f'{name}: unknown parameter "{unknown[0]}".{nearest(unknown[0], step.wanted)}')
        missing = [n for n in step.wanted if n not in found]
        if missing:
            raise Refused(f'{name}: the parameters cell lacks "{missing[0]}"; it holds {", ".join(step.wanted)}.')
        kernel = read_cells(step.notebook)["metadata"].get("kernelspec", {}).get("name", KERNEL)
        if kernel != KERNEL:
            raise Refused(f'{name} asks for the kernel "{kernel}": choose "{KERNEL}" in JupyterLab and save.')


def _names(notebook: str, source: str) -> list[str]:
    """Names that a parameters cell sets. papermill's own reading skips a line whose comment holds a `=`."""
    try:
        statements = ast.parse(source).body
        found = []
        for one in statements:
            (target,) = one.targets if isinstance(one, ast.Assign) else (one.target,)
            ast.literal_eval(one.value)
            found.append(target.id)
        return found
    except (SyntaxError, ValueError, TypeError, AttributeError):
        raise Refused(
            f'{notebook}: the parameters cell holds more than plain values such as `period: str = "2025-06"`: move the '
            "rest to another cell (what is derived there would stay as it is when `ltvlab run` sets the values)."
        ) from None


def check_kernel() -> None:
    """The kernel called python3 starts this environment's Python. Raises StepFailed."""
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"  # this environment's kernels before the user's, here and in children
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    try:
        argv = KernelSpecManager().get_kernel_spec(KERNEL).argv
    except NoSuchKernel:
        raise StepFailed("This environment has no kernel: install it again (`make setup`).") from None
    program = Path(argv[0])
    bare = not program.is_absolute() and program.name.startswith("python")  # jupyter_client puts sys.executable there
    if not bare and program.parent.resolve() != Path(sys.executable).parent.resolve():
        raise StepFailed(
            f'The kernel "{KERNEL}" starts {program}, which is not this environment ({sys.prefix}): remove that '
            f"kernel (`jupyter kernelspec list`, then `jupyter kernelspec remove {KERNEL}`)."
        )
