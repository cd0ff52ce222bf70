"""The next push builds what it changed; what stands in the schemas from the same is taken as it is, and says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.support.tiny_project import commit, git, make_tiny, write
from tests.support.validation import Validation, validate
from tests.support.warehouse_project import Kennel

pytestmark = pytest.mark.slow

REUSE = ("--dbt-ci-keep-schema=always", "--dbt-ci-build-less=reuse", "-v")
OPTIONS = ("--dbt-ci-pr=7", *REUSE)
LEAF = "{{{{ config(materialized='view') }}}} select a + {} as a, r from {{{{ ref('middle') }}}}\n"
FILES: dict[str, str | None] = {
    "dbt_project.yml": "name: tiny\nprofile: tiny\nmodels: {+materialized: table}\non-run-start: select 1\n",
    "models/source.sql": "select 1 as a, random() as r\n",
    "models/between.sql": "{{ config(materialized='ephemeral') }} select * from {{ ref('source') }}\n",
    "models/middle.sql": "select a, r from {{ ref('between') }}\n",
    "models/leaf.sql": LEAF.format(0),
    "models/other.sql": "select random() as r\n",
    "models/models.yml": """
models:
  - {name: middle, columns: [{name: a, data_tests: [not_null]}]}
  - {name: leaf, columns: [{name: a, data_tests: [{accepted_values: {arguments: {values: [1, 2]}}}]}]}
unit_tests:
  - name: adds
    model: leaf
    given: [{input: ref('middle'), rows: [{a: 5, r: 2}]}]
    expect: {rows: [{r: 2}]}
