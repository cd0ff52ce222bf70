"""The stage of the fault tests: on the Redshift stand-in quickly, on PostgreSQL too where there is time."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fault_stage import Stage, make_repository
from tests.support.warehouses import Kind, Server


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository: copy, don't change."""
    return make_repository(tmp_path_factory.mktemp("kennel") / "kennel")


@pytest.fixture(params=["redshift", pytest.param("postgres", marks=pytest.mark.slow)])
def stage(
    request: pytest.FixtureRequest, repository: Path, warehouse_server: Server, tmp_path: Path
) -> Iterator[Stage]:
    """A pull request in front of an empty database that can fail on request."""
    kind: Kind = request.param
    directory = tmp_path / "kennel"
    shutil.copytree(repository, directory, symlinks=True)
    with warehouse_server.database(kind) as warehouse:
        made = Stage.make(directory, warehouse)
        yield made
        warehouse.faults.reset()
        made.end()
