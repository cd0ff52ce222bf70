"""Ask the warehouse about many data tests in one query, with the SQL that dbt makes of each."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Protocol

from pytest_dbtci.dbt_client.protocol.values import Invocation
from pytest_dbtci.dbt_host.manifests import MARK, mark
from pytest_dbtci.dbt_host.parallel import run_all
from pytest_dbtci.dbt_host.runner import DbtFailed, run_dbt
from pytest_dbtci.dbt_host.statements import Statements
from pytest_dbtci.dbt_host.warehouses import warehouse_of

MOST = 50
"""The most tests in a query: beyond it nothing is gained, and an error or a timeout costs more."""

_COMPARISON = re.compile(r"\s*(=|!=|<>|<|>|<=|>=)\s*-?\d+(\.\d+)?\s*")
_SQL = "__dbt_ci_sql_of_the_test__"
_BAD = {"error", "runtime error", "fail", "partial success", "skipped"}


class Listener(Protocol):
    """Take what became of nodes; `statuses` holds dbt's word for each node that has a result."""

    statuses: dict[str, str]

    def start(self, unique_id: str) -> None: ...

    def add(self, unique_id: str, result: Any, relation: str | None) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Test:
    """One test's query, as dbt would send it, and how dbt would judge the answer."""

    unique_id: str
    query: str
    fail_calc: str
    severity: str
    warn_if: str
    error_if: str


def run(
    invocation: Invocation, manifest: Any, planned: Iterable[str], tests: Sequence[str], listener: Listener
) -> list[str]:
    """Run data tests whose parents are built, some dozens in a query; give those that are left to dbt.

    `planned` is all that the run builds, these tests included. The results go to `listener`; a test's time is its
    share of its query's. Left to dbt is every test of a query that failed, and a test that can't be compiled or
    answers with anything but one row of an integer and two booleans. Raises KeyboardInterrupt when it was
    cancelled; the queries are cancelled, too.
    """
    chosen = set(planned)
    _read_the_deferred(manifest, chosen)
    ready = [u for u in tests if _is_ready(manifest.nodes[u], chosen, listener)]
    if not ready:
        return []
    compiled = _compile(invocation, manifest, ready)
    warehouse = warehouse_of(manifest)
    made = _queries(warehouse, compiled)
    run_all(warehouse, list(_batches(made, warehouse.threads)), lambda batch: _ask(warehouse, batch, listener))
    return [u for u in ready if u not in listener.statuses]


def _read_the_deferred(manifest: Any, planned: set[str]) -> None:
    """Let tests read what this run has not built where dbt's deferral found it.

    Deferral itself would, in an invocation of tests alone, defer the nodes that this run has built.
    """
    for unique_id, node in manifest.nodes.items():
        deferred = getattr(node, "defer_relation", None)
        if deferred is not None and unique_id not in planned:
            node.database, node.schema, node.alias = deferred.database, deferred.schema, deferred.alias
            node.relation_name = deferred.relation_name


def _is_ready(node: Any, planned: set[str], listener: Listener) -> bool:
    """Whether all that the test waits for is built; say that it is skipped where something went wrong."""
    found = [listener.statuses.get(u) for u in node.depends_on_nodes if u in planned and not u.startswith("source.")]
    if any(status in _BAD for status in found):
        listener.add(node.unique_id, _result("skipped"), None)
        return False
    # A parent without a result was cut off: so is the test.
    return None not in found


def _compile(invocation: Invocation, manifest: Any, tests: Iterable[str]) -> list[Any]:
    """Let dbt compile the tests; give the nodes that it could."""
    mark(manifest, "batch", tests)
    args = ["--select", f"tag:{MARK}batch", "--indirect-selection", "empty"]
    # The artifacts that the build wrote stay: they tell more.
    args += ["--no-defer", "--no-populate-cache", "--no-write-json"]
    try:
        results = run_dbt(invocation, "compile", *args, manifest=manifest)
    except DbtFailed:
        # dbt says it again, of each test.
        return []
    return [r.node for r in results.results if str(r.status) == "success" and r.node.compiled_code]


