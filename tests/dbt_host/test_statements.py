"""A thread beside dbt's own uses dbt's adapter: its connection stays while it does, and no other adapter is missed."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pytest_dbtci.dbt_client.protocol.values import Invocation
from pytest_dbtci.dbt_host import manifests, statements
from pytest_dbtci.dbt_host.warehouses import warehouse_of
from pytest_dbtci.dbt_host.warehouses.generic import Warehouse
from tests.support.tiny_project import make_tiny


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    """dbt's own adapter of DuckDB, as an invocation leaves it."""
    project = make_tiny(tmp_path / "tiny")
    monkeypatch.chdir(project)
    target, logs = str(tmp_path / "target"), str(tmp_path / "logs")
    invocation = Invocation(project_dir=str(project), profiles_dir=str(project), target_path=target, log_path=logs)
    manifest, _ = manifests.parse(invocation, write=False)
    return warehouse_of(manifest)


def test_the_end_of_an_invocation_waits_for_a_thread_that_uses_a_connection(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statements, "CLEANUP_SECONDS", 600)
    connections = warehouse._adapter.connections
    begun, found = threading.Event(), []

    def look() -> None:
        with warehouse.beside_dbt(), warehouse._connection("look"):
            warehouse._execute("select 1")
            begun.set()
            # As often as it takes for the end to come in between, were it not for the guard.
            for _ in range(300):
                warehouse._execute("select count(*) from range(10000)")
            found.append(connections.get_if_exists().state.value)

    thread = threading.Thread(target=look)
    thread.start()
    begun.wait()
    warehouse._adapter.cleanup_connections()
    thread.join()
    assert found == ["open"]


def test_the_end_of_an_invocation_waits_for_a_dead_connection_only_so_long(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statements, "CLEANUP_SECONDS", 0.1)
    begun, let_go = threading.Event(), threading.Event()

    def look() -> None:
        with warehouse.beside_dbt():
            begun.set()
            let_go.wait()

    thread = threading.Thread(target=look)
    thread.start()
    begun.wait()
    warehouse._adapter.cleanup_connections()
    let_go.set()
    thread.join()
    warehouse._adapter.cleanup_connections()
    assert warehouse.query("select 1 as one").rows == (("1",),)


def test_duckdb_is_at_work_only_where_the_process_uses_the_processor(warehouse: Warehouse) -> None:
    warehouse.is_at_work()
    assert not warehouse.is_at_work()
    thread = threading.Thread(target=warehouse.query, args=("select sum(hash(range)) from range(100000000)",))
    thread.start()
    thread.join()
    assert warehouse.is_at_work()
