"""Whose a schema is: what the mark says, who can have made it, and by whose clock it is old or new."""

from __future__ import annotations

import threading
from contextlib import closing, suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path

import psycopg2
import pytest

from pytest_dbtci.dbt_client.client import Host
from pytest_dbtci.dbt_client.protocol.warehouse_requests import DropSchemas, ListLeftovers, ReserveSchema
from pytest_dbtci.errors import DbtCiError, UsageError
from tests.support.warehouse_project import attach, database_of, open_schemas, owner_of
from tests.support.warehouses import SERVER_KINDS, Server, Warehouse

HOURS = timedelta(hours=3)
OLD = "'pytest-dbtci' as tool, '7' as pr, 'r0' as run, 'abc' as head, '2024-05-01T09:00:00+00:00' as started"
SHOP = {"repository": "github.com/org/shop", "project": "shop"}
OTHER = {"repository": "github.com/other/shop", "project": "shop"}


def as_dbt(warehouse: Warehouse, *statements: str) -> None:
    """Run statements as the user that dbt logs in as."""
    if warehouse.server is not None:
        statements = ("; ".join(("set role dbt", *statements)),)
    for statement in statements:
        warehouse.query(statement)


def reserve(host: Host, warehouse: Warehouse, schema: str, run: str = "r1", *, whose: dict[str, str]) -> str:
    """Let a run take a schema; return whose it is if not its own."""
    owner = owner_of(warehouse, schema, run=run, whose=whose)
    return host.ask(ReserveSchema(tree="empty", schema=(database_of(warehouse), schema), owner=owner))


def marks(warehouse: Warehouse) -> dict[str, tuple[object, ...]]:
    """Return run, repository and project of every mark, by schema."""
    found = {name.partition(".")[0] for name in warehouse.contents() if name.endswith(".dbt_ci_mark")}
    read = "select run, repository, project from {}.dbt_ci_mark"
    return {schema: warehouse.query(read.format(schema))[0] for schema in found}


@pytest.mark.slow
def test_reads_the_marks_of_older_and_newer_versions(host: Host, warehouse: Warehouse) -> None:
    as_dbt(warehouse, "create schema dbt_build_7", f"create table dbt_build_7.dbt_ci_mark as select {OLD}")
    assert open_schemas(host, warehouse, "dbt_build_7", whose=SHOP) == ["dbt_build_7"]
    assert marks(warehouse) == {"dbt_build_7": ("r1", *SHOP.values())}
    warehouse.query("alter table dbt_build_7.dbt_ci_mark add column colour varchar default 'red'")
    assert open_schemas(host, warehouse, "dbt_build_7", run="r2", whose=SHOP) == ["dbt_build_7"]
    # A version before 0.2 reads these by name.
    read = "select tool, pr, run, head from dbt_build_7.dbt_ci_mark"
    assert warehouse.query(read) == [("pytest-dbtci", "7", "r2", "3f2c1aa")]


@pytest.mark.slow
@pytest.mark.parametrize("other", [OTHER, {**SHOP, "project": "finance"}], ids=["repository", "project"])
def test_the_same_number_of_another_repository_or_project_is_somebody_else(
    host: Host, warehouse: Warehouse, other: dict[str, str]
) -> None:
    open_schemas(host, warehouse, "dbt_build_7", "dbt_build_7_staging", whose=other)
    with pytest.raises(UsageError) as caught:
        open_schemas(host, warehouse, "dbt_build_7", run="r2", whose=SHOP)
    whose = f"schema dbt_build_7 belongs to another pull request (7 of project {other['project']} in"
    assert f"{whose} {other['repository']}), so nothing was written" in str(caught.value)
    assert host.ask(DropSchemas()) == ()
    open_schemas(host, warehouse, "dbt_build_shop_7", run="r3", whose=SHOP)
    assert host.ask(DropSchemas()) == ("dbt_build_shop_7",)
    assert marks(warehouse) == dict.fromkeys(("dbt_build_7", "dbt_build_7_staging"), ("r1", *other.values()))


