"""Fingerprints of planned nodes: two runs that give a node the same one would build it from the same."""

from __future__ import annotations

import graphlib
import hashlib
import importlib.metadata
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pytest_dbtci.dbt_client.redaction import secrets_of
from pytest_dbtci.manifest import Manifest, ManifestNode
from pytest_dbtci.planning.planned import Planned
from pytest_dbtci.project.references import ANY_VAR
from pytest_dbtci.selection.macro_calls import ANYTHING, Caller, Calls
from pytest_dbtci.selection.nodes import place
from pytest_dbtci.settings import Settings

_FLAG = re.compile(r"DBT_(?!CI_|ENV_|(ENGINE_)?(LOG_\w+|PROFILES_DIR|PROJECT_DIR|TARGET_PATH|PACKAGES_INSTALL_PATH)$)")
"""Variables that may be flags of dbt, those left out that say where files lie on this machine."""


def fingerprints(planned: Planned, settings: Settings) -> Mapping[str, str]:
    """Map each planned node to a digest of all that makes its relation what it is, but for data outside of the plan.

    That is what dbt compares of it, its macros, project and run-wide settings, and the same of all that it reads. A
    node that depends on more, like the graph of nodes or a file that its SQL names, has none, nor has what reads it.
    """
    found = _of_head(planned, settings)
    return found.all() if found else {}


def twin_fingerprints(planned: Planned, settings: Settings) -> Mapping[str, str]:
    """Map each of the plan's twins to such a digest; all of the base's files count as read."""
    found = _of_twins(planned, settings)
    return found.all() if found else {}


def lingering(planned: Planned, settings: Settings) -> frozenset[str]:
    """Return the planned nodes, and twins, that can come out otherwise where an earlier run's relations stand.

    They ask what stands in the schema, add to what may stand there, or are materialized by the project's own code.
    What goes on from its own relation as dbt knows it (incremental models, snapshots) is not among them.
    """
    both = (_of_head(planned, settings), _of_twins(planned, settings))
    return frozenset(u for found in both if found for u in found.built if found.lingers(u))


def _of_head(planned: Planned, settings: Settings) -> _Fingerprints | None:
    if planned.head is None:
        return None
    elsewhere = {u: n.relation for u, n in planned.deferral.nodes.items()} if planned.deferral else {}
    built = frozenset(n.unique_id for n in planned.plan.nodes)
    return _Fingerprints(planned=planned, head=planned.head, settings=settings, built=built, elsewhere=elsewhere)


def _of_twins(planned: Planned, settings: Settings) -> _Fingerprints | None:
    if planned.twins is None:
        return None
    return _Fingerprints(
        planned=planned,
        head=planned.twins.base,
        settings=settings,
        built=frozenset(planned.plan.twins),
        elsewhere={u: place.relation for u, place in planned.twins.elsewhere.items()},
        commit=planned.plan.commits.base,
    )


