"""What planning needs of a dbt manifest, as frozen values that know no dbt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

BUILDABLE = ("seed", "model", "snapshot", "test", "unit_test", "function")
"""Resource types that `dbt build` runs and reports a result for."""

READABLE = ("seed", "model", "snapshot", "function")
"""Resource types that other nodes read, so that they must exist somewhere."""


@dataclass(frozen=True, kw_only=True)
class ManifestNode:
    """One node, source, unit test or exposure as dbt parsed it.

    `file` is dbt's `original_file_path` (relative to its package), `patch` the YAML that describes it
    (`package://path`), `parts` a digest for each part that dbt's state comparison looks at. `writes` tells
    whether building it leaves a relation behind.
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
    parts: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class ManifestMacro:
    """One macro: `digest` of its text, `macros` it calls."""

    unique_id: str
    name: str
    package: str
    file: str
    digest: str
    macros: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A parsed project: nodes and macros by unique_id, docs and disabled nodes as unique_id to file."""

    project: str
    adapter: str
    dbt_version: str
    nodes: Mapping[str, ManifestNode]
    macros: Mapping[str, ManifestMacro]
    docs: Mapping[str, str]
    disabled: Mapping[str, str]
    env_vars: Mapping[str, str]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Manifest:
        """Read what the dbt host shows of a manifest."""
        return cls(
            **{
                **data,
                "nodes": {k: ManifestNode(unique_id=k, **_tuples(v)) for k, v in data["nodes"].items()},
                "macros": {k: ManifestMacro(unique_id=k, **_tuples(v)) for k, v in data["macros"].items()},
            }
        )

    @cached_property
    def children(self) -> Mapping[str, tuple[str, ...]]:
        """Give the nodes that read each node."""
        found: dict[str, list[str]] = {}
        for node in self.nodes.values():
            for parent in node.parents:
                found.setdefault(parent, []).append(node.unique_id)
        return {k: tuple(v) for k, v in found.items()}

    def macros_behind(self, unique_ids: tuple[str, ...]) -> frozenset[str]:
        """Give these macros and all that they call, directly or not."""
        found, todo = set[str](), list(unique_ids)
        while todo:
            unique_id = todo.pop()
            if unique_id not in found:
                found.add(unique_id)
                macro = self.macros.get(unique_id)
                todo.extend(macro.macros if macro else ())
        return frozenset(found)


def _tuples(data: Mapping[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}


