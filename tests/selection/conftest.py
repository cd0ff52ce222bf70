"""One repository and one dbt for all cases of a worker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.change_project import FILES
from tests.support.planning_bench import Bench, bench


@pytest.fixture(scope="session")
def planning_bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A bench with the kennel's repository."""
    with bench(tmp_path_factory.mktemp("kennel"), FILES, "dbt") as made:
        yield made
