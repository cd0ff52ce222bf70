"""Offer the warehouses as pytest fixtures; conftest.py imports them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.warehouses import KINDS, SERVER_KINDS, Server, Warehouse, duckdb_warehouse, run_server

__all__ = ["redshift", "server_warehouse", "warehouse", "warehouse_server"]


@pytest.fixture(scope="session")
def warehouse_server() -> Iterator[Server]:
    """Run one PostgreSQL for each process that runs tests: started by the first test that needs it."""
    with run_server() as server:
        yield server


@pytest.fixture(params=KINDS)
def warehouse(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Warehouse]:
    """Give the test an empty database; the test runs once for each kind of warehouse."""
    if request.param == "duckdb":
        yield duckdb_warehouse(tmp_path / "warehouse.duckdb")
        return
    server: Server = request.getfixturevalue("warehouse_server")
    with server.database(request.param) as database:
        yield database


@pytest.fixture(params=SERVER_KINDS)
def server_warehouse(request: pytest.FixtureRequest, warehouse_server: Server) -> Iterator[Warehouse]:
    """Give the test an empty database that can fail on request: PostgreSQL, then the Redshift stand-in."""
    with warehouse_server.database(request.param) as database:
        yield database


@pytest.fixture
def redshift(warehouse_server: Server) -> Iterator[Warehouse]:
    """Give the test an empty database of the Redshift stand-in."""
    with warehouse_server.database("redshift") as database:
        yield database
