"""The repository and the build as people have them: where it lies, what is checked out, what is uncommitted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from tests.support.tiny_project import PROFILES, commit, git, make_tiny, write
from tests.support.validation import Validation, environment, validate


def selected(run: Validation) -> set[str]:
    assert run.code == 0, run.output
    return {u.rsplit(".", 1)[-1] for u in run.by_unique_id()}


def test_a_project_in_a_subfolder_with_spaces_and_other_letters(tmp_path: Path) -> None:
    project = make_tiny(tmp_path / "hundar & kök", inside="data warehouse/modèles")
    run = validate(project.parents[1], "--dbt-ci-pr=7")
    assert selected(run) == {"one", "two"}
    names = set(run.cases)
    assert names == {f"data warehouse.modèles.models.{n}.sql::{n}" for n in ("one", "two")}
    assert (project / "tiny.duckdb").exists(), "relative paths of the profile start at the project"


def test_a_detached_head(tmp_path: Path) -> None:
    project = make_tiny(tmp_path / "repo")
    git(project, "checkout", "--quiet", "--detach")
    run = validate(project)
    assert selected(run) == {"one", "two"}
    assert "detached" in run.output


def test_uncommitted_and_untracked_files_count(tmp_path: Path) -> None:
    project = make_tiny(tmp_path / "repo")
    git(project, "switch", "--quiet", "master")
    git(project, "switch", "--quiet", "--create", "uncommitted")
    write(project, {"models/two.sql": "select 5 as b from {{ ref('one') }}\n", "models/new.sql": "select 1 as n\n"})
    git(project, "add", "models/two.sql")
    run = validate(project, "--dbt-ci-pr=7")
    assert selected(run) == {"two", "new", "one"}
    reasons = {u.rsplit(".", 1)[-1]: c.properties["dbt_reason"] for u, c in run.by_unique_id().items()}
    assert reasons["new"].startswith("new")
    assert reasons["one"] == "ancestor of two, not deferred"
    assert git(project, "status", "--porcelain") == "M  models/two.sql\n?? models/new.sql"


def test_what_is_built_is_the_head_s_text_to_the_last_blank(tmp_path: Path) -> None:
    project = make_tiny(tmp_path / "repo")
    git(project, "switch", "--quiet", "master")
    write(project, {"models/one.sql": "select 'a b' as a -- text\n, 1 as b\n"})
    commit(project, "release")
    git(project, "switch", "--quiet", "--create", "spaces")
    write(project, {"models/one.sql": "select 'a  b' as a -- text , 1 as b\n"})
    assert selected(validate(project, "--dbt-ci-pr=7", "--dbt-ci-keep-schema=always")) == {"one", "two"}
    with duckdb.connect(str(project / "tiny.duckdb")) as warehouse:
        assert warehouse.sql("select * from dbt_build_7.two").fetchall() == [("a  b",)]


def test_a_deleted_and_a_renamed_file(tmp_path: Path) -> None:
    project = make_tiny(tmp_path / "repo")
    git(project, "switch", "--quiet", "master")
    git(project, "switch", "--quiet", "--create", "tidy")
    (project / "models/two.sql").unlink()
    (project / "models/one.sql").rename(project / "models/uno.sql")
    commit(project, "rename one, delete two")
    assert selected(validate(project, "--dbt-ci-pr=7")) == {"uno"}


def test_a_first_pull_request_that_adds_the_project(tmp_path: Path) -> None:
    repository = tmp_path / "repo"
    repository.mkdir()
    write(repository, {"README.md": "a repository without dbt\n"})
    git(repository, "init", "--quiet", "--initial-branch=master")
    commit(repository, "begin")
    git(repository, "switch", "--quiet", "--create", "add-dbt")
    make_tiny(tmp_path / "other")
    for name in ("dbt_project.yml", "profiles.yml", "pytest.ini", ".gitignore", "models/one.sql", "models/two.sql"):
        write(repository, {name: (tmp_path / "other" / name).read_text()})
    commit(repository, "add dbt")
    run = validate(repository, "--dbt-ci-pr=7", "--dbt-ci-defer-target=prod")
    assert selected(run) == {"one", "two"}


def test_ephemeral_versioned_disabled_and_package_nodes(tmp_path: Path) -> None:
    project = make_tiny(tmp_path / "repo")
    write(
        project,
        {
            "packages.yml": "packages:\n  - local: ../helpers\n",
            "../helpers/dbt_project.yml": "name: helpers\n",
            "../helpers/models/lent.sql": "select 1 as a\n",
            "models/eph.sql": "{{ config(materialized='ephemeral') }} select * from {{ ref('one') }}\n",
            "models/off.sql": "{{ config(enabled=false) }} select * from {{ ref('one') }}\n",
            "models/user_v2.sql": "select * from {{ ref('eph') }} union all select a from {{ ref('lent') }}\n",
            "models/all.yml": """
