"""What dead runs left: find it, date it, drop it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from pytest_dbtci.dbt_client.protocol.values import FoundSchema, Mark
from pytest_dbtci.dbt_host.runner import DbtFailed
from pytest_dbtci.dbt_host.warehouses.generic import Warehouse


def leftovers(warehouse: Warehouse, beginning: str) -> tuple[FoundSchema, ...]:
    """Return every schema of the target's database whose name begins so."""
    database, found, now = warehouse.database or "", [], warehouse.clock()
    for schema in warehouse.list_schemas(database):
        if not schema.lower().startswith(beginning.lower()):
            continue
        mark, age, relations, size, trouble = None, None, 0, None, ""
        try:
            mark = warehouse.read_mark(database, schema)
            if mark is not None:
                age = _age(mark, now)
                relations, size = warehouse.size(database, schema)
        except DbtFailed as error:
            trouble = str(error)
        found.append(
            FoundSchema(
                database=database,
                schema=schema,
                mark=mark,
                age=age,
                relations=relations,
                size=size,
                trouble=trouble,
            )
        )
    return tuple(found)


def _age(mark: Mark, now: datetime) -> float | None:
    try:
        return (now - datetime.fromisoformat(mark.started)).total_seconds()
    except (ValueError, TypeError):
        return None


def redate(warehouse: Warehouse, database: str, schema: str, run: str) -> None:
    """Let a mark whose time lies ahead of the warehouse's clock count from now on."""
    mark = warehouse.read_mark(database, schema)
    if mark is not None and mark.run == run:
        now = warehouse.clock().isoformat(timespec="microseconds")
        warehouse.take_over(database, schema, replace(mark, started=now), mark)


def drop_leftover(warehouse: Warehouse, database: str, schema: str, run: str, inside: Iterable[str]) -> None:
    """Drop a marked schema if it still is that run's; DbtFailed where it is not, or can't be dropped."""
    mark = warehouse.read_mark(database, schema)
    if mark is None or mark.run != run:
        raise DbtFailed(f"schema {schema} has changed hands since it was listed, so it stays.", usage=False)
    warehouse.end_sessions(run, [schema])
    warehouse.drop(database, schema, tuple(inside))
