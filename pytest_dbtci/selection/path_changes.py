"""Say of every changed path what became of it."""

from __future__ import annotations

from functools import cached_property

from pytest_dbtci.git.repository import Change
from pytest_dbtci.manifest import BUILDABLE, Manifest, ManifestNode
from pytest_dbtci.plan import PathChange
from pytest_dbtci.project.project import ROOT_FILES
from pytest_dbtci.selection.evidence import TELLING, Affected, Evidence


def explain_paths(
    evidence: Evidence, affected: Affected, chosen: frozenset[str], same: frozenset[str] = frozenset()
) -> tuple[PathChange, ...]:
    """Return the effect of every changed path.

    `chosen` is what the selection took, sources included, `same` are nodes of which only the formatting changed.
    """
    paths = _Paths(evidence, affected, chosen, same)
    return tuple(paths.explain(change) for change in evidence.changes)


class _Paths:
    def __init__(self, evidence: Evidence, affected: Affected, chosen: frozenset[str], same: frozenset[str]) -> None:
        self._evidence, self._affected, self._chosen, self._same = evidence, affected, chosen, same
        self._project, self._base, self._head = evidence.project, evidence.base, evidence.head

    def explain(self, change: Change) -> PathChange:
        """Return all effects of the path, under the name of the strongest."""
        paths = [p for p in (change.path, change.old_path) if p]
        nodes = {u for p in paths for u in self._affected.by_path.get(p, ())}
        gone = [name for p in paths for name in self._gone.get(p, ())]
        notes = [said for p in paths for said in self._affected.causes.get(p, ())]
        if formatted := sorted(self._head.nodes[u].name for u in nodes & self._same):
            notes.append(f"formatting only: {', '.join(formatted)}")
        nodes -= self._same
        everything = self._affected.everything
        if everything and not set(paths).isdisjoint(everything.files):
            effect = "everything"
        elif nodes & self._chosen:
            effect = "selected"
        elif nodes:
            effect = "none"
            notes.append(f"the selection leaves out {', '.join(sorted(self._head.nodes[u].name for u in nodes))}")
        else:
            effect = "removed" if gone else "none"
            if not gone and not notes:
                notes.append(self._idle(change.path))
        if gone:
            notes.append(f"removed: {', '.join(gone)}")
        return PathChange(path=change.path, status=change.status, effect=effect, note="; ".join(dict.fromkeys(notes)))

    @cached_property
    def _gone(self) -> dict[str, list[str]]:
        """Name what each path defined at the base and what is not there any more."""
        found: dict[str, list[str]] = {}
        for unique_id, node in self._base.nodes.items():
            if unique_id not in self._head.nodes and node.resource_type in BUILDABLE:
                name = f"{node.name}{' (disabled)' if unique_id in self._head.disabled else ''}"
                found.setdefault(self._where_it_was(node), []).append(name)
        return found

    def _where_it_was(self, node: ManifestNode) -> str:
        """Return the changed path by which a node went: its own, that of its YAML, or a file of the whole project."""
        project = self._project
        places = [*self._places(node), *(project.place(node.package, n) for n in ("dbt_project.yml", ".dbtignore"))]
        places += [*map(project.in_repository, (".dbtignore", "dbt_project.yml")), *project.package_files]
        places += [project.variable_file] if self._head.is_since_1_12 else []
        return next((p for p in places if p in self._evidence.paths), places[0])

    def _places(self, node: ManifestNode) -> list[str]:
        found = [self._project.place(node.package, node.file)]
        if node.patch and "://" in node.patch:
            found.append(self._project.place(*node.patch.split("://", 1)))
        return found

    @cached_property
    def _defined(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for unique_id, node in self._head.nodes.items():
            for place in self._places(node):
                found.setdefault(place, set()).add(unique_id)
        return found

    def _idle(self, path: str) -> str:
        """Return why a path affects nothing that is built."""
        project, inside = self._project, self._project.within(path)
        if self._plugins_gave and project.can_configure_plugins(path):
            return self._plugins_gave
        if ruled := project.ruled_by(path):
            return f"checked out otherwise by it, and nothing that is built differs: {', '.join(sorted(ruled)[:5])}"
        if not project.package_of(path):
            return "outside the dbt project"
        if inside == "selectors.yml":
            return "names selections only"
        if path in project.package_files:
            return self._packages_note
        if inside in ROOT_FILES or path == project.place(project.package_of(path), "dbt_project.yml"):
            return "no node that is built differs by it"
        if path.endswith(".md"):
            return "documentation only"
        macros = {u for m in (self._base, self._head) for u in m.macros if self._defines(m, u, path)}
        if macros and macros.isdisjoint(self._evidence.macros.changed):
            return "its macros are the same"
        if found := self._defined.get(path):
            differing = {u for u in self._affected.reasons if self._head.nodes[u].resource_type in TELLING}
            same = sorted({self._head.nodes[u].name for u in found - differing})[:5]
            return f"what is built of {', '.join(same)} is the same" if same else "other files changed what it defines"
        disabled = [u for u, f in self._head.disabled.items() if project.place(*f.split("://", 1)) == path]
        if disabled:
            return f"disabled: {', '.join(sorted(u.split('.')[2] for u in disabled))}"
        return "dbt builds nothing from it"

    @cached_property
    def _plugins_gave(self) -> str:
        """Return that dbt's plugins give the same as before; empty where there are none or they don't."""
        then, now = (
            {u: (n.parts, n.effects) for u, n in tree.nodes.items() if n.resource_type == "external"}
            for tree in (self._base, self._head)
        )
        return "a plugin of dbt may read it, and what plugins bring in is the same" if now and then == now else ""

    def _defines(self, manifest: Manifest, macro: str, path: str) -> bool:
        found = manifest.macros[macro]
        return self._project.place(found.package, found.file) == path

    @cached_property
    def _packages_note(self) -> str:
        """Compare what the installed packages hold."""
        then, now = _by_package(self._base), _by_package(self._head)
        own = {self._head.project, *self._head.lookup.internal}
        differing = [n for n in sorted((then.keys() | now.keys()) - own) if then.get(n) != now.get(n)]
        touched = set(map(self._project.package_of, self._evidence.paths))
        by_themselves = [n for n in differing if n in touched and n in then and n in now]
        words = [
            f"package {name} {'was added' if name not in then else 'was removed' if name not in now else 'changed'}"
            for name in differing
            if name not in by_themselves
        ]
        if not words:
            but = f"but for {', '.join(by_themselves)}, by its own files, " if by_themselves else ""
            return f"{but}the installed packages give the same nodes and macros"
        return f"{', '.join(words)}: nothing that is built differs by it"


def _by_package(manifest: Manifest) -> dict[str, set[tuple[str, str]]]:
    """Map each package to what it holds."""
    found: dict[str, set[tuple[str, str]]] = {}
    for node in manifest.nodes.values():
        found.setdefault(node.package, set()).add((node.unique_id, str(sorted({**node.parts, **node.effects}.items()))))
    for macro in manifest.macros.values():
        found.setdefault(macro.package, set()).add((macro.unique_id, macro.digest))
    return found
