"""Git as it is for everybody: without the settings of whoever runs the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import repositories
from tests.support.repositories import git, repository


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in repositories.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository on the branch feature, made from master."""
    path = repository(tmp_path / "project")
    git(path, "checkout", "-q", "-b", "feature")
    return path