@pytest.mark.parametrize("warehouse", SERVER_KINDS, indirect=True)
def test_takes_a_name_that_is_free_and_says_whose_one_is_that_is_not(host: Host, warehouse: Warehouse) -> None:
    assert reserve(host, warehouse, "dbt_build_7", whose=OTHER) == ""
    said = reserve(host, warehouse, "dbt_build_7", run="r2", whose=SHOP)
    assert said == "pull request 7 of project shop in github.com/other/shop"
    assert reserve(host, warehouse, "dbt_build_s_7", run="r2", whose=SHOP) == ""
    assert open_schemas(host, warehouse, "dbt_build_s_7", "dbt_build_s_7_a", run="r2", whose=SHOP) == []
    assert sorted(host.ask(DropSchemas())) == ["dbt_build_s_7", "dbt_build_s_7_a"]
    # A later run under the other name finds what this one would have left under its second choice.
    open_schemas(host, warehouse, "dbt_build_s_8", pr="8", run="r3", whose=SHOP)
    done = open_schemas(host, warehouse, "dbt_build_8", pr="8", run="r4", also=("dbt_build_s_8",), whose=SHOP)
    assert done == ["dbt_build_s_8"]
    assert set(marks(warehouse)) == {"dbt_build_7", "dbt_build_8"}


def test_what_is_no_plain_table_with_the_marks_name_is_no_mark(host: Host, warehouse: Warehouse) -> None:
    name, columns = "dbt_build_7.dbt_ci_mark", ("tool", "pr", "run", "head", "started")
    forms = [[f"create view {name} as select {OLD}"]]
    if warehouse.kind == "postgres":
        forms.append([f"create materialized view {name} as select {OLD}"])
        parted = f"create table {name} ({', '.join(f'{c} varchar' for c in columns)}) partition by list (tool)"
        part = f"create table dbt_build_7.part partition of {name} default"
        forms.append([parted, part, f"insert into {name} select {OLD}"])
    for form in forms:
        as_dbt(warehouse, "create schema dbt_build_7", *form)
        with pytest.raises(UsageError, match="dbt_build_7 exists and was not created by this tool"):
            open_schemas(host, warehouse, "dbt_build_7")
        assert warehouse.schemas() == ("dbt_build_7",)
        warehouse.query("drop schema dbt_build_7 cascade")


ODD = {
    "no row": f"select {OLD} where 1 = 0",
    "two rows": f"select {OLD} union all select {OLD}",
    "a null": "select " + OLD.replace("'r0'", "cast(null as varchar)"),
    "no run": f"select {OLD.replace('as run', 'as walk')}",
    "another type": "select 1 as tool, 7 as pr, 0 as run, 1 as head, current_date as started",
    "another tool": f"select {OLD.replace('pytest-dbtci', 'null')}",
}


def test_what_is_no_whole_mark_is_none_and_stays(host: Host, warehouse: Warehouse) -> None:
    as_dbt(warehouse, *(f"create schema dbt_build_{n}" for n in range(len(ODD))))
    for number, rows in enumerate(ODD.values()):
        as_dbt(warehouse, f"create table dbt_build_{number}.dbt_ci_mark as {rows}")
    before = warehouse.contents()
    for number, name in enumerate(ODD):
        with pytest.raises(UsageError) as caught:
            open_schemas(host, warehouse, f"dbt_build_{number}")
        assert f"dbt_build_{number} exists and was not created by this tool" in str(caught.value), name
    assert [found.mark for found in host.ask(ListLeftovers(beginning="dbt_build_"))] == [None] * len(ODD)
    assert warehouse.contents() == before


def test_a_mark_that_names_nobody_or_no_time_is_one_of_the_pull_request(host: Host, warehouse: Warehouse) -> None:
    nulls = "cast(null as varchar) as repository, cast(null as varchar) as project"
    odd = f"{OLD.replace('2024-05-01T09:00:00+00:00', 'yesterday')}, {nulls}, 2 as format"
    as_dbt(warehouse, "create schema dbt_build_7", f"create table dbt_build_7.dbt_ci_mark as select {odd}")
    [found] = host.ask(ListLeftovers(beginning="dbt_build_"))
    assert (found.mark and found.mark.run, found.age) == ("r0", None)
    assert open_schemas(host, warehouse, "dbt_build_7", whose=SHOP) == ["dbt_build_7"]


@pytest.mark.parametrize("warehouse", SERVER_KINDS, indirect=True)
def test_a_mark_that_may_not_be_read_stops_the_run_and_is_listed(host: Host, warehouse: Warehouse) -> None:
    statements = ("create schema dbt_build_7", f"create table dbt_build_7.dbt_ci_mark as select {OLD}")
    as_dbt(warehouse, *statements, "revoke all on dbt_build_7.dbt_ci_mark from dbt")
    with pytest.raises(DbtCiError, match=r"the mark of schema dbt_build_7 could not be read: (?s:.*)permission denied"):
        open_schemas(host, warehouse, "dbt_build_7")
    [found] = host.ask(ListLeftovers(beginning="dbt_build_"))
    assert "permission denied" in found.trouble
    assert warehouse.schemas() == ("dbt_build_7",)


