"""Compare many pairs of relations at a time, and tell of each as it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from pytest_dbtci.dbt_host.compare.engine import compare
from pytest_dbtci.dbt_host.parallel import run_all
from pytest_dbtci.dbt_host.runner import DbtFailed
from pytest_dbtci.dbt_host.warehouses.generic import Warehouse
from pytest_dbtci.differences import Pair


def run(warehouse: Warehouse, pairs: Mapping[str, Pair], emit: Callable[[dict[str, Any]], None]) -> None:
    """Compare every pair; an event holds its name, what differs (or in `trouble` why that is not known), seconds."""

    def one(job: tuple[str, Pair]) -> None:
        name, pair = job
        began = time.perf_counter()
        told: dict[str, Any] = {"event": "compared", "name": name, "differences": None, "trouble": ""}
        try:
            told["differences"] = compare(warehouse, pair).to_dict()
        except DbtFailed as error:
            told["trouble"] = str(error)
        emit({**told, "seconds": time.perf_counter() - began})

    run_all(warehouse, pairs.items(), one)
