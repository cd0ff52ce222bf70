"""Redshift: a PostgreSQL by descent, with other settings, system views and literals."""

from __future__ import annotations

from pytest_dbtci.dbt_host.warehouses.postgres import Postgres


class Redshift(Postgres):
    """Amazon Redshift, provisioned or serverless."""

    locks_view = "svv_transactions"
    # Redshift has no lock_timeout; its statement_timeout counts planning, queueing and execution (AWS documentation).
    wait = "set statement_timeout to {milliseconds}"
    bytes = 'select sum(size) * 1048576 from svv_table_info where "schema" = {schema}'

    def same(self, schema: str) -> str:
        """Return the text by which two names of schemas are one: quoted names are folded, too."""
        return schema.lower()

    def _literal(self, text: str) -> str:
        # A backslash is an escape.
        return super()._literal(text.replace("\\", "\\\\"))
