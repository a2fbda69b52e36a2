"""Runs the notebooks on the published sample review and keeps what git keeps: the text results that are marked.

`make notebooks` calls it; figures, tables and every other output are stripped.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbstripout import strip_output

ROOT = Path(__file__).resolve().parents[1]


EXTRAS = [
    "metadata.language_info",
    "metadata.papermill",
    "metadata.widgets",
    "cell.metadata.execution",
    "cell.metadata.papermill",
    "cell.metadata.ExecuteTime",
    "cell.metadata.collapsed",
    "cell.metadata.scrolled",
]


def main(files: list[Path]) -> None:
    for file in files:
        notebook = nbformat.read(file, 4)
        NotebookClient(
            notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": file.parent}}
        ).execute()
        nbformat.write(strip_output(notebook, False, True, True, EXTRAS), file)
        print(f"{file.relative_to(ROOT)}: refreshed")


if __name__ == "__main__":
    main([Path(a).resolve() for a in sys.argv[1:]] or sorted((ROOT / "notebooks").rglob("*.ipynb")))
