"""Fixtures for all tests: the released example project, and the warehouses."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from examples import demo
from tests.support.made_once import made_once
from tests.support.warehouse_project import kennel
from tests.support.warehouses.fixtures import (
    redshift,
    server_warehouse,
    snowflake,
    snowflake_server,
    warehouse,
    warehouse_server,
)

# Nearly every test starts processes, each of which would compile the same modules anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

__all__ = ["kennel", "redshift", "server_warehouse", "snowflake", "snowflake_server", "warehouse", "warehouse_server"]

pytest_plugins = ["pytester"]


LONGEST = ("test_many_runs.py", "test_random_edits.py")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return one more than there are processors: tests wait for databases, locks and each other's silence."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no process is still at it when the others have nothing left."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(scope="session", autouse=True)
def own_temporary_root(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Let the runs that tests start keep their folders below this run's.

    As it ends, pytest removes the folders of earlier runs. Those of this suite hold some 100,000 files, and the first
    run that a test started would be busy with them for a minute.
    """
    os.environ["PYTEST_DEBUG_TEMPROOT"] = str(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The example's repository with a released master and pull request 1066 checked out: copy, don't change."""

    def make(directory: Path) -> None:
        demo.make_repository(directory)
        demo.release(directory)
        demo.open_pull_request(directory)

    return made_once(tmp_path_factory, worker_id, "released", make)


@pytest.fixture
def dogs(released: Path, tmp_path: Path) -> Path:
    """A copy of the released example, pull request 1066 checked out."""
    directory = tmp_path / "dogs"
    demo.copy_repository(released, directory)
    return directory
