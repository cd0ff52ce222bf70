"""Compare many pairs of relations at a time, and tell of each as it ends."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from pytest_dbtci.dbt_client.protocol.events import Compared, Emit
from pytest_dbtci.dbt_host.compare.column_readers import Readers
from pytest_dbtci.dbt_host.compare.engine import compare
from pytest_dbtci.dbt_host.parallel import run_all
from pytest_dbtci.dbt_host.runner import DbtFailed
from pytest_dbtci.dbt_host.warehouses.generic import Warehouse
from pytest_dbtci.differences import Pair


def run(warehouse: Warehouse, manifest: Any, pairs: Mapping[str, Pair], seconds: float | None, emit: Emit) -> None:
    """Compare every pair, each for itself and for `seconds` at most, and emit Compared.

    A pair's name is the node's whose readers are told.
    """
    readers = Readers(manifest)

    def one(job: tuple[str, Pair]) -> None:
        name, pair = job
        began = time.perf_counter()
        differences, trouble = None, ""
        try:
            differences = readers.tell(name, compare(warehouse, pair, seconds))
        except DbtFailed as error:
            trouble = str(error)
        took = time.perf_counter() - began
        emit(Compared(name=name, differences=differences, trouble=trouble, seconds=took))

    run_all(warehouse, pairs.items(), one)
