"""PostgreSQL: its catalog says what a cascade takes, its sessions wait for locks only so long."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from pytest_dbtci.dbt_host.compare.dialect import Dialect, families
from pytest_dbtci.dbt_host.mark import MARK_TABLE
from pytest_dbtci.dbt_host.runner import DbtFailed
from pytest_dbtci.dbt_host.warehouses.generic import Warehouse

# What `drop schema … cascade` takes along: whatever depends on something that goes, and the owner of what goes as its
# part (a view of its rule). `homes` climbs from each to the object that lies in a schema; a cast or an event trigger
# lies in none. A table elsewhere stays where a partition or heir of it goes, and loses its rows; so does a publication,
# whose subscribers hear no more.
_DEPENDENTS = """
with recursive doomed (classid, objid) as (
    select 'pg_namespace'::regclass::oid, oid from pg_namespace where nspname = {schema}
    union
    select next.classid, next.objid
    from doomed
    cross join lateral (
        select d.classid, d.objid from pg_depend as d
        where d.refclassid = doomed.classid and d.refobjid = doomed.objid
        union all
        select d.refclassid, d.refobjid from pg_depend as d
        where d.classid = doomed.classid and d.objid = doomed.objid and d.deptype in ('i', 'e')
    ) as next
), homes (classid, objid, ownerclass, ownerid) as (
    select classid, objid, classid, objid from doomed where classid <> 'pg_namespace'::regclass
    union
    select h.classid, h.objid, d.refclassid, d.refobjid
    from homes as h
    inner join pg_depend as d on d.classid = h.ownerclass and d.objid = h.ownerid
    where d.deptype in ('a', 'i', 'e', 'P', 'S') and not exists (
        select from pg_depend as n
        where n.classid = h.ownerclass and n.objid = h.ownerid and n.refclassid = 'pg_namespace'::regclass
    )
), placed as (
    select h.classid, h.objid, h.ownerclass, h.ownerid, n.nspname
    from homes as h
    inner join pg_depend as d on d.classid = h.ownerclass and d.objid = h.ownerid
    inner join pg_namespace as n on d.refclassid = 'pg_namespace'::regclass and n.oid = d.refobjid
), outside (classid, objid) as (
    select ownerclass, ownerid from placed where nspname not in ({inside})
    union
    select o.classid, o.objid from doomed as o
    where o.classid <> 'pg_namespace'::regclass
        and not exists (select from placed as p where p.classid = o.classid and p.objid = o.objid)
        and not (o.classid = 'pg_cast'::regclass and not exists (
            select from pg_depend as d
            left join placed as p on p.classid = d.refclassid and p.objid = d.refobjid
            where d.classid = o.classid and d.objid = o.objid and (p.nspname is null or p.nspname not in ({inside}))
        ))
    union
    select 'pg_class'::regclass, c.oid from doomed as o
    inner join pg_inherits as i on o.classid = 'pg_class'::regclass and i.inhrelid = o.objid
    inner join pg_class as c on c.oid = i.inhparent and c.relkind in ('r', 'p', 'f')
    inner join pg_namespace as n on n.oid = c.relnamespace and n.nspname not in ({inside})
    union
    select d.refclassid, d.refobjid from doomed as o
    inner join pg_depend as d on d.classid = o.classid and d.objid = o.objid
    where d.refclassid = 'pg_publication'::regclass
)
select case when classid = 'pg_class'::regclass then '' else type || ' ' end || identity
from outside
cross join lateral pg_identify_object(classid, objid, 0)
order by 1
"""

# dbt's own listing compares with `ilike`, to which the underscores of a name are wildcards.
_RELATIONS = """
select c.relname, c.relkind from pg_class as c inner join pg_namespace as n on n.oid = c.relnamespace
where n.nspname = {schema} and c.relkind in ('r', 'v', 'm', 'p', 'f')
"""

_IDENTITIES = """
select c.relname, {identity} from pg_class as c inner join pg_namespace as n on n.oid = c.relnamespace
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
_KINDS = {"v": "view", "m": "materialized view", "r": "table", "p": "table", "f": "foreign table"}

