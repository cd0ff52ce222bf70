"""Which requests are looked after while they wait for the warehouse."""

from __future__ import annotations

from contextlib import nullcontext

from pytest_dbtci.dbt_host.warehouse_operations import ANSWERS, WarehouseOperations


def test_no_request_waits_for_the_warehouse_for_ever() -> None:
    operations = WarehouseOperations({}, lambda event: None)
    unwatched = {k.__name__ for k in ANSWERS if isinstance(operations.watching(object.__new__(k)), nullcontext)}
    asks_nothing = {"Connect", "Redirect", "Attach"}
    bounded_by_the_controller = {"Ping", "DropSchemas", "Shell"}
    watches_itself = {"Build", "BuildTwins"}
    assert unwatched == asks_nothing | bounded_by_the_controller | watches_itself
