"""Choose the data tests whose verdict may come from a batch: where in doubt, dbt runs the test itself."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from functools import cache
from typing import Any

from pytest_dbtci.dbt_host.manifest_view import functions

# What gives another answer, or does something twice, when a test is compiled by itself before it is run.
_BOUND_TO_RUN = re.compile(
    r"\b(flags|invocation_args_dict|invocation_id|run_started_at|selected_resources|statement|run_query|thread_id"
    r"|load_result|store_result|store_raw_result|context|builtins)\b"
    r"|\badapter\s*\.\s*(?!dispatch\b|quote\b|get_relation\b|get_columns_in_relation\b|type\b)"
)

# The macros that make dbt's query out of a test's SQL. A project that brings its own gets its own way.
_QUERY_MACROS = ("get_test_sql", "get_limit_subquery_sql", "should_store_failures")
_RUN_MACROS = ("statement", "load_result", "store_result")

_RELATIONS = {"table", "view", "incremental", "seed", "snapshot", "materialized_view"}


def batchable(manifest: Any, unique_ids: Collection[str]) -> tuple[str, ...]:
    """Return the data tests among the nodes to build that may be run in batches after all the rest.

    Left out is what something else waits for, and what dbt would run in any other way than as one query whose
    answer it compares with nothing but the test's own thresholds.
    """
    if _runs_its_own_way(manifest):
        return ()
    planned = set(unique_ids)
    tests = [u for u in unique_ids if u in manifest.nodes and _kind(manifest.nodes[u]) == "test"]
    waiting = _Waiting(manifest, planned)
    macros = _Macros(manifest)
    found = tuple(
        unique_id
        for unique_id in tests
        if _is_plain(manifest, manifest.nodes[unique_id], planned)
        and waiting.nothing_needs(manifest.nodes[unique_id])
        and not macros.bind_to_run(manifest.nodes[unique_id])
    )
    # Hooks run only where dbt builds something.
    hooks = any(_kind(n) == "operation" for n in manifest.nodes.values())
    return () if hooks and len(found) == len(unique_ids) else found


def _runs_its_own_way(manifest: Any) -> bool:
    """Whether a flag, a hook or a macro of the project changes how all tests run or what follows them."""
    from dbt.flags import get_flags

    flags = get_flags()
    strict = flags.WARN_ERROR or flags.WARN_ERROR_OPTIONS.includes("LogTestResult")
    stores = os.environ.get("DBT_STORE_FAILURES", "").lower() not in ("", "0", "false", "f", "no", "n", "off")
    if flags.FAIL_FAST or strict or stores:
        return True
    # A hook at the end may read the tests' results, or change what they read.
    if any(_kind(n) == "operation" and "on-run-end" in n.tags for n in manifest.nodes.values()):
        return True
    return any(_is_override(m, manifest.metadata.adapter_type) for m in manifest.macros.values())


def _is_override(macro: Any, adapter: str) -> bool:
    if macro.package_name == "dbt":
        return False
    if macro.name.startswith("materialization_test_") or macro.name in _RUN_MACROS:
        return True
    own = macro.package_name in (f"dbt_{adapter}", "dbt_postgres")
    return not own and macro.name.split("__")[-1] in _QUERY_MACROS


def _kind(node: Any) -> str:
    return str(getattr(node.resource_type, "value", node.resource_type))


def _is_plain(manifest: Any, node: Any, planned: set[str]) -> bool:
    config = node.config
    if node.get_materialization() != "test" or config.store_failures or not node.depends_on_nodes:
        return False
    # Redshift's adapter sets the query group and the database around each test.
    if any(config.get(name) for name in ("sql_header", "query_group", "database")):
        return False
    for unique_id in node.depends_on_nodes:
        parent = manifest.nodes.get(unique_id)
        if parent is None:
            continue
        # The SQL of an ephemeral model can be put into a manifest's nodes only once.
        if getattr(parent, "is_ephemeral_model", False):
            return False
        if unique_id in planned and (
            parent.get_materialization() not in _RELATIONS or getattr(parent.config, "on_error", None)
        ):
            return False
    return True


class _Waiting:
    """Know which nodes of the run stand downstream of what, in the words of dbt's build order.

    A node waits for a test where all that the test reads is upstream of the node.
    """

    def __init__(self, manifest: Any, planned: set[str]) -> None:
        self._manifest = manifest
        self._planned = planned
        self._upstream = cache(self._find_upstream)
        self._downstream: dict[str, int] = {}
        nodes = sorted(u for u in planned if u in manifest.nodes and _kind(manifest.nodes[u]) != "test")
        for number, unique_id in enumerate(nodes):
            for above in self._find_upstream(unique_id):
                self._downstream[above] = self._downstream.get(above, 0) | (1 << number)

    def nothing_needs(self, test: Any) -> bool:
        """Whether no node of the run waits for the test, and the test reads itself what it waits for."""
        common = -1
        for parent in test.depends_on_nodes:
            common &= self._downstream.get(parent, 0)
        outside = (p for p in test.depends_on_nodes if p not in self._planned)
        return common == 0 and all(self._planned.isdisjoint(self._upstream(p)) for p in outside)

    def _find_upstream(self, unique_id: str) -> frozenset[str]:
        found = set[str]()
        todo = [unique_id]
        while todo:
            above = set(self._parents(todo.pop())) - found
            found |= above
            todo.extend(above)
        return frozenset(found)

    def _parents(self, unique_id: str) -> Iterable[str]:
        node = self._manifest.nodes.get(unique_id) or functions(self._manifest).get(unique_id)
        return tuple(node.depends_on_nodes) if node is not None else ()


class _Macros:
    """Look into the macros that a test calls, those of the project and its packages."""

    def __init__(self, manifest: Any) -> None:
        self._macros = manifest.macros
        self._named: dict[str, list[str]] = {}
        for unique_id, macro in manifest.macros.items():
            # What a dispatch may find: `default__NAME`, `postgres__NAME`.
            self._named.setdefault(macro.name.split("__")[-1], []).append(unique_id)
        self._own = {"dbt", f"dbt_{manifest.metadata.adapter_type}", "dbt_postgres"}
        self._bound = cache(self._find_bound)

    def bind_to_run(self, test: Any) -> bool:
        """Whether the test's text, or a macro's that it calls, speaks of the invocation it runs in."""
        given = getattr(getattr(test, "test_metadata", None), "kwargs", "")
        own = _jinja(f"{test.raw_code} {given} {test.config.where}")
        return bool(_BOUND_TO_RUN.search(own)) or self._bound(frozenset(test.depends_on.macros))

    def _find_bound(self, called: frozenset[str]) -> bool:
        seen, todo = set(called), list(called)
        while todo:
            macro = self._macros.get(todo.pop())
            if macro is None:
                return True
            own = macro.package_name in self._own
            if not own and _BOUND_TO_RUN.search(_jinja(macro.macro_sql)):
                return True
            further = {*macro.depends_on.macros, *self._named.get(macro.name, ())} - seen
            seen |= further
            todo.extend(further)
        return False


def _jinja(text: str) -> str:
    """Return the parts of a template that Jinja executes."""
    return "\n".join(re.findall(r"\{[{%].*?[}%]\}", text, re.DOTALL))
