"""A dbt process logged in to an empty warehouse, to ask it directly about schemas."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_dbtci.dbt_client.client import Host
from tests.support.warehouse_project import attach, running_host
from tests.support.warehouses import Warehouse


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """One dbt process for all cases; a drop in it waits a second for locks."""
    with running_host(tmp_path_factory.mktemp("host"), DBT_CI_LOCK_SECONDS="1") as host:
        yield host


@pytest.fixture
def host(process: Host, warehouse: Warehouse, tmp_path: Path) -> Host:
    """The dbt process, logged in to an empty warehouse."""
    attach(process, tmp_path / "attached", warehouse)
    return process


@pytest.fixture
def server_host(process: Host, server_warehouse: Warehouse, tmp_path: Path) -> Host:
    """The dbt process, logged in to an empty warehouse that can fail."""
    attach(process, tmp_path / "attached", server_warehouse)
    return process