""",
}
TEST = "accepted_values_leaf_a__1__2"
LEAVES = {"leaf", "adds", TEST}
MIDDLE = {"middle", "not_null_middle_a"}
EVERY = {"one", "two", "source", "other", *MIDDLE, *LEAVES}


def built(run: Validation) -> set[str]:
    """Return the names of the nodes that were not reused, but for hooks, which come with whatever is built."""
    return {
        name.split("::")[-1]
        for name, case in run.cases.items()
        if "dbt_reused" not in case.properties and "-on-run-" not in name
    }


def ask(project: Path, statement: str) -> Any:
    with duckdb.connect(str(project / "tiny.duckdb")) as connection:
        return connection.execute(statement).fetchall()


def push(project: Path, *args: str, **files: str) -> tuple[int, set[str]]:
    """Commit these models and validate; return the exit code, and what was built."""
    write(project, {f"models/{name}.sql": text for name, text in files.items()})
    commit(project, "push")
    run = validate(project, *OPTIONS, *args)
    return run.code, built(run)


def test_each_push_builds_what_it_changed(tmp_path: Path) -> None:
    project = make_tiny(tmp_path / "repo")
    write(project, FILES)
    assert push(project) == (0, EVERY)
    again = validate(project, *OPTIONS, "-n2")
    assert (again.code, built(again)) == (0, set()), again.output
    assert " of 10 reused: earlier runs built them from the same code" in again.output
    case = next(c for n, c in again.cases.items() if n.endswith("::leaf"))
    assert case.outcome == "passed"
    assert case.properties["dbt_reused"].endswith(" UTC built it from the same code")
    (before,) = ask(project, "select o.r, l.r from dbt_build_7.other o, dbt_build_7.leaf l")
    assert push(project, leaf=LEAF.format(1)) == (0, LEAVES)
    assert ask(project, "select o.r, l.r from dbt_build_7.other o, dbt_build_7.leaf l") == [before]
    assert ask(project, "select a from dbt_build_7.leaf") == [(2,)]
    assert push(project, leaf=LEAF.format(7)) == (1, LEAVES), "a test fails"
    assert push(project) == (1, {TEST}), "it is asked again, and only that"
    ask(project, "drop table dbt_build_7.middle; create or replace table dbt_build_7.other as select random() as r")
    assert push(project, leaf=LEAF.format(0)) == (0, {*MIDDLE, *LEAVES, "other"}), "one is gone, one is replaced"
    assert push(project, "--dbt-ci-fresh") == (0, EVERY)
    assert push(project, "--dbt-ci-reuse-age=0m") == (0, EVERY)
    assert ask(project, "select o.r, l.r from dbt_build_7.other o, dbt_build_7.leaf l") != [before]


def test_what_is_not_as_it_was_left_is_built(tmp_path: Path) -> None:
    project = make_tiny(tmp_path / "repo")
    write(project, FILES)
    assert push(project) == (0, EVERY)
    # A run that began, and was killed before its end, has taken over the mark.
    ask(project, "update dbt_build_7.dbt_ci_mark set run = 'killed'")
    assert push(project) == (0, EVERY)
    # What a hook made would go with its schema, and what reads it here, too.
    ask(
        project,
        "create schema dbt_build_7_udf; create table dbt_build_7_udf.dbt_ci_mark as from dbt_build_7.dbt_ci_mark",
    )
    assert push(project) == (0, EVERY)
    counts = "select count(*) as n from information_schema.tables where table_schema = '{{ target.schema }}'\n"
    assert push(project, counted=counts) == (0, {*EVERY, "counted"}), "it sees what stands there"
    assert push(project) == (0, set())
    assert push(project, leaf=LEAF.format(1)) == (0, {*EVERY, "counted"})
    git(project, "rm", "--quiet", "models/counted.sql")
    incremental = "{{ config(materialized='incremental') }} select random() as r\n"
    assert push(project, other=incremental) == (0, EVERY), "it would go on from what is there"
    assert ask(project, "select count(*) from dbt_build_7.other") == [(1,)]
    assert push(project) == (0, set())


COMPARE = (*OPTIONS, "--dbt-ci-compare=base")
STORED = "select a, random() as r from {{{{ source('raw', 'given') }}}} where a > {}\n"
PAIRS: dict[str, str | None] = {
    "dbt_project.yml": "name: tiny\nprofile: tiny\nmodels: {+materialized: table}\n",
    "models/sources.yml": "sources: [{name: raw, tables: [{name: given}]}]\n",
    "models/stored.sql": STORED.format(0),
    "models/whole.sql": "select a from {{ source('raw', 'given') }}\n",
    "models/middle.sql": "select a, r from {{ ref('stored') }}\n",
    "models/leaf.sql": LEAF.format(0),
}


def test_the_base_s_versions_are_reused_with_the_head_s(tmp_path: Path) -> None:
    project = make_tiny(tmp_path / "repo")
    ask(project, "create schema raw; create table raw.given as select 1 as a")
    git(project, "switch", "--quiet", "master")
    write(project, PAIRS)
    commit(project, "release")
    git(project, "switch", "--quiet", "--create", "pairs")
    write(
        project,
        {
            "models/stored.sql": STORED.format(-1),
            "models/whole.sql": "select a + 0 as a from {{ source('raw', 'given') }}\n",
        },
    )

    def compared(**files: str) -> tuple[set[str], set[str], list[Any]]:
        """Push; return what was built, what differs, and what was drawn at the base's and the head's build."""
        write(project, {f"models/{name}.sql": text for name, text in files.items()})
        commit(project, "push")
        run = validate(project, *COMPARE)
        assert run.code == 0, run.output
        assert not [c for n, c in run.cases.items() if n.endswith("::compare") and c.outcome != "passed"], run.output
        differ = {
            n.split("::")[-2].rpartition(".")[2]
            for n, c in run.cases.items()
            if n.endswith("::compare") and {c.properties[f"dbt_compare_{w}"] for w in ("added", "removed")} != {"0"}
        }
        drawn = "select b.r, h.r from dbt_build_7__base.{0} b, dbt_build_7.{0} h limit 1"
        rows = [row for name in ("stored", "leaf") for row in ask(project, drawn.format(name))]
        return built(run) - {"compare"}, differ, rows

    every = {"stored", "whole", "middle", "leaf"}
    first, differ, drawn = compared()
    assert (first, differ) == (every, {"stored", "middle", "leaf"}), "each build draws anew"
    # What is reused is compared as it was, not with what the base would read today.
    ask(project, "insert into raw.given values (2)")
    assert compared() == (set(), differ, drawn)
    assert compared(leaf=LEAF.format(1)) == ({"leaf"}, differ, drawn)
    changed, differ, again = compared(whole="select a + 1 as a from {{ source('raw', 'given') }}\n")
    assert (changed, differ, again) == ({"whole"}, {*differ, "whole"}, drawn)
    ask(project, "create or replace table dbt_build_7__base.stored as select 1 as a, 0.5::double as r")
    changed, _, again = compared()
    assert changed == {"stored", "middle", "leaf"}
    assert not {*again[0]} & {*drawn[0]}
    other = "{{ config(materialized='view') }} select a, r from {{ ref('stored') }}\n"
    assert compared(leaf=other)[0] == every, "it reads what the base's version does not, which may be older"


def test_needs_schemas_that_stay(tmp_path: Path) -> None:
    run = validate(make_tiny(tmp_path / "repo"), "--dbt-ci-build-less=reuse")
    assert run.code == 4
    assert "--dbt-ci-build-less=reuse goes on from schemas that stay after a run" in run.output


def replace(kennel: Kennel) -> set[str]:
    """Put other relations in the place of some, by hand; return their names."""
    if kennel.warehouse.kind == "snowflake":
        # The stand-in knows no times, and of views nothing.
        query = "create or replace table dbt_build_41.stood as select dog_id from dbt_build_41.near limit 1"
        kennel.warehouse.query(query)
        return {"stood"}
    kennel.warehouse.query(
        "set role dbt; create table dbt_build_41.other as select * from dbt_build_41.stood; "
        "drop table dbt_build_41.stood; alter table dbt_build_41.other rename to stood; "
        "create or replace view dbt_build_41.seen as select 2 as a"
    )
    return {"stood", "seen"}


@pytest.mark.parametrize("kennel", ["postgres", "redshift", "snowflake"], indirect=True)
def test_on_servers_and_with_deferral(kennel: Kennel) -> None:
    near = "{{ config(materialized='table') }} select dog_id from {{ ref('stg_dogs') }}\n"
    far, view = "select * from {{ ref('near') }}\n", "{{ config(materialized='view') }} select 1 as a\n"
    models = {"near": near, "far": far, "stood": near, "seen": view}
    directory = kennel.branch("reuse", {f"models/{name}.sql": text for name, text in models.items()})
    first = kennel.validate(directory, "41", *REUSE)
    assert (first.code, built(first)) == (0, {*models}), first.output
    Kennel.commit(directory, {"models/far.sql": "select dog_id, 1 as one from {{ ref('near') }}\n"})
    replaced = replace(kennel)
    second = kennel.validate(directory, "41", *REUSE)
    assert (second.code, built(second)) == (0, {"far", *replaced}), second.output
    contents = {name.lower(): found for name, found in kennel.warehouse.contents().items()}
    assert contents["dbt_build_41.far"] == [(*row, 1) for row in contents["dbt_build_41.near"]]
    third = kennel.validate(directory, "41")
    assert (third.code, built(third), kennel.built("41")) == (0, {*models}, ()), third.output
    assert kennel.others() == kennel.before
