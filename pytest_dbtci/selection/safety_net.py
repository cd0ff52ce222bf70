"""Account for every changed path: what dbt's comparison misses is added, what can affect all adds all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from pytest_dbtci.git.repository import Change
from pytest_dbtci.manifest import BUILDABLE, Manifest, ManifestNode
from pytest_dbtci.plan import PathChange, Reason
from pytest_dbtci.project import references as mentions
from pytest_dbtci.project.project import ROOT_FILES, Project
from pytest_dbtci.selection.macro_reach import Macros
from pytest_dbtci.selection.reasons import Reasons
from pytest_dbtci.selection.settings_diff import Difference, profile_difference, project_difference

_PACKAGE_FILES = ("packages.yml", "dependencies.yml", "package-lock.yml")
_TELLING = (*BUILDABLE, "source")
"""Resource types that are built, or whose change is one of what reads them."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What the net is cast over.

    `modified` is dbt's own answer. `texts` holds, for the settings files among the changed paths, their text
    at the base and now (None: not there). `profile_file` is where the used profile lies in the repository,
    None if elsewhere. `foreign` tells that `base` is another machine's manifest: what rendering gave there
    proves nothing, and what no changed file explains is thrown out.
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


@dataclass(frozen=True, kw_only=True)
class Net:
    """What the net caught.

    `reasons` holds all that changed by itself, dbt's own answer included; `unexplained` what was thrown out.
    `everything` holds the reason that any node can be affected, None where there is none. `causes` tells for
    paths what they can affect or why nothing.
    """

    reasons: Mapping[str, Reason]
    everything: Reason | None
    unexplained: tuple[str, ...]
    causes: Mapping[str, str]


def cast(evidence: Evidence) -> Net:
    """Cast the net."""
    return _Caster(evidence).cast()


