"""environment.yml, requirements.lock and pyproject.toml say the same, and what they say is installed."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
DIRECT = [
    Requirement(r) for r in PROJECT["project"]["dependencies"] + PROJECT["project"]["optional-dependencies"]["dev"]
]
ASKED_FOR = ["jupyterlab", "papermill", "pandas", "lifetimes", "seaborn", "voila", "nbval"]


def locked() -> list[Requirement]:
    """Every requirement line of the lock, with its marker."""
    lines = re.findall(r"^([A-Za-z0-9][^\s;\\]*==[^\s;\\]+(?: *; [^\\\n]+)?)", LOCK, flags=re.M)
    return [Requirement(line) for line in lines]


def test_the_lock_pins_every_package_with_hashes_and_names_no_index():
    blocks = re.split(r"^(?=[A-Za-z0-9])", LOCK, flags=re.M)
    blocks = [b for b in blocks if b.strip() and not b.lstrip().startswith("#")]
    assert len(blocks) == len(locked()) > 100
    assert all("--hash=sha256:" in block for block in blocks)
    assert "://" not in LOCK and "--index" not in LOCK and "--find-links" not in LOCK


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_each_direct_dependency_is_locked_for_each_python(python):
    environment = {"python_version": python, "python_full_version": f"{python}.4", "sys_platform": "linux"}
    for wanted in DIRECT:
        found = [
            r
            for r in locked()
            if canonicalize_name(r.name) == canonicalize_name(wanted.name)
            and (r.marker is None or r.marker.evaluate(environment))
        ]
        assert len(found) == 1, f"{wanted.name} on {python}: {found}"
        pin = next(iter(found[0].specifier)).version
        assert wanted.specifier.contains(pin, prereleases=True), f"{wanted} does not allow {pin}"


def test_the_running_environment_is_the_locked_one():
    for wanted in locked():
        if wanted.marker is None or wanted.marker.evaluate():
            pin = next(iter(wanted.specifier)).version
            assert metadata.version(wanted.name) == pin, wanted.name


def test_conda_users_get_the_same_lock_and_python():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    python = next(d for d in conda["dependencies"] if isinstance(d, str) and d.startswith("python"))
    assert SpecifierSet(python.removeprefix("python")) == SpecifierSet(PROJECT["project"]["requires-python"])
    pip = next(d["pip"] for d in conda["dependencies"] if isinstance(d, dict))
    assert pip == ["--require-hashes", "-r requirements.lock"]


@pytest.mark.parametrize("package", ASKED_FOR)
def test_what_the_user_asked_for_is_a_real_dependency(package):
    """Declared, and used: imported by the package, or started by the Makefile or the notebooks."""
    assert package in [canonicalize_name(r.name) for r in DIRECT]
    code = "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "ltvlab_utils").rglob("*.py"))
    make = (ROOT / "Makefile").read_text(encoding="utf-8")
    started = {"jupyterlab": "jupyter lab", "voila": "voila", "nbval": "--nbval"}
    if package in started:
        assert started[package] in make
    else:
        assert re.search(rf"^\s*(import|from) {package}\b", code, flags=re.M), f"nothing imports {package}"


def test_no_dependency_is_idle():
    """Every direct dependency is imported somewhere, started somewhere, or says in pyproject.toml why it is there."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    sources = [
        *(ROOT / "ltvlab_utils").rglob("*.py"),
        *(ROOT / "tests").glob("*.py"),
        *(ROOT / "benchmarks").glob("*.py"),
    ]
    code = "\n".join(p.read_text(encoding="utf-8") for p in sources) + (ROOT / "Makefile").read_text(encoding="utf-8")
    module = {"pyyaml": "yaml", "ibis-framework": "ibis", "matplotlib-fontja": "matplotlib_fontja"}
    started = {"jupyterlab": "jupyter lab", "pytest-xdist": "-n 2", "ruff": "ruff check", "nbval": "--nbval",
               "setuptools": "--no-build-isolation", "voila": "voila"}  # fmt: skip
    for requirement in DIRECT:
        name = canonicalize_name(requirement.name)
        imported = re.search(rf"(import|from) {module.get(name, name)}\b", code)
        explained = re.search(rf'"{requirement.name}[^"]*",\s+# ', text)
        assert imported or explained or started.get(name, "\0") in code, f"{name}: who uses it?"
