"""Redshift: a PostgreSQL by descent, with other settings, system views and literals."""

from __future__ import annotations

from pytest_dbtci.dbt_host.compare.dialect import BOOLEAN, Dialect, families
from pytest_dbtci.dbt_host.warehouses.postgres import SHARED, Postgres


class Redshift(Postgres):
    """Amazon Redshift, provisioned or serverless."""

    locks_view = "svv_transactions"
    # Redshift has no lock_timeout; its statement_timeout counts planning, queueing and execution (AWS documentation).
    wait = "set statement_timeout to {milliseconds}"
    bytes = 'select sum(size) * 1048576 from svv_table_info where "schema" = {schema}'

    dialect = Dialect(
        families={
            **SHARED,
            **families(plain=("varbyte", "binary varying", "interval year to month", "interval day to second")),
        },
        # A cast of SUPER to text gives null for anything but a text.
        forms={"super": "json_serialize({})", "geometry": "st_ashexewkb({})"},
        # Without a length it is cut at 256 bytes.
        text="varchar(65535)",
        texts={BOOLEAN: "case when {0} then 'true' when not {0} then 'false' end"},
    )

    def same(self, schema: str) -> str:
        """Return the text by which two names of schemas are one: quoted names are folded, too."""
        return schema.lower()

    def _literal(self, text: str) -> str:
        # A backslash is an escape.
        return super()._literal(text.replace("\\", "\\\\"))
