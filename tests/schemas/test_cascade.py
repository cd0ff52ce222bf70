"""What lies in somebody else's schema never goes with a drop, of whatever kind it is."""

from __future__ import annotations

import re

import duckdb
import pytest

from pytest_dbtci.dbt_client.client import Host
from pytest_dbtci.dbt_client.protocol.values import Opened
from pytest_dbtci.dbt_client.protocol.warehouse_requests import DropSchemas, OpenSchemas
from pytest_dbtci.errors import DbtCiError
from tests.support.warehouse_project import database_of, open_schemas, owner_of
from tests.support.warehouses import Warehouse

OURS = (
    "create table dbt_build_7.dogs (id int primary key)",
    "create view dbt_build_7_staging.dogs as select * from dbt_build_7.dogs",
    "create type dbt_build_7.size as enum ('small', 'large')",
    "create sequence dbt_build_7.numbers",
    "create function dbt_build_7.legs() returns int language sql immutable as 'select 4'",
    "create function dbt_build_7.is_fine(int) returns bool language sql immutable as 'select true'",
    "create function dbt_build_7.fire() returns trigger language plpgsql as 'begin return new; end'",
)

RELATIONS = {
    "view": "create view finance.kept as select * from dbt_build_7.dogs",
    "view of a view": "create view finance.kept as select * from dbt_build_7_staging.dogs",
    "materialized view": "create materialized view finance.kept as select * from dbt_build_7.dogs",
    "foreign key": "create table finance.kept (dog_id int references dbt_build_7.dogs (id))",
    "type": "create table finance.kept (size dbt_build_7.size)",
    "function in a view": "create view finance.kept as select dbt_build_7.legs() as legs",
    "default": "create table finance.kept (n bigint default nextval('dbt_build_7.numbers'))",
    "check": "create table finance.kept (n int check (dbt_build_7.is_fine(n)))",
    "child": "create table finance.kept () inherits (dbt_build_7.dogs)",
    "partition": "create table finance.kept (n int) partition by range (n); "
    "create table dbt_build_7.part partition of finance.kept for values from (0) to (9)",
    "heir": "create table finance.kept (n int); create table dbt_build_7.heir () inherits (finance.kept)",
    "trigger": "create table finance.kept (n int); create trigger t before insert on finance.kept "
    "for each row execute function dbt_build_7.fire()",
    "policy": "create table finance.kept (n int); create policy p on finance.kept using (dbt_build_7.is_fine(n))",
    "rule": "create table finance.kept (n int); create rule r as on insert to finance.kept "
    "do also insert into dbt_build_7.dogs values (new.n)",
}
OTHERS = {
    "index": "create table finance.kept (n int); create index on finance.kept (dbt_build_7.is_fine(n))",
    "function": "create function finance.kept() returns setof dbt_build_7.dogs language sql as 'select 1'",
    "body": "create function finance.kept() returns bigint language sql "
    "begin atomic select count(*) from dbt_build_7.dogs; end",
    "statistics": "create statistics finance.kept on id, (id + 1) from dbt_build_7.dogs",
    "domain": "create domain finance.kept as int check (dbt_build_7.is_fine(value))",
}
UNKNOWN_TO_REDSHIFT = ("policy", "domain", "statistics", "partition", "heir")
"""Kinds that Redshift does not have, and that the look at its catalog therefore does not find on the stand-in."""

NOWHERE = {
    "cast": "create cast (dbt_build_7.size as bigint) with function dbt_build_7.count(dbt_build_7.size); "
    "create cast (dbt_build_7.size as finance.money) with inout",
    "publication kept": "create publication kept for table dbt_build_7.dogs",
    "publication kept, too": "create publication kept for tables in schema dbt_build_7",
    "extension plpgsql": "alter extension plpgsql add table dbt_build_7.dogs",
    "event trigger kept": "create event trigger kept on ddl_command_end execute function dbt_build_7.told()",
}
UNDO = {
    "cast": "drop cast (dbt_build_7.size as finance.money)",
    "extension plpgsql": "alter extension plpgsql drop table dbt_build_7.dogs",
}