class _Caster:
    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.project, self.base, self.head = evidence.project, evidence.base, evidence.head
        self.macros = Macros(self.base, self.head, self._macros_untouched() if evidence.foreign else frozenset())
        self.reasons = Reasons(
            project=self.project, changes=evidence.changes, base=self.base, head=self.head, macros=self.macros
        )
        self.found: dict[str, Reason] = {}
        self.everything: list[tuple[str, str]] = []
        self.causes: dict[str, str] = {}

    def cast(self) -> Net:
        unexplained = []
        for unique_id in sorted(self.evidence.modified):
            if unique_id not in self.head.nodes:
                continue
            reason = self.reasons.modified(unique_id)
            if self.evidence.foreign and not reason.files:
                unexplained.append(unique_id)
            else:
                self.found[unique_id] = reason
        self._rendered()
        self._hooks()
        self._macros()
        self._settings()
        self._named_files()
        self._graph()
        everything = self._why_everything()
        return Net(
            reasons={u: _with_files(r, everything) for u, r in self.found.items()},
            everything=everything,
            unexplained=tuple(unexplained),
            causes=self.causes,
        )

    def _add(self, unique_ids: Iterable[str], text: str, path: str) -> None:
        for unique_id in unique_ids:
            node = self.head.nodes.get(unique_id)
            if node is not None and unique_id not in self.found and node.resource_type in _TELLING:
                self.found[unique_id] = Reason(kind="affected", text=f"affected: {text}", files=(path,) if path else ())

    def _add_reach(self, macro: str, text: str, path: str) -> None:
        reach = self.macros.reach(macro)
        if reach.everything:
            self._add_everything(text, path)
        self._add(sorted(reach.unique_ids), text, path)

    def _add_everything(self, text: str, path: str) -> None:
        path = self._where(path)
        self.everything.append((text, path))
        self.causes[path] = text

    def _where(self, path: str) -> str:
        """Give the changed path behind a file: an installed package's files change by what names the package."""
        if path in self._paths:
            return path
        names = map(self.project.in_repository, reversed(_PACKAGE_FILES))
        return next((n for n in names if n in self._paths), "")

    def _why_everything(self) -> Reason | None:
        if not self.everything:
            return None
        texts = "; ".join(dict.fromkeys(t for t, _ in self.everything))
        files = tuple(dict.fromkeys(p for _, p in self.everything if p))
        return Reason(kind="affected", text=f"can be affected: {texts}", files=files)

    def _rendered(self) -> None:
        """Add what differs only after rendering, and large seeds, whose content dbt does not look at."""
        for unique_id, node in self.head.nodes.items():
            if unique_id in self.found or node.resource_type not in _TELLING:
                continue
            before = self.base.nodes.get(unique_id)
            if before is not None and not self.evidence.foreign and node.effects != before.effects:
                self.found[unique_id] = self.reasons.affected(unique_id)
            elif before is None and node.resource_type == "source":
                self.found[unique_id] = self.reasons.modified(unique_id)
            elif node.resource_type == "seed" and self.project.place(node.package, node.file) in self._paths:
                self._add([unique_id], "content", self.project.place(node.package, node.file))

    def _hooks(self) -> None:
        """Take a hook of a package that came, went or changed for something that can affect everything."""
        then, now = _hooks(self.base), _hooks(self.head)
        for package in sorted({p for p, _ in then ^ now}):
            path = self.project.place(package, "dbt_project.yml")
            # A changed dbt_project.yml speaks for itself; this is a package that was exchanged as a whole.
            if path not in self._paths and not self.evidence.foreign:
                self._add_everything("on-run-start or on-run-end hooks changed", path)

    def _macros(self) -> None:
        for unique_id in self.macros.changed:
            macro = self.head.macros.get(unique_id) or self.base.macros[unique_id]
            path = self.project.place(macro.package, macro.file)
            reach = self.macros.reach(unique_id)
            if reach.everything:
                self._add_everything(reach.everything, path)
            elif reach.unique_ids:
                self._add(sorted(reach.unique_ids), f"macro {macro.name}", self._where(path))
            else:
                self.causes.setdefault(self._where(path), f"nothing calls macro {macro.name}")

    def _settings(self) -> None:
        for path in sorted(self._paths):
            package, name = self.project.package_of(path), path.rsplit("/", 1)[-1]
            if name == "dbt_project.yml" and package and path == self.project.place(package, name):
                self._project_file(path, project_difference(*self.evidence.texts.get(path, (None, None))))
            elif path == self.evidence.profile_file:
                texts = self.evidence.texts.get(path, (None, None))
                found = profile_difference(*texts, self.evidence.profile, self.evidence.target)
                if found.everything:
                    self._add_everything(found.everything, path)
                else:
                    self.causes[path] = f"target {self.evidence.target} is the same"
            elif name == ".env" and self.project.within(path) == name:
                self._add_everything("the environment of dbt changed", path)

    def _project_file(self, path: str, found: Difference) -> None:
        if found.everything:
            self._add_everything(found.everything, path)
        for name in sorted(found.variables):
            self._variable(name, path)
        if not found.keys:
            self.causes.setdefault(path, "the settings are the same")
        elif not found.everything and not found.variables:
            self.causes.setdefault(path, f"{', '.join(found.keys)} changed, and no node that is built differs")

    def _variable(self, name: str, path: str) -> None:
        readers = {mentions.ANY_VAR, name}
        used = False
        for macro in self.head.macros.values():
            if not readers.isdisjoint(macro.variables):
                reach = self.macros.reach(macro.unique_id)
                if reach.everything or mentions.ANY_VAR in macro.variables:
                    self._add_everything(f"variable {name}, which macro {macro.name} reads, changed", path)
                    return
                used = used or bool(reach.unique_ids)
                self._add(sorted(reach.unique_ids), f"variable {name}, by macro {macro.name}", path)
        for unique_id, node in self.head.nodes.items():
            if not readers.isdisjoint(node.variables):
                if node.resource_type == "operation":
                    self._add_everything(f"variable {name}, which a hook of the whole run reads, changed", path)
                    return
                used = True
                self._add([unique_id], f"variable {name}", path)
        if not used:
            self.causes.setdefault(path, f"nothing reads variable {name}")

    def _named_files(self) -> None:
        """Add what names a changed file as data to read, or as a Python module to import."""
        for change in self.evidence.changes:
            for path in filter(None, (change.path, change.old_path)):
                if path.endswith((".sql", ".yml", ".yaml", ".md")):
                    continue
                name = path.rsplit("/", 1)[-1]
                readers = [u for u, n in self.head.nodes.items() if n.mentions and mentions.is_named(path, n.mentions)]
                self._add(readers, f"reads {name}", path)
                for macro in self.head.macros.values():
                    if macro.mentions and mentions.is_named(path, macro.mentions):
                        self._add_reach(macro.unique_id, f"macro {macro.name} reads {name}", path)

    def _graph(self) -> None:
        """Add what reads other nodes' properties, when any file that defines them changed."""
        endings = (".yml", ".yaml", ".sql", ".csv", ".py")
        defining = sorted(p for p in self._paths if self.project.package_of(p) and p.endswith(endings))
        if not defining:
            return
        for unique_id, node in self.head.nodes.items():
            if node.graph:
                self._add([unique_id], "reads the graph of nodes", defining[0])
        for macro in self.head.macros.values():
            if macro.graph:
                self._add_reach(macro.unique_id, f"macro {macro.name} reads the graph of nodes", defining[0])

    def _macros_untouched(self) -> frozenset[str]:
        """Give the macros in files that did not change: another machine's differ for other reasons."""
        every = {**self.base.macros, **self.head.macros}
        return frozenset(u for u, m in every.items() if self.project.place(m.package, m.file) not in self._paths)

    @cached_property
    def _paths(self) -> frozenset[str]:
        return frozenset(p for c in self.evidence.changes for p in (c.path, c.old_path) if p)


