"""Redshift: a PostgreSQL by descent, with other settings, system views and literals."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pytest_dbtci.dbt_host.compare.columns import quoted
from pytest_dbtci.dbt_host.compare.dialect import BOOLEAN, Dialect, families
from pytest_dbtci.dbt_host.runner import DbtFailed
from pytest_dbtci.dbt_host.warehouses.postgres import SHARED, Postgres

# Redshift's catalog is PostgreSQL 8.0's, and knows no recursion. What depends on something of ours is a view (by its
# rule), a constraint, a default, a trigger, a function, or a column; each is known by its relation or function. A
# late-binding view depends on nothing, and no cascade drops it.
_DEPENDENTS = """
with ours as (
    select c.oid from pg_class as c
    inner join pg_namespace as n on n.oid = c.relnamespace
    where n.nspname in ({schemas})
    union all
    select p.oid from pg_proc as p
    inner join pg_namespace as n on n.oid = p.pronamespace
    where n.nspname in ({schemas})
    union all
    select t.oid from pg_type as t
    inner join pg_namespace as n on n.oid = t.typnamespace
    where n.nspname in ({schemas})
), dependents as (
    select
        k.relname as kind,
        coalesce(r.ev_class, a.adrelid, nullif(c.conrelid, 0), t.tgrelid, d.objid) as oid
    from pg_depend as d
    inner join ours on ours.oid = d.refobjid
    inner join pg_class as k on k.oid = d.classid
    left join pg_rewrite as r on r.oid = d.objid and k.relname = 'pg_rewrite'
    left join pg_attrdef as a on a.oid = d.objid and k.relname = 'pg_attrdef'
    left join pg_constraint as c on c.oid = d.objid and k.relname = 'pg_constraint'
    left join pg_trigger as t on t.oid = d.objid and k.relname = 'pg_trigger'
    where d.deptype <> 'i'
    union all
    select 'pg_constraint' as kind, c.conrelid as oid from pg_constraint as c inner join ours on ours.oid = c.confrelid
)
select distinct
    coalesce(cn.nspname, pn.nspname, tn.nspname) as schema_name,
    coalesce(c.relname, p.proname, t.typname) as object_name
from dependents as d
left join pg_class as c on c.oid = d.oid and d.kind not in ('pg_proc', 'pg_type')
left join pg_namespace as cn on cn.oid = c.relnamespace
left join pg_proc as p on p.oid = d.oid and d.kind = 'pg_proc'
left join pg_namespace as pn on pn.oid = p.pronamespace
left join pg_type as t on t.oid = d.oid and d.kind = 'pg_type'
left join pg_namespace as tn on tn.oid = t.typnamespace
where coalesce(cn.nspname, pn.nspname, tn.nspname) not in ({schemas})
order by 1, 2
"""

# A user sees no statements and transactions but his own, a superuser all.
_STATEMENTS = """
select session_id, query_text from sys_query_history
where {which} and database_name = current_database()
    and user_id = (select usesysid from pg_user where usename = current_user)
"""
_AT_WORK = "status in ('planning', 'queued', 'running', 'returning')"
_OPEN = "select distinct xid from svv_transactions where txn_db = current_database()"


_TELLS_CASE = """(
    select count(distinct x) from (
        select {column} as x from {name} where false
        union all select cast('a' as varchar(1)) union all select cast('A' as varchar(1))
    ) as letters
)"""


class Redshift(Postgres):
    """Amazon Redshift, provisioned or serverless."""

    locks_view = "svv_transactions"
    # Redshift has no lock_timeout; its statement_timeout counts planning, queueing and execution (AWS documentation).
    most_at_once = 10_000
    seconds = "extract(epoch from cast(getdate() as timestamptz))"
    owner = (
        "(pg_get_userbyid(c.relowner) = current_user "
        "or exists (select 1 from pg_user where usename = current_user and usesuper))"
    )
    wait = "set statement_timeout to {milliseconds}"
    # A view that is replaced keeps its number.
    identity = "c.oid, case when c.relkind = 'v' then pg_get_viewdef(c.oid) else '' end"
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
        digest="strtol(substring(md5({}), 1, 15), 16)",
        lossy="double precision|real|float",
    )

    def shape(self, place: Sequence[str]) -> Any:
        """Refuse where a column of texts does not tell letters' case: collations differ in nothing else here."""
        name, found, _ = self.describe(place) or ("", [], False)
        texts = [_TELLS_CASE.format(column=quoted(c.column), name=name) for c in found if c.is_string()]
        if texts and any(int(known) < 2 for known in self.fetch(f"select {', '.join(texts)}")[0]):
            raise DbtFailed("a column is blind to letters' case: what it calls equal can differ", usage=False)
        return ()

    def same(self, schema: str) -> str:
        """Return the text by which two names of schemas are one: quoted names are folded, too."""
        return schema.lower()

    def is_at_work(self) -> bool:
        """Whether the user has any statement at work: a run's own can't be told for certain here."""
        return bool(self._statements())

    def own_sessions(self) -> tuple[int, ...]:
        """Return the backends of dbt's open connections, which no name tells from others; dbt asks each for its own."""
        known = tuple(self._adapter.connections.thread_connections.values())
        return tuple(pid for c in known if (pid := getattr(c, "backend_pid", None)) is not None)

    def _sessions(self, run: str, schemas: Sequence[str]) -> tuple[int, ...]:
        """Return the backends at work on a statement with dbt's comment that names one of the schemas.

        So are those that did such a one in a transaction that is still open, whose locks they hold. No field of
        dbt-redshift's profile names a session.
        """
        names = re.compile("|".join(rf"(?<!\w){re.escape(s)}(?!\w)" for s in schemas), re.IGNORECASE)
        try:
            still_open = ", ".join(xid for (xid,) in self.query(_OPEN).rows)
            rows = self._statements(f"({_AT_WORK} or transaction_id in ({still_open}))" if still_open else _AT_WORK)
        except DbtFailed:
            return ()  # then the drop waits for them, and says so
        return tuple(pid for pid, text in rows if '"app": "dbt"' in text and names.search(text))

    def _statements(self, which: str = _AT_WORK) -> list[tuple[int, str]]:
        """Return backends and their statements, of this user, this look itself left out."""
        found = ((int(pid), str(text)) for pid, text in self.query(_STATEMENTS.format(which=which)).rows)
        return [(pid, text) for pid, text in found if "sys_query_history" not in text]

    def dependents(self, database: str, schema: str, inside: set[str]) -> tuple[str, ...]:
        # A schema of the pull request that reads this one goes along, and takes what reads it.
        going = {schema}
        while True:
            names = ", ".join(self._literal(s) for s in sorted(going))
            found = self.query(_DEPENDENTS.format(schemas=names)).rows
            if outside := tuple(".".join(row) for row in found if row[0] not in inside):
                return outside
            if not found:
                return ()
            going |= {row[0] for row in found}

    def _literal(self, text: str) -> str:
        # A backslash is an escape.
        return super()._literal(text.replace("\\", "\\\\"))
