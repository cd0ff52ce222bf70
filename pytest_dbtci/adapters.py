"""What is known of dbt's adapters where dbt itself is not imported."""

from __future__ import annotations

from importlib.metadata import entry_points

OWN = ("duckdb", "postgres", "redshift", "snowflake")
"""The adapters whose warehouses have a file in dbt_host/warehouses."""

LONGEST_NAME = {"redshift": 127, "postgres": 63}
"""Bytes in a name; other warehouses allow more than anybody writes."""

SESSION_NAME = {"postgres": "application_name"}
"""The field of an output that names the sessions, where there is one."""

GROUP = "pytest_dbtci.warehouses"
"""The entry points by which other packages add theirs, named after the adapter."""


def generic_notes(adapter: str) -> tuple[str, ...]:
    """Return what a run says of an adapter whose warehouse is reached through dbt's adapter interface alone."""
    if adapter in OWN or entry_points(group=GROUP, name=adapter):
        return ()
    return (
        f"nothing but dbt's adapter interface is known of {adapter}: schemas are dropped without cascade, values "
        "are not compared, and a killed run's queries are not ended",
    )
