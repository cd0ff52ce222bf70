"""Offer the warehouses as pytest fixtures; conftest.py imports them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.warehouses import KINDS, SERVER_KINDS, Kind, Server, Warehouse, duckdb_warehouse, run_server
from tests.support.warehouses.snowflake import MISSING, Snowflake, SnowflakeServer, run_snowflake

__all__ = [
    "ALL_KINDS",
    "redshift",
    "server_warehouse",
    "snowflake",
    "snowflake_server",
    "warehouse",
    "warehouse_server",
]

_SNOWFLAKE = (pytest.mark.slow, pytest.mark.skipif(bool(MISSING), reason=MISSING))
ALL_KINDS = (*KINDS, pytest.param("snowflake", marks=_SNOWFLAKE))
"""What stands for each warehouse, for `parametrize`."""


@pytest.fixture(scope="session")
def warehouse_server() -> Iterator[Server]:
    """Run one PostgreSQL for each process that runs tests: started by the first test that needs it."""
    with run_server() as server:
        yield server


@pytest.fixture(scope="session")
def snowflake_server() -> Iterator[SnowflakeServer]:
    """Run one Snowflake stand-in for each process that runs tests: started by the first test that needs it."""
    if MISSING:
        pytest.skip(MISSING)
    with run_snowflake() as server:
        yield server


@contextmanager
def empty_warehouse(kind: Kind, request: pytest.FixtureRequest, directory: Path) -> Iterator[Warehouse]:
    """Yield an empty database of that kind."""
    if kind == "duckdb":
        yield duckdb_warehouse(directory / "warehouse.duckdb")
    elif kind == "snowflake":
        snowflake: SnowflakeServer = request.getfixturevalue("snowflake_server")
        with snowflake.database() as database:
            yield database
    else:
        server: Server = request.getfixturevalue("warehouse_server")
        with server.database(kind) as database:
            yield database


@pytest.fixture(params=ALL_KINDS)
def warehouse(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Warehouse]:
    """An empty database; the test runs once for each kind of warehouse."""
    with empty_warehouse(request.param, request, tmp_path) as database:
        yield database


@pytest.fixture
def snowflake(snowflake_server: SnowflakeServer) -> Iterator[Snowflake]:
    """An empty database of the Snowflake stand-in."""
    with snowflake_server.database() as database:
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
