"""Find what names a column: models and tests by their compiled SQL, contracts, and what may pass it on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from pytest_dbtci.dbt_host.sql_tokens import TOKEN
from pytest_dbtci.differences import Differences, SchemaChange

_BEFORE_STAR = {"select", "distinct", "all", ",", "."}
"""What stands before the star that means all columns, and not before that of a product or of count(*)."""


def names_in(sql: str) -> frozenset[str]:
    """Return the names in SQL, in lower case, without comments and texts; `*` where it selects all columns."""
    found, before = set[str](), ""
    for token in TOKEN.finditer(sql):
        kind, text = token.lastgroup or "", token[0]
        if kind in ("word", "quoted"):
            found.add((text[1:-1].replace('""', '"') if kind == "quoted" else text).lower())
        elif text == "*" and before in _BEFORE_STAR:
            found.add("*")
        if kind not in ("space", "comment", "hint"):
            before = text.lower()
    return frozenset(found)


@dataclass(frozen=True)
class Readers:
    """The readers of each node of a manifest; what dbt has not compiled is read as it is written."""

    manifest: Any

    def tell(self, unique_id: str, found: Differences) -> Differences:
        """Return what was found with the readers of each column that is gone or has another type."""
        return replace(found, schema=tuple(self._told(unique_id, change) for change in found.schema))

    def _told(self, unique_id: str, change: SchemaChange) -> SchemaChange:
        if change.kind not in ("removed", "renamed", "retyped"):
            return change
        column = (change.before if change.kind == "renamed" else change.column).lower()
        naming, passing, todo = set[str](), set[str](), [unique_id]
        while todo:
            for child in self._children[todo.pop()]:
                names = self._names(child)
                if column in names:
                    naming.add(child)
                if child not in passing and {column, "*"} & names:
                    passing.add(child)
                    todo.append(child)
        contracts = [u for u in (unique_id, *sorted(passing)) if self._promises(u, column)]
        reaches = sorted(self._below(passing))
        return replace(change, named_by=tuple(sorted(naming)), reaches=tuple(reaches), contracts=tuple(contracts))

    def _below(self, unique_ids: Iterable[str]) -> set[str]:
        found, todo = set[str](), list(unique_ids)
        while todo:
            if (unique_id := todo.pop()) not in found:
                found.add(unique_id)
                todo += self._children[unique_id]
        return found

    def _names(self, unique_id: str) -> frozenset[str]:
        if unique_id not in self._known:
            node = self.manifest.nodes[unique_id]
            arguments = getattr(getattr(node, "test_metadata", None), "kwargs", {})
            own = str(arguments.get("column_name") or "")
            text = getattr(node, "compiled_code", None) or getattr(node, "raw_code", None) or ""
            self._known[unique_id] = names_in(f"{text}\n{own}")
        return self._known[unique_id]

    def _promises(self, unique_id: str, column: str) -> bool:
        node = self.manifest.nodes.get(unique_id)
        enforced = getattr(getattr(node, "contract", None), "enforced", False)
        return node is not None and bool(enforced) and column in {name.lower() for name in node.columns}

    @cached_property
    def _known(self) -> dict[str, frozenset[str]]:
        return {}

    @cached_property
    def _children(self) -> Mapping[str, list[str]]:
        found = defaultdict[str, list[str]](list)
        for unique_id, node in self.manifest.nodes.items():
            for parent in node.depends_on_nodes if hasattr(node, "depends_on_nodes") else ():
                found[parent].append(unique_id)
        return found
