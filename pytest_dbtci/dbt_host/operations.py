"""The dbt host's answer to a request of the protocol: what is kept between requests, and whose method it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pytest_dbtci.dbt_client.protocol.events import Emit
from pytest_dbtci.dbt_client.protocol.request import Answer, Request
from pytest_dbtci.dbt_host import tree_operations, warehouse_operations

ANSWERS: Mapping[type[Request[Any]], Callable[..., Any]] = {**tree_operations.ANSWERS, **warehouse_operations.ANSWERS}
"""The method that answers each request."""


class Operations:
    """Answer requests; events go to `emit`."""

    def __init__(self, emit: Emit) -> None:
        self._trees = tree_operations.TreeOperations()
        self._warehouse = warehouse_operations.WarehouseOperations(self._trees.manifests, emit)
        self.sever = self._warehouse.sever
        self.abandon = self._warehouse.abandon

    def answer(self, request: Request[Answer]) -> Answer:
        """Return the answer; raises DbtFailed, or KeyboardInterrupt when it was cancelled."""
        kind = type(request)
        keeper = self._trees if kind in tree_operations.ANSWERS else self._warehouse
        with self._warehouse.watching(request):
            answer: Answer = ANSWERS[kind](keeper, request)
        return answer
