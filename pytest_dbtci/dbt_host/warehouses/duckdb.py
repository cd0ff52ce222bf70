"""DuckDB: a file, `create schema` and `drop schema` a part of the transaction."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pytest_dbtci.dbt_host.compare.dialect import Dialect, families
from pytest_dbtci.dbt_host.mark import MARK_TABLE
from pytest_dbtci.dbt_host.runner import DbtFailed
from pytest_dbtci.dbt_host.warehouses.generic import Warehouse

_AT_WORK_SECONDS = 0.05
"""What a process that only waits does not use of the processor between two looks."""

_ROW = "dbt_ci_row"

_COLLATED = """
select count(*) from (
    select sql from duckdb_tables() union all select sql from duckdb_views() where not internal
    union all select 'collate' where current_setting('default_collation') <> ''
) where sql ilike '%collate%'
"""

_DEFINITIONS = """
select table_name, sql, true from duckdb_tables() where database_name = {database} and schema_name = {schema}
union all
select view_name, sql, false from duckdb_views() where database_name = {database} and schema_name = {schema}
"""

# A table's default may ask a sequence or a macro elsewhere, its column be of a type there, its index call a macro:
# it goes with them.
_ELSEWHERE = """
select schema_name || '.' || name from (
    select schema_name, table_name as name, internal from duckdb_tables() where database_name = {database}
    union all select schema_name, view_name, internal from duckdb_views() where database_name = {database}
    union all select schema_name, sequence_name, false from duckdb_sequences() where database_name = {database}
    union all select schema_name, index_name, false from duckdb_indexes() where database_name = {database}
    union all select schema_name, type_name, internal from duckdb_types() where database_name = {database}
    union all select schema_name, function_name, internal from duckdb_functions() where database_name = {database}
) where not internal and lower(schema_name) not in ({inside})
"""

_UNSIGNED = ("utinyint", "usmallint", "uinteger", "ubigint")


class DuckDb(Warehouse):
    """DuckDB, in this process."""

    is_shared = False
    rolls_back_schemas = True
    _used = 0.0
    dialect = Dialect(
        families=families(
            number=("tinyint", "smallint", "integer", "bigint", "hugeint", "decimal", *_UNSIGNED),
            float=("double",),
            real=("float",),
            text=("varchar",),
            date=("date",),
            moment=("timestamp",),
            boolean=("boolean",),
            plain=(
                *("timestamp with time zone", "timestamp_s", "timestamp_ms", "timestamp_ns", "time"),
                *("time with time zone", "interval", "uuid", "blob", "bit"),
            ),
        ),
        # The difference of two unsigned numbers may be none; JSON is kept as it was written.
        forms={**dict.fromkeys(_UNSIGNED, "cast({} as hugeint)"), "json": "cast(json({}) as varchar)"},
        other="cast({} as varchar)",
        text="varchar",
        logarithm="log10({})",
        # Of 128 bits, as wider decimals have, both halves may be hashed to nothing: 0 and -1 have the same hash.
        hash="hash({})",
        hashed=r"(tiny|small|big)int|integer|decimal\((\d|1[0-8]),\d+\)|varchar|boolean|date|timestamp",
        sampled="{} tablesample system (2%) repeatable (7)",
        digest="hash({})",
        # Until DuckDB 1.4 a list of one text with a comma read like one of two.
        lossy=r"struct|map|union|variant|.*\]$",
        alike="double|float|interval|time with time zone",
    )

    def shape(self, place: Sequence[str]) -> Any:
        """Refuse where anything has a collation: no view shows which column, and what it calls equal hashes alike."""
        ((collated,),) = self.fetch(_COLLATED)
        if collated:
            raise DbtFailed("there are collations in this database, and they hide differences", usage=False)
        return ()

    @property
    def shell(self) -> str:
        """Return the call of DuckDB's own shell; a database in memory goes with its process."""
        path = str(self._adapter.config.credentials.path)
        where = path if ":" in path else str(Path(path).absolute())
        return "" if path == ":memory:" else f"duckdb {shlex.quote(where)}"

    def clock(self) -> datetime:
        """Return the time, UTC, without pytz, which DuckDB needs to give a time with its zone."""
        ((seconds,),) = self.fetch("select epoch(current_timestamp)")
        return datetime.fromtimestamp(float(seconds), timezone.utc)

    def list_schemas(self, database: str) -> tuple[str, ...]:
        """Return the names of all schemas, by what dbt's macro asks but without the macro, which takes longer."""
        names = "select schema_name from system.information_schema.schemata"
        found = self.fetch(f"{names} where lower(catalog_name) = lower({self._literal(database)})")
        return tuple(str(name) for (name,) in found)

    def is_at_work(self) -> bool:
        """Whether this process, in which DuckDB works, has used the processor since this was asked last."""
        used = time.process_time() - time.thread_time()  # without the thread that asks
        before, DuckDb._used = DuckDb._used, used
        return used - before > _AT_WORK_SECONDS

    def relations(self, database: str, schema: str) -> Mapping[str, str]:
        """Return the schema's tables and views by name, each with its definition and a table with a hash of its rows.

        The numbers in DuckDB's catalog are those of a process.
        """
        where = {"database": self._literal(database), "schema": self._literal(schema)}
        found = dict[str, str]()
        for name, definition, is_table in self.fetch(_DEFINITIONS.format(**where)):
            rows = (
                f"select count(*), sum(cast(hash(hash({_ROW})) as hugeint)) from {self._render(database, schema, name)}"
            )
            contents = self.fetch(f"{rows} as {_ROW}")[0] if is_table else ()
            found[name] = " ".join(map(str, (*contents, definition)))
        return found

    def _relations(self, database: str, schema: str) -> tuple[str, ...]:
        return tuple(name for name, _ in self._tables(database, schema))

    def _has_own_mark(self, database: str, schema: str) -> bool:
        return (MARK_TABLE, "BASE TABLE") in self._tables(database, schema)

    def _tables(self, database: str, schema: str) -> list[tuple[str, str]]:
        # Not by dbt's macro, which a name with an apostrophe breaks; a schema of somebody else can have one.
        found = self.fetch(
            "select table_name, table_type from information_schema.tables "
            f"where table_catalog = {self._literal(database)} and table_schema = {self._literal(schema)}"
        )
        return [(str(name), str(kind)) for name, kind in found]

    def dependents(self, database: str, schema: str, inside: set[str]) -> tuple[str, ...]:
        # Asked of DuckDB itself, whose drop is undone.
        names = ", ".join(self._literal(s.lower()) for s in sorted(inside))
        elsewhere = _ELSEWHERE.format(database=self._literal(database), inside=names)
        with self._connection("drop"):
            self._execute("begin transaction")
            try:
                before = self._names(elsewhere)
                self._execute(f"drop schema if exists {self._schema(database, schema)} cascade")
                return tuple(sorted(before - self._names(elsewhere)))
            finally:
                self._execute("rollback")

    def _names(self, sql: str) -> set[str]:
        _, cursor = self._adapter.connections.add_select_query(sql)
        return {str(name) for (name,) in cursor.fetchall()}

    def _drop(self, database: str, schema: str) -> None:
        # Not by dbt's macro, which a project can override.
        with self._connection("drop"), self._transaction():
            self._execute(f"drop schema if exists {self._schema(database, schema)} cascade")
        self._adapter.cache.drop_schema(database, schema)