def account(evidence: Evidence, net: Net, chosen: frozenset[str]) -> tuple[PathChange, ...]:
    """Say what became of every changed path; `chosen` is what the selection took, sources included."""
    index = _Index(evidence)
    return tuple(_account(change, evidence, net, chosen, index) for change in evidence.changes)


def _account(change: Change, evidence: Evidence, net: Net, chosen: frozenset[str], index: _Index) -> PathChange:
    paths = [p for p in (change.path, change.old_path) if p]
    explained = [u for p in paths for u in index.explained(net).get(p, ())]
    gone = [name for p in paths for name in index.gone.get(p, ())]
    removed = f"removed: {', '.join(gone)}" if gone else ""
    effect, note = "none", ""
    if net.everything and not set(paths).isdisjoint(net.everything.files):
        effect, note = "everything", "; ".join(net.causes[p] for p in paths if p in net.causes)
    elif any(u in chosen for u in explained):
        effect = "selected"
    elif explained:
        note = f"the selection leaves out {', '.join(sorted(evidence.head.nodes[u].name for u in explained))}"
    elif gone:
        effect = "removed"
    else:
        causes = [net.causes[p] for p in paths if p in net.causes]
        note = "; ".join(causes) or index.idle(change.path)
    return PathChange(
        path=change.path, status=change.status, effect=effect, note="; ".join(filter(None, (note, removed)))
    )


class _Index:
    """Find nodes by the repository path of a file that defines them."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._explained: dict[str, list[str]] | None = None

    def explained(self, net: Net) -> dict[str, list[str]]:
        """Give the nodes that each changed path explains and that are built or read."""
        if self._explained is None:
            self._explained = {}
            for unique_id, reason in net.reasons.items():
                if self._evidence.head.nodes[unique_id].resource_type in _TELLING:
                    for path in reason.files:
                        self._explained.setdefault(path, []).append(unique_id)
        return self._explained

    @cached_property
    def gone(self) -> dict[str, list[str]]:
        """Name what each path defined at the base and what is not there any more."""
        base, head = self._evidence.base, self._evidence.head
        found: dict[str, list[str]] = {}
        for unique_id, node in base.nodes.items():
            if unique_id not in head.nodes and node.resource_type in BUILDABLE:
                name = f"{node.name}{' (disabled)' if unique_id in head.disabled else ''}"
                found.setdefault(self._where_it_was(node), []).append(name)
        return found

    def _where_it_was(self, node: ManifestNode) -> str:
        """Give the changed path by which a node went: its own, that of its YAML, or a file of the whole project."""
        project = self._evidence.project
        places = [project.place(node.package, node.file)]
        if node.patch and "://" in node.patch:
            places.append(project.place(*node.patch.split("://", 1)))
        places.append(project.place(node.package, "dbt_project.yml"))
        places += [project.in_repository(n) for n in (".dbtignore", "dbt_project.yml", *_PACKAGE_FILES)]
        changed = {p for c in self._evidence.changes for p in (c.path, c.old_path) if p}
        return next((p for p in places if p in changed), places[0])

    @cached_property
    def _defined(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for node in self._evidence.head.nodes.values():
            places = [(node.package, node.file)]
            if node.patch and "://" in node.patch:
                package, _, file = node.patch.partition("://")
                places.append((package, file))
            for package, file in places:
                found.setdefault(self._evidence.project.place(package, file), []).append(node.name)
        return found

    def idle(self, path: str) -> str:
        """Say why a path affects nothing that is built."""
        project = self._evidence.project
        inside = project.within(path)
        if not project.package_of(path):
            return "outside the dbt project"
        if inside == "selectors.yml":
            return "names selections; the nodes are the same"
        if inside in ROOT_FILES and inside in _PACKAGE_FILES:
            return "the installed packages give the same nodes and macros"
        if path.endswith(".md"):
            return "documentation only"
        if any(project.place(m.package, m.file) == path for m in self._evidence.head.macros.values()):
            return "its macros are the same"
        if found := self._defined.get(path):
            names = ", ".join(sorted(set(found))[:5])
            return f"what is built of {names} is the same"
        disabled = [u for u, f in self._evidence.head.disabled.items() if project.place(*f.split("://", 1)) == path]
        if disabled:
            return f"disabled: {', '.join(sorted(u.split('.')[2] for u in disabled))}"
        return "dbt builds nothing from it"


def _with_files(reason: Reason, everything: Reason | None) -> Reason:
    """Give a reason without a file of its own those of what can affect everything."""
    return replace(reason, files=everything.files) if everything and not reason.files else reason


def _hooks(manifest: Manifest) -> frozenset[tuple[str, str]]:
    return frozenset(
        (n.package, f"{n.unique_id}:{n.parts.get('body')}")
        for n in manifest.nodes.values()
        if n.resource_type == "operation"
    )