# A forger of another name can make neither: the table and its schema are of one owner, whose rights are ours.
_OWN_MARK = """
select 1 from pg_class as c
inner join pg_namespace as n on n.oid = c.relnamespace
where n.nspname = {schema} and c.relname = {table} and c.relkind = 'r' and c.relowner = n.nspowner and {owner}
"""

_SESSIONS = """
select pid from pg_stat_activity
where datname = current_database() and usename = current_user and pid <> pg_backend_pid()
    and split_part(application_name, ' ', 1) = {name}
"""
_OWN_NAME = "split_part(current_setting('application_name'), ' ', 1)"


_SHAPE = """
select a.attname, format_type(a.atttypid, a.atttypmod), a.attcollation from pg_attribute as a
inner join pg_class as c on c.oid = a.attrelid
inner join pg_namespace as n on n.oid = c.relnamespace
where n.nspname = {schema} and c.relname = {identifier} and a.attnum > 0 and not a.attisdropped
order by a.attnum
"""
_STRICT = (0, 100, 950, 951)
"""The collations of what is no text, the database's own, "C" and "POSIX": to these only the same text is equal."""


class Postgres(Warehouse):
    """PostgreSQL, of which a connection sees one database only."""

    @property
    def shell(self) -> str:
        """Return the call of psql, which asks for the password."""
        login = self._adapter.config.credentials
        given = {"-h": login.host, "-p": login.port, "-U": login.user, "-d": login.database}
        return " ".join(["psql", *(f"{flag} {shlex.quote(str(value))}" for flag, value in given.items() if value)])

    locks_view = "pg_locks"
    rolls_back_schemas = True
    most_at_once = 200
    """Relations dropped in one transaction: each takes some locks of the 6,400 that a server has by default."""
    seconds = "extract(epoch from clock_timestamp())"
    owner = "pg_has_role(c.relowner, 'member')"
    wait = "set lock_timeout = {milliseconds}"
    identity = "c.oid, c.xmin"
    """What a statement changes that makes, replaces or truncates a relation, or adds a column."""
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
        digest="cast(cast('x' || substring(md5({}), 1, 15) as bit(60)) as bigint)",
        alike="numeric|double precision|real|interval|time with time zone|jsonb",
    )
    bytes = (
        "select sum(pg_total_relation_size(c.oid)) from pg_class as c "
        "inner join pg_namespace as n on n.oid = c.relnamespace where n.nspname = {schema} and c.relkind in ('r', 'm')"
    )

    def same(self, schema: str) -> str:
        """Return the text by which two names of schemas are one: quoted, a name keeps its case."""
        return schema if self._adapter.config.quoting.get("schema", True) else schema.lower()

    def shape(self, place: Sequence[str]) -> Any:
        """Return the whole type of each column, with its collation.

        DbtFailed where floats are written cut short, or a collation may call equal what differs.
        """
        _, schema, identifier = place
        ((digits,),) = self.fetch("select current_setting('extra_float_digits')")
        if int(digits) < 1:
            raise DbtFailed(f"extra_float_digits is {digits} here: floats that differ can look the same", usage=False)
        found = self.fetch(_SHAPE.format(schema=self._literal(schema), identifier=self._literal(identifier)))
        if own := [name for name, _, collation in found if int(collation) not in _STRICT]:
            raise DbtFailed(f"column {own[0]} has a collation, which may call equal what differs", usage=False)
        return found

    def clock(self) -> datetime:
        """Return the server's time, UTC, whatever zone the session is in."""
        ((seconds,),) = self.fetch(f"select {self.seconds}")
        return datetime.fromtimestamp(float(seconds), timezone.utc)

    def end_sessions(self, run: str, schemas: Sequence[str], sessions: Sequence[int] = ()) -> None:
        """End the sessions of a run that was killed: the server works on for it, and holds its locks."""
        for pid in sessions:
            self.query(f"select pg_terminate_backend({pid})")
        deadline = time.monotonic() + self._lock_seconds
        while (left := self._sessions(run, schemas)) and time.monotonic() < deadline:
            for pid in left:
                self.query(f"select pg_terminate_backend({pid})")
            time.sleep(0.2)

    def is_at_work(self) -> bool:
        """Whether another session of this process's name executes a statement; see `Profile.write`."""
        return bool(self.query(f"{_SESSIONS.format(name=_OWN_NAME)} and state = 'active'").rows)

    def _sessions(self, run: str, schemas: Sequence[str]) -> tuple[int, ...]:
        """Return the backends that bear the run's name; see `Profile.write`."""
        rows = self.query(_SESSIONS.format(name=self._literal(f"dbt-ci:{run}"))).rows
        return tuple(int(pid) for (pid,) in rows)

    def size(self, database: str, schema: str) -> tuple[int, int | None]:
        """Return the number of relations, the mark left out, and their bytes (None where nobody says)."""
        count, _ = super().size(database, schema)
        try:
            rows = self.query(self.bytes.format(schema=self._literal(schema))).rows
        except DbtFailed:
            # On Redshift only some users may look at svv_table_info; the size is a courtesy.
            return count, None
        return count, 0 if rows[0][0] == "null" else int(float(rows[0][0]))

    def relations(self, database: str, schema: str) -> Mapping[str, str]:
        """Return the schema's tables and views by name, each with its identity."""
        rows = self.fetch(_IDENTITIES.format(identity=self.identity, schema=self._literal(schema)))
        return {name: " ".join(map(str, identity)) for name, *identity in rows}

    def _relations(self, database: str, schema: str) -> tuple[str, ...]:
        return tuple(name for name, _ in self.query(_RELATIONS.format(schema=self._literal(schema))).rows)

    def _has_own_mark(self, database: str, schema: str) -> bool:
        names = {"schema": self._literal(schema), "table": self._literal(MARK_TABLE), "owner": self.owner}
        return bool(self.query(_OWN_MARK.format(**names)).rows)

    def dependents(self, database: str, schema: str, inside: set[str]) -> tuple[str, ...]:
        names = ", ".join(self._literal(s) for s in sorted(inside))
        found = self.query(_DEPENDENTS.format(schema=self._literal(schema), inside=names))
        return tuple(name for (name,) in found.rows)

    def _drop(self, database: str, schema: str) -> None:
        place = self._schema(database, schema)
        for kind, names in self._batches(database, schema):
            self._drop_waiting(f"drop {kind} if exists {', '.join(names)} cascade")
        self._drop_waiting(f"drop schema if exists {place} cascade")
        with self._connection("drop"):
            self._adapter.cache.drop_schema(database, schema)

    def _drop_waiting(self, statement: str) -> None:
        # In one call, because dbt-redshift may repeat it on a new connection, which knows no wait.
        wait = self.wait.format(milliseconds=int(self._lock_seconds * 1000))
        with self._connection("drop"), self._transaction():
            self._execute(f"{wait};\n{statement}")

    def _batches(self, database: str, schema: str) -> Iterator[tuple[str, Sequence[str]]]:
        """Yield kinds and names to drop beforehand, where all at once is more than a transaction may lock.

        The mark goes last, with the schema, so that what stays after trouble is known as ours.
        """
        found = self.query(_RELATIONS.format(schema=self._literal(schema))).rows
        if len(found) <= self.most_at_once:
            return
        for relkind, kind in _KINDS.items():
            names = [self._render(database, schema, name) for name, k in found if k == relkind and name != MARK_TABLE]
            for begin in range(0, len(names), self.most_at_once):
                yield kind, names[begin : begin + self.most_at_once]

    def _copying(self, old: Any, new: Any) -> tuple[str, ...]:
        # Keeps distribution, sort keys and not-null constraints.
        return (f"create table {new} (like {old} including defaults)", f"insert into {new} select * from {old}")

    def _schema(self, database: str, schema: str, **how: Any) -> Any:
        # A connection refuses to hear its own database's name.
        return super()._schema(database, schema, **how).include(database=False)
