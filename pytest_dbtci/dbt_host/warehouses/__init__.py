"""The warehouses: one file for each that is known, one line for it here.

A file holds a subclass of `generic.Warehouse`, which is the protocol: it overrides what its warehouse does better or
knows more about than dbt's adapter interface. Another package adds its own by an entry point of the group
`pytest_dbtci.warehouses`, named after the adapter, that leads to such a class.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from pytest_dbtci.adapters import GROUP
from pytest_dbtci.dbt_host.warehouses.duckdb import DuckDb
from pytest_dbtci.dbt_host.warehouses.generic import Warehouse
from pytest_dbtci.dbt_host.warehouses.postgres import Postgres
from pytest_dbtci.dbt_host.warehouses.redshift import Redshift
from pytest_dbtci.dbt_host.warehouses.snowflake import Snowflake

WAREHOUSES: dict[str, type[Warehouse]] = {
    "duckdb": DuckDb,
    "postgres": Postgres,
    "redshift": Redshift,
    "snowflake": Snowflake,
}
"""dbt's name of an adapter, and what stands for its warehouse here."""


def warehouse_of(manifest: Any) -> Warehouse:
    """Return the warehouse of the manifest's adapter, logged in as dbt's last invocation was."""
    adapter_type = manifest.metadata.adapter_type
    known = WAREHOUSES.get(adapter_type)
    if known is None:
        others = (found.load() for found in entry_points(group=GROUP, name=adapter_type))
        known = next(others, Warehouse)
    return known(adapter_type, manifest)
