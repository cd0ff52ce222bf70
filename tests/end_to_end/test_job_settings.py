"""dbt's settings in a job's environment or in the project: they hold for the build, are known to the plan, and said."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from tests.support.tiny_project import PROJECT, commit, git, make_tiny, write
from tests.support.validation import validate

pytestmark = pytest.mark.slow

CHECKS = """\
models:
  - {name: two, columns: [{name: a, data_tests: [not_null]}]}
unit_tests:
  - {name: two_is_one, model: two, given: [{input: ref('one'), rows: [{a: 3}]}], expect: {rows: [{a: 3}]}}
"""
QUERY = "def test_two(dbt_query):\n    assert dbt_query(\"select * from {{ ref('two') }}\").scalar == 2\n"
SELECTORS = "selectors: [{name: nightly, definition: {method: tag, value: nightly}}]\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    made = make_tiny(tmp_path / "repo")
    write(made, {"models/checks.yml": CHECKS})
    commit(made, "checks")
    return made


@pytest.mark.parametrize(
    ("setting", "left_out"),
    [
        ("DBT_EXCLUDE_RESOURCE_TYPES=unit_test", {"two_is_one"}),
        ("DBT_ENGINE_RESOURCE_TYPES=model", {"two_is_one", "not_null_two_a"}),
        ("DBT_INDIRECT_SELECTION=empty", set[str]()),
        ("DBT_EMPTY=true", set[str]()),
    ],
)
def test_what_narrows_is_said_and_breaks_nothing(project: Path, setting: str, left_out: set[str]) -> None:
    name, value = setting.split("=")
    run = validate(project, **{name: value})
    assert run.code == 0, run.output
    assert f"dbt-ci: {setting} in the environment narrows" in run.output
    names = {case.rsplit("::", 1)[-1] for case in run.cases}
    assert names == {"one", "two", "two_is_one", "not_null_two_a"} - left_out


def test_failures_stored_by_the_environment_are_planned_and_dropped(project: Path) -> None:
    run = validate(project, "--dbt-ci-pr=7", DBT_STORE_FAILURES="true")
    assert run.code == 0, run.output
    with duckdb.connect(str(project / "tiny.duckdb")) as connection:
        found = connection.execute("select schema_name from information_schema.schemata").fetchall()
    assert not [name for (name,) in found if name.startswith("dbt_build_7")]


def test_failures_never_go_to_a_schema_that_is_not_the_pull_requests(project: Path) -> None:
    plain = "{% macro generate_schema_name(name, node) %}{{ name or target.schema }}{% endmacro %}"
    write(project, {"macros/names.sql": plain})
    commit(project, "names")
    run = validate(project, "--dbt-ci-pr=7", DBT_STORE_FAILURES="true")
    assert run.code == 4, run.output
    assert "would be written to schema dbt_test__audit" in run.output


@pytest.mark.parametrize("flags", ["{warn_error_options: {error: all}}", "{warn_error: true}"])
def test_a_policy_on_warnings_does_not_meet_an_empty_answer(project: Path, flags: str) -> None:
    git(project, "switch", "--quiet", "master")
    write(project, {"dbt_project.yml": f"{PROJECT}flags: {flags}\nvars: {{n: 1}}\n"})
    write(project, {"models/one.sql": "select {{ var('n') }} as a\n"})
    commit(project, "policy")
    git(project, "switch", "--quiet", "--create", "other")
    write(project, {"dbt_project.yml": f"{PROJECT}flags: {flags}\nvars: {{n: 2}}\n"})
    commit(project, "another number")
    run = validate(project)
    assert run.code == 0, run.output
    assert {case.rsplit("::", 1)[-1] for case in run.cases} == {"one", "two"}


def test_neither_does_one_in_the_environment_nor_what_keeps_dbt_from_the_files(project: Path) -> None:
    run = validate(project, DBT_WARN_ERROR="1", DBT_PARTIAL_PARSE_FILE_DIFF="false")
    assert run.code == 0, run.output
    assert {case.rsplit("::", 1)[-1] for case in run.cases} == {"one", "two", "two_is_one", "not_null_two_a"}


def test_a_selection_of_existing_nodes_of_which_none_changed_is_green(tmp_path: Path) -> None:
    run = validate(make_tiny(tmp_path / "repo"), "--dbt-ci-select=state:modified,two")
    assert run.code == 0, run.output
    assert "nothing to build" in run.output


def test_queries_are_answered_where_there_is_a_selectors_yml(project: Path) -> None:
    write(project, {"selectors.yml": SELECTORS, "test_two.py": QUERY})
    commit(project, "selectors")
    run = validate(project, DBT_EMPTY="false")
    assert run.code == 0, run.output
    assert any(case.endswith("test_two") for case in run.cases)
