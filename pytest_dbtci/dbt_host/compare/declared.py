"""What a project declares that matters for a comparison: keys, rules in `meta`, columns that are dbt's own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pytest_dbtci.differences import Declaration

_VOLATILE = re.compile(
    r"\b(current_timestamp|current_date|getdate\s*\(|sysdate|systimestamp|localtimestamp|now\s*\(|random\s*\(|"
    r"rand\s*\(|uuid(?:_string)?\s*\(|gen_random_uuid|run_started_at|invocation_id)",
    re.IGNORECASE,
)
_SNAPSHOT = ("dbt_valid_from", "dbt_valid_to", "dbt_updated_at", "dbt_scd_id", "dbt_is_deleted")


def declared(manifest: Any, unique_ids: Iterable[str]) -> dict[str, Declaration]:
    """Return of each node its rules, its key with where that stands, and what makes each build of it differ."""
    tests: dict[str, list[Any]] = {}
    for node in manifest.nodes.values():
        if node.resource_type == "test" and getattr(node, "test_metadata", None) and node.attached_node:
            tests.setdefault(node.attached_node, []).append(node)
    return {u: _declared(manifest.nodes[u], tests.get(u, [])) for u in unique_ids}


def _declared(node: Any, tests: Sequence[Any]) -> Declaration:
    columns, key_from, unique_tests = next(_keys(node, tests), ([], "", []))
    volatile = _VOLATILE.search(getattr(node, "raw_code", "") or "")
    meta = node.config.meta or getattr(node, "meta", None) or {}
    return Declaration(
        rules=json.dumps(meta.get("dbt_ci", {}), default=str),
        file=node.original_file_path,
        key=tuple(columns),
        key_from=key_from,
        unique_tests=tuple(unique_tests),
        exclude=_own_columns(node),
        volatile=volatile[1].rstrip("( ").lower() if volatile else "",
    )


def _keys(node: Any, tests: Sequence[Any]) -> Iterator[tuple[list[str], str, list[str]]]:
    """Yield keys, the surest first: columns, where that is said, and the tests that show it."""
    for constraint in getattr(node, "constraints", ()):
        if str(getattr(constraint.type, "value", constraint.type)) == "primary_key" and constraint.columns:
            yield [_bare(c) for c in constraint.columns], "primary key", []
    for name, column in node.columns.items():
        if any(str(getattr(c.type, "value", c.type)) == "primary_key" for c in column.constraints or ()):
            yield [_bare(name)], "primary key", []
    # A test with `where` says nothing of the other rows.
    whole = [t for t in tests if not t.config.where]
    filled = {_column(t) for t in whole if t.test_metadata.name == "not_null"}
    unique = [t for t in whole if t.test_metadata.name == "unique" and _column(t)]
    for test in sorted(unique, key=lambda t: (_column(t) not in filled, t.unique_id)):
        # The column may be an expression, which is none of the relation's.
        if _column(test).lower() in {_bare(name).lower() for name in node.columns}:
            yield [_column(test)], "unique test", [test.unique_id]
    for test in whole:
        combined = test.test_metadata.kwargs.get("combination_of_columns")
        if test.test_metadata.name == "unique_combination_of_columns" and isinstance(combined, list):
            yield [_bare(str(c)) for c in combined], "unique combination test", [test.unique_id]
    if unique_key := getattr(node.config, "unique_key", None):
        yield [_bare(str(c)) for c in ([unique_key] if isinstance(unique_key, str) else unique_key)], "unique_key", []


def _own_columns(node: Any) -> tuple[str, ...]:
    if node.resource_type != "snapshot":
        return ()
    names = getattr(node.config, "snapshot_meta_column_names", None)
    return tuple((getattr(names, name, None) if names else None) or name for name in _SNAPSHOT)


def _column(test: Any) -> str:
    return _bare(str(test.test_metadata.kwargs.get("column_name") or ""))


def _bare(name: str) -> str:
    return name.strip().strip('"`')
