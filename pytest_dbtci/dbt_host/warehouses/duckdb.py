"""DuckDB: a file, its `create schema` part of the transaction, its cascade confined to the schema."""

from __future__ import annotations

from pytest_dbtci.dbt_host.warehouses.generic import Warehouse


class DuckDb(Warehouse):
    """DuckDB, in this process."""

    rolls_back_schemas = True
