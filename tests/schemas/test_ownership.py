"""What the host does with schemas, asked of it directly: create, mark, take over, refuse, drop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pytest_dbtci.dbt_client.client import Host
from pytest_dbtci.dbt_client.protocol.warehouse_requests import DropSchemas
from pytest_dbtci.errors import DbtCiError, UsageError
from tests.support.warehouse_project import attach, database_of, open_schemas, running_host
from tests.support.warehouses import Warehouse
from tests.support.warehouses.faults import REDSHIFT_CANCELLED, REDSHIFT_SERIALIZABLE

LATER = "2024-05-01T10:05:00+00:00"
MARK = "dbt_build_7.dbt_ci_mark"


@contextmanager
def meanwhile(statement: str, warehouse: Warehouse, ask: Callable[[], object]) -> Iterator[list[DbtCiError]]:
    """Ask in a thread; run the block while the statement is on its way. The list holds the error that came of it."""
    hold, errors = warehouse.faults.hold(statement), list[DbtCiError]()

    def work() -> None:
        try:
            ask()
        except DbtCiError as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    hold.wait()
    yield errors
    hold.release()
    thread.join(120)


def test_creates_marked_schemas_and_drops_them(host: Host, warehouse: Warehouse) -> None:
    warehouse.query("create schema dbt_build_77")
    warehouse.query("create table dbt_build_77.dogs as select 1 as id")
    others = warehouse.contents()
    assert open_schemas(host, warehouse, "dbt_build_7", "dbt_build_7_staging") == []
    marks = [rows for name, rows in warehouse.contents().items() if name.endswith(".dbt_ci_mark")]
    assert marks == [[("pytest-dbtci", "7", "r1", "3f2c1aa", "2024-05-01T10:00:00+00:00", "", "")]] * 2
    warehouse.query("create table dbt_build_7.dogs as select 1 as id")
    warehouse.query("create view dbt_build_7_staging.dogs as select * from dbt_build_7.dogs")
    assert sorted(host.ask(DropSchemas())) == ["dbt_build_7", "dbt_build_7_staging"]
    assert warehouse.contents() == others
    assert warehouse.schemas() == ("dbt_build_77",)


def test_takes_over_what_an_earlier_run_of_the_pull_request_left(host: Host, warehouse: Warehouse) -> None:
    open_schemas(host, warehouse, "dbt_build_7", "dbt_build_7_old")
    warehouse.query("create table dbt_build_7.stale as select 1 as id")
    done = open_schemas(host, warehouse, "dbt_build_7", run="r2", started=LATER)
    assert sorted(done) == ["dbt_build_7", "dbt_build_7_old"]
    assert {name: row[2] for name, [row] in warehouse.contents().items()} == {MARK: "r2"}


def test_refuses_a_schema_without_a_mark_and_writes_nothing(host: Host, warehouse: Warehouse) -> None:
    warehouse.query("create schema dbt_build_7_staging")
    with pytest.raises(UsageError, match=r"schema dbt_build_7_staging exists and was not created by this tool"):
        open_schemas(host, warehouse, "dbt_build_7", "dbt_build_7_staging")
    assert host.ask(DropSchemas()) == ()
    assert warehouse.schemas() == ("dbt_build_7_staging",)


# An earlier run of the same pull request, were it not another tool's.
OTHER_TOOLS = "'dbt-ci' as tool, '7' as pr, 'r0' as run, 'x' as head, '2024-05-01T09:00:00+00:00' as started"


@pytest.mark.parametrize("columns", [OTHER_TOOLS, "1 as id"])
def test_takes_no_other_tools_table_for_its_mark(host: Host, warehouse: Warehouse, columns: str) -> None:
    role = "" if warehouse.server is None else "set role dbt; "
    for statement in (f"{role}create schema dbt_build_7", f"{role}create table {MARK} as select {columns}"):
        warehouse.query(statement)
    before = warehouse.contents()
    with pytest.raises(UsageError, match=r"schema dbt_build_7 exists and was not created by this tool"):
        open_schemas(host, warehouse, "dbt_build_7")
    assert host.ask(DropSchemas()) == ()
    assert warehouse.contents() == before


def test_leaves_a_newer_runs_schema_and_says_so(host: Host, warehouse: Warehouse) -> None:
    open_schemas(host, warehouse, "dbt_build_7", run="r2", started=LATER)
    with pytest.raises(DbtCiError, match=r"dbt_build_7 was taken over by a newer run of pull request 7"):
        open_schemas(host, warehouse, "dbt_build_7", run="r1")
    assert host.ask(DropSchemas()) == ()
    assert warehouse.contents()[MARK][0][2] == "r2"


def test_notices_a_takeover_that_came_while_it_built(host: Host, warehouse: Warehouse) -> None:
    open_schemas(host, warehouse, "dbt_build_7")
    warehouse.query(f"update {MARK} set run = 'r2', started = '{LATER}'")
    for keep in (True, False):
        with pytest.raises(DbtCiError) as caught:
            host.ask(DropSchemas(keep=keep))
        assert str(caught.value).count("dbt_build_7 was taken over by a newer run") == 1
    assert warehouse.contents()[MARK][0][2] == "r2"


def test_has_no_eye_for_a_pull_request_whose_number_begins_alike(host: Host, warehouse: Warehouse) -> None:
    open_schemas(host, warehouse, "dbt_build_7")
    warehouse.query("create schema dbt_build_77")
    assert host.ask(DropSchemas()) == ("dbt_build_7",), "a schema that appeared is named in red only where it is ours"
    assert warehouse.schemas() == ("dbt_build_77",)


def test_notices_that_somebody_dropped_its_schema(host: Host, warehouse: Warehouse) -> None:
    open_schemas(host, warehouse, "dbt_build_7", "dbt_build_7_staging")
    warehouse.query("drop schema dbt_build_7_staging cascade")
    with pytest.raises(DbtCiError, match=r"schema dbt_build_7_staging is gone"):
        host.ask(DropSchemas())
    assert warehouse.schemas() == ()


def test_leaves_another_pull_requests_schema(host: Host, warehouse: Warehouse) -> None:
    open_schemas(host, warehouse, "dbt_build_7_x", pr="7_x")
    assert open_schemas(host, warehouse, "dbt_build_7", pr="7") == []
    assert host.ask(DropSchemas()) == ("dbt_build_7",)
    with pytest.raises(UsageError, match=r"dbt_build_7_x belongs to another pull request \(7_x\)"):
        open_schemas(host, warehouse, "dbt_build_7", "dbt_build_7_x", pr="7")
    assert warehouse.schemas() == ("dbt_build_7_x",)


def test_keeps_names_as_the_warehouse_does(host: Host, warehouse: Warehouse) -> None:
    if warehouse.kind == "snowflake":
        pytest.skip("dbt quotes no schema there, and such a name needs quotes")
    named = "dbt_build_7_A näme's 5% {x} \\n"
    open_schemas(host, warehouse, "dbt_build_7", named)
    expected = named.lower() if warehouse.kind == "redshift" else named
    assert warehouse.schemas() == ("dbt_build_7", expected)
    assert sorted(host.ask(DropSchemas())) == ["dbt_build_7", expected]
    assert warehouse.schemas() == ()


def test_touches_no_schema_with_a_quotation_mark(host: Host, warehouse: Warehouse) -> None:
    if warehouse.kind == "snowflake":
        pytest.skip("the stand-in can't read a quotation mark in a name")
    hostile = 'dbt_build_7_"; drop schema finance cascade; --'
    warehouse.query('create schema "{}"'.format(hostile.replace('"', '""')))
    warehouse.query("create schema finance")
    open_schemas(host, warehouse, "dbt_build_7")
    assert host.ask(DropSchemas()) == ("dbt_build_7",)
    assert warehouse.schemas() == (hostile, "finance")
    with pytest.raises(UsageError, match="can't work with a quotation mark in a name"):
        open_schemas(host, warehouse, "dbt_build_8", 'dbt_build_8_"')


def test_tells_two_names_apart_that_differ_in_case_where_the_warehouse_does(host: Host, warehouse: Warehouse) -> None:
    if warehouse.kind == "postgres":
        warehouse.query('create schema "DBT_BUILD_7"')
        open_schemas(host, warehouse, "dbt_build_7", "dbt_build_7_a", "dbt_build_7_A")
        assert sorted(host.ask(DropSchemas())) == ["dbt_build_7", "dbt_build_7_A", "dbt_build_7_a"]
        assert warehouse.schemas() == ("DBT_BUILD_7",)
    else:
        open_schemas(host, warehouse, "dbt_build_7", "dbt_build_7_a", "dbt_build_7_A")
        assert len(warehouse.schemas()) == 2
        host.ask(DropSchemas())
        assert warehouse.schemas() == ()


def test_marks_in_the_transaction_that_creates(server_host: Host, server_warehouse: Warehouse) -> None:
    server_warehouse.faults.fail(r"create table .*dbt_ci_mark", REDSHIFT_SERIALIZABLE, times=5)
    with pytest.raises(DbtCiError, match=r"schema dbt_build_7 could not be created in database \w+: "):
        open_schemas(server_host, server_warehouse, "dbt_build_7")
    assert server_warehouse.schemas() == ()


def test_marks_no_schema_that_somebody_else_makes_meanwhile(server_host: Host, server_warehouse: Warehouse) -> None:
    opening = partial(open_schemas, server_host, server_warehouse, "dbt_build_7")
    with meanwhile("^[^;]*create schema", server_warehouse, opening) as errors:
        server_warehouse.query("create schema dbt_build_7")
    assert "Another run or person made it just now" in str(errors[0])
    assert server_host.ask(DropSchemas()) == ()
    assert (server_warehouse.schemas(), server_warehouse.contents()) == (("dbt_build_7",), {})


def test_drops_nothing_that_a_newer_run_took_while_it_dropped_another(
    server_host: Host, server_warehouse: Warehouse
) -> None:
    open_schemas(server_host, server_warehouse, "dbt_build_7", "dbt_build_7_staging")
    with meanwhile("drop schema", server_warehouse, lambda: server_host.ask(DropSchemas())) as errors:
        server_warehouse.query(f"update dbt_build_7_staging.dbt_ci_mark set run = 'r2', started = '{LATER}'")
    assert "dbt_build_7_staging was taken over by a newer run" in str(errors[0])
    assert server_warehouse.schemas() == ("dbt_build_7_staging",)


@pytest.mark.parametrize(("started", "left"), [(LATER, "r3"), ("2024-05-01T09:30:00+00:00", "r2")])
def test_of_two_runs_that_take_over_at_once_the_newer_one_does(
    server_host: Host, server_warehouse: Warehouse, started: str, left: str
) -> None:
    open_schemas(server_host, server_warehouse, "dbt_build_7", run="r1", started="2024-05-01T09:00:00+00:00")
    second = partial(open_schemas, server_host, server_warehouse, "dbt_build_7", run="r2")
    with meanwhile("update .*dbt_ci_mark", server_warehouse, second) as errors:
        server_warehouse.query(f"update {MARK} set run = 'r3', started = '{started}'")
    assert server_warehouse.contents()[MARK][0][2] == left
    assert ["taken over by a newer run" in str(e) for e in errors] == [True] * (left == "r3")


def test_waits_for_a_lock_only_so_long_and_names_the_schema(server_host: Host, server_warehouse: Warehouse) -> None:
    open_schemas(server_host, server_warehouse, "dbt_build_7", "dbt_build_7_free")
    server_warehouse.query("create table dbt_build_7.dogs as select 1 as id")
    with closing(server_warehouse.connect()) as reader:
        cursor = reader.cursor()
        # A drop that waited for ever would not be told from one that waits long: it gets its lock then.
        cursor.execute("set idle_in_transaction_session_timeout = '60s'")
        cursor.execute("begin")
        cursor.execute("select * from dbt_build_7.dogs")
        with pytest.raises(DbtCiError) as caught:
            server_host.ask(DropSchemas())
    view = "pg_locks" if server_warehouse.kind == "postgres" else "svv_transactions"
    assert str(caught.value).startswith(
        "schema dbt_build_7 could not be dropped: another session held a lock on something in it for 1 seconds"
    )
    assert f"Find that session in {view}" in str(caught.value)
    assert server_warehouse.schemas() == ("dbt_build_7",)
    assert server_host.ask(DropSchemas()) == ("dbt_build_7",)


@pytest.mark.parametrize("spelled", ["cancelled", "canceled"])
def test_knows_redshifts_own_words_for_a_wait_that_is_over(
    process: Host, redshift: Warehouse, tmp_path: Path, spelled: str
) -> None:
    attach(process, tmp_path / "attached", redshift)
    open_schemas(process, redshift, "dbt_build_7")
    over = replace(REDSHIFT_CANCELLED, message=f"Query (150) {spelled} on user's request")
    redshift.faults.fail("drop schema", over)
    with pytest.raises(DbtCiError, match=r"dbt_build_7 could not be dropped: another session held a lock"):
        process.ask(DropSchemas())
    assert process.ask(DropSchemas()) == ("dbt_build_7",)


@pytest.mark.parametrize("option", [{}, {"autocommit": False}, {"retry_all": True, "retries": 3}])
def test_commits_whatever_dbt_redshift_is_told_of_transactions(
    process: Host, redshift: Warehouse, tmp_path: Path, option: dict[str, Any]
) -> None:
    attach(process, tmp_path / "attached", redshift, **option)
    open_schemas(process, redshift, "dbt_build_7")
    open_schemas(process, redshift, "dbt_build_7", run="r2", started=LATER)
    assert redshift.contents()[MARK][0][2] == "r2"
    assert process.ask(DropSchemas()) == ("dbt_build_7",)
    assert redshift.schemas() == ()


def test_says_what_a_user_without_the_right_to_create_needs(
    process: Host, server_warehouse: Warehouse, tmp_path: Path
) -> None:
    attach(process, tmp_path / "attached", server_warehouse, as_reader=True)
    with pytest.raises(DbtCiError) as caught:
        open_schemas(process, server_warehouse, "dbt_build_7")
    assert "permission denied" in str(caught.value)
    assert f"grant create on database {database_of(server_warehouse)} to reader." in str(caught.value)


def test_says_that_a_target_can_only_read(process: Host, server_warehouse: Warehouse, tmp_path: Path) -> None:
    attach(process, tmp_path / "attached", server_warehouse)
    server_warehouse.query(f"alter database {database_of(server_warehouse)} set default_transaction_read_only = on")
    with pytest.raises(DbtCiError, match=r"The target can only read: choose one that may write with --dbt-ci-target"):
        open_schemas(process, server_warehouse, "dbt_build_7")


def test_says_that_a_read_only_file_can_only_be_read(tmp_path: Path) -> None:
    from tests.support.warehouses import duckdb_warehouse

    warehouse = duckdb_warehouse(tmp_path / "warehouse.duckdb")
    warehouse.query("create schema finance")
    with running_host(tmp_path / "host") as host:
        attach(host, tmp_path / "attached", warehouse, config_options={"access_mode": "read_only"})
        with pytest.raises(DbtCiError, match=r"The target can only read: choose one that may write"):
            open_schemas(host, warehouse, "dbt_build_7")
