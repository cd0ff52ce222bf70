"""Snowflake: names are upper case unless they are quoted, and no view depends on what it reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from pytest_dbtci.dbt_host.compare.dialect import DATE, MOMENT, Dialect, families
from pytest_dbtci.dbt_host.mark import MARK_TABLE
from pytest_dbtci.dbt_host.runner import DbtFailed
from pytest_dbtci.dbt_host.warehouses.generic import Warehouse

# Who owns both may do with the schema what he likes; a role that only may create tables in it owns one of them.
_OWN_MARK = """
select 1 from {information}.tables as t
inner join {information}.schemata as s on s.schema_name = t.table_schema and s.schema_owner = t.table_owner
where t.table_schema = {schema} and t.table_name = {table} and t.table_type = 'BASE TABLE'
"""

# In any case of letters: a node's own configuration can quote what the project does not.
_COLLATED = """
select column_name from {information}.columns
where upper(table_schema) = upper({schema}) and upper(table_name) = upper({identifier}) and collation_name is not null
order by ordinal_position
"""

# As texts: what a cast gives depends on the session's parameters, and can leave out fractions of a second.
_MOMENT = "YYYY-MM-DD HH24:MI:SS.FF9"

_CHANGES = """
select table_name, created, last_altered, row_count, bytes from {information}.tables where table_schema = {schema}
"""


class Snowflake(Warehouse):
    """Snowflake.

    Schemas bear the names that dbt would write: where the project quotes none, `dbt_build_7` is DBT_BUILD_7, and a name
    that only quotes can reach is given in quotes. A cascade stays in the schema: a view elsewhere is a text that reads
    nothing until it is queried.
    """

    # Without the fail-safe period, in which nobody can remove what was dropped and the account pays for it.
    creating = "create transient schema"
    dialect = Dialect(
        families=families(
            number=("number", "decimal", "numeric", "int", "integer", "bigint", "smallint", "tinyint", "byteint"),
            float=("float", "float4", "float8", "double", "double precision", "real"),
            text=("varchar", "text", "string", "char", "character"),
            date=("date",),
            moment=("timestamp_ntz",),
            boolean=("boolean",),
            plain=("time",),
        ),
        forms={
            "timestamp_ltz": f"to_char(convert_timezone('UTC', {{}}), '{_MOMENT}')",
            # Two of the same instant are equal to Snowflake, whatever their offsets.
            "timestamp_tz": f"to_char({{}}, '{_MOMENT} TZHTZM')",
            "binary": "hex_encode({})",
            **dict.fromkeys(("variant", "object", "array"), "to_json({})"),
            **dict.fromkeys(("geography", "geometry"), "hex_encode(st_asewkb({}))"),
        },
        text="varchar",
        texts={DATE: "to_char({}, 'YYYY-MM-DD')", MOMENT: f"to_char({{}}, '{_MOMENT}')"},
        logarithm="log(10, nullif({}, 0))",
        digest="cast(md5_number_lower64({}) as number(37, 0))",
        lossy="float|double|real|time$",
        moment="timestamp_ntz",
        uncollated="collate({}, 'utf8')",
    )

    def shape(self, place: Sequence[str]) -> Any:
        """Refuse where a column has a collation, which may call equal what differs."""
        database, schema, identifier = place
        names = {
            "information": f"{self._database(database)}.information_schema",
            "schema": self._literal(schema),
            "identifier": self._literal(identifier),
        }
        if found := self.fetch(_COLLATED.format(**names)):
            raise DbtFailed(f"column {found[0][0]} has a collation, which may call equal what differs", usage=False)
        return ()

    def same(self, schema: str) -> str:
        """Return the text by which two names of schemas are one: quoted, a name keeps its case."""
        return schema if self._quotes("schema") else schema.lower()

    def clock(self) -> datetime:
        """Return the time, UTC, whatever zone the session is in."""
        ((now,),) = self.fetch("select sysdate()")
        return now.replace(tzinfo=timezone.utc)  # type: ignore[no-any-return]

    def list_schemas(self, database: str) -> tuple[str, ...]:
        """Return the names of all schemas of the database, as dbt would write them."""
        with self._connection("list"):
            names = self._adapter.list_schemas(self._database(database))
        if self._quotes("schema"):
            return tuple(names)
        return tuple(name.lower() if name == name.upper() else f'"{name}"' for name in names)

    def relations(self, database: str, schema: str) -> Mapping[str, str]:
        """Return the schema's tables and views by name, each with when it was made and changed, and its size."""
        rows = self.fetch(_CHANGES.format(**self._names(database, schema)))
        changes = {name: " ".join(map(str, found)) for name, *found in rows}
        return {name: changes.get(name, "") for name in self._relations(database, schema)}

    def _has_own_mark(self, database: str, schema: str) -> bool:
        table = self._literal(MARK_TABLE.upper())
        return bool(self.query(_OWN_MARK.format(table=table, **self._names(database, schema))).rows)

    def _drop(self, database: str, schema: str) -> None:
        # Not by dbt's macro, which a project can override.
        with self._connection("drop"):
            self._execute(f"drop schema if exists {self._schema(database, schema)} cascade")
        self._adapter.cache.drop_schema(database, schema)

    def _copying(self, old: Any, new: Any) -> tuple[str, ...]:
        # dbt's macro asks the configuration of the model that it runs for, and here runs for none.
        return (f"create transient table {new} clone {old}",)

    def _advice(self, text: str, database: str) -> str:
        if "insufficient privileges" not in text.lower():
            return super()._advice(text, database)
        role = self._adapter.config.credentials.role or "the user's default role"
        return f"\nThe target's role may not create schemas: grant create schema on database {database} to role {role}."

    def _literal(self, text: str) -> str:
        # A backslash is an escape.
        return super()._literal(text.replace("\\", "\\\\"))

    def _names(self, database: str, schema: str) -> dict[str, str]:
        stored = schema if self._quotes("schema") else schema.upper()
        return {"information": f"{self._database(database)}.information_schema", "schema": self._literal(stored)}

    def _quotes(self, part: str) -> bool:
        return bool(self._adapter.config.quoting.get(part, False))

    def _database(self, database: str) -> str:
        return str(self._schema(database, "any").include(schema=False))

    def _schema(self, database: str, schema: str, **how: Any) -> Any:
        return super()._schema(database, schema, quote_policy=self._adapter.config.quoting)

    def _render(self, database: str, schema: str, identifier: str, **how: Any) -> str:
        # The mark's name is never quoted: it must be found after the project has begun to quote names.
        quoting = {**self._adapter.config.quoting, "identifier": False}
        return super()._render(database, schema, identifier, quote_policy=quoting)
