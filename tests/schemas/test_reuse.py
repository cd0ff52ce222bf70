"""`--lf` takes from the kept schemas what is as it was, its macros and all that it reads included, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb

from pytest_dbtci.dbt_client.protocol.values import BuiltNode
from pytest_dbtci.plan import Destination, Node, Plan, Reason
from pytest_dbtci.schemas.reuse import reusable
from tests.support.tiny_project import commit, make_tiny, write
from tests.support.validation import validate

KEEP = ("--dbt-ci-pr=7", "--dbt-ci-keep-schema=failed")
SWAPPED = "select 39 as a, {} as b union all select 163893, {}"
"""DuckDB's hashes of these rows have the same sum with true and false as with false and true."""
MACRO = "{{% macro size() %}}{}{{% endmacro %}}\n"
FILES: dict[str, str | None] = {
    "dbt_project.yml": "name: tiny\nprofile: tiny\nmodels: {+materialized: table}\n",
    "macros/size.sql": MACRO.format(1),
    "models/sized.sql": "select {{ size() }} as a\n",
    "models/same.sql": "select 3 as a\n",
    "models/replaced.sql": SWAPPED.format("true", "false"),
    "models/bad.sql": "select no_such_column from {{ ref('two') }}, {{ ref('sized') }}, {{ ref('same') }}, "
    "{{ ref('replaced') }}\n",
}


def test_what_reads_a_node_that_is_built_anew_is_built_too() -> None:
    names = {"one": (), "two": ("one",), "other": (), "bad": ("two", "other")}
    nodes = tuple(
        Node(
            unique_id=name,
            resource_type="model",
            name=name,
            item=name,
            file=f"{name}.sql",
            defined_in=f"{name}.sql",
            reason=Reason(kind="modified", text="modified"),
            parents=parents,
            materialized="table",
            relation=name,
        )
        for name, parents in names.items()
    )
    plan = Plan(mode="pull_request", destination=Destination(schema="dbt_build_7", target="ci"), nodes=nodes)
    noted = {name: BuiltNode(fingerprint="same") for name in names}
    given = (noted, plan, frozenset({"one", "bad"}), frozenset(names))
    assert reusable(*given, frozenset()) == {"other"}
    assert not reusable(*given, frozenset({"other"})), "one that sees what stands there"


def test_builds_a_kept_parent_anew_where_its_macro_its_parent_or_its_table_is_another(tmp_path: Path) -> None:
    project = make_tiny(tmp_path / "repo")
    write(project, FILES)
    first = validate(project, *KEEP)
    assert {name.split("::")[1]: case.outcome for name, case in first.cases.items()} == {
        **dict.fromkeys(("one", "two", "sized", "same", "replaced"), "passed"),
        "bad": "failed",
    }, first.output
    assert f"dbt-ci: kept dbt_build_7, to look at with\n  duckdb {project / 'tiny.duckdb'}\n" in first.output
    compiled = (project / "target/dbt_ci/compiled/tiny/models/bad.sql").read_text()
    with duckdb.connect(str(project / "tiny.duckdb")) as connection:
        assert connection.execute(compiled.replace("no_such_column", "count(*)")).fetchall() == [(2,)]
        swapped = SWAPPED.format("false", "true")
        connection.execute(f"create or replace table dbt_build_7.replaced as {swapped}")
    write(project, {"macros/size.sql": MACRO.format(2), "models/one.sql": "select 4 as a\n"})
    commit(project, "a macro and a grandparent")
    again = validate(project, *KEEP, "--lf")
    assert again.code == 1, again.output
    results = json.loads((project / "target/dbt_ci/run_results.json").read_text())["results"]
    assert {r["unique_id"].split(".")[2] for r in results} == {"one", "two", "sized", "replaced", "bad"}