@pytest.mark.parametrize("whose", ["set role dbt", "set role reader"], ids=["schema of ours", "schema of others"])
def test_a_mark_that_somebody_else_made_is_no_mark(server_host: Host, server_warehouse: Warehouse, whose: str) -> None:
    database = server_warehouse.profile["dbname"]
    server_warehouse.query(f"grant create on database {database} to reader")
    server_warehouse.query(f"{whose}; create schema dbt_build_7; grant all on schema dbt_build_7 to dbt, reader")
    server_warehouse.query(f"set role reader; create table dbt_build_7.dbt_ci_mark as select {OLD}")
    server_warehouse.query("grant all on dbt_build_7.dbt_ci_mark to dbt")
    with pytest.raises(UsageError, match="dbt_build_7 exists and was not created by this tool"):
        open_schemas(server_host, server_warehouse, "dbt_build_7")
    assert server_warehouse.schemas() == ("dbt_build_7",)


def test_a_run_begins_by_the_warehouses_clock(host: Host, warehouse: Warehouse) -> None:
    open_schemas(host, warehouse, "dbt_build_7", started="", age=100)
    [(started,)] = warehouse.query("select started from dbt_build_7.dbt_ci_mark")
    [(now,)] = warehouse.query("select cast(extract(epoch from current_timestamp) as double precision)")
    age = float(str(now)) - datetime.fromisoformat(str(started)).timestamp()
    assert 95 < age < 200


def test_a_mark_from_the_future_locks_nobody_out(host: Host, warehouse: Warehouse) -> None:
    ahead = (datetime.now(timezone.utc) + HOURS).isoformat()
    open_schemas(host, warehouse, "dbt_build_7", started=ahead)
    done = open_schemas(host, warehouse, "dbt_build_7", run="r2", started="")
    assert done == ["dbt_build_7"]
    with pytest.raises(DbtCiError, match="taken over by a newer run of pull request 7"):
        open_schemas(host, warehouse, "dbt_build_7", run="r1", started="", age=1000)


def test_ends_the_sessions_of_a_killed_run_and_nobody_elses(server_host: Host, server_warehouse: Warehouse) -> None:
    open_schemas(server_host, server_warehouse, "dbt_build_7", run="r0")
    profile = server_warehouse.profile
    login = {"host": "127.0.0.1", "dbname": profile["dbname"], "user": "dbt", "password": profile["password"]}
    port = profile["port"] if server_warehouse.kind == "postgres" else server_warehouse.server.postgres.port  # type: ignore[union-attr]
    slow = '/* {"app": "dbt"} */ create table "dbt_build_7"."slow" as select pg_sleep(60)::text as s'
    orphan = psycopg2.connect(**login, port=port, application_name="dbt-ci:r0 dbt")
    idle = psycopg2.connect(**login, port=port, application_name="dbt-ci:r0 dbt")
    neighbour = psycopg2.connect(**login, port=port, application_name="dbt-ci:r00 dbt")
    with closing(orphan), closing(idle), closing(neighbour):
        # Killed between two statements of a transaction, it holds its locks as well.
        idle.cursor().execute("""/* {"app": "dbt"} */ select * from "dbt_build_7"."dbt_ci_mark" """)
        neighbour.cursor().execute("""/* {"app": "dbt"} */ select 'dbt_build_77'""")

        def work() -> None:
            with suppress(psycopg2.Error):
                orphan.cursor().execute(slow)

        thread = threading.Thread(target=work)
        thread.start()
        for _ in range(200):
            if server_warehouse.query(
                "select 1 from pg_locks where relation is not null and granted and pid in "
                "(select pid from pg_stat_activity where query like '%pg_sleep(60)%' "
                "and state = 'active' and pid <> pg_backend_pid())"
            ):
                break
            thread.join(0.05)
        done = open_schemas(server_host, server_warehouse, "dbt_build_7", run="r1")
        assert done == ["dbt_build_7"]
        thread.join(10)
        assert orphan.closed
        with pytest.raises(psycopg2.OperationalError):
            idle.cursor().execute("select 1")
        neighbour.cursor().execute("select 1")
    assert server_host.ask(DropSchemas()) == ("dbt_build_7",)


def test_a_role_that_the_user_is_a_member_of_is_no_stranger(
    process: Host, warehouse_server: Server, tmp_path: Path
) -> None:
    with warehouse_server.database("postgres") as warehouse:
        attach(process, tmp_path / "attached", warehouse)
        open_schemas(process, warehouse, "dbt_build_7")
        warehouse.query("drop role if exists team; create role team; grant team to dbt")
        warehouse.query("alter schema dbt_build_7 owner to team; alter table dbt_build_7.dbt_ci_mark owner to team")
        assert process.ask(DropSchemas()) == ("dbt_build_7",)
