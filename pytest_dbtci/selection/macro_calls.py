"""Follow macro calls as dbt resolves them: for the nodes of one package, in one tree."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from pytest_dbtci.manifest import Lookup, Manifest, ManifestMacro, ManifestNode

_NAMING = ("generate_schema_name", "generate_alias_name", "generate_database_name")

_BY_ADAPTER = (
    *("alter_column_type", "check_schema_exists", "create_schema", "drop_relation", "drop_schema"),
    *("get_catalog", "get_catalog_relations", "get_columns_in_relation", "list_schemas", "rename_relation"),
    *("list_relations_without_caching", "list_function_relations_without_caching", "truncate_relation"),
)
"""Macros that dbt's adapters call from Python, for whatever node (the MACRO_NAME constants of dbt-adapters)."""

_BY_ONE_ADAPTER = ("get_relations", "show_tables_from_schema")
"""Such macros that an adapter calls by its own name, as `redshift__get_relations`."""

_CONTEXT = (
    *("ref", "source", "config", "var", "env_var", "this", "target", "builtins", "log", "return", "adapter"),
    *("is_incremental", "should_full_refresh", "should_store_failures", "metric", "function", "fromjson"),
    *("tojson", "fromyaml", "toyaml", "set", "zip", "exceptions", "run_query", "print", "graph", "model"),
)
"""Names of dbt's Jinja context that a macro of the project replaces for every node."""

_BY_KIND = {"incremental": "get_incremental_*_sql", "snapshot": "snapshot_*_strategy"}
"""Macros that dbt looks up by a name that it makes of a node's strategy."""

Caller = ManifestMacro | ManifestNode

ANYTHING = "*"
"""Stands for a name that is computed wholly."""


@dataclass(frozen=True)
class Calls:
    """What the macros of a tree call where dbt renders a node of `package`.

    Such a node sees its own package's macros first, then the root project's, then dbt's; those of other packages
    only by `package.name` and through `dispatch`.
    """

    manifest: Manifest
    lookup: Lookup
    package: str

    def callers(self) -> Iterator[Caller]:
        """Yield what can call macros: every macro, and the package's nodes and hooks."""
        yield from self.manifest.macros.values()
        yield from (n for n in self.manifest.nodes.values() if n.package == self.package)

    def called_by(self, caller: Caller) -> set[str]:
        """Return the macros that a macro or a node calls."""
        found = {*self._recorded(caller), *self.named(caller.calls)}
        for name, namespace in caller.dispatches:
            found.update(self.dispatched(name, namespace))
        for pattern in caller.computed:
            if pattern != ANYTHING:
                found.update(self._matching(pattern))
        if isinstance(caller, ManifestNode):
            found.update(self._by_materialization(caller))
        return found

    def _recorded(self, caller: Caller) -> Iterable[str]:
        """Return what dbt recorded; of its own macros it records what has the name called in any package."""
        if not isinstance(caller, ManifestMacro) or not self.is_internal(caller.unique_id):
            return caller.macros
        seen = (*self.lookup.internal, self.manifest.project)
        return [macro for macro in caller.macros if macro.split(".")[1] in seen]

    def named(self, names: Iterable[str]) -> Iterator[str]:
        """Yield the macros that `name` and `package.name` stand for."""
        for name in names:
            package, _, plain = name.rpartition(".")
            if found := self.find(plain) if not package else self._in(package, plain):
                yield found

    def find(self, name: str) -> str:
        """Return the macro that a plain name stands for; empty for none."""
        packages = (self.package, self.manifest.project)
        return next((u for p in packages if (u := self._by_place.get((p, name)))), self._internal(name))

    def dispatched(self, name: str, namespace: str) -> Iterator[str]:
        """Yield the variant that a dispatch finds; every one that it can find where a part of it is computed."""
        if ANYTHING in name or ANYTHING in namespace:
            for prefix in self.lookup.prefixes:
                yield from self._matching(f"{prefix}__{name}")
            return
        for package in self.lookup.search.get(namespace) or ("",):
            for prefix in self.lookup.prefixes:
                variant = f"{prefix}__{name}"
                if found := self._in(package, variant) if package else self.find(variant):
                    yield found
                    return

    def by_dbt(self) -> Iterator[str]:
        """Yield the macros that dbt itself calls for every node of the package."""
        yield from self.named(self.lookup.comment)
        for name in _NAMING:
            yield self.find(name)
        own = (f"{prefix}__{name}" for prefix in self.lookup.prefixes[:1] for name in _BY_ONE_ADAPTER)
        for name in (*_BY_ADAPTER, *own):
            yield from self._called_from_python(name)
        for name in _CONTEXT:
            if (found := self.find(name)) and not self.is_internal(found):
                yield found

    def has(self, macro: ManifestMacro) -> bool:
        """Whether the tree has the macro."""
        return macro.unique_id in self.manifest.macros

    def replaces_internal(self, macro: ManifestMacro) -> bool:
        """Whether dbt finds this macro where it would find one of its own."""
        if self.is_internal(macro.unique_id):
            return False
        if self._internal(macro.name):
            return self.find(macro.name) == macro.unique_id
        own = any(self._internal(f"{prefix}__{stem(macro.name)}") for prefix in self.lookup.prefixes)
        return own and macro.unique_id in self.dispatched(stem(macro.name), "dbt")

    def is_internal(self, unique_id: str) -> bool:
        """Whether a macro comes with dbt or the adapter."""
        return self.manifest.macros[unique_id].package in self.lookup.internal

    def _in(self, package: str, name: str) -> str:
        # dbt's own packages are one namespace, `dbt`.
        return self._internal(name) if package == "dbt" else self._by_place.get((package, name), "")

    def _internal(self, name: str) -> str:
        return next((u for p in self.lookup.internal if (u := self._by_place.get((p, name)))), "")

    def _called_from_python(self, name: str) -> list[str]:
        """Return what an adapter finds: the root project's, else those of installed packages, else dbt's own."""
        if own := self._by_place.get((self.manifest.project, name)):
            return [own]
        every = [u for (_, n), u in self._by_place.items() if n == name]
        return [u for u in every if not self.is_internal(u)] or every

    def _by_materialization(self, node: ManifestNode) -> Iterator[str]:
        kind = node.materialized or {"unit_test": "unit"}.get(node.resource_type, node.resource_type)
        yield self.lookup.materializations.get(kind, "")
        for name in self._by_kind.get(kind, ()):
            yield self.find(name)
        # dbt does not record that its own unique and not_null call it.
        if kind == "test" and node.file.endswith((".yml", ".yaml")):
            yield self.find("get_where_subquery")

    @cached_property
    def _by_kind(self) -> Mapping[str, list[str]]:
        return {k: fnmatch.filter(self._names, pattern) for k, pattern in _BY_KIND.items()}

    @cached_property
    def _names(self) -> list[str]:
        return sorted({name for _, name in self._by_place})

    def _matching(self, pattern: str) -> list[str]:
        return [u for (_, name), u in self._by_place.items() if fnmatch.fnmatchcase(name, pattern)]

    @cached_property
    def _by_place(self) -> Mapping[tuple[str, str], str]:
        return {(m.package, m.name): u for u, m in self.manifest.macros.items()}


def stem(name: str) -> str:
    """Return the name that dispatch knows a macro by: `create_table_as` for `duckdb__create_table_as`."""
    prefix, found, rest = name.partition("__")
    return rest if found and prefix and rest else name
