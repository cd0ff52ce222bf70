"""Send statements through dbt's adapter and read what comes back."""

from __future__ import annotations

import base64
import os
import pickle
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from pytest_dbtci.dbt_client.protocol.events import Emit, RowsFetched
from pytest_dbtci.dbt_host.runner import DbtFailed, plain
from pytest_dbtci.results import Rows

_USED = threading.Lock()
"""Held while a thread that is not dbt's uses a connection of dbt's adapter."""

_LISTING = threading.Lock()
"""Held while a schema's relations are listed or looked up."""

CLEANUP_SECONDS = 5.0
"""How long dbt waits for such a thread before it closes the connection that the thread uses."""


class Bound:
    """The time that some statements may take together: `seconds` from now."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        return max(self._end - time.monotonic(), 0.0)


class Statements:
    """Statements sent with the adapter that dbt's last invocation in this process set up.

    `manifest` is where the adapter finds the macros that its own statements are made of.
    """

    def __init__(self, adapter_type: str, manifest: Any) -> None:
        from dbt.adapters.factory import get_adapter_by_type
        from dbt.adapters.sql import SQLConnectionManager
        from dbt_common.context import set_invocation_context

        set_invocation_context(dict(os.environ))
        self._adapter = get_adapter_by_type(adapter_type)
        if not isinstance(self._adapter.connections, SQLConnectionManager):
            raise DbtFailed(
                f"dbt's adapter {adapter_type} does not send its statements through a database cursor, which is how "
                "schemas are marked and dropped, so nothing was written. Such warehouses are not supported."
            )
        self._adapter.set_macro_resolver(manifest)
        _spare(self._adapter)

    @property
    def database(self) -> str | None:
        """Return the database of the target."""
        return self._adapter.config.credentials.database  # type: ignore[no-any-return]

    @property
    def schema(self) -> str:
        """Return the schema of the target."""
        return str(self._adapter.config.credentials.schema)

    @property
    def threads(self) -> int:
        """Return how many queries dbt runs at a time."""
        return int(self._adapter.config.threads)

    @contextmanager
    def beside_dbt(self) -> Iterator[None]:
        """Keep this thread's connection open although an invocation of dbt may end meanwhile: see `_spare`."""
        with self._adapter.connections.lock:
            pass  # an end that had begun before the adapter was told to wait
        with _USED:
            yield

    def query(self, sql: str, limit: int | None = None) -> Rows:
        """Return the rows of a query as texts; null becomes `null`."""
        with self._connection("query"):
            _, table = self._adapter.execute(sql, fetch=True, limit=None if limit is None else limit + 1)
        rows = tuple(tuple("null" if v is None else str(v) for v in row) for row in table.rows)
        return Rows(
            columns=tuple(table.column_names),
            rows=rows if limit is None else rows[:limit],
            more=limit is not None and len(rows) > limit,
        )

    def fetch(self, sql: str, bound: Bound | None = None) -> list[tuple[Any, ...]]:
        """Return all rows of a query, as the driver types them; DbtFailed where the bound ends it."""
        with self._connection("query"), self._bounded(bound):
            _, cursor = self._adapter.connections.add_select_query(sql)
            return [tuple(row) for row in cursor.fetchall()]

    def read(self, sql: str, most: int) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Return the column names of a query and its first rows, as the driver types them."""
        with self._connection("query"):
            _, cursor = self._adapter.connections.add_select_query(sql)
            return [column[0] for column in cursor.description], [tuple(row) for row in cursor.fetchmany(most)]

    def describe(self, place: Sequence[str]) -> tuple[str, list[Any], bool] | None:
        """Return a relation's name for SQL, its columns and whether it is a table; None where nothing stands there.

        `place` is database, schema and identifier.
        """
        with self._connection("describe"):
            relation = self._find(*place)
            if relation is None:
                return None
            columns = list(self._adapter.get_columns_in_relation(relation))
            return str(relation.render()), columns, bool(relation.is_table)

    def _find(self, database: str, schema: str, identifier: str) -> Any:
        # While one thread lists a schema, the adapter would tell another one only what is listed by then.
        with _LISTING:
            return self._adapter.get_relation(database=database, schema=schema, identifier=identifier)

    def stream(self, sql: str, emit: Emit, size: int = 1000) -> tuple[str, ...]:
        """Run a query and emit RowsFetched as they come, `size` at a time; return the column names."""
        with self._connection("query"):
            _, cursor = self._adapter.connections.add_select_query(sql)
            columns = tuple(column[0] for column in cursor.description)
            while rows := cursor.fetchmany(size):
                emit(RowsFetched(pickled=base64.b64encode(pickle.dumps([tuple(row) for row in rows])).decode()))
        return columns

    def render(self, macro: str, **arguments: Any) -> str:
        """Return the text that a macro of dbt makes, the adapter's own or the project's where there is one."""
        with self._connection("macro"):
            return str(self._adapter.execute_macro(macro, kwargs=arguments))

    def cancel(self) -> None:
        """End the queries that run on this process's other connections, where the adapter can."""
        if self._adapter.is_cancelable():
            with self._connection("cancel"):
                self._adapter.cancel_open_connections()

    @contextmanager
    def _bounded(self, bound: Bound | None) -> Iterator[None]:
        """End the query on this thread's connection when its time is over."""
        if bound is None:
            yield
            return
        from dbt_common.context import set_invocation_context

        running = self._adapter.connections.get_thread_connection()
        ending, over, ended = threading.Lock(), threading.Event(), threading.Event()

        def end() -> None:
            with ending, suppress(DbtFailed):
                if not ended.is_set():
                    over.set()
                    set_invocation_context(dict(os.environ))
                    with self._connection("cancel"):
                        self._adapter.connections.cancel(running)

        timer = threading.Timer(bound.left, end)
        timer.daemon = True
        timer.start()
        try:
            yield
        except Exception as error:
            if over.is_set():
                raise DbtFailed(f"it took longer than {bound.seconds:g} s", usage=False) from error
            raise
        finally:
            # Whoever ends a query late would end the next one on the connection.
            with ending:
                ended.set()
            timer.cancel()

    def _execute(self, sql: str) -> None:
        self._adapter.execute(sql, auto_begin=False, fetch=False)

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


def _spare(adapter: Any) -> None:
    """Let the adapter wait, for a while, for a thread beside dbt's own before it closes connections.

    At the beginning and the end of an invocation dbt closes all that its adapter has, whoever uses them. DuckDB refuses
    to close one that is in use, which ends the build.
    """
    close = adapter.cleanup_connections
    if hasattr(close, "spares"):
        return

    def cleanup_connections() -> None:
        is_free = _USED.acquire(timeout=CLEANUP_SECONDS)
        try:
            close()
        finally:
            if is_free:
                _USED.release()

    cleanup_connections.spares = True  # type: ignore[attr-defined]
    adapter.cleanup_connections = cleanup_connections