def _queries(warehouse: Statements, nodes: Iterable[Any]) -> list[Test]:
    """Put each test's SQL into the query that dbt would send."""
    frames: dict[tuple[Any, ...], str] = {}
    tests = []
    for node in nodes:
        config = node.config
        terms = (config.fail_calc, config.warn_if, config.error_if, config.limit)
        if terms not in frames:
            frames[terms] = _frame(warehouse, *terms)
        if frames[terms].count(_SQL) == 1:
            tests.append(
                Test(
                    unique_id=node.unique_id,
                    query=frames[terms].replace(_SQL, node.compiled_code),
                    fail_calc=config.fail_calc,
                    severity=config.severity.upper(),
                    warn_if=config.warn_if,
                    error_if=config.error_if,
                )
            )
    return tests


def _frame(warehouse: Statements, fail_calc: str, warn_if: str, error_if: str, limit: int | None) -> str:
    """Render what dbt's test materialization puts around a test's SQL."""
    try:
        limited = warehouse.render("get_limit_subquery_sql", sql=_SQL, limit=limit)
        return warehouse.render(
            "get_test_sql", main_sql=limited, fail_calc=fail_calc, warn_if=warn_if, error_if=error_if, limit=None
        )
    except DbtFailed:
        return ""


def _batches(tests: Iterable[Test], threads: int) -> Iterator[list[Test]]:
    """Share the tests out, those together whose columns are of the same types."""
    alike: dict[tuple[str, ...], list[Test]] = {}
    for test in tests:
        unusual = (t for t in (test.warn_if, test.error_if) if not _COMPARISON.fullmatch(t))
        alike.setdefault((test.fail_calc, *unusual), []).append(test)
    for group in alike.values():
        size = min(MOST, -(-len(group) // threads))
        for begin in range(0, len(group), size):
            yield group[begin : begin + size]


def _ask(warehouse: Statements, batch: Sequence[Test], listener: Listener) -> None:
    """Run one query and tell the verdicts; of a query that fails nothing is told."""
    for test in batch:
        listener.start(test.unique_id)
    began = time.perf_counter()
    try:
        rows = warehouse.fetch(_union(batch))
    except DbtFailed:
        return
    seconds = (time.perf_counter() - began) / len(batch)
    answers: dict[int, list[tuple[Any, ...]]] = {}
    for number, *answer in rows:
        answers.setdefault(number, []).append(tuple(answer))
    for number, test in enumerate(batch):
        verdict = _judge(test, answers.get(number, []), seconds)
        if verdict is not None:
            listener.add(test.unique_id, verdict, None)


def _union(batch: Sequence[Test]) -> str:
    parts = (
        f"select {number} as dbt_ci_test, failures, should_warn, should_error from (\n{test.query}\n) dbt_ci_{number}"
        for number, test in enumerate(batch)
    )
    return "\nunion all\n".join(parts)


def _judge(test: Test, answers: Sequence[tuple[Any, ...]], seconds: float) -> SimpleNamespace | None:
    """Return what dbt's test runner says of the answer; None where it must be asked itself."""
    if len(answers) != 1:
        return None
    failures, should_warn, should_error = answers[0]
    # Anything else dbt converts, or refuses, by the type of the test's own column.
    if type(failures) is not int or type(should_warn) is not bool or type(should_error) is not bool:
        return None
    got = f"Got {failures} result{'' if failures == 1 else 's'}"
    if test.severity == "ERROR" and should_error:
        return _result("fail", f"{got}, configured to fail if {test.error_if}", failures, seconds)
    if should_warn:
        return _result("warn", f"{got}, configured to warn if {test.warn_if}", failures, seconds)
    return _result("pass", "", 0, seconds)


def _result(status: str, message: str = "", failures: int = 0, seconds: float = 0.0) -> SimpleNamespace:
    return SimpleNamespace(status=status, message=message, num_failures=failures, execution_time=seconds)
