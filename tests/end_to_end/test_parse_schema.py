"""What dbt fixes while it parses has the pull request's schema in it, in whatever way it came there."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from tests.support.tiny_project import commit, make_tiny, write
from tests.support.validation import validate

pytestmark = pytest.mark.slow

TABLE = "{{ config(materialized='table', post_hook=%s) }} select 2 as a\n"
NOTE = "{% macro note(r) %}create table if not exists {{ r.schema }}.one_seen as select 1 as n{% endmacro %}"
SEEN = "'create table ' ~ target.schema ~ '.one_seen as select 1 as n'"
BLOCK = "{% set h %}create table {{ this.schema }}.one_seen as select 1 as n{% endset %}"


def relations(project: Path) -> set[str]:
    with duckdb.connect(str(project / "tiny.duckdb")) as connection:
        query = "select table_schema || '.' || table_name from information_schema.tables"
        return {name for (name,) in connection.execute(query).fetchall()}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_tiny(tmp_path / "repo")


@pytest.mark.parametrize("text", [TABLE % SEEN, TABLE % "note(this)", BLOCK + TABLE % "h"])
def test_hooks_made_at_parse_write_into_the_pull_requests_schema(project: Path, text: str) -> None:
    write(project, {"models/one.sql": text, "macros/note.sql": NOTE})
    commit(project, "hooks")
    run = validate(project, "--dbt-ci-pr=7", "--dbt-ci-keep-schema=always")
    assert run.code == 0, run.output
    assert "dbt_build_7.one_seen" in relations(project)
    assert not [name for name in relations(project) if "ci0parse" in name]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("{{ config(alias=target.schema | upper) }} select 2 as a\n", "dbt_build_7.DBT_BUILD_7"),
        ("{{ config(alias='x' ~ target.schema[4:]) }} select 2 as a\n", "dbt_build_7.xbuild_7"),
        (
            "{{ config(alias='other' if target.schema == 'dbt_build_7' else 'one') }} select 2 as a\n",
            "dbt_build_7.other",
        ),
    ],
)
def test_code_that_looks_into_the_schema_sees_the_pull_requests(project: Path, text: str, name: str) -> None:
    write(project, {"models/one.sql": text})
    commit(project, "looks")
    run = validate(project, "--dbt-ci-pr=7", "--dbt-ci-keep-schema=always")
    assert run.code == 0, run.output
    assert "parsed with dbt_build_7 itself: models/one.sql looks into target.schema" in run.output
    assert name in relations(project)


def test_nothing_is_modified_because_the_schema_is_another(project: Path) -> None:
    looks = "{{ config(meta={'pr': target.schema | upper}) }} select 3 as c\n"
    write(project, {"models/three.sql": looks})
    commit(project, "looks")
    base = commit(project, "base")
    write(project, {"models/one.sql": "select 4 as a\n"})
    commit(project, "change")
    run = validate(project, "--dbt-ci-pr=7", f"--dbt-ci-base={base}")
    assert run.code == 0, run.output
    assert {case.rsplit("::", 1)[-1] for case in run.cases} == {"one", "two"}