@pytest.fixture
def opened(server_host: Host, server_warehouse: Warehouse) -> Host:
    """The dbt process after it made two schemas, which now hold something of every kind; `finance` is a team's."""
    server_warehouse.query("create schema finance; create type finance.money as (amount int)")
    reopen(server_host, server_warehouse)
    return server_host


def reopen(host: Host, warehouse: Warehouse, run: str = "r1") -> None:
    """Make the schemas anew, for another run, with something of every kind in them."""
    open_schemas(host, warehouse, "dbt_build_7", "dbt_build_7_staging", run=run)
    warehouse.query("; ".join(OURS))


def refusal(host: Host) -> str:
    """Return what the host says to a drop."""
    with pytest.raises(DbtCiError) as caught:
        host.ask(DropSchemas())
    return str(caught.value)


def test_takes_nothing_along_that_lies_elsewhere(opened: Host, server_warehouse: Warehouse) -> None:
    for number, (kind, outside) in enumerate({**RELATIONS, **OTHERS}.items()):
        if server_warehouse.kind == "redshift" and kind in UNKNOWN_TO_REDSHIFT:
            continue
        reopen(opened, server_warehouse, f"again{number}")
        server_warehouse.query(outside)
        said = refusal(opened)
        name = (
            r"finance\.kept\. Drop them"
            if kind in RELATIONS
            else r"([\w ]+ )?finance\.kept(\(\)|_is_fine_idx)?\. Drop them"
        )
        assert re.search(rf"dbt_build_7(_staging)? was not dropped, .* depend on it: {name}", said), (kind, said)
        assert {"dbt_build_7", "finance"} <= set(server_warehouse.schemas()), kind
        assert server_warehouse.query("select count(*) from dbt_build_7.dbt_ci_mark") == [(1,)], kind
        server_warehouse.query(f"drop {what(outside)} finance.kept cascade")
    assert "dbt_build_7" in opened.ask(DropSchemas())


def what(statement: str) -> str:
    """Return the kind of object that a statement creates, as SQL names it."""
    words = statement.split()
    return " ".join(words[1:3]) if words[1] == "materialized" else words[1]


def test_goes_on_in_no_schema_that_something_elsewhere_depends_on(
    server_host: Host, server_warehouse: Warehouse
) -> None:
    whose, schemas = {"repository": "github.com/org/shop", "project": "shop"}, ("dbt_build_7", "dbt_build_7_staging")
    places = tuple((database_of(server_warehouse), schema) for schema in schemas)

    def go_on(run: str, reuse: str) -> Opened:
        owner = owner_of(server_warehouse, *schemas, run=run, whose=whose)
        return server_host.ask(OpenSchemas(tree="empty", schemas=places, owner=owner, reuse=reuse))

    open_schemas(server_host, server_warehouse, *schemas, whose=whose)
    server_warehouse.query(OURS[0])
    assert go_on("r2", "r1") == Opened(reused=True, dropped=())
    server_warehouse.query("create schema finance; create view finance.kept as select * from dbt_build_7.dogs")
    with pytest.raises(DbtCiError, match=r"dbt_build_7 was not dropped, .* depend on it: finance\.kept\. Drop them"):
        go_on("r3", "r2")
    assert "finance.kept" in server_warehouse.contents()
    server_warehouse.query("drop view finance.kept")
    assert "dbt_build_7" in go_on("r4", "").dropped


@pytest.mark.parametrize("server_warehouse", ["postgres"], indirect=True)
def test_takes_nothing_along_that_lies_in_no_schema(opened: Host, server_warehouse: Warehouse) -> None:
    server_warehouse.query(
        "create function dbt_build_7.told() returns event_trigger language plpgsql as 'begin end'; "
        "create function dbt_build_7.count(dbt_build_7.size) returns bigint language sql as 'select 1::bigint'"
    )
    for kind, outside in NOWHERE.items():
        name = kind.partition(",")[0]
        server_warehouse.query(outside)
        said = refusal(opened)
        assert (
            f"dbt_build_7 was not dropped, because objects outside the pull request's schemas depend on it: {name}"
            in said
        )
        assert "dbt_build_7" in server_warehouse.schemas()
        if name == "cast":
            assert "as bigint" not in said, "this one is between types of ours and the server's"
        server_warehouse.query(UNDO.get(kind, f"drop {name}"))


