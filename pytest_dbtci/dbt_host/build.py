"""Run one `dbt build` over exactly the planned nodes and tell of each node as it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import timezone
from typing import Any

from pytest_dbtci.dbt_client.protocol.events import Emit, NodeFinished, NodeStarted
from pytest_dbtci.dbt_client.protocol.values import Invocation
from pytest_dbtci.dbt_host import batched_tests
from pytest_dbtci.dbt_host.batchable_tests import batchable
from pytest_dbtci.dbt_host.manifests import MARK, forget_hooks, mark
from pytest_dbtci.dbt_host.runner import plain, run_dbt
from pytest_dbtci.dbt_host.seed_header import renamed_columns
from pytest_dbtci.dbt_host.warehouse_errors import explain, kind_of_trouble
from pytest_dbtci.dbt_host.warehouses import warehouse_of
from pytest_dbtci.results import Result, Rows


def build(
    invocation: Invocation,
    manifest: Any,
    unique_ids: Iterable[str],
    emit: Emit,
    hear: Callable[[str], None],
    *,
    defer_state: str = "",
    full_refresh: bool = False,
    show_rows: int = 5,
    batch_tests: bool = False,
) -> None:
    """Build these nodes, and no others, with the manifest (which can be built from only once).

    `hear` gets every statement, `emit` gets NodeStarted and NodeFinished while dbt works, from dbt's threads. Results
    that dbt reports only at the end (hooks of the start, nodes left out by fail-fast) follow when it ends. With
    `batch_tests`, the data tests that nothing waits for come last, many in a query: see `batched_tests.run`. Raises
    DbtFailed when dbt itself failed, KeyboardInterrupt when it was cancelled.
    """
    args = ["--defer", "--favor-state", "--defer-state", defer_state] if defer_state else ["--no-defer"]
    args += ["--full-refresh"] if full_refresh else []
    planned = list(unique_ids)
    last = set(batchable(manifest, planned)) if batch_tests else set[str]()
    listener = Listener(manifest, emit, show_rows, hear)
    if first := [u for u in planned if u not in last]:
        _build(invocation, manifest, first, args, listener)
    if last:
        tests = [u for u in planned if u in last]
        left = batched_tests.run(invocation, manifest, planned, tests, listener)
        if left:
            forget_hooks(manifest)
            _build(invocation, manifest, left, ["--no-defer"], listener)


def _build(
    invocation: Invocation, manifest: Any, unique_ids: Iterable[str], args: Iterable[str], listener: Listener
) -> None:
    mark(manifest, "build", unique_ids)
    select = ["--select", f"tag:{MARK}build", "--indirect-selection", "empty"]
    try:
        results = run_dbt(invocation, "build", *select, *args, manifest=manifest, callbacks=[listener])
    finally:
        if listener.error is not None:
            raise listener.error
    for result in results.results if results else ():
        listener.add(result.node.unique_id, result, getattr(result.node, "relation_name", None))


class Listener:
    """Turn dbt's events into ours.

    dbt calls it in its worker threads; an exception here would hang dbt for ever or turn a good node bad, so
    the first one is kept and raised when the build has ended.
    """

    def __init__(self, manifest: Any, emit: Emit, show_rows: int, hear: Callable[[str], None]) -> None:
        self.error: BaseException | None = None
        self.statuses: dict[str, str] = {}
        self._manifest = manifest
        self._emit = emit
        self._show_rows = show_rows
        self._hear = hear
        self._lock = threading.Lock()

    def __call__(self, event: Any) -> None:
        try:
            if event.info.name == "NodeStart":
                self.start(event.data.node_info.unique_id)
            elif event.info.name == "SQLQuery":
                self._hear(event.data.sql)
            elif event.info.name == "LogHookEndLine" and event.data.status == "success":
                # A failed hook's message comes only with dbt's final result.
                self._add_hook(event.data)
            elif event.info.name == "NodeFinished":
                info = event.data.node_info
                self.add(info.unique_id, event.data.run_result, info.node_relation.relation_name)
        except BaseException as error:
            self.error = self.error or error

    def start(self, unique_id: str) -> None:
        """Tell that the node's turn has come."""
        self._emit(NodeStarted(unique_id=unique_id))

    def add(self, unique_id: str, result: Any, relation: str | None) -> None:
        """Emit the node's result unless that was done before."""
        status = str(getattr(result.status, "value", result.status))
        with self._lock:
            if unique_id in self.statuses:
                return
            self.statuses[unique_id] = status
        node = self._manifest.nodes.get(unique_id) or self._manifest.unit_tests.get(unique_id)
        failures = getattr(result, "num_failures", None)
        failures = getattr(result, "failures", None) if failures is None else failures
        is_test = unique_id.startswith("test.")
        message = plain(result.message or "")
        if status == "success" and unique_id.startswith("seed.") and (renamed := renamed_columns(node)):
            status, message = "warn", renamed
        trouble = kind_of_trouble(message) if status in ("error", "runtime error") else ""
        self._emit(
            NodeFinished(
                result=Result(
                    unique_id=unique_id,
                    status=status,
                    message=explain(trouble, message) if trouble else message,
                    trouble=bool(trouble),
                    seconds=float(result.execution_time or 0),
                    failures=int(failures) if is_test and failures is not None else None,
                    relation=relation or None,
                    compiled=_compiled_path(node),
                    rows=self._failing_rows(node) if is_test and status in ("fail", "warn") else None,
                    started=_started(result),
                    thread=str(getattr(result, "thread", "") or getattr(result, "thread_id", "") or ""),
                )
            )
        )

    def _add_hook(self, data: Any) -> None:
        unique_id = data.node_info.unique_id
        with self._lock:
            self.statuses[unique_id] = data.status
        result = Result(unique_id=unique_id, status=data.status, seconds=data.execution_time)
        self._emit(NodeFinished(result=result))

    def _failing_rows(self, node: Any) -> Rows | None:
        """Fetch what the data test found; a message without rows is better than no message."""
        sql = getattr(node, "compiled_code", None)
        if not sql or not self._show_rows:
            return None
        stored = getattr(node, "relation_name", None)
        try:
            return warehouse_of(self._manifest).query(
                f"select * from {stored}" if stored else sql, limit=self._show_rows
            )
        except Exception:
            return None


def _started(result: Any) -> float | None:
    """Return when dbt began with the node, from the timings of a result or of an event's copy of it."""
    timings = getattr(result, "timing", None) or getattr(result, "timing_info", None) or ()
    begun = []
    for timing in timings:
        at = timing.started_at
        if hasattr(at, "ToDatetime"):  # a protobuf timestamp, whose zero stands for none
            begun += [at.ToDatetime(tzinfo=timezone.utc).timestamp()] if at.seconds else []
        elif at is not None:
            begun.append(at.replace(tzinfo=at.tzinfo or timezone.utc).timestamp())
    return min(begun, default=None)


def _compiled_path(node: Any) -> str | None:
    path = getattr(node, "compiled_path", None)
    return str(path) if path else None
