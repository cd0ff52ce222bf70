"""Imports point one way: pytest at the rim, dbt and git each behind one door, values know nobody."""

from __future__ import annotations

import ast
import graphlib
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "pytest_dbtci"
VALUES = {"errors", "plan", "results", "manifest", "settings"}
RIM = {
    "plugin",
    "session",
    "participant",
    "rerun",
    "items",
    "needs",
    "fixtures",
    "hookspecs",
    "terminal",
    "progress",
    "reporting",
}


def imports(path: Path) -> set[str]:
    """Give the modules a file imports, type checking apart, as dotted names."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
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


def who_imports(package: str) -> set[str]:
    return {name for name, found in MODULES.items() if any(f.split(".")[0] == package for f in found)}


def test_only_the_host_imports_dbt() -> None:
    assert all(name.startswith("dbt.") for name in who_imports("dbt") | who_imports("dbt_common"))


def test_nothing_outside_the_host_imports_the_hosts_modules() -> None:
    outside = {n: f for n, f in MODULES.items() if not n.startswith("dbt.")}
    assert not {n for n, found in outside.items() if any(f.startswith("pytest_dbtci.dbt") for f in found)}


def test_only_the_git_modules_import_git() -> None:
    assert all(name.startswith("git") for name in who_imports("git"))


def test_only_the_rim_imports_pytest() -> None:
    beyond = who_imports("pytest") - RIM
    assert not {name for name in beyond if not name.endswith("_items")}
    assert not who_imports("_pytest")


def test_values_import_nothing_but_values() -> None:
    for name in VALUES:
        ours = {f.split(".")[1] for f in MODULES[name] if f.startswith("pytest_dbtci.")}
        assert ours <= VALUES, name


def test_imports_form_no_circle() -> None:
    ours = {
        name: {f.removeprefix("pytest_dbtci.") for f in found if "pytest_dbtci." in f}
        for name, found in MODULES.items()
    }
    graph = {name: found & MODULES.keys() for name, found in ours.items()}
    graphlib.TopologicalSorter(graph).prepare()