@pytest.mark.parametrize("warehouse", ["duckdb"], indirect=True)
def test_takes_nothing_along_on_duckdb(host: Host, warehouse: Warehouse) -> None:
    open_schemas(host, warehouse, "dbt_build_7", "dbt_build_7_staging")
    for statement in (
        "create sequence dbt_build_7.numbers",
        "create type dbt_build_7.size as enum ('small')",
        "create macro dbt_build_7.next(x) as x + 1",
        "create table dbt_build_7_staging.t (n int default nextval('dbt_build_7.numbers'), s dbt_build_7.size)",
        "create schema finance",
        "create table finance.default_of (n int default nextval('dbt_build_7.numbers'))",
        "create table finance.macro_of (n int, m int default (dbt_build_7.next(1)))",
        "create table finance.type_of (s dbt_build_7.size)",
        "create table finance.indexed (n int)",
        "create index index_of on finance.indexed ((dbt_build_7.next(n)))",
    ):
        warehouse.query(statement)
    if duckdb.__version__.startswith("1."):
        # A file that is opened anew knows no such dependency there, so nothing goes along.
        assert "dbt_build_7" in host.ask(DropSchemas())
        assert {
            "finance.default_of",
            "finance.macro_of",
            "finance.type_of",
            "finance.indexed",
        } <= warehouse.contents().keys()
        return
    said = refusal(host)
    assert "dbt_build_7 was not dropped, because objects outside" in said
    assert "depend on it: finance.default_of, finance.index_of, finance.macro_of, finance.type_of. Drop them" in said
    assert {"finance.type_of", "dbt_build_7.dbt_ci_mark"} <= warehouse.contents().keys()
    warehouse.query("drop schema finance cascade")
    assert "dbt_build_7" in host.ask(DropSchemas())


def test_drops_what_is_ours_of_every_kind(opened: Host, server_warehouse: Warehouse) -> None:
    for statement in (
        "create table dbt_build_7_staging.sizes (n bigint default nextval('dbt_build_7.numbers'), s dbt_build_7.size)",
        "create table finance.breeds (id int primary key); "
        "create table dbt_build_7_staging.keyed (id int references finance.breeds)",
        "create table dbt_build_7.parts (n int) partition by range (n); "
        "create table dbt_build_7_staging.part partition of dbt_build_7.parts for values from (0) to (9)",
        "alter default privileges in schema dbt_build_7 grant select on tables to reader",
        "create materialized view dbt_build_7_staging.m as select dbt_build_7.legs() from dbt_build_7.dogs",
        "create trigger t before insert on dbt_build_7.dogs for each row execute function dbt_build_7.fire()",
    ):
        server_warehouse.query(statement)
    assert sorted(opened.ask(DropSchemas())) == ["dbt_build_7", "dbt_build_7_staging"]


@pytest.mark.slow
@pytest.mark.parametrize("server_warehouse", ["postgres"], indirect=True)
def test_drops_more_tables_than_one_transaction_may_lock(opened: Host, server_warehouse: Warehouse) -> None:
    # This server holds 64 x 200 locks; each table takes its own, its index's, its toast table's and that one's index's.
    for begin in range(0, 4_000, 250):
        tables = (f"create table dbt_build_7.t{n} (n int primary key, s text)" for n in range(begin, begin + 250))
        server_warehouse.query("; ".join(tables))
    server_warehouse.query("create view dbt_build_7.v as select n from dbt_build_7.t0")
    with pytest.raises(Exception, match="out of shared memory"):
        server_warehouse.query("begin; drop schema dbt_build_7 cascade; rollback")
    assert sorted(opened.ask(DropSchemas())) == ["dbt_build_7", "dbt_build_7_staging"]
