"""Create, mark, take over, list and drop schemas through dbt's adapter: the one module that writes SQL."""

from __future__ import annotations

import base64
import os
import pickle
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from pytest_dbtci.dbt_host.runner import DbtFailed, plain
from pytest_dbtci.results import Rows

MARK_TABLE = "dbt_ci_mark"
LOCK_SECONDS = 20.0
"""How long a drop waits for a lock that another session holds, unless DBT_CI_LOCK_SECONDS says otherwise."""

_COLUMNS = ("tool", "pr", "run", "head", "started")

# Redshift has no lock_timeout; its statement_timeout counts planning, queueing and execution (AWS documentation).
_WAIT = {"postgres": "set lock_timeout = {0}", "redshift": "set statement_timeout to {0}"}

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

_SIZES = {
    "postgres": "select sum(pg_total_relation_size(c.oid)) from pg_class as c "
    "inner join pg_namespace as n on n.oid = c.relnamespace where n.nspname = {schema} and c.relkind in ('r', 'm')",
    "redshift": 'select sum(size) * 1048576 from svv_table_info where "schema" = {schema}',
}


@dataclass(frozen=True, kw_only=True)
class Mark:
    """What makes a schema ours: the pull request, the run that owns it, its head and when it began (UTC, ISO)."""

    tool: str = "pytest-dbtci"
    pr: str
    run: str
    head: str
    started: str


