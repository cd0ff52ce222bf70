"""DuckDB: a file, its `create schema` part of the transaction, its cascade confined to the schema."""

from __future__ import annotations

from pytest_dbtci.dbt_host.warehouses.generic import Warehouse


class DuckDb(Warehouse):
    """DuckDB, in this process."""

    rolls_back_schemas = True

    def _drop(self, database: str, schema: str) -> None:
        # Not by dbt's macro, which a project can override.
        with self._connection("drop"), self._transaction():
            self._execute(f"drop schema if exists {self._schema(database, schema)} cascade")
        self._adapter.cache.drop_schema(database, schema)
