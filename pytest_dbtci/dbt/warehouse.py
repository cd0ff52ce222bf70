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

from pytest_dbtci.dbt.invocation import DbtFailed, plain
from pytest_dbtci.results import Rows

MARK_TABLE = "dbt_ci_mark"
_COLUMNS = ("tool", "pr", "run", "head", "started")


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
        self._adapter = get_adapter_by_type(adapter_type)
        self._adapter.set_macro_resolver(manifest)

    @property
    def database(self) -> str | None:
        """Give the database of the target."""
        return self._adapter.config.credentials.database  # type: ignore[no-any-return]

    def list_schemas(self, database: str) -> tuple[str, ...]:
        """Give the names of all schemas of the database."""
        with self._connection("list"):
            return tuple(self._adapter.list_schemas(database))

    def read_mark(self, database: str, schema: str) -> Mark | None:
        """Give the schema's mark, None where it has none."""
        with self._connection("mark"):
            return self._read_mark(database, schema)

    def is_empty(self, database: str, schema: str) -> bool:
        """Tell whether the schema holds no relation at all."""
        with self._connection("list"):
            return not self._adapter.list_relations_without_caching(self._schema(database, schema))

    def create(self, database: str, schema: str, mark: Mark) -> None:
        """Create the schema and put the mark in, both or neither."""
        with self._connection("create"), self._transaction():
            self._adapter.execute_macro("create_schema", kwargs={"relation": self._schema(database, schema)})
            columns = ", ".join(f"{c} varchar(256)" for c in _COLUMNS)
            self._execute(f"create table {self._mark_table(database, schema)} ({columns})")
            self._insert(database, schema, mark)

    def take_over(self, database: str, schema: str, mark: Mark) -> None:
        """Replace the schema's mark."""
        with self._connection("mark"), self._transaction():
            self._execute(f"delete from {self._mark_table(database, schema)}")
            self._insert(database, schema, mark)

    def drop(self, database: str, schema: str) -> None:
        """Drop the schema with all that is in it."""
        with self._connection("drop"):
            self._adapter.drop_schema(self._schema(database, schema))

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

    def _read_mark(self, database: str, schema: str) -> Mark | None:
        found = self._adapter.list_relations_without_caching(self._schema(database, schema))
        if not any(r.identifier.lower() == MARK_TABLE for r in found):
            return None
        sql = f"select {', '.join(_COLUMNS)} from {self._mark_table(database, schema)}"
        _, table = self._adapter.execute(sql, fetch=True)
        if len(table.rows) != 1:
            return None
        # Two loads of one table may type its columns differently (a PR id looks like a number).
        mark = Mark(**{c: str(v) for c, v in zip(_COLUMNS, table.rows[0], strict=True)})
        return mark if mark.tool == Mark.tool else None

    def _insert(self, database: str, schema: str, mark: Mark) -> None:
        values = ", ".join(_literal(asdict(mark)[c]) for c in _COLUMNS)
        self._execute(f"insert into {self._mark_table(database, schema)} values ({values})")

    def _execute(self, sql: str) -> None:
        self._adapter.execute(sql, auto_begin=False, fetch=False)

    def _schema(self, database: str, schema: str) -> Any:
        return self._adapter.Relation.create(database=database, schema=schema).without_identifier()

    def _mark_table(self, database: str, schema: str) -> str:
        return str(
            self._adapter.Relation.create(database=database, schema=schema, identifier=MARK_TABLE).render()
        )

    @contextmanager
    def _connection(self, purpose: str) -> Iterator[None]:
        name = f"dbt_ci_{purpose}_{threading.get_ident()}"
        try:
            with self._adapter.connection_named(name):
                yield
        except Exception as error:
            raise DbtFailed(plain(str(error)), usage=False) from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._adapter.connections.begin()
        try:
            yield
        except BaseException:
            self._adapter.connections.rollback_if_open()
            raise
        self._adapter.connections.commit()


def own(schemas: Sequence[str], prefix: str) -> tuple[str, ...]:
    """Give the schemas that are `prefix` itself or begin with it and an underscore, whatever the case."""
    wanted = prefix.lower()
    return tuple(s for s in schemas if s.lower() == wanted or s.lower().startswith(wanted + "_"))


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
