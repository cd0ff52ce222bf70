"""What a changed macro can affect: the nodes that call it, and all that dbt calls by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from pytest_dbtci.manifest import Manifest, ManifestMacro, builtin_packages

_NAMING = ("generate_schema_name", "generate_alias_name", "generate_database_name")

_BY_ADAPTER = frozenset(
    (
        *("alter_column_type", "check_schema_exists", "create_schema", "drop_relation", "drop_schema"),
        *("get_catalog", "get_catalog_relations", "get_columns_in_relation", "get_relations"),
        *("list_relations_without_caching", "list_schemas", "rename_relation", "truncate_relation"),
        *("show_tables_from_schema", "list_function_relations_without_caching", "run_hooks", "statement"),
    )
)
"""Macros that dbt's adapters call from Python, for whatever node (the MACRO_NAME constants of dbt-adapters)."""

_CONTEXT = frozenset(
    (
        *("ref", "source", "config", "var", "env_var", "this", "target", "builtins", "log", "return", "adapter"),
        *("is_incremental", "should_full_refresh", "should_store_failures", "metric", "function", "fromjson"),
        *("tojson", "fromyaml", "toyaml", "set", "zip", "exceptions", "run_query", "print", "graph", "model"),
    )
)
"""Names of dbt's Jinja context that a macro of the project replaces for every node."""


@dataclass(frozen=True, kw_only=True)
class Reach:
    """What one changed macro can affect: these nodes, or every node where `everything` says why."""

    unique_ids: frozenset[str] = frozenset()
    everything: str = ""


