"""What the repository tells its contributors' tools is valid, and one version stands everywhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import pytest_dbtci

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["ci.yml", "release.yml"])
def test_workflows_are_valid(name: str) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    done = subprocess.run([*command, ROOT / ".github/workflows" / name], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["wrong.yml", "wish.yml"])
def test_issue_forms_are_valid(name: str) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-issue-forms"]
    done = subprocess.run([*command, ROOT / ".github/ISSUE_TEMPLATE" / name], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_one_version_stands_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == pytest_dbtci.__version__
    assert f"## {project['version']}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_projects_own_pre_commit_hooks_are_valid() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pre_commit", "validate-config", ROOT / ".pre-commit-config.yaml"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