@dataclass(frozen=True, kw_only=True)
class _Fingerprints:
    """Digest the nodes that are `built` of a manifest; the others stand `elsewhere`, by relation.

    `commit` is the one of the manifest's files, empty for those of the branch.
    """

    planned: Planned
    head: Manifest
    settings: Settings
    built: frozenset[str]
    elsewhere: Mapping[str, str | None]
    commit: str = ""
    _calls: dict[str, Calls] = field(default_factory=dict)
    _called: dict[str, dict[str, set[str]]] = field(default_factory=dict)

    def all(self) -> Mapping[str, str]:
        nodes, built = self.head.nodes, self.built
        found: dict[str, str | None] = {}
        for unique_id in graphlib.TopologicalSorter({u: n.parents for u, n in nodes.items()}).static_order():
            if (node := nodes.get(unique_id)) is None:
                continue
            parents = sorted({*node.parents} & nodes.keys())
            own = self._of_node(node)
            if own is None or any(found[p] is None and p in built for p in parents):
                found[unique_id] = None
                continue
            reads = [(p, found[p], p in built, None if p in built else self.elsewhere.get(p)) for p in parents]
            found[unique_id] = _digest(self._around, own, reads)
        return {u: digest for u in built if (digest := found.get(u)) is not None}

    def lingers(self, unique_id: str) -> bool:
        """Whether building the node can depend on what stands there already: see `lingering`."""
        node, lookup = self.head.nodes.get(unique_id), self.head.lookup
        if node is None:
            return False
        builds = self.head.macros.get(lookup.materializations.get(node.materialized, ""))
        if builds is not None and builds.package not in lookup.internal:
            return True
        called = (self.head.macros[u] for u in self._follow(node))
        own = node.lingers and node.materialized not in ("incremental", "snapshot")
        return own or any(m.lingers for m in called if m.package not in lookup.internal)

    def _of_node(self, node: ManifestNode) -> str | None:
        called = [self.head.macros[u] for u in self._follow(node)]
        texts: list[Caller] = [node, *(m for m in called if m.package not in self.head.lookup.internal)]
        read = {name for one in texts for name in one.environment}
        environ = {name: self.settings.environ.get(name, "") for name in sorted(read)}
        is_known = not (ANY_VAR in read or self._secrets & {*environ.values()})
        if not is_known or any(one.graph or one.mentions for one in texts):
            return None
        if any(ANYTHING in one.computed for one in texts):
            called = list(self.head.macros.values())
        content = self._seed(node) if node.resource_type == "seed" else ""
        if content is None:
            return None
        macros = sorted((m.unique_id, m.digest) for m in called)
        said = node.told if any(one.properties for one in texts) else ""
        built = (node.relation, node.materialized, content)
        return _digest(dict(node.parts), dict(node.effects), said, macros, environ, *built)

    def _follow(self, node: ManifestNode) -> set[str]:
        """Return all macros that building the node can call, so far as their names are not computed."""
        if node.package not in self._calls:
            self._calls[node.package] = Calls(self.head, self.head.lookup, node.package)
            self._called[node.package] = {}
        calls, called = self._calls[node.package], self._called[node.package]
        found, todo = set[str](), [*calls.called_by(node), *calls.by_dbt()]
        while todo:
            macro = self.head.macros.get(unique_id := todo.pop())
            if macro is None or unique_id in found:
                continue
            found.add(unique_id)
            if unique_id not in called:
                called[unique_id] = calls.called_by(macro)
            todo.extend(called[unique_id])
        return found

    @cached_property
    def _secrets(self) -> frozenset[str]:
        """Passwords: a digest that others can read is no place for one, which could be guessed by it."""
        return frozenset(secrets_of({}, self.settings.environ))

    def _seed(self, node: ManifestNode) -> str | None:
        """Digest the file, where no commit tells of it: of a large one dbt compares the name alone."""
        plan = self.planned.plan
        return self.commit or _of_file(Path(plan.project_dir, place(node, self.head, plan.packages_dir)))

    @cached_property
    def _around(self) -> str:
        """Digest what counts for every node: settings and flags."""
        plan, head, settings = self.planned.plan, self.head, self.settings
        where = plan.destination
        folder = Path(plan.project_dir)
        files = [folder / "dbt_project.yml", folder / "vars.yml"]
        files += sorted(folder.joinpath(plan.packages_dir).glob("*/dbt_project.yml"))
        flags = {k: v for k, v in settings.environ.items() if _FLAG.match(k) and v not in self._secrets}
        return _digest(
            *(where.profile, where.target, where.defer_target, head.adapter, head.dbt_version, dict(head.env_vars)),
            *(_version(name) for name in (f"dbt-{head.adapter}", "dbt-adapters", "pytest-dbtci")),
            *(settings.vars, settings.full_refresh, flags, [_of_file(f) for f in files], self.commit),
        )


def _of_file(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _digest(*what: object) -> str:
    return hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()[:32]
