"""What is Snowflake's own: the names that dbt does not quote, schemas without fail-safe, clones."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_dbtci.dbt_client.protocol.events import Compared, Event
from pytest_dbtci.dbt_client.protocol.values import TableCopy
from pytest_dbtci.dbt_client.protocol.warehouse_requests import Compare, CopyTables, DropSchemas
from pytest_dbtci.dbt_host.compare import columns
from pytest_dbtci.dbt_host.warehouses import WAREHOUSES
from pytest_dbtci.differences import Pair
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


TYPES = {
    "t": ("cast('{:02}:00:00' as time)", 1, 2),
    "z": ("cast('2024-02-29 12:00:00.00000{} +01:00' as timestamp_tz)", 1, 2),
    "b": ("to_binary('{}f', 'hex')", "a", "b"),
    "v": ("parse_json('{{\"a\": {}}}')", 1, 2),
    "o": ("object_construct('a', {})", 1, 2),
    "f": ("cast('{}' as double precision)", "NaN", "1e-300"),
}


@pytest.mark.slow
def test_compares_values_of_every_type_that_it_shows(snowflake: Snowflake, tmp_path: Path) -> None:
    events = list[Event]()
    snowflake.query("create schema s")
    for side in (0, 1):
        rows = (
            ", ".join(
                [f"{i} as id", *(f"{sql.format(values[side * i])} as {n}" for n, (sql, *values) in TYPES.items())]
            )
            for i in (0, 1)
        )
        snowflake.query(f"create table s.t{side} as select {' union all select '.join(rows)}")
    head, base = ((database_of(snowflake), "s", f"t{side}") for side in (1, 0))
    with running_host(tmp_path / "host") as host:
        attach(host, tmp_path / "attached", snowflake)
        host.ask(
            Compare(tree="empty", pairs={"all": Pair(head=head, base=base, key=("id",), unique=True)}), events.append
        )
    [told] = [e for e in events if isinstance(e, Compared)]
    assert told.differences is not None, told.trouble
    assert (told.differences.changed, told.differences.left_out) == (1, ())
    assert {c.column: c.rows for c in told.differences.columns} == {n.upper(): 1 for n in TYPES}


def test_compares_texts_without_their_collation() -> None:
    snowflake = pytest.importorskip("dbt.adapters.snowflake.column")
    dialect = WAREHOUSES["snowflake"].dialect
    assert dialect is not None
    blind, plain = (
        columns.read(snowflake.SnowflakeColumn.from_description("NAME", f"VARCHAR(9){collation}"))
        for collation in (" COLLATE 'en-ci'", "")
    )
    assert (blind.type, plain.type) == ("varchar(9) collate en-ci", "varchar(9)")
    matched = columns.match([blind], [plain], Pair(head=("d", "s", "h"), base=("d", "s", "b")), dialect)
    assert [(c.head, c.base) for c in matched.columns] == [("""collate("NAME", 'utf8')""", '"NAME"')]
    assert [c.kind for c in matched.schema] == ["retyped"]
