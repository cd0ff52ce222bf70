"""Say why a node is selected, in words and by the changed files behind it, from the two manifests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from pytest_dbtci.git.repository import Change
from pytest_dbtci.manifest import Manifest, ManifestNode
from pytest_dbtci.plan import Reason
from pytest_dbtci.project.project import Project
from pytest_dbtci.selection.macro_reach import Macros
from pytest_dbtci.selection.settings_diff import concerns

_PARTS = {
    "body": "body",
    "configs": "config",
    "relation": "relation",
    "contract": "contract",
    "persisted_descriptions": "persisted description",
    "reference": "latest version, access or deprecation",
    "signature": "arguments or return type",
    "quoting": "quoting",
    "freshness": "freshness",
    "external": "external",
    "fqn": "moved",
}
_BODY = {"seed": "content", "unit_test": "unit test"}
_SETTINGS_FILES = ("dbt_project.yml", ".dbtignore")


@dataclass(frozen=True, kw_only=True)
class Reasons:
    """Both trees, what git saw change between them, and the files that it ignores.

    `settings` are the keys that differ in changed settings files.
    """

    project: Project
    changes: tuple[Change, ...]
    base: Manifest
    head: Manifest
    macros: Macros
    ignored: frozenset[str] = frozenset()
    settings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def modified(self, unique_id: str) -> Reason:
        """Return what differs in a node that dbt calls modified."""
        node, before = self.head.nodes[unique_id], self.base.nodes.get(unique_id)
        if before is None:
            return self._new(node)
        parts = self.differing(unique_id)
        macros = self._changed_macros(node, before)
        told = [p for p in parts if p != "body"] if _is_generic(node) and len(parts) > 1 else parts
        words = [_word(node, p) for p in told] + [f"macro {m.rsplit('.', 1)[-1]}" for m in macros]
        if not words:
            words = self.rendered(unique_id) or ["by dbt's comparison"]
        places = [self._macro_file(m) for m in macros]
        if len(self._changed(places)) < len(set(places)):
            # An installed package's files change by what names the package.
            places += self._project_files(node)
        if parts or not macros:
            places += self.files_of(node, before, described=not {"body", "fqn"}.issuperset(parts) or not parts)
            if "persisted_descriptions" in parts:
                places += self._doc_files
            if "configs" in parts or "relation" in parts:
                places += self._settings_files(node)
            if node.package not in (self.project.name, *self.project.local_packages):
                places += self.project.package_files
            if not self._changed(places):
                places += self._calling_files(unique_id) or self._project_files(node)
        return Reason(kind="modified", text=f"modified: {', '.join(words)}", files=self._changed(places))

    def differing(self, unique_id: str) -> tuple[str, ...]:
        """Name the parts of a node that dbt compares and that differ."""
        now, then = self.head.nodes[unique_id].parts, self.base.nodes[unique_id].parts
        # Where only one of the two persists descriptions, it is the configuration that differs.
        return tuple(
            p
            for p in _PARTS
            if now.get(p) != then.get(p) and (p != "persisted_descriptions" or (p in now and p in then))
            if p != "body" or not self._is_renamed_only(unique_id)
        )

    def has_other_content(self, seed: str) -> bool:
        """Whether git saw the content of a seed change."""
        node = self.head.nodes[seed]
        return self.project.place(node.package, node.file) in self.changed_paths and not self._is_renamed_only(seed)

    def _is_renamed_only(self, unique_id: str) -> bool:
        """Whether this is a seed whose file was renamed byte for byte: of a large one dbt compares the path."""
        node = self.head.nodes[unique_id]
        place = self.project.place(node.package, node.file)
        return node.resource_type == "seed" and any(c.exact and c.path == place for c in self.changes)

    def rendered(self, unique_id: str) -> list[str]:
        """Name what differs in a node only after rendering."""
        now, before = self.head.nodes[unique_id].effects, self.base.nodes.get(unique_id)
        then = before.effects if before else {}
        return [k for k in now.keys() | then.keys() if now.get(k) != then.get(k)]

    def affected(self, unique_id: str) -> Reason:
        """Return what differs after rendering in a node that dbt does not call modified."""
        node, before = self.head.nodes[unique_id], self.base.nodes.get(unique_id)
        rendered = sorted(self.rendered(unique_id))
        files = self._changed(self.files_of(node, before))
        if not files and "parents" in rendered:
            parents = set(node.parents) ^ set(before.parents if before else ())
            found = (m.nodes[p] for p in sorted(parents) for m in (self.head, self.base) if p in m.nodes)
            files = self._changed(f for parent in found for f in self.files_of(parent, None))
        files = files or self._changed(self._calling_files(unique_id) or self._project_files(node))
        return Reason(kind="affected", text=f"affected: {', '.join(rendered)}", files=files)

    def described_in(self, unique_id: str) -> tuple[str, ...]:
        """Return the changed files that describe a node: its own and its YAML's, doc blocks, the settings."""
        node = self.head.nodes[unique_id]
        files = [*self.files_of(node, self.base.nodes.get(unique_id)), *self._doc_files, *self._settings_files(node)]
        return self._changed(files) or self._changed(self._project_files(node))

    def files_of(self, node: ManifestNode, before: ManifestNode | None, *, described: bool = True) -> list[str]:
        """Return every repository path that the node is defined in, before and now, its fixtures included.

        `described` takes the YAML that describes it too.
        """
        found = []
        for one in (node, before) if before else (node,):
            found.append(self.project.place(one.package, one.file))
            if described and one.patch and "://" in one.patch:
                found.append(self.project.place(*one.patch.split("://", 1)))
            if one.resource_type == "unit_test":
                names = set(one.mentions)
                found += [p for p in self.changed_paths if p.rsplit("/", 1)[-1] in names]
            elif one.resource_type == "external":
                found += self._plugin_files(one)
            elif one.resource_type == "source" and one.package != self.project.name:
                found += self._overriding_files()
        return found

    def _overriding_files(self) -> list[str]:
        """Return the project's changed YAML that can override sources of packages."""
        project = self.project
        found = [p for p in sorted(self.changed_paths) if p.endswith((".yml", ".yaml"))]
        files = {p: project.repository / p for p in found if project.package_of(p) == project.name}
        return [p for p, f in files.items() if not f.is_file() or "overrides" in f.read_text("utf-8", "replace")]

    def _plugin_files(self, node: ManifestNode) -> list[str]:
        """Return the changed files in which a plugin of dbt can have found the node: those that mention it, if any."""
        found = [p for p in sorted(self.changed_paths) if self.project.can_configure_plugins(p)]
        files = {p: self.project.repository / p for p in found}
        texts = {p: f.read_text(encoding="utf-8", errors="replace") for p, f in files.items() if f.is_file()}
        return [p for p, text in texts.items() if node.name in text or node.package in text] or found

    @cached_property
    def changed_paths(self) -> frozenset[str]:
        """Return every changed path, the old one of a renamed file too."""
        return frozenset(p for c in self.changes for p in (c.path, c.old_path) if p)

    def _new(self, node: ManifestNode) -> Reason:
        files = self._changed(self.files_of(node, None)) or self._changed(self._project_files(node))
        if node.resource_type == "test" and self._tests_gone.get((node.name, node.attached)):
            return Reason(kind="modified", text="modified: test definition", files=files)
        if (place := self.project.place(node.package, node.file)) in self.ignored:
            return Reason(kind="new", text="new: git ignores its file, so no commit has it", files=(place,))
        return Reason(kind="new", text="new", files=files)

    @cached_property
    def _tests_gone(self) -> dict[tuple[str, str | None], bool]:
        return {
            (n.name, n.attached): True
            for u, n in self.base.nodes.items()
            if n.resource_type == "test" and u not in self.head.nodes
        }

    def _changed_macros(self, node: ManifestNode, before: ManifestNode) -> list[str]:
        behind = self.head.macros_behind(node.macros) | self.base.macros_behind(before.macros)
        return [m for m in self.macros.changed if m in behind]

    def _calling_files(self, unique_id: str) -> list[str]:
        """Return the files of changed macros that the node calls as dbt does not record it, by a computed name, say."""
        reaching = {m: self.macros.reach(m) for m in self.macros.changed}
        return [self._macro_file(m) for m, r in reaching.items() if unique_id in r.unique_ids | r.computed]

    @cached_property
    def _doc_files(self) -> list[str]:
        found = {*self.head.docs.values(), *self.base.docs.values()}
        return sorted(self.project.place(*f.split("://", 1)) for f in found)

    def _macro_file(self, unique_id: str) -> str:
        macro = self.head.macros.get(unique_id) or self.base.macros[unique_id]
        return self.project.place(macro.package, macro.file)

    def _project_files(self, node: ManifestNode) -> list[str]:
        return [*self._settings_files(node), *self.project.package_files]

    def _settings_files(self, node: ManifestNode) -> list[str]:
        is_own = node.package == self.project.name
        own = [] if is_own else [self.project.place(node.package, name) for name in _SETTINGS_FILES]
        found = [*own, *map(self.project.in_repository, _SETTINGS_FILES)]
        found += [self.project.variable_file] if self.head.is_since_1_12 else []
        keys, kind = self.settings, node.resource_type
        return [path for path in found if not keys.get(path) or concerns(keys[path], kind)]

    def _changed(self, places: Iterable[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(p for p in places if p in self.changed_paths))


def _is_generic(node: ManifestNode) -> bool:
    return node.resource_type == "test" and node.file.endswith((".yml", ".yaml"))


def _word(node: ManifestNode, part: str) -> str:
    return _BODY.get(node.resource_type, _PARTS[part]) if part == "body" else _PARTS[part]


def with_files(reason: Reason, everything: Reason | None) -> Reason:
    """Return a reason with the files of what can affect everything, where it has none of its own; else say so."""
    if reason.files:
        return reason
    if everything:
        return replace(reason, files=everything.files)
    # Both trees are parsed alike, but not at the same time.
    return replace(reason, text=f"{reason.text}, and no changed file explains it")
