"""Rooms lie on floors and import only what lies below; pytest, dbt and git each have one door."""

from __future__ import annotations

import ast
import graphlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "pytest_dbtci"

FLOORS = (
    {"plugin"},
    {"hookspecs", "session"},
    {"execution"},
    {"release"},
    {"planning"},
    {"compare", "reports", "schemas", "selection"},
    {"ci", "dbt_client", "git", "project"},
    {
        "adapters",
        "codec",
        "dbt_words",
        "differences",
        "errors",
        "layout",
        "manifest",
        "options",
        "plan",
        "results",
        "settings",
    },
)
"""The rooms and the root's modules, from the hooks down to plain values."""

HOST_IMPORTS = {
    "adapters",
    "codec",
    "dbt_client.protocol",
    "differences",
    "layout",
    "manifest",
    "results",
    "project.plugins",
    "project.references",
}
"""All that the code inside dbt's process takes from the rest."""


LONG = {
    "ci.providers.azure.Azure.comments": "a table of the addresses and bodies of one API, with nothing to decide",
    "dbt_host.manifests.select": "eleven lines of it are the signature, twelve say what the arguments mean",
}
"""The modules over 300 lines and the functions over 40, each with the reason why it is better whole."""


def imports(path: Path) -> set[str]:
    """Return the modules that a file imports at run time, as dotted names."""
    found = set[str]()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): imports(path)
    for path in PACKAGE.rglob("*.py")
    if path.name != "__init__.py"
}


def room(module: str) -> str:
    return module.split(".")[0]


def ours(module: str) -> set[str]:
    """Return the modules of the package that a module imports."""
    return {f.removeprefix("pytest_dbtci.") for f in MODULES[module]} & MODULES.keys()


def who_imports(package: str) -> set[str]:
    return {name for name, found in MODULES.items() if any(room(f) == package for f in found)}


def test_rooms_import_only_lower_floors() -> None:
    floor = {name: height for height, names in enumerate(FLOORS) for name in names}
    assert {room(m) for m in MODULES} == {*floor, "dbt_host"}
    upward = [
        f"{module} -> {other}"
        for module in MODULES
        if room(module) != "dbt_host"
        for other in ours(module)
        if room(other) != room(module) and floor.get(room(other), -1) <= min(floor[room(module)], len(FLOORS) - 2)
    ]
    assert not upward


def test_the_architecture_page_shows_every_room() -> None:
    page = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    names = {name for floor in FLOORS for name in floor}
    assert not {name for name in names if f"`{name}/`" not in page and f"`{name}.py`" not in page}
    named = set(re.findall(r"`([a-z_]+(?:/[a-z_]+)+\.py)`", page))
    assert not {path for path in named if not (PACKAGE / path).exists() and not (PACKAGE.parent / path).exists()}


def test_imports_form_no_circle() -> None:
    graphlib.TopologicalSorter({module: ours(module) for module in MODULES}).prepare()


def long_ones() -> set[str]:
    """Return the modules over 300 lines and the functions over 40."""
    found = set[str]()
    for module in MODULES:
        text = (PACKAGE / module.replace(".", "/")).with_suffix(".py").read_text(encoding="utf-8")
        found |= {module} if text.count("\n") > 300 else set()
        found |= {f"{module}.{name}" for name, lines in functions(ast.parse(text)) if lines > 40}
    return found


def functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, int]]:
    """Yield each function's dotted name and lines."""
    for node in ast.iter_child_nodes(tree):
        name = f"{prefix}{node.name}" if isinstance(node, ast.ClassDef | ast.FunctionDef) else prefix.rstrip(".")
        if isinstance(node, ast.FunctionDef):
            yield name, (node.end_lineno or 0) - node.lineno + 1
        yield from functions(node, f"{name}." if name else "")


def test_modules_and_functions_are_short_but_for_those_with_a_reason() -> None:
    assert long_ones() == LONG.keys()


def test_only_the_host_imports_dbt_and_nobody_imports_the_host() -> None:
    assert {room(m) for m in who_imports("dbt") | who_imports("dbt_common")} == {"dbt_host"}
    for module in MODULES:
        others = {other for other in ours(module) if room(other) != room(module)}
        if room(module) == "dbt_host":
            assert {re.sub(r"(?<=protocol)\..*", "", other) for other in others} <= HOST_IMPORTS, module
        else:
            assert "dbt_host" not in {room(other) for other in others}, module


def test_only_the_git_room_imports_git() -> None:
    assert {room(m) for m in who_imports("git")} == {"git"}


def test_only_the_rim_imports_pytest() -> None:
    assert {room(m) for m in who_imports("pytest")} <= {"plugin", "hookspecs", "session"}
    assert not who_imports("_pytest")


@pytest.mark.parametrize("name", ["", *__import__("pytest_dbtci").__all__])
def test_public_names_are_imported_only_when_asked_for(name: str) -> None:
    ask = f"pytest_dbtci.{name}; " if name else ""
    shown = "print(sorted(m for m in sys.modules if m.startswith('pytest_dbtci')))"
    code = f"import sys, pytest_dbtci; {ask}{shown}"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert (loaded.strip() == "['pytest_dbtci']") == (not name)
