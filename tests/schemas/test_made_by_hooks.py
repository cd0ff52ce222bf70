"""Schemas that hooks and flags make beside the run's own: dropped where this run made them, else named in red."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_dbtci.dbt_client.client import Host
from pytest_dbtci.dbt_client.protocol.tree_requests import Parse
from pytest_dbtci.dbt_client.protocol.values import Invocation, Mark, Owner
from pytest_dbtci.dbt_client.protocol.warehouse_requests import DropSchemas
from pytest_dbtci.dbt_host.schema_ownership import Ownership
from pytest_dbtci.errors import DbtCiError
from tests.support.fault_stage import SCHEMA, Stage, make_repository
from tests.support.tiny_project import make_tiny
from tests.support.validation import environment
from tests.support.warehouse_project import open_schemas
from tests.support.warehouses import Server, Warehouse, duckdb_warehouse

pytestmark = pytest.mark.slow

BESIDE = f"{SCHEMA}_udf"
HOOKS = """\
on-run-start:
  - "create schema if not exists {{ target.schema }}_udf"
  - "create table if not exists {{ target.schema }}_udf.seen as select 1 as id"
"""
HIDDEN = """\
on-run-start: ["do $$ begin execute 'create schema ' || 'dbt_build' || '_7_udf'; end $$"]
"""
SELECTED = "--dbt-ci-select=third"


def test_every_way_of_making_a_schema_is_heard() -> None:
    mark = Mark(pr="7", run="a", head="")
    ownership = Ownership(owner=Owner(prefix=SCHEMA, mark=mark, databases=(), keep=False))
    heard = [f"create {how}schema {BESIDE}" for how in ("", "transient ", "or replace ", "OR REPLACE\n  TRANSIENT ")]
    for statement in (*heard, f"create table schema_{BESIDE} as select 1", f"drop schema {BESIDE}"):
        ownership.hear(statement)
    assert ownership.statements == heard


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_repository(tmp_path_factory.mktemp("kennel") / "kennel")


@pytest.fixture
def stage(repository: Path, warehouse: Warehouse, tmp_path: Path) -> Iterator[Stage]:
    """A pull request whose project makes a schema of its own, in front of each kind of warehouse."""
    yield from staged(repository, warehouse, tmp_path, HOOKS)


def staged(repository: Path, warehouse: Warehouse, tmp_path: Path, hooks: str) -> Iterator[Stage]:
    directory = tmp_path / "kennel"
    shutil.copytree(repository, directory, symlinks=True)
    with (directory / "dbt_project.yml").open("a") as file:
        file.write(hooks)
    made = Stage.make(directory, warehouse)
    yield made
    made.end()


def test_a_schema_that_a_hook_made_goes_with_the_others(stage: Stage) -> None:
    run = stage.run(SELECTED, "--dbt-ci-keep-schema=always")
    assert run.code == 0, run.output
    assert stage.warehouse.query(f"select pr from {BESIDE}.dbt_ci_mark") == [(str(7),)], "kept, it can be swept"
    run = stage.run(SELECTED)
    assert run.code == 0, run.output
    assert f"dropped {SCHEMA}, {SCHEMA}_extra, {BESIDE}" in run.output
    stage.assert_nothing_left()


def test_a_schema_of_somebody_else_that_a_hook_writes_into_is_named_and_stays(stage: Stage) -> None:
    stage.warehouse.query(f"create schema {BESIDE}")
    if stage.warehouse.server is not None:
        stage.warehouse.query(f"alter schema {BESIDE} owner to dbt")
    run = stage.run(SELECTED)
    assert run.code == 1, run.output
    assert f"schema {BESIDE} was there before this run" in run.output
    assert stage.own_schemas() == [BESIDE]
    stage.assert_others_untouched()


def test_a_schema_that_nobody_owns_up_to_is_named_and_stays(
    repository: Path, warehouse_server: Server, tmp_path: Path
) -> None:
    with warehouse_server.database("postgres") as warehouse:
        for stage in staged(repository, warehouse, tmp_path, HIDDEN):
            run = stage.run(SELECTED)
            assert run.code == 1, run.output
            assert f"schema {BESIDE} appeared during this run" in run.output
            assert stage.own_schemas() == [BESIDE]
            stage.assert_others_untouched()


def test_schemas_of_stored_failures_go_whatever_flag_asks_for_them(stage: Stage) -> None:
    run = stage.run(DBT_STORE_FAILURES="true")
    assert run.code == 0, run.output
    stage.assert_nothing_left()


OVERRIDE = "{% macro drop_schema(relation) %}{% do log('not today') %}{% endmacro %}\n"
UNKNOWN = (
    "from pytest_dbtci.dbt_host.warehouses import WAREHOUSES; WAREHOUSES.clear(); "
    "from pytest_dbtci.dbt_host.__main__ import main; main()"
)
IDLE = (
    "from pytest_dbtci.dbt_host.warehouses import WAREHOUSES, DuckDb; "
    "WAREHOUSES['duckdb'] = type('Idle', (DuckDb,), {'_drop': lambda self, database, schema: None}); "
    "from pytest_dbtci.dbt_host.__main__ import main; main()"
)
KNOWN = "from pytest_dbtci.dbt_host.__main__ import main; main()"


@pytest.mark.parametrize("code", [KNOWN, UNKNOWN, IDLE], ids=["known", "unknown", "a warehouse that drops nothing"])
def test_a_drop_cannot_be_feigned(code: str, tmp_path: Path) -> None:
    project = make_tiny(tmp_path / "repo")
    (project / "macros").mkdir()
    (project / "macros/drop.sql").write_text(OVERRIDE)
    warehouse = duckdb_warehouse(project / "tiny.duckdb")
    with Host(project, environment(), tmp_path / "dbt.log", command=(sys.executable, "-c", code)) as host:
        target, log = str(tmp_path / "target"), str(tmp_path / "log")
        invocation = Invocation(project_dir=str(project), profiles_dir=str(project), target_path=target, log_path=log)
        host.ask(Parse(tree="empty", invocation=invocation, write=False))
        open_schemas(host, warehouse, SCHEMA)
        if code == IDLE:
            with pytest.raises(DbtCiError, match=f"schema {SCHEMA} is still there although it was dropped"):
                host.ask(DropSchemas())
        else:
            assert host.ask(DropSchemas()) == (SCHEMA,)
    assert list(warehouse.schemas()) == ([SCHEMA] if code == IDLE else [])
