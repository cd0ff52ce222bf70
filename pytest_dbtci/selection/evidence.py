"""What is known of a change, and what was found that it can affect."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from pytest_dbtci.git.repository import Change
from pytest_dbtci.manifest import BUILDABLE, Manifest
from pytest_dbtci.plan import Reason
from pytest_dbtci.project.project import Project
from pytest_dbtci.selection.macro_reach import Macros
from pytest_dbtci.selection.settings_diff import variables_difference

TELLING = (*BUILDABLE, "source", "external")
"""Resource types that are built, or whose change is one of what reads them."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that is known of a change.

    `modified` is dbt's own answer. `texts` holds, for the settings files among the changed paths, their text
    at the base and now (None: not there). `profile_file` is where the used profile lies in the repository,
    None if elsewhere. `foreign` tells that `base` is another machine's manifest: what rendering gave there
    proves nothing, and what no changed file explains is thrown out. `ignored` are files of new nodes that git ignores,
    `loaded` patterns for the files that the used target names. `by_default` tells that the profile itself chose it.
    """

    project: Project
    changes: tuple[Change, ...]
    base: Manifest
    head: Manifest
    modified: frozenset[str]
    texts: Mapping[str, tuple[str | None, str | None]] = field(default_factory=dict)
    profile: str = ""
    target: str = ""
    profile_file: str | None = None
    foreign: bool = False
    ignored: frozenset[str] = frozenset()
    loaded: tuple[str, ...] = ()
    by_default: bool = False

    @cached_property
    def defining_files(self) -> frozenset[str]:
        """The files that a property of some node stands in."""
        place, found = self.project.place, set[str]()
        for manifest in (self.base, self.head):
            for node in manifest.nodes.values():
                found.add(place(node.package, node.file))
                if node.patch and "://" in node.patch:
                    found.add(place(*node.patch.split("://", 1)))
                found.add(place(node.package, "dbt_project.yml"))
            found.update(place(*file.split("://", 1)) for file in manifest.docs.values())
        return frozenset(found)

    @cached_property
    def paths(self) -> frozenset[str]:
        """Every changed path, the old one of a renamed file too."""
        return frozenset(p for c in self.changes for p in (c.path, c.old_path) if p)

    @cached_property
    def macros(self) -> Macros:
        """The macros of both trees; of another machine's only those in changed files are compared."""
        every = {**self.base.macros, **self.head.macros} if self.foreign else {}
        place = self.project.place
        ignored = frozenset(u for u, m in every.items() if place(m.package, m.file) not in self.paths)
        return Macros(self.base, self.head, ignored)

    @cached_property
    def packages(self) -> frozenset[str]:
        """The names of all packages, the project's own included."""
        trees = (self.base, self.head)
        found = (one.package for tree in trees for part in (tree.nodes, tree.macros) for one in part.values())
        return frozenset((*found, self.base.project, self.head.project))

    def variables_of(self, package: str) -> frozenset[str]:
        """Return the variables of a package that differ, in whichever of the files that can hold them."""
        places = [path for path, name in self.project.settings.items() if name == package]
        if package == self.project.name and self.head.is_since_1_12:
            places.append(self.project.variable_file)
        return variables_difference((self.texts.get(p, (None, None)) for p in places), self.packages)

    def read_otherwise(self, known: Container[str]) -> Mapping[str, str]:
        """Map nodes that read of their own properties such as dbt does not compare, and that differ, to words on it.

        Those `known` to be affected, and tests, are left out.
        """
        then = {} if self.foreign else self.base.nodes
        differing = {
            u
            for u, n in self.head.nodes.items()
            if u in then and n.told != then[u].told and u not in known and "test" not in n.resource_type
        }
        found = {u: "" for u in differing if self.head.nodes[u].properties}
        for macro in self.head.macros.values() if differing else ():
            if macro.properties:
                reach = self.macros.reach(macro.unique_id)
                reached = differing if reach.everything else differing & (reach.unique_ids | reach.computed)
                found = {**dict.fromkeys(reached, f", by macro {macro.name}"), **found}
        return {u: f"reads its own description, columns or tags{by}" for u, by in sorted(found.items())}


@dataclass(frozen=True, kw_only=True)
class Affected:
    """What a change can affect.

    `reasons` holds all that changed by itself, dbt's own answer included; `unexplained` what was thrown out.
    `everything` holds the reason that any node can be affected, None where there is none. `by_path` tells for
    each path the nodes that it can affect, whatever reason they were given, `causes` what else is to be said of
    it; `notes` what is to be said of the whole.
    """

    reasons: Mapping[str, Reason]
    everything: Reason | None
    unexplained: tuple[str, ...]
    by_path: Mapping[str, frozenset[str]]
    causes: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...] = ()

    def without(self, unique_ids: frozenset[str]) -> Affected:
        """Return the same without these nodes."""
        return replace(self, reasons={u: r for u, r in self.reasons.items() if u not in unique_ids})


def run_hooks(manifest: Manifest) -> frozenset[tuple[str, str, str | None]]:
    """Return the package, the id and the text's digest of each hook of the whole run."""
    return frozenset(
        (n.package, n.unique_id, n.parts.get("body")) for n in manifest.nodes.values() if n.resource_type == "operation"
    )
