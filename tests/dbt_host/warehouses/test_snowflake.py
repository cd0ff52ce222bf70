"""What is Snowflake's own: the names that dbt does not quote, schemas without fail-safe, clones."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_dbtci.dbt_client.protocol.values import TableCopy
from pytest_dbtci.dbt_client.protocol.warehouse_requests import CopyTables, DropSchemas
from tests.support.fault_stage import SCHEMA, Stage, make_repository
from tests.support.warehouse_project import attach, database_of, open_schemas, running_host
from tests.support.warehouses.snowflake import Snowflake


def test_makes_transient_schemas_under_the_names_that_dbt_writes(snowflake: Snowflake, tmp_path: Path) -> None:
    database = database_of(snowflake)
    with running_host(tmp_path / "host") as host:
        attach(host, tmp_path / "attached", snowflake)
        open_schemas(host, snowflake, "dbt_build_7")
        names = [row[1] for row in snowflake.query(f"show terse schemas in database {database}")]
        assert "DBT_BUILD_7" in names
        [created] = snowflake.statements(rf"create .*schema .*{database}")
        assert f"create transient schema {database}.dbt_build_7" in created
        assert host.ask(DropSchemas()) == ("dbt_build_7",)


def test_copies_a_table_by_a_clone(snowflake: Snowflake, tmp_path: Path) -> None:
    database = database_of(snowflake)
    for statement in (
        "create schema prod",
        "create table prod.visits as select 10 as id",
        "create view prod.v as select 1 as id",
    ):
        snowflake.query(statement)
    with running_host(tmp_path / "host") as host:
        attach(host, tmp_path / "attached", snowflake)
        open_schemas(host, snowflake, "dbt_build_7")
        copies = {
            name: TableCopy(source=(database, "prod", name), target=(database, "dbt_build_7", name))
            for name in ("visits", "v", "missing")
        }
        assert host.ask(CopyTables(tree="empty", copies=copies)) == {"visits": "", "v": None, "missing": None}
    assert snowflake.query("select id from dbt_build_7.visits") == [(10,)]
    [cloned] = snowflake.statements(rf"clone\b.*{database}")
    assert "transient" in cloned


@pytest.mark.slow
def test_quotes_the_schemas_of_a_project_that_quotes_them(snowflake: Snowflake, tmp_path: Path) -> None:
    directory = make_repository(tmp_path / "kennel")
    with (directory / "dbt_project.yml").open("a") as file:
        file.write("quoting: {schema: true}\n")
    stage = Stage.make(directory, snowflake)
    run = stage.run()
    assert run.code == 0, run.output
    assert f"dropped {SCHEMA}, {SCHEMA}_extra" in run.output
    for statement in ("create transient schema", "drop schema if exists"):
        assert snowflake.statements(rf'{statement} {database_of(snowflake)}\."{SCHEMA}"'), statement
    stage.assert_nothing_left()
    stage.end()
