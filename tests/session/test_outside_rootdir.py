"""Files that lie outside of pytest's rootdir: each node has an id of its own by which it is found again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.tiny_project import PROFILES, PROJECT, commit, git, write
from tests.support.validation import validate

pytestmark = pytest.mark.slow

FILES: dict[str, str | None] = {
    "dbt/dbt_project.yml": PROJECT + "model-paths: [models, ../common/models]\n",
    "dbt/profiles.yml": PROFILES,
    "dbt/pytest.ini": "[pytest]\n",
    "dbt/models/one.sql": "select 1 as a\n",
    "common/models/two.sql": "select 1 as a\n",
    "common/models/three.sql": "select 1 as a\n",
    "common/models/idle.sql": "select 1 as a\n",
    "checks/pytest.ini": "[pytest]\n",
    "checks/test_python.py": "def test_python():\n    pass\n",
    ".gitignore": "target/\nlogs/\n*.duckdb*\n.pytest_cache/\n.user.yml\n",
}
ONE, TWO, THREE = "models/one.sql::one", "../common/models/two.sql::two", "../common/models/three.sql::three"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose dbt project reads models beside its own folder; three of them changed, two can't be built."""
    root = tmp_path_factory.mktemp("outside") / "repo"
    write(root, FILES)
    git(root, "init", "--quiet", "--initial-branch=master")
    commit(root, "release")
    git(root, "switch", "--quiet", "--create", "feature")
    write(root, {"dbt/models/one.sql": "select wrong\n", "common/models/two.sql": "select wrong\n"})
    write(root, {"common/models/three.sql": "select 2 as a\n"})
    commit(root, "change")
    return root


# Workers find by themselves neither what lies outside nor what `testpaths` leaves out.
@pytest.mark.parametrize(
    "workers", [(), ("-n2", "-o", "testpaths=../common/models")], ids=["alone", "with workers and testpaths"]
)
def test_what_failed_is_found_again(repository: Path, workers: tuple[str, ...]) -> None:
    dbt = repository / "dbt"
    run = validate(dbt, "--dbt-ci-pr=7", *workers)
    assert run.code == 1, run.output
    beside = "...common.models"
    names = {ONE: "models.one.sql::one", TWO: f"{beside}.two.sql::two", THREE: f"{beside}.three.sql::three"}
    assert {name: case.outcome for name, case in run.cases.items()} == {
        names[ONE]: "failed",
        names[TWO]: "failed",
        names[THREE]: "passed",
    }
    assert json.loads((dbt / ".pytest_cache/v/cache/lastfailed").read_text("utf-8")).keys() == {ONE, TWO}

    again = validate(dbt, "--dbt-ci-pr=7", "--lf", *workers)
    assert again.code == 1, again.output
    assert again.cases.keys() == {names[ONE], names[TWO]}


def collected(directory: Path, *args: str) -> list[str]:
    # Without an ini file that is named, pytest takes the nearest common folder of the paths for its rootdir.
    run = validate(directory, "--dbt-ci-pr=7", "--rootdir=.", "--collect-only", "-q", *args)
    assert run.code == 0, run.output
    return [line for line in run.output.splitlines() if "::" in line]


@pytest.mark.slow
def test_is_chosen_by_paths_and_words(repository: Path) -> None:
    dbt = repository / "dbt"
    assert collected(dbt, TWO) == [TWO]
    assert collected(dbt, "../common/models", "-k", "not three") == [TWO]
    assert collected(dbt, "--deselect", TWO, "-k", "not one") == [THREE]
    said = validate(dbt, "--dbt-ci-pr=7", "--rootdir=.", "-rs", "../common/models/idle.sql")
    assert said.code == 0, said.output
    assert "dbt knows it, but this pull request does not select it" in said.output


@pytest.mark.slow
def test_a_whole_project_can_lie_outside(repository: Path) -> None:
    found = collected(repository / "checks", "--dbt-ci-project-dir=../dbt", "--dbt-ci-profiles-dir=../dbt")
    assert sorted(found) == [
        "../common/models/three.sql::three",
        "../common/models/two.sql::two",
        "../dbt/models/one.sql::one",
        "test_python.py::test_python",
    ]
