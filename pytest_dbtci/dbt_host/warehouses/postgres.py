"""PostgreSQL: its catalog says what a cascade takes, its sessions wait for locks only so long."""

from __future__ import annotations

from typing import Any

from pytest_dbtci.dbt_host.compare.dialect import Dialect, families
from pytest_dbtci.dbt_host.runner import DbtFailed
from pytest_dbtci.dbt_host.warehouses.generic import Warehouse

# The joins are those by which dbt-redshift follows dependencies, so that they run on Redshift, too. A view hangs
# on its rewrite rule; a late-binding view hangs on nothing, and no cascade drops it.
_DEPENDENTS = """
with ours as (
    select c.oid from pg_class as c inner join pg_namespace as n on n.oid = c.relnamespace where n.nspname = {schema}
    union all
    select p.oid from pg_proc as p inner join pg_namespace as n on n.oid = p.pronamespace where n.nspname = {schema}
    union all
    select t.oid from pg_type as t inner join pg_namespace as n on n.oid = t.typnamespace where n.nspname = {schema}
), dependents as (
    select coalesce(r.ev_class, d.objid) as oid
    from pg_depend as d
    inner join ours on ours.oid = d.refobjid
    left join pg_rewrite as r on r.oid = d.objid
    where d.deptype <> 'i'
    union all
    select k.conrelid as oid from pg_constraint as k inner join ours on ours.oid = k.confrelid
)
select distinct n.nspname as schema_name, c.relname as relation_name
from dependents
inner join pg_class as c on c.oid = dependents.oid
inner join pg_namespace as n on n.oid = c.relnamespace
where n.nspname not in ({inside})
order by 1, 2
"""

# dbt's own listing compares with `ilike`, to which the underscores of a name are wildcards.
_RELATIONS = """
select c.relname from pg_class as c inner join pg_namespace as n on n.oid = c.relnamespace
where n.nspname = {schema} and c.relkind in ('r', 'v', 'm', 'p', 'f')
"""

SHARED = families(
    number=("smallint", "integer", "bigint", "numeric", "decimal", "int2", "int4", "int8"),
    float=("double precision", "float8"),
    real=("real", "float4"),
    text=("text", "character varying", "character", "varchar", "char", "bpchar", "name"),
    date=("date",),
    moment=("timestamp without time zone", "timestamp"),
    boolean=("boolean", "bool"),
    plain=(
        *("timestamp with time zone", "timestamptz", "time without time zone", "time", "time with time zone", "timetz"),
    ),
)
"""Types that Redshift knows by the same names."""


class Postgres(Warehouse):
    """PostgreSQL, of which a connection sees one database only."""

    locks_view = "pg_locks"
    rolls_back_schemas = True
    wait = "set lock_timeout = {milliseconds}"
    dialect: Dialect | None = Dialect(
        families={
            **SHARED,
            **families(
                plain=(
                    *("interval", "uuid", "bytea", "inet", "cidr", "macaddr", "macaddr8", "bit", "bit varying"),
                    *("json", "jsonb", "money", "oid"),
                )
            ),
        },
        # json has no equality; jsonb looks through white space and the order of keys.
        forms={"json": "cast({} as jsonb)"},
        other="cast({} as text)",
    )
    bytes = (
        "select sum(pg_total_relation_size(c.oid)) from pg_class as c "
        "inner join pg_namespace as n on n.oid = c.relnamespace where n.nspname = {schema} and c.relkind in ('r', 'm')"
    )

    def same(self, schema: str) -> str:
        """Return the text by which two names of schemas are one: quoted, a name keeps its case."""
        return schema if self._adapter.config.quoting.get("schema", True) else schema.lower()

    def size(self, database: str, schema: str) -> tuple[int, int | None]:
        """Return the number of relations, the mark left out, and their bytes (None where nobody says)."""
        count, _ = super().size(database, schema)
        try:
            rows = self.query(self.bytes.format(schema=self._literal(schema))).rows
        except DbtFailed:
            # On Redshift only some users may look at svv_table_info; the size is a courtesy.
            return count, None
        return count, 0 if rows[0][0] == "null" else int(float(rows[0][0]))

    def _relations(self, database: str, schema: str) -> tuple[str, ...]:
        return tuple(name for (name,) in self.query(_RELATIONS.format(schema=self._literal(schema))).rows)

    def _dependents(self, schema: str, inside: set[str]) -> tuple[str, ...]:
        names = ", ".join(self._literal(s) for s in sorted(inside))
        found = self.query(_DEPENDENTS.format(schema=self._literal(schema), inside=names))
        return tuple(".".join(row) for row in found.rows)

    def _drop(self, database: str, schema: str) -> None:
        # In one call, because dbt-redshift may repeat it on a new connection, which knows no wait.
        wait = self.wait.format(milliseconds=int(self._lock_seconds * 1000))
        with self._connection("drop"):
            with self._transaction():
                self._execute(f"{wait};\ndrop schema if exists {self._schema(database, schema)} cascade")
            self._adapter.cache.drop_schema(database, schema)

    def _copying(self, old: Any, new: Any) -> tuple[str, ...]:
        # Keeps distribution, sort keys and not-null constraints.
        return (f"create table {new} (like {old} including defaults)", f"insert into {new} select * from {old}")

    def _schema(self, database: str, schema: str, **how: Any) -> Any:
        # A connection refuses to hear its own database's name.
        return super()._schema(database, schema, **how).include(database=False)
