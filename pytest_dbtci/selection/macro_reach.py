"""What a changed macro can affect: the nodes that call it, and all that dbt calls by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from pytest_dbtci.manifest import Manifest, ManifestMacro
from pytest_dbtci.selection.macro_calls import ANYTHING, Calls, stem


@dataclass(frozen=True, kw_only=True)
class Reach:
    """What one changed macro can affect: these nodes, or every node where `everything` says why.

    `observers` are the hooks of the whole run that call it and only observe what is built: see `Macros.observers`.
    `computed` are further nodes: they call macros by computed names, so perhaps this one.
    """

    unique_ids: frozenset[str] = frozenset()
    everything: str = ""
    observers: frozenset[str] = frozenset()
    computed: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Macros:
    """Compare the macros of two trees and follow their calls, in both trees at once."""

    base: Manifest
    head: Manifest
    ignored: frozenset[str] = field(default=frozenset())

    @cached_property
    def changed(self) -> tuple[str, ...]:
        """The macros whose text differs, that were added, or that are gone; sorted."""
        before, after = self.base.macros, self.head.macros
        every = (before.keys() | after.keys()) - self.ignored
        return tuple(sorted(u for u in every if _text(before.get(u)) != _text(after.get(u))))

    @cached_property
    def observers(self) -> frozenset[str]:
        """The hooks of the whole run through which an installed package reads the graph of nodes.

        Such a package (elementary, dbt_artifacts and the like) writes down what is built, and changes none of it.
        """
        reading = {m.unique_id for m in self.observing}
        reached = (self._seen(package).reached_from(reading) for package in self._packages)
        return frozenset(u for found in reached for u in found if _is_hook(u))

    @cached_property
    def observing(self) -> tuple[ManifestMacro, ...]:
        """The macros of installed packages that read the graph of nodes."""
        return tuple(m for m in self._every_macro() if m.graph and m.package != self.head.project)

    def may_be_parsed_stale(self) -> bool:
        """Whether dbt's partial parse can have kept a node that a changed macro makes another one.

        dbt parses anew what calls a changed macro as far as it recorded the calls. It does not look again at what an
        unchanged file calls where a macro came or went that others of its name or dispatch stand for.
        """
        return self._calls_may_resolve_anew() or any(map(self._is_called_unrecorded, self.changed))

    def _calls_may_resolve_anew(self) -> bool:
        moved = [self.any(u) for u in self.changed if (u in self.base.macros) != (u in self.head.macros)]
        names: dict[str, set[str]] = {}
        for macro in self._every_macro():
            for name in {macro.name, stem(macro.name)}:
                names.setdefault(name, set()).add(macro.unique_id)
        return any(names[name] > {m.unique_id} for m in moved for name in (m.name, stem(m.name)))

    def _is_called_unrecorded(self, macro: str) -> bool:
        """Whether the macro can affect nodes that dbt does not know to depend on it, such as by a computed name."""
        reach = self.reach(macro)
        nodes = [self.base.nodes[u] for u in reach.unique_ids | reach.computed if u in self.base.nodes]
        return bool(reach.everything) or any(macro not in self.base.macros_behind(node.macros) for node in nodes)

    def reach(self, unique_id: str) -> Reach:
        """Return what the changed macro can affect."""
        macro, found = self.any(unique_id), set[str]()
        for package in self._packages:
            reached = self._seen(package).reached_from({unique_id})
            for name in sorted(self.any(u).name for u in reached & self._seen(package).by_dbt):
                if package == self.head.project:
                    via = "" if name in (macro.name, stem(macro.name)) else f", which {name} calls"
                    return Reach(everything=f"macro {macro.name} changed{via}: dbt itself calls it for every node")
                reached |= {u for u, n in self.head.nodes.items() if n.package == package}
            found |= reached - self._every_macro_id
        hooks = set(filter(_is_hook, found))
        observers = hooks & self.observers if macro.package != self.head.project else set()
        if hooks - observers:
            return Reach(everything=f"macro {macro.name} changed, which a hook of the whole run calls")
        computed = self._calling_by_computed_names
        if macro.name.startswith("materialization_"):
            computed = frozenset()
        elif not found:
            if any(c.replaces_internal(macro) for c in self._seen(self.head.project).trees if c.has(macro)):
                return Reach(everything=f"macro {macro.name} changed, and it replaces one of dbt's own")
            observers = set(filter(_is_hook, computed))
            if observers - self.observers:
                why = "a hook of the whole run calls macros by computed names"
                return Reach(everything=f"macro {macro.name} changed, and {why}")
        return Reach(
            unique_ids=frozenset((found - hooks) & self.head.nodes.keys()),
            observers=frozenset(observers),
            computed=frozenset(u for u in computed - found if u in self.head.nodes and not _is_hook(u)),
        )

    def redirected(self) -> Mapping[str, frozenset[str]]:
        """Map each name whose dispatch finds another macro than before, with both there all the time, to its nodes."""
        found: dict[str, set[str]] = {}
        both = self.base.macros.keys() & self.head.macros.keys()
        for seen in map(self._seen, self._packages):
            for one in seen.after.callers():
                for name, namespace in one.dispatches:
                    old, new = (set(c.dispatched(name, namespace)) for c in seen.trees)
                    if old != new and old | new <= both:
                        reached = seen.reached_from({one.unique_id}) & self.head.nodes.keys()
                        found.setdefault(name, set()).update(reached)
        return {name: frozenset(nodes) for name, nodes in found.items()}

    def reading_the_graph(self, macro: str) -> frozenset[str]:
        """Return the nodes whose own text, not a hook's, depends on the graph of nodes through this macro.

        Of what an installed package makes of the graph only models and their like count: its tests read there what
        they are told of the node that they test.
        """
        found = set[str]()
        own = self.any(macro).package == self.head.project
        for package in self._packages:
            seen = self._seen(package)
            reached, calls = seen.reached_from({macro}), seen.after
            for unique_id in reached & self.head.nodes.keys():
                node = self.head.nodes[unique_id]
                by_hooks = set(calls.named(node.hook_calls))
                if calls.called_by(node) & reached - by_hooks and (own or "test" not in node.resource_type):
                    found.add(unique_id)
        return frozenset(u for u in found if not _is_hook(u))

    def any(self, unique_id: str) -> ManifestMacro:
        """Return the macro as the head has it, else as the base had it."""
        return self.head.macros.get(unique_id) or self.base.macros[unique_id]

    def _seen(self, package: str) -> _Seen:
        if package not in self._known:
            # Another machine's manifest does not tell where its dispatch looked.
            lookup = self.base.lookup if self.base.lookup.prefixes else self.head.lookup
            self._known[package] = _Seen(
                before=Calls(self.base, lookup, package), after=Calls(self.head, self.head.lookup, package)
            )
        return self._known[package]

    @cached_property
    def _known(self) -> dict[str, _Seen]:
        return {}

    @cached_property
    def _calling_by_computed_names(self) -> frozenset[str]:
        """The nodes and hooks that can call any macro whatever."""
        found = set[str]()
        for seen in map(self._seen, self._packages):
            start = {one.unique_id for c in seen.trees for one in c.callers() if ANYTHING in one.computed}
            found |= seen.reached_from(start) - self._every_macro_id
        return frozenset(found)

    @cached_property
    def _packages(self) -> list[str]:
        """The packages that have nodes; the root project first."""
        own = self.head.project
        return [own, *sorted({n.package for m in (self.base, self.head) for n in m.nodes.values()} - {own})]

    @cached_property
    def _every_macro_id(self) -> frozenset[str]:
        return frozenset(self.base.macros) | frozenset(self.head.macros)

    def _every_macro(self) -> list[ManifestMacro]:
        return [*self.base.macros.values(), *self.head.macros.values()]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Seen:
    """The macros of both trees as the nodes of one package see them."""

    before: Calls
    after: Calls

    @property
    def trees(self) -> tuple[Calls, Calls]:
        return self.before, self.after

    def reached_from(self, start: Iterable[str]) -> set[str]:
        """Return these and all that call them, directly or not: macros, and the package's nodes and hooks."""
        found, todo = set[str](), list(start)
        while todo:
            unique_id = todo.pop()
            if unique_id not in found:
                found.add(unique_id)
                todo.extend(self._callers.get(unique_id, ()))
        return found

    @cached_property
    def by_dbt(self) -> frozenset[str]:
        """The macros that dbt itself calls for every node of the package."""
        return frozenset(u for calls in self.trees for u in calls.by_dbt())

    @cached_property
    def _callers(self) -> Mapping[str, set[str]]:
        found: dict[str, set[str]] = {}
        for calls in self.trees:
            for one in calls.callers():
                for called in calls.called_by(one):
                    found.setdefault(called, set()).add(one.unique_id)
        return found


def _is_hook(unique_id: str) -> bool:
    return unique_id.startswith("operation.")


def _text(macro: ManifestMacro | None) -> str | None:
    return macro.digest if macro else None