class Warehouse:
    """Run statements with the adapter that dbt's last invocation in this process set up.

    `manifest` is where the adapter finds the macros that its own statements are made of.
    """

    def __init__(self, adapter_type: str, manifest: Any) -> None:
        from dbt.adapters.factory import get_adapter_by_type
        from dbt_common.context import set_invocation_context

        set_invocation_context(dict(os.environ))
        self._type = adapter_type
        self._lock_seconds = float(os.environ.get("DBT_CI_LOCK_SECONDS") or LOCK_SECONDS)
        self._adapter = get_adapter_by_type(adapter_type)
        self._adapter.set_macro_resolver(manifest)

    @property
    def _is_server(self) -> bool:
        return self._type in _WAIT

    @property
    def database(self) -> str | None:
        """Give the database of the target."""
        return self._adapter.config.credentials.database  # type: ignore[no-any-return]

    @property
    def schema(self) -> str:
        """Give the schema of the target."""
        return str(self._adapter.config.credentials.schema)

    @property
    def threads(self) -> int:
        """Give how many queries dbt runs at a time."""
        return int(self._adapter.config.threads)

    def same(self, schema: str) -> str:
        """Give the text by which two names of schemas are one to the warehouse: only PostgreSQL keeps the case."""
        keeps_case = self._type == "postgres" and self._adapter.config.quoting.get("schema", True)
        return schema if keeps_case else schema.lower()

    def list_schemas(self, database: str) -> tuple[str, ...]:
        """Give the names of all schemas of the database."""
        with self._connection("list"):
            return tuple(self._adapter.list_schemas(database))

    def read_mark(self, database: str, schema: str) -> Mark | None:
        """Give the schema's mark, None where it has none; DbtFailed where that can't be known."""
        try:
            return self._read_mark(database, schema)
        except DbtFailed as error:
            raise DbtFailed(f"the mark of schema {schema} could not be read: {error}", usage=False) from error

    def size(self, database: str, schema: str) -> tuple[int, int | None]:
        """Give the number of relations, the mark left out, and their bytes (None where nobody says)."""
        count = sum(name.lower() != MARK_TABLE for name in self._relations(database, schema))
        if self._type not in _SIZES:
            return count, None
        try:
            rows = self.query(_SIZES[self._type].format(schema=self._literal(schema))).rows
        except DbtFailed:
            # On Redshift only some users may look at svv_table_info; the size is a courtesy.
            return count, None
        return count, 0 if rows[0][0] == "null" else int(float(rows[0][0]))

    def create(self, database: str, schema: str, mark: Mark) -> None:
        """Create the schema and put the mark in, both or neither.

        Raises DbtFailed where that can't be done, also where the schema has come to exist meanwhile.
        """
        values = ", ".join(f"cast({self._literal(v)} as varchar(256)) as {c}" for c, v in asdict(mark).items())
        # The name is quoted as the project says, as dbt will write it. Never `if not exists`: what somebody
        # else has just made must not get our mark.
        quoting = {"quote_policy": self._adapter.config.quoting}
        try:
            with self._connection("create"), self._transaction():
                self._execute(f"create schema {self._schema(database, schema, **quoting)}")
                self._execute(f"create table {self._mark_table(database, schema, **quoting)} as select {values}")
        except DbtFailed as error:
            where = f"schema {schema} could not be created in database {database}"
            raise DbtFailed(f"{where}: {error}{self._advice(str(error), database)}", usage=False) from error

    def take_over(self, database: str, schema: str, mark: Mark) -> None:
        """Replace the schema's mark."""
        # One statement: dbt-redshift repeats a statement on a new connection, where half a change would be lost.
        values = ", ".join(f"{c} = {self._literal(v)}" for c, v in asdict(mark).items())
        with self._connection("mark"), self._transaction():
            self._execute(f"update {self._mark_table(database, schema)} set {values}")

    def drop(self, database: str, schema: str, inside: Sequence[str] = ()) -> None:
        """Drop the schema with all that is in it.

        `inside` are the schemas whose objects may go with it. Raises DbtFailed, and drops nothing, where an object
        elsewhere depends on one in it, or another session holds a lock for longer than the wait.
        """
        if outside := self._dependents(schema, {schema, *inside}):
            raise DbtFailed(
                f"schema {schema} was not dropped, because objects outside the pull request's schemas depend on it: "
                f"{', '.join(outside)}. Drop them, or let them read something else, and drop the schema again.",
                usage=False,
            )
        try:
            with self._connection("drop"):
                if self._is_server:
                    # In one call, because dbt-redshift may repeat it on a new connection, which knows no wait.
                    wait = _WAIT[self._type].format(int(self._lock_seconds * 1000))
                    with self._transaction():
                        self._execute(f"{wait};\ndrop schema if exists {self._schema(database, schema)} cascade")
                    self._adapter.cache.drop_schema(database, schema)
                else:
                    self._adapter.drop_schema(self._schema(database, schema))
        except DbtFailed as error:
            raise DbtFailed(f"schema {schema} could not be dropped: {self._why(str(error))}", usage=False) from error

    def copy_table(self, source: Sequence[str], target: Sequence[str]) -> bool:
        """Copy a table, content and all, to a place where nothing stands; False where the source is no table.

        Both are database, schema and identifier. It is dbt's own clone where that makes a table. On Redshift and
        PostgreSQL, where it makes a view, the copy keeps distribution, sort keys and not-null constraints.
        """
        database, schema, identifier = source
        with self._connection("copy"):
            old = self._adapter.get_relation(database=database, schema=schema, identifier=identifier)
        if old is None or not old.is_table:
            return False
        new = self._adapter.Relation.create(*target, quote_policy=self._adapter.config.quoting)
        with self._connection("copy"), self._transaction():
            for statement in self._copying(old, new):
                self._execute(statement)
        return True

    def _copying(self, old: Any, new: Any) -> tuple[str, ...]:
        if self._adapter.execute_macro("can_clone_table"):
            clone = {"this_relation": new, "defer_relation": old}
            return (str(self._adapter.execute_macro("create_or_replace_clone", kwargs=clone)),)
        if self._is_server:
            like = f"create table {new} (like {old} including defaults)"
            return (like, f"insert into {new} select * from {old}")
        return (f"create table {new} as select * from {old}",)

    def query(self, sql: str, limit: int | None = None) -> Rows:
        """Give the rows of a query as texts; null becomes `null`."""
        with self._connection("query"):
            _, table = self._adapter.execute(sql, fetch=True, limit=None if limit is None else limit + 1)
        rows = tuple(tuple("null" if v is None else str(v) for v in row) for row in table.rows)
        return Rows(
            columns=tuple(table.column_names),
            rows=rows if limit is None else rows[:limit],
            more=limit is not None and len(rows) > limit,
        )

    def fetch(self, sql: str) -> list[tuple[Any, ...]]:
        """Give all rows of a query, as the driver types them."""
        with self._connection("query"):
            _, cursor = self._adapter.connections.add_select_query(sql)
            return [tuple(row) for row in cursor.fetchall()]

    def render(self, macro: str, **arguments: Any) -> str:
        """Give the text that a macro of dbt makes, the adapter's own or the project's where there is one."""
        with self._connection("macro"):
            return str(self._adapter.execute_macro(macro, kwargs=arguments))

    def cancel(self) -> None:
        """End the queries that run on this process's other connections, where the adapter can."""
        if self._adapter.is_cancelable():
            with self._connection("cancel"):
                self._adapter.cancel_open_connections()

    def stream(self, sql: str, emit: Callable[[dict[str, Any]], None], size: int = 1000) -> list[str]:
        """Run a query and emit its rows as they come, `size` at a time; give the column names.

        An event is `{"event": "rows", "rows": TEXT}`, the text a pickled list of tuples in base64.
        """
        with self._connection("query"):
            _, cursor = self._adapter.connections.add_select_query(sql)
            columns = [column[0] for column in cursor.description]
            while rows := cursor.fetchmany(size):
                chunk = base64.b64encode(pickle.dumps([tuple(row) for row in rows])).decode()
                emit({"event": "rows", "rows": chunk})
        return columns

    def _relations(self, database: str, schema: str) -> tuple[str, ...]:
        if self._is_server:
            return tuple(name for (name,) in self.query(_RELATIONS.format(schema=self._literal(schema))).rows)
        with self._connection("list"):
            found = self._adapter.list_relations_without_caching(self._schema(database, schema))
        return tuple(r.identifier for r in found)

    def _read_mark(self, database: str, schema: str) -> Mark | None:
        # No schema with a quote in its name was ever made here; dbt could not even address it.
        if '"' in schema or MARK_TABLE not in [name.lower() for name in self._relations(database, schema)]:
            return None
        table = self.query(f"select {', '.join(_COLUMNS)} from {self._mark_table(database, schema)}")
        if len(table.rows) != 1:
            return None
        # Two loads of one table may type its columns differently (a PR id looks like a number).
        mark = Mark(**{c: str(v) for c, v in zip(_COLUMNS, table.rows[0], strict=True)})
        return mark if mark.tool == Mark.tool else None

    def _dependents(self, schema: str, inside: set[str]) -> tuple[str, ...]:
        """Name the objects in other schemas that a cascade would take along; DuckDB's cascade takes none."""
        if not self._is_server:
            return ()
        names = ", ".join(self._literal(s) for s in sorted(inside))
        found = self.query(_DEPENDENTS.format(schema=self._literal(schema), inside=names))
        return tuple(".".join(row) for row in found.rows)

    def _why(self, text: str) -> str:
        said = text.lower()
        if not any(words in said for words in ("lock timeout", "statement timeout", "on user's request")):
            return text
        view = "svv_transactions" if self._type == "redshift" else "pg_locks"
        return (
            f"another session held a lock on something in it for {self._lock_seconds:g} seconds ({text}). "
            f"Find that session in {view}, end it, and drop the schema again."
        )

    def _advice(self, text: str, database: str) -> str:
        said = text.lower()
        if "read-only" in said or "read only" in said:
            return "\nThe target can only read: choose one that may write with --dbt-ci-target."
        if any(words in said for words in ("permission denied", "not authorized", "privilege")):
            user = getattr(self._adapter.config.credentials, "user", None) or "the target's user"
            return f"\nThe target's user may not create schemas: grant create on database {database} to {user}."
        if "already exists" in said:
            return "\nAnother run or person made it just now: wait for that, and run again."
        return ""

    def _literal(self, text: str) -> str:
        # Redshift reads a backslash as an escape, the others as itself.
        plain_text = text.replace("\\", "\\\\") if self._type == "redshift" else text
        return "'" + plain_text.replace("'", "''") + "'"

    def _execute(self, sql: str) -> None:
        self._adapter.execute(sql, auto_begin=False, fetch=False)

    def _schema(self, database: str, schema: str, **how: Any) -> Any:
        relation = self._adapter.Relation.create(database=database, schema=schema, **how).without_identifier()
        # PostgreSQL knows schemas of the connection's own database only and refuses to hear its name.
        return relation.include(database=False) if self._is_server else relation

    def _mark_table(self, database: str, schema: str, **how: Any) -> str:
        return self._render(database, schema, MARK_TABLE, **how)

    def _render(self, database: str, schema: str, identifier: str, **how: Any) -> str:
        relation = self._adapter.Relation.create(database=database, schema=schema, identifier=identifier, **how)
        return str(relation.render())

    @contextmanager
    def _connection(self, purpose: str) -> Iterator[None]:
        name = f"dbt_ci_{purpose}_{threading.get_ident()}"
        try:
            with self._adapter.connection_named(name):
                yield
        except DbtFailed:
            raise
        except Exception as error:
            raise DbtFailed(plain(str(error)), usage=False) from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Send BEGIN and COMMIT; `begin` of dbt-redshift leaves them out if a flag of the project says so."""
        connections = self._adapter.connections
        connections.add_begin_query()
        connections.get_thread_connection().transaction_open = True
        yield
        connections.add_commit_query()
        connections.get_thread_connection().transaction_open = False


def own(schemas: Sequence[str], prefix: str) -> tuple[str, ...]:
    """Give the schemas that are `prefix` itself or begin with it and an underscore, whatever the case."""
    wanted = prefix.lower()
    return tuple(s for s in schemas if s.lower() == wanted or s.lower().startswith(wanted + "_"))
