"""What planning needs of a dbt manifest, as frozen values that know no dbt."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

BUILDABLE = ("seed", "model", "snapshot", "test", "unit_test", "function")
"""Resource types that `dbt build` runs and reports a result for."""

READABLE = ("seed", "model", "snapshot", "function")
"""Resource types that other nodes read, so that they must exist somewhere."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a node's relation lies: the parts of its name, and the name as the warehouse quotes it."""

    database: str = ""
    schema: str = ""
    identifier: str = ""
    relation: str | None = None


@dataclass(frozen=True, kw_only=True)
class ManifestNode:
    """One node, source, unit test or exposure as dbt parsed it.

    `file` is dbt's `original_file_path` (relative to its package), `patch` the YAML that describes it
    (`package://path`). `parts` holds a digest for each part that dbt's state comparison looks at, `effects` one
    for each that shows after rendering only. `variables` are the dbt variables that its text reads (`*`: one
    with a computed name), `mentions` the files it names; `graph` tells that it reads other nodes' properties,
    `settings` that it reads what the project files say, `properties` that it reads its own, of which `told` is a digest
    as far as neither `parts` nor `effects` hold them, `environment` are the variables of the environment that its text
    reads (`*`: one with a computed name), `lingers` tells that building it depends on what stands in its schema before,
    or adds to that, `writes` whether it leaves a relation behind. `macros` are those that dbt records, `calls` what its
    Jinja calls by name (`macro` or `package.macro`), `hook_calls` those that only its hooks do, `dispatches` the
    name and the namespace of each dispatch, `computed` patterns of the names that it looks macros up by.
    `full_refresh` is what its config says of that, None for nothing. Exposures have a `label`, an `owner` and a
    `url`, for people.
    """

    unique_id: str
    resource_type: str
    name: str
    package: str
    file: str
    patch: str | None = None
    database: str = ""
    schema: str = ""
    relation: str | None = None
    identifier: str = ""
    materialized: str = ""
    parents: tuple[str, ...] = ()
    macros: tuple[str, ...] = ()
    attached: str | None = None
    column: str | None = None
    severity: str = ""
    version: str | None = None
    writes: bool = False
    hooks: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    mentions: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    hook_calls: tuple[str, ...] = ()
    dispatches: tuple[tuple[str, str], ...] = ()
    computed: tuple[str, ...] = ()
    graph: bool = False
    settings: bool = False
    properties: bool = False
    environment: tuple[str, ...] = ()
    lingers: bool = False
    told: str = ""
    full_refresh: bool | None = None
    label: str = ""
    owner: str = ""
    url: str = ""
    parts: Mapping[str, str]
    effects: Mapping[str, str] = field(default_factory=dict)

    @property
    def place(self) -> Place:
        """Return where its relation lies."""
        return Place(database=self.database, schema=self.schema, identifier=self.identifier, relation=self.relation)


@dataclass(frozen=True, kw_only=True)
class ManifestMacro:
    """One macro: `digest` of its text, the `macros` that dbt records, and what its text mentions (see ManifestNode)."""

    unique_id: str
    name: str
    package: str
    file: str
    digest: str
    macros: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    mentions: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    dispatches: tuple[tuple[str, str], ...] = ()
    computed: tuple[str, ...] = ()
    graph: bool = False
    settings: bool = False
    properties: bool = False
    environment: tuple[str, ...] = ()
    lingers: bool = False


@dataclass(frozen=True, kw_only=True)
class Lookup:
    """The order in which dbt looks macros up.

    `prefixes` are those of the adapter's dispatch variants, best first, `internal` the packages of macros that
    come with dbt and the adapter, `search` the packages that a dispatch searches by its namespace (none: as a
    plain name), `materializations` the macro that builds each kind, `comment` what the query comment calls.
    """

    prefixes: tuple[str, ...] = ()
    internal: tuple[str, ...] = ()
    search: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    materializations: Mapping[str, str] = field(default_factory=dict)
    comment: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A parsed project: nodes and macros by unique_id, docs and disabled nodes as unique_id to `package://path`.

    `env_vars` maps the environment variables that dbt used to their fingerprints, None where a default was used.
    `parsed` tells how: `partly` from an earlier parse, or `wholly`; empty where it was read from a file.
    `schema_uses` names the code that looked into the target's schema meanwhile: see `dbt_host.schema_uses`.
    `unmatched` are sentences on what YAML describes and the project lacks, as far as it was parsed anew.
    `order` names all nodes where `nodes` lacks those that are as in the base: see `completed`.
    """

    project: str
    adapter: str
    dbt_version: str
    nodes: Mapping[str, ManifestNode]
    macros: Mapping[str, ManifestMacro]
    docs: Mapping[str, str]
    disabled: Mapping[str, str]
    env_vars: Mapping[str, str | None]
    lookup: Lookup = field(default_factory=Lookup)
    parsed: str = ""
    schema_uses: tuple[str, ...] = ()
    unmatched: tuple[str, ...] = ()
    order: tuple[str, ...] = ()

    def completed(self, base: Manifest) -> Manifest:
        """Return the manifest with the nodes that it lacks, which are as in the base."""
        if not self.order:
            return self
        nodes = {u: self.nodes[u] if u in self.nodes else base.nodes[u] for u in self.order}
        return replace(self, nodes=nodes, order=())

    @cached_property
    def texts(self) -> Mapping[str, ManifestNode | ManifestMacro]:
        """Return all whose text is rendered, nodes and macros."""
        return {**self.nodes, **self.macros}

    @property
    def is_since_1_12(self) -> bool:
        """Whether this dbt reads vars.yml, and a `.env` above the project."""
        return tuple(map(int, self.dbt_version.split(".")[:2])) >= (1, 12)

    def moved(self, places: Mapping[str, Place]) -> Manifest:
        """Return the manifest with these nodes' relations elsewhere."""
        moved = {u: replace(self.nodes[u], **vars(p)) for u, p in places.items() if u in self.nodes}
        return replace(self, nodes={**self.nodes, **moved})

    @cached_property
    def children(self) -> Mapping[str, tuple[str, ...]]:
        """Return the nodes that read each node."""
        found: dict[str, list[str]] = {}
        for node in self.nodes.values():
            for parent in node.parents:
                found.setdefault(parent, []).append(node.unique_id)
        return {k: tuple(v) for k, v in found.items()}

    def macros_behind(self, unique_ids: tuple[str, ...]) -> frozenset[str]:
        """Return these macros and all that they call, directly or not."""
        found, todo = set[str](), list(unique_ids)
        while todo:
            unique_id = todo.pop()
            if unique_id not in found:
                found.add(unique_id)
                macro = self.macros.get(unique_id)
                todo.extend(macro.macros if macro else ())
        return frozenset(found)


def fingerprint(value: str) -> str:
    """Return what tells the value of an environment variable from another one, and can't be turned back into it."""
    return hashlib.sha256(value.encode("utf-8", "surrogateescape")).hexdigest()[:8]