@dataclass(frozen=True)
class Macros:
    """Compare the macros of two trees and follow their calls, in both trees at once."""

    base: Manifest
    head: Manifest
    ignored: frozenset[str] = field(default=frozenset())

    @cached_property
    def changed(self) -> tuple[str, ...]:
        """Give the macros whose text differs, that were added, or that are gone; sorted."""
        before, after = self.base.macros, self.head.macros
        every = (before.keys() | after.keys()) - self.ignored
        return tuple(sorted(u for u in every if _text(before.get(u)) != _text(after.get(u))))

    def calls_may_resolve_anew(self) -> bool:
        """Tell whether a macro came or went that others of its name or dispatch stand for.

        dbt's partial parse does not look again at what an unchanged file calls, so the tree has to be parsed
        as a whole then.
        """
        moved = [u for u in self.changed if (u in self.base.macros) != (u in self.head.macros)]
        for unique_id in moved:
            macro = self._any(unique_id)
            same = [*self._named.get(macro.name, ()), *self._dispatched.get(_stem(macro.name), ())]
            if any(u != unique_id for u in same) or _stem(macro.name) in self._named:
                return True
        return False

    def reach(self, unique_id: str) -> Reach:
        """Say what the changed macro can affect."""
        macro, builtin = self._any(unique_id), False
        start = {unique_id}
        stem = _stem(macro.name)
        if stem != macro.name:
            start.update(self._named.get(stem, ()))
        if (unique_id in self.base.macros) != (unique_id in self.head.macros):
            start.update(self._named.get(macro.name, ()), self._dispatched.get(stem, ()))
        builtin = any(self._is_builtin(self._any(u)) for u in start - {unique_id}) or stem in _BY_ADAPTER
        reached = self._callers_of(start)
        names = {_stem(self._any(u).name) for u in reached} | {self._any(u).name for u in reached}
        for name in sorted(names):
            if name in _NAMING or name in _BY_ADAPTER or (name in _CONTEXT and self._is_own(name)):
                via = "" if name in (macro.name, stem) else f", which {name} calls"
                return Reach(everything=f"macro {macro.name} changed{via}: dbt itself calls it for every node")
        nodes = self._nodes(reached, names)
        if any(u.startswith("operation.") for u in nodes):
            return Reach(everything=f"macro {macro.name} changed, which a hook of the whole run calls")
        if not nodes and (builtin or self._has_dynamic_calls) and macro.name.split("_")[0] != "materialization":
            why = "it replaces one of dbt's own" if builtin else "macros are called by computed names here"
            return Reach(everything=f"macro {macro.name} changed, and {why}")
        return Reach(unique_ids=frozenset(u for u in nodes if u in self.head.nodes))

    def _nodes(self, reached: frozenset[str], names: set[str]) -> set[str]:
        kinds = {m for n in names if n.startswith("materialization_") for m in _materializations(n)}
        if any(n.startswith("get_incremental_") and n.endswith("_sql") for n in names):
            kinds.add("incremental")
        if any(n.startswith("snapshot_") and n.endswith("_strategy") for n in names):
            kinds.add("snapshot")
        found = set()
        for manifest in (self.base, self.head):
            for unique_id, node in manifest.nodes.items():
                kind = node.materialized or {"unit_test": "unit"}.get(node.resource_type, node.resource_type)
                # dbt does not record that its own unique and not_null call it.
                where = "get_where_subquery" in names and node.file.endswith((".yml", ".yaml"))
                if (where and kind == "test") or kind in kinds or not reached.isdisjoint(node.macros):
                    found.add(unique_id)
        return found

    def _callers_of(self, start: Iterable[str]) -> frozenset[str]:
        found, todo = set[str](), list(start)
        while todo:
            unique_id = todo.pop()
            if unique_id in found:
                continue
            found.add(unique_id)
            todo.extend(self._callers.get(unique_id, ()))
            # A dispatched macro is called through the one that dispatches, by name.
            stem = _stem(self._any(unique_id).name)
            if stem != self._any(unique_id).name:
                todo.extend(self._named.get(stem, ()))
        return frozenset(found)

    @cached_property
    def _callers(self) -> Mapping[str, set[str]]:
        found: dict[str, set[str]] = {}
        for manifest in (self.base, self.head):
            for macro in manifest.macros.values():
                for called in macro.macros:
                    found.setdefault(called, set()).add(macro.unique_id)
        return {k: {c for c in v if c in self.base.macros or c in self.head.macros} for k, v in found.items()}

    @cached_property
    def _named(self) -> Mapping[str, set[str]]:
        found: dict[str, set[str]] = {}
        for macro in (*self.base.macros.values(), *self.head.macros.values()):
            found.setdefault(macro.name, set()).add(macro.unique_id)
        return found

    @cached_property
    def _dispatched(self) -> Mapping[str, set[str]]:
        found: dict[str, set[str]] = {}
        for macro in (*self.base.macros.values(), *self.head.macros.values()):
            if _stem(macro.name) != macro.name:
                found.setdefault(_stem(macro.name), set()).add(macro.unique_id)
        return found

    @cached_property
    def _has_dynamic_calls(self) -> bool:
        head = self.head
        return any(m.dynamic for m in head.macros.values()) or any(n.dynamic for n in head.nodes.values())

    def _any(self, unique_id: str) -> ManifestMacro:
        return self.head.macros.get(unique_id) or self.base.macros[unique_id]

    def _is_builtin(self, macro: ManifestMacro) -> bool:
        return macro.package in builtin_packages(self.head.adapter)

    def _is_own(self, name: str) -> bool:
        return any(u in self.changed and not self._is_builtin(self._any(u)) for u in self._named.get(name, ()))


def _stem(name: str) -> str:
    """Give the name that dispatch knows a macro by: `create_table_as` for `duckdb__create_table_as`."""
    prefix, found, rest = name.partition("__")
    return rest if found and prefix and rest else name


def _materializations(name: str) -> tuple[str, ...]:
    """Give what `materialization_NAME_ADAPTER` materializes (NAME may hold underscores)."""
    return (name.removeprefix("materialization_").rpartition("_")[0],)


def _text(macro: ManifestMacro | None) -> str | None:
    return macro.digest if macro else None
