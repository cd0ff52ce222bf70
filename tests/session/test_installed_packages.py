"""What packages bring besides dbt's nodes is not collected, and the project is the one that pytest was started in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.tiny_project import PROFILES, PROJECT, commit, git, write
from tests.support.validation import Validation, validate

KIT: dict[str, str | None] = {
    "dbt_project.yml": "name: kit\n",
    "models/days.sql": "select 1 as day\n",
    "tests/conftest.py": "raise RuntimeError('a conftest of a package')\n",
    "tests/days_are_there.sql": "select * from {{ ref('days') }} where false\n",
    "tests/test_kit.py": "import nothing_like_it\n",
    "pytest.ini": "[pytest]\n",
    ".gitignore": "target/\nlogs/\n*.duckdb*\n.pytest_cache/\n.user.yml\ndbt_packages/\npackage-lock.yml\n",
}
TESTS: dict[str, str | None] = {
    "t/dbt_project.yml": PROJECT,
    "t/profiles.yml": PROFILES,
    "t/packages.yml": "packages: [{local: ../}]\n",
    "t/models/one.sql": "select 1 as a\n",
    "t/tests/test_python.py": "def test_python():\n    pass\n",
}
DAYS = "dbt_packages/kit/models/days.sql::days"
SINGULAR = "dbt_packages/kit/tests/days_are_there.sql::days_are_there"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package's repository, whose test project has it installed as a link to the root; a model of each changed."""
    root = tmp_path_factory.mktemp("installed") / "repo"
    write(root, {**KIT, **TESTS})
    git(root, "init", "--quiet", "--initial-branch=master")
    commit(root, "release")
    git(root, "switch", "--quiet", "--create", "feature")
    write(root, {"models/days.sql": "select 2 as day\n", "t/models/one.sql": "select 2 as a\n"})
    commit(root, "change")
    (root / "t/dbt_packages").mkdir()
    (root / "t/dbt_packages/kit").symlink_to("../..", target_is_directory=True)
    return root / "t"


def collect(project: Path, *args: str) -> tuple[Validation, set[str]]:
    """Collect in the project as the tests' own folder does; give the node ids, from the project's folder."""
    run = validate(project, "--dbt-ci-pr=7", "--collect-only", "-q", *args)
    found = {line.removeprefix("t/") for line in run.output.splitlines() if "::" in line}
    return run, found


# `--ignore` on the packages' folder is how such tests were kept out by hand.
@pytest.mark.slow
@pytest.mark.parametrize(
    "args", [(), ("--ignore=dbt_packages",), ("--ignore-glob=*/dbt_packages/*",), ("-o", "norecursedirs=dbt_packages")]
)
def test_only_planned_nodes_are_collected_of_packages(project: Path, args: tuple[str, ...]) -> None:
    run, found = collect(project, *args)
    assert run.code == 0, run.output
    assert found == {DAYS, SINGULAR, "models/one.sql::one", "tests/test_python.py::test_python"}


def test_a_folder_of_a_package_can_be_named_and_left_out(project: Path) -> None:
    # The package's own pytest.ini would be nearer.
    assert collect(project, "-c", "../pytest.ini", "dbt_packages/kit/models")[1] == {DAYS}
    assert DAYS not in collect(project, "--ignore=dbt_packages/kit/models")[1]
