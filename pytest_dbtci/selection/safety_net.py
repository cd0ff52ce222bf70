"""The net under dbt's comparison: what it misses is added, what can affect every node adds all."""

from __future__ import annotations

from collections.abc import Iterable, Set

from pytest_dbtci.plan import Reason
from pytest_dbtci.project.references import ANY_VAR
from pytest_dbtci.selection.evidence import TELLING, Affected, Evidence, run_hooks
from pytest_dbtci.selection.reasons import Reasons, with_files
from pytest_dbtci.selection.settings_diff import profile_difference, project_difference, variables_difference


def find_affected(evidence: Evidence) -> Affected:
    """Find every node that the changed paths can affect."""
    return _Net(evidence).find()


class _Net:
    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.project, self.base, self.head = evidence.project, evidence.base, evidence.head
        self.macros = evidence.macros
        self.reasons = Reasons(
            project=self.project,
            changes=evidence.changes,
            base=self.base,
            head=self.head,
            macros=self.macros,
            ignored=evidence.ignored,
            settings={p: project_difference(*found, ()).keys for p, found in evidence.texts.items()},
        )
        self.found: dict[str, Reason] = {}
        self.everything: list[tuple[str, tuple[str, ...]]] = []
        self.by_path: dict[str, set[str]] = {}
        self.causes: dict[str, list[str]] = {}
        self.notes: list[str] = []
        self.settings: dict[str, tuple[str, ...]] = {}

    def find(self) -> Affected:
        unexplained = []
        for unique_id in sorted(self.evidence.modified & self.head.nodes.keys()):
            reason = self.reasons.modified(unique_id)
            if self.evidence.foreign and not reason.files:
                unexplained.append(unique_id)
            else:
                self.found[unique_id] = reason
        self._rendered()
        self._hooks()
        self._macros()
        self._settings()
        self._read_settings()
        self._named_files()
        self._graph()
        self._properties()
        everything = self._why_everything()
        reasons = {u: with_files(r, everything) for u, r in self.found.items()}
        for unique_id, reason in reasons.items():
            self._record([unique_id], reason.files)
        self._idle_settings()
        return Affected(
            reasons=reasons,
            everything=everything,
            unexplained=tuple(unexplained),
            by_path={p: frozenset(found) for p, found in self.by_path.items()},
            causes={p: tuple(dict.fromkeys(said)) for p, said in self.causes.items()},
            notes=tuple(self.notes),
        )

    def _add(self, unique_ids: Iterable[str], text: str, paths: tuple[str, ...]) -> None:
        """Add nodes as affected, unless they have a reason already; what they have to do with the paths is kept."""
        telling = [u for u in unique_ids if u in self.head.nodes and self.head.nodes[u].resource_type in TELLING]
        self._record(telling, paths)
        for unique_id in telling:
            self.found.setdefault(unique_id, Reason(kind="affected", text=f"affected: {text}", files=paths))

    def _record(self, unique_ids: Iterable[str], paths: Iterable[str]) -> None:
        for unique_id in unique_ids:
            if self.head.nodes[unique_id].resource_type in TELLING:
                for path in paths:
                    self.by_path.setdefault(path, set()).add(unique_id)

    def _add_reach(self, macro: str, text: str, path: str) -> bool:
        """Add what a macro can affect; tell whether there is anything."""
        reach = self.macros.reach(macro)
        if reach.everything:
            self._add_everything(text, (path,))
        reached = reach.unique_ids or reach.computed
        self._add(sorted(reached), text, (path,))
        return bool(reach.everything or reached)

    def _add_everything(self, text: str, paths: tuple[str, ...]) -> None:
        self.everything.append((text, paths))
        self._say(text, paths)

    def _say(self, text: str, paths: Iterable[str]) -> None:
        for path in paths:
            self.causes.setdefault(path, []).append(text)

    def _where(self, path: str) -> tuple[str, ...]:
        """Return the changed paths behind a file: an installed package's files change by what names the package."""
        if path in self.evidence.paths:
            return (path,)
        return tuple(n for n in self.project.package_files if n in self.evidence.paths)

    def _why_everything(self) -> Reason | None:
        if not self.everything:
            return None
        texts = "; ".join(dict.fromkeys(t for t, _ in self.everything))
        files = tuple(dict.fromkeys(p for _, paths in self.everything for p in paths))
        return Reason(kind="affected", text=f"can be affected: {texts}", files=files)

    def _rendered(self) -> None:
        """Add what differs only after rendering, and large seeds, whose content dbt does not look at."""
        for unique_id, node in self.head.nodes.items():
            if unique_id in self.found or node.resource_type not in TELLING:
                continue
            before = self.base.nodes.get(unique_id)
            if before is not None and not self.evidence.foreign and node.effects != before.effects:
                self.found[unique_id] = self.reasons.affected(unique_id)
            elif before is None and node.resource_type in ("source", "external"):
                self.found[unique_id] = self.reasons.modified(unique_id)
            elif node.resource_type == "seed" and self.reasons.has_other_content(unique_id):
                self._add([unique_id], "content", (self.project.place(node.package, node.file),))

    def _hooks(self) -> None:
        """Treat a hook of the whole run that was added, removed or changed as able to affect everything."""
        # A hook of the project may do more than call what observes.
        idle = {hook for hook in self.macros.observers if not hook.startswith(f"operation.{self.head.project}.")}
        changed = run_hooks(self.base) ^ run_hooks(self.head)
        differing = {(package, hook) for package, hook, _ in changed if hook not in idle}
        for package in sorted({package for package, _ in differing}):
            path = self.project.place(package, "dbt_project.yml")
            if path in self.evidence.paths:
                keys = sorted({hook.rpartition("-")[0].partition("-")[2] for p, hook in differing if p == package})
                self._add_everything(f"{', '.join(keys)} (a hook of the whole run) changed", (path,))
            elif not self.evidence.foreign:
                # A package that was exchanged as a whole.
                self._add_everything("on-run-start or on-run-end hooks changed", self._where(path))

    def _macros(self) -> None:
        for unique_id in self.macros.changed:
            macro = self.macros.any(unique_id)
            paths = self._where(self.project.place(macro.package, macro.file))
            reach = self.macros.reach(unique_id)
            if reach.everything:
                self._add_everything(reach.everything, paths)
            elif reach.unique_ids or reach.computed:
                self._add(sorted(reach.unique_ids), f"macro {macro.name}", paths)
                computed = f"macro {macro.name}, as it calls macros by computed names"
                self._add(sorted(reach.computed), computed, paths)
            elif reach.observers:
                self._say(f"only hooks that observe what is built call macro {macro.name}", paths)
            else:
                self._say(f"nothing calls macro {macro.name}", paths)

    def _settings(self) -> None:
        for path in sorted(self.evidence.paths):
            if path in self.project.settings:
                self._project_file(path, self.project.settings[path])
            elif path == self.project.variable_file:
                self._variable_file(path)
            elif path == self.evidence.profile_file:
                texts = self.evidence.texts.get(path, (None, None))
                profile, target = self.evidence.profile, self.evidence.target
                differing = profile_difference(*texts, profile, target, by_default=self.evidence.by_default)
                if differing:
                    self._add_everything(differing, (path,))
                else:
                    self._say(f"target {self.evidence.target} is the same", (path,))
            elif path in map(self.project.path_of, map(str, self.project.others)):
                # A profile that is gone, or a link to one that leads elsewhere.
                self._add_everything("profile (what dbt connects with) changed", (path,))
            elif path in self.project.environment_files[: None if self.head.is_since_1_12 else 1]:
                self._add_everything("the environment of dbt changed", (path,))

    def _project_file(self, path: str, package: str) -> None:
        texts, is_root = self.evidence.texts.get(path, (None, None)), package == self.project.name
        found = project_difference(*texts, self.evidence.packages, is_root=is_root, profile=self.evidence.profile)
        if found.everything:
            self._add_everything(found.everything, (path,))
        for name in sorted(found.variables & self.evidence.variables_of(package)):
            self._variable(name, path)
        if "dispatch" in found.keys:
            self._dispatch(path)
        if not found.keys:
            self._say("the settings are the same", (path,))
        elif not found.everything:
            self.settings[path] = tuple(k for k in found.keys if k not in ("vars", "dispatch"))

    def _variable_file(self, path: str) -> None:
        if not self.head.is_since_1_12:
            self._say(f"dbt-core {self.head.dbt_version} reads no such file", (path,))
            return
        found = variables_difference([self.evidence.texts.get(path, (None, None))], self.evidence.packages)
        differing = sorted(found & self.evidence.variables_of(self.project.name))
        for name in differing:
            self._variable(name, path)
        if not differing:
            self._say("the variables are the same", (path,))

    def _idle_settings(self) -> None:
        """Note which keys of a project file changed without an effect."""
        new = {n.resource_type for u, n in self.head.nodes.items() if u not in self.base.nodes}
        told = {path for _, paths in self.everything for path in paths}.union(self.by_path)
        for path, keys in self.settings.items():
            if keys and path not in told:
                # `data_tests` configures tests; what is new can be configured here without differing from anything.
                can_be_new = any(key.removeprefix("data_").removesuffix("s") in new for key in keys)
                which = "that the base has" if can_be_new else "that is built"
                self._say(f"{', '.join(keys)} changed, and no node {which} differs", (path,))

    def _dispatch(self, path: str) -> None:
        """Add what calls a macro through a dispatch that finds another one than before."""
        if self.evidence.foreign:
            self._add_everything("dispatch (the order in which macros are looked up) changed", (path,))
            return
        redirected = self.macros.redirected()
        for name, unique_ids in sorted(redirected.items()):
            self._add(sorted(unique_ids), f"dispatch finds another {name}", (path,))
        if not any(redirected.values()):
            self._say("dispatch finds the same macros for all that is built", (path,))

    def _variable(self, name: str, path: str) -> None:
        used = self._add_readers(name, f"variable {name}", path)
        # What YAML reads, and what a node has read that is gone, shows in the parsed nodes.
        before = (v for n in self.base.nodes.values() for v in n.variables)
        if not used and {ANY_VAR, name}.isdisjoint([*self.project.yaml_variables, *before]):
            self._say(f"nothing reads variable {name}", (path,))

    def _add_readers(self, name: str, text: str, path: str) -> bool:
        """Add what reads a variable, for what the text says; tell whether there is anything."""
        used = False
        for macro in self.head.macros.values():
            if name in macro.variables:
                used |= self._add_reach(macro.unique_id, f"{text}, by macro {macro.name}", path)
            elif ANY_VAR in macro.variables:
                computed = f"{text}, by macro {macro.name}, which reads variables by computed names"
                used |= self._add_reach(macro.unique_id, computed, path)
        for unique_id, node in self.head.nodes.items():
            if {ANY_VAR, name}.isdisjoint(node.variables):
                continue
            used = True
            if node.resource_type == "operation":
                self._add_everything(f"{text}, which a hook of the whole run reads, changed", (path,))
            else:
                computed = "" if name in node.variables else ", as it reads variables by computed names"
                self._add([unique_id], f"{text}{computed}", (path,))
        return used

    def _named_files(self) -> None:
        """Add what names a changed file as data to read, or as a Python module to import."""
        for path, file in sorted((p, f) for p in self.evidence.paths for f in self.project.behind(p)):
            name, is_named = file.rsplit("/", 1)[-1], self.project.is_named_by
            if is_named(file, self.evidence.loaded):
                self._add_everything(f"{name}, which target {self.evidence.target} loads, changed", (path,))
            self._add_readers_of(name, path, {u for u, one in self.head.texts.items() if is_named(file, one.mentions)})
            for variable, patterns in self.project.files_of_variables.items():
                if is_named(file, patterns):
                    self._add_readers(variable, f"{name}, which variable {variable} names", path)

    def _read_settings(self) -> None:
        """Add what reads the settings themselves, where those of the project or of a package can be others."""
        files = {*self.project.settings, *self.project.package_files, self.project.variable_file}
        readers = {u for u, one in self.head.texts.items() if one.settings}
        for path in sorted(files & self.evidence.paths):
            if self.reasons.settings.get(path, path):
                self._add_readers_of("the project's settings", path, readers)

    def _add_readers_of(self, what: str, path: str, readers: Set[str]) -> None:
        """Add the nodes that read it by their own text, and all that macros and hooks of the whole run do with it."""
        self._add(sorted(readers), f"reads {what}", (path,))
        if any(u.startswith("operation.") for u in readers):
            self._add_everything(f"{what}, which a hook of the whole run reads, changed", (path,))
        for unique_id in sorted(readers & self.head.macros.keys()):
            self._add_reach(unique_id, f"macro {self.head.macros[unique_id].name} reads {what}", path)

    def _graph(self) -> None:
        """Add what reads other nodes' properties, when a file that defines some changed."""
        defining = tuple(sorted(p for p in self.evidence.paths if p in self.evidence.defining_files))[:1]
        if not defining:
            return
        for unique_id, node in self.head.nodes.items():
            if node.graph and node.resource_type != "operation":
                self._add([unique_id], "reads the graph of nodes", defining)
        for macro in self.head.macros.values():
            if macro.graph:
                found = self.macros.reading_the_graph(macro.unique_id)
                self._add(sorted(found), f"macro {macro.name} reads the graph of nodes", defining)
        if self.macros.observers:
            packages = sorted({m.package for m in self.macros.observing})
            self.notes.append(
                f"hooks of the whole run read the graph of nodes through {', '.join(packages)}: "
                "they observe what is built, so no node is selected for them"
            )

    def _properties(self) -> None:
        """Add what reads of its own properties those that dbt does not compare, where they differ."""
        for unique_id, text in self.evidence.read_otherwise(self.found).items():
            self._add([unique_id], text, self.reasons.described_in(unique_id))
