"""The warehouses: one file for each that is known, one line for it here.

A file holds a subclass of `generic.Warehouse`, which is the protocol: it overrides what its warehouse does better or
knows more about than dbt's adapter interface.
"""

from __future__ import annotations

from typing import Any

from pytest_dbtci.dbt_host.warehouses.duckdb import DuckDb
from pytest_dbtci.dbt_host.warehouses.generic import Warehouse
from pytest_dbtci.dbt_host.warehouses.postgres import Postgres
from pytest_dbtci.dbt_host.warehouses.redshift import Redshift

WAREHOUSES: dict[str, type[Warehouse]] = {
    "duckdb": DuckDb,
    "postgres": Postgres,
    "redshift": Redshift,
}
"""dbt's name of an adapter, and what stands for its warehouse here."""


def warehouse_of(manifest: Any) -> Warehouse:
    """Return the warehouse of the manifest's adapter, logged in as dbt's last invocation was."""
    adapter_type = manifest.metadata.adapter_type
    return WAREHOUSES.get(adapter_type, Warehouse)(adapter_type, manifest)
