"""Fixtures for all tests: the released example project, and the warehouses."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples import demo
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no process is still at it when the others have nothing left."""
    items.sort(key=lambda item: item.path.name != "test_random_edits.py")


@pytest.fixture(scope="session", autouse=True)
def own_temporary_root(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Let the runs that tests start keep their folders below this run's.

    As it ends, pytest removes the folders of earlier runs. Those of this suite hold some 100,000 files, and the first
    run that a test started would be busy with them for a minute.
    """
    os.environ["PYTEST_DEBUG_TEMPROOT"] = str(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The example's repository with a released master and pull request 1066 checked out: copy, don't change.

    Made once for all workers.
    """
    base = tmp_path_factory.getbasetemp() if worker_id == "master" else tmp_path_factory.getbasetemp().parent
    directory = base / "released"
    with _locked(base / "released.lock"):
        if not (base / "released.done").exists():
            demo.make_repository(directory)
            demo.release(directory)
            demo.open_pull_request(directory)
            (base / "released.done").touch()
    return directory


@pytest.fixture
def dogs(released: Path, tmp_path: Path) -> Path:
    """A copy of the released example, pull request 1066 checked out."""
    directory = tmp_path / "dogs"
    demo.copy_repository(released, directory)
    return directory


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that other processes respect; one that is five minutes old was left by a dead process."""
    while True:
        try:
            path.mkdir()
            break
        except FileExistsError:
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > 300:
                    path.rmdir()
            time.sleep(0.1)
    try:
        yield
    finally:
        path.rmdir()