models:
  - name: user
    latest_version: 2
    versions:
      - v: 2
  - name: eph
    columns:
      - name: a
        data_tests: [not_null]
sources:
  - name: raw
    schema: analytics
    tables:
      - name: stones
        columns:
          - name: a
            data_tests: [not_null]
""",
        },
    )
    with duckdb.connect(str(project / "tiny.duckdb")) as connection:
        connection.execute("create schema analytics")
        connection.execute("create table analytics.stones as select 1 as a")
    subprocess.run(
        [sys.executable, "-c", "from dbt.cli.main import cli; cli()", "deps", "--quiet"],
        cwd=project,
        env=environment(),
        check=True,
        capture_output=True,
    )
    run = validate(project, "--dbt-ci-pr=7")
    assert run.code == 0, run.output
    assert set(run.cases) == {
        "models.one.sql::one",
        "models.two.sql::two",
        "models.eph.sql::not_null_eph_a",
        "models.user_v2.sql::user.v2",
        "models.all.yml::source_not_null_raw_stones_a",
        "dbt_packages.helpers.models.lent.sql::lent",
    }


@pytest.mark.slow
def test_two_runs_after_each_other_leave_nothing(tmp_path: Path) -> None:
    project = make_tiny(tmp_path / "repo")
    first, second = (validate(project, "--dbt-ci-pr=7", "-v") for _ in range(2))
    assert selected(first) == selected(second) == {"one", "two"}
    with duckdb.connect(str(project / "tiny.duckdb"), read_only=True) as connection:
        found = connection.execute("select schema_name from information_schema.schemata").fetchall()
    assert not [s for (s,) in found if s.startswith("dbt_build")]


@pytest.mark.slow
@pytest.mark.parametrize(("policy", "breaks", "kept"), [("never", True, False), ("failed", False, False),
                                                        ("failed", True, True), ("always", False, True)])  # fmt: skip
def test_keeps_the_schemas_only_when_told_to(tmp_path: Path, policy: str, breaks: bool, kept: bool) -> None:
    project = make_tiny(tmp_path / "repo")
    if breaks:
        write(project, {"models/two.sql": "select nothing_like_it from {{ ref('one') }}\n"})
    run = validate(project, "--dbt-ci-pr=7", f"--dbt-ci-keep-schema={policy}")
    assert run.code == int(breaks), run.output
    with duckdb.connect(str(project / "tiny.duckdb"), read_only=True) as connection:
        found = connection.execute("select schema_name from information_schema.schemata").fetchall()
    assert (("dbt_build_7",) in found) is kept
    assert (f"{'kept' if kept else 'dropped'} dbt_build_7") in run.output


AZURE = {"TF_BUILD": "True", "BUILD_REASON": "IndividualCI"}


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({}, "nothing that dbt reads changed"),
        ({**AZURE, "BUILD_SOURCEBRANCH": "refs/heads/master"}, "this is the default branch"),
        ({**AZURE, "BUILD_SOURCEBRANCH": "refs/heads/feature/master"}, "neither a pull request nor the default"),
    ],
    ids=["no change", "default branch", "other branch"],
)
def test_answers_without_dbt_when_there_is_nothing_to_build(tmp_path: Path, environ: dict[str, str], says: str) -> None:
    project = make_tiny(tmp_path / "repo")
    git(project, "switch", "--quiet", "master")
    git(project, "switch", "--quiet", "--create", "docs")
    write(project, {"README.md": "words\n"})
    commit(project, "write about it")
    # A dbt that can't be imported: whoever tries, fails.
    write(tmp_path / "poison", {"dbt/__init__.py": "raise RuntimeError('dbt was imported')\n"})
    (scratch := tmp_path / "scratch").mkdir()
    run = validate(project, PYTHONPATH=str(tmp_path / "poison"), TMPDIR=str(scratch), **environ)
    assert run.code == 0, run.output
    assert not list(scratch.glob("dbt-ci-*")), "the folder of the process that nobody needed is gone"
    (case,) = run.cases.values()
    assert case.outcome == "skipped"
    assert says in case.message
    signal = "##vso[task.complete result=SucceededWithIssues;]"
    assert (signal in run.output) is ("feature/master" in environ.get("BUILD_SOURCEBRANCH", ""))


def test_on_the_default_branch_itself_it_says_what_was_compared_and_how_to_go_on(tmp_path: Path) -> None:
    project = make_tiny(tmp_path / "repo")
    git(project, "switch", "--quiet", "master")
    poison = {"PYTHONPATH": str(tmp_path / "poison")}
    write(tmp_path / "poison", {"dbt/__init__.py": "raise RuntimeError('dbt was imported')\n"})
    tip = git(project, "rev-parse", "HEAD")[:10]
    for text, says in (None, "nothing is uncommitted"), ("words\n", "none of the uncommitted changes"):
        if text:
            write(project, {"README.md": text})
        (case,) = validate(project, **poison).cases.values()
        assert case.outcome == "skipped"
        assert f"HEAD is master ({tip}) itself, and {says}" in case.message
        assert "--dbt-ci-base=COMMIT" in case.message


@pytest.mark.slow
def test_on_the_default_branch_what_is_not_committed_counts_with_what_conftest_sets(tmp_path: Path) -> None:
    project = make_tiny(tmp_path / "repo")
    profiles = PROFILES.replace("path: tiny.duckdb", "path: \"{{ env_var('WAREHOUSE') }}\"")
    write(project, {"profiles.yml": profiles, "conftest.py": "import os\nos.environ['WAREHOUSE'] = 'set.duckdb'\n"})
    commit(project, "let conftest name the warehouse")
    git(project, "switch", "--quiet", "--force-create", "master")
    write(project, {"models/one.sql": "select 3 as a\n"})
    run = validate(project, "--dbt-ci-target=ci")
    assert run.code == 0, run.output
    assert " changed → 1 modified, 1 downstream" in run.output
    assert (project / "set.duckdb").exists()


def test_does_nothing_and_imports_neither_dbt_nor_git_without_the_option(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "test_modules.py": "import sys\n\ndef test_modules():\n"
            "    assert not {'dbt', 'git', 'yaml', 'jinja2'} & set(sys.modules)\n"
        },
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:hypothesispytest", "-p", "no:metadata", str(tmp_path)],
        cwd=tmp_path,
        env={k: v for k, v in environment().items() if k != "PYTEST_PLUGINS"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_a_changed_unit_test_brings_its_model_along(tmp_path: Path) -> None:
    project = make_tiny(tmp_path / "repo")
    git(project, "switch", "--quiet", "master")
    git(project, "switch", "--quiet", "--create", "unit")
    given = "given: [{input: ref('one'), rows: [{a: 3}]}], expect: {rows: [{a: 3}]}"
    unit = f"unit_tests:\n  - {{name: u, model: two, {given}}}\n"
    write(project, {"models/unit.yml": unit})
    run = validate(project, "--dbt-ci-pr=7")
    assert selected(run) == {"u", "two", "one"}
    reasons = {u.rsplit(".", 1)[-1]: c.properties["dbt_reason"] for u, c in run.by_unique_id().items()}
    assert reasons["two"] == "tested by u"


def test_writes_what_each_step_took(tmp_path: Path) -> None:
    project = make_tiny(tmp_path / "repo")
    run = validate(project, "--dbt-ci-pr=7", "--dbt-ci-timings=steps.json", "--durations=1", "--durations-min=0")
    assert run.code == 0, run.output
    steps = {step["step"]: step["seconds"] for step in json.loads((project / "steps.json").read_text())}
    expected = {"git", "dbt start", "project", "base parse", "head parse", "selection", "schemas", "build", "drop"}
    assert expected <= set(steps)
    assert all(seconds >= 0 for seconds in steps.values())
