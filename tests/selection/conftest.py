"""One repository and one dbt for all cases of a worker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.selection.bench import Bench, bench
from tests.selection.kennel import FILES


@pytest.fixture(scope="session")
def kennel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A bench with the kennel's repository."""
    with bench(tmp_path_factory.mktemp("kennel"), FILES, "dbt") as made:
        yield made
