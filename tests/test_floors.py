"""Imports of the package go down the floors of docs/decisions.md; sample imports nothing of what it grades."""

import ast
from pathlib import Path

import pytest

import ltvlab_utils

PACKAGE = Path(ltvlab_utils.__file__).parent
FLOORS = {
    0: "errors periods i18n",
    1: "params source_keys source_paths tables",
    2: "histories kpis landing bridges models value backtest segments health allocation experiments sample",
    3: "sources store",
    4: "plots pages",
    5: "runner server cli",
}
FLOOR_OF = {name: floor for floor, names in FLOORS.items() for name in names.split()}
MODULES = sorted(PACKAGE.rglob("*.py"))


def _unit(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def imports(file: Path) -> set[str]:
    """Units of the package that a file imports, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {_unit(a.name) for a in node.names if a.name.startswith("ltvlab_utils.")}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file.name}: relative imports hide the floor"
            if node.module == "ltvlab_utils":
                found |= {a.name for a in node.names}
            elif node.module and node.module.startswith("ltvlab_utils."):
                found.add(_unit(node.module))
    return found - {""}


def unit_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("file", MODULES, ids=lambda f: str(f.relative_to(PACKAGE)))
def test_imports_go_down(file):
    unit = unit_of(file)
    if unit == "__init__":
        assert not imports(file)
        return
    assert unit in FLOOR_OF, f"{unit} stands on no floor"
    for other in imports(file) - {unit, "__version__"}:
        assert other in FLOOR_OF, f"{unit} imports {other}, which stands on no floor"
        assert FLOOR_OF[other] <= FLOOR_OF[unit], f"{unit} (floor {FLOOR_OF[unit]}) imports {other} above it"


def test_sample_imports_nothing_that_it_grades():
    graded = {"models", "value", "experiments", "histories", "kpis", "segments", "health", "backtest", "allocation"}
    for file in (PACKAGE / "sample").glob("*.py"):
        assert not imports(file) & graded, file.name


def test_pages_and_plots_do_not_model():
    for folder in ("pages", "plots"):
        for file in (PACKAGE / folder).glob("*.py"):
            assert not imports(file) & {"models", "experiments"}, file.name


@pytest.mark.parametrize("unit", [u for f in (0, 1, 2) for u in FLOORS[f].split()])
def test_lower_floors_know_no_clock_no_path_and_no_global_randomness(unit):
    """Floors 0 to 2 are pure: same input, same output."""
    home = PACKAGE / unit if (PACKAGE / unit).is_dir() else PACKAGE / f"{unit}.py"
    forbidden = {
        ("datetime", "now"), ("datetime", "today"), ("datetime", "utcnow"), ("date", "today"), ("time", "time"),
        ("random", "seed"), ("random", "rand"), ("random", "normal"), ("os", "environ"), ("Path", "cwd"),
    }  # fmt: skip
    for file in [home] if home.is_file() else sorted(home.rglob("*.py")):
        if unit == "i18n":  # reads its own catalogue
            forbidden = {f for f in forbidden if f[0] != "Path"}
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert (node.value.id, node.attr) not in forbidden, f"{file.name}:{node.lineno}"
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute):
                pair = (node.value.attr, node.attr)
                allowed = pair[1] in ("Generator", "SeedSequence", "default_rng", "RandomState")
                assert pair[0] != "random" or allowed, f"{file.name}:{node.lineno} uses global random state"


def test_no_module_is_a_god():
    for file in MODULES:
        lines = len(file.read_text(encoding="utf-8").splitlines())
        assert lines <= 420, f"{file.relative_to(PACKAGE)} has {lines} lines"
