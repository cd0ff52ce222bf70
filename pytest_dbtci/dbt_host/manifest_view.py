"""Show what planning needs of a dbt manifest as plain values: names, places, and a digest for each part."""

from __future__ import annotations

import functools
from collections.abc import Set
from typing import Any

from pytest_dbtci.dbt_host.digests import digest, in_order, json_text
from pytest_dbtci.dbt_host.macro_lookup import builtin_packages, lookup_order
from pytest_dbtci.dbt_host.mentioned import Known, dispatches_of_node, mentioned_by_macro, mentioned_by_node
from pytest_dbtci.dbt_host.node_parts import compared, effects, is_external
from pytest_dbtci.dbt_host.runner import build_settings
from pytest_dbtci.manifest import Manifest, ManifestMacro, ManifestNode, Place, fingerprint

_DEFAULT_USED = "DBT_DEFAULT_PLACEHOLDER"
"""What dbt records for a variable that is not set and whose default was used (DEFAULT_ENV_PLACEHOLDER)."""

_TOLD = ("columns", "constraints", "description", "docs", "group", "tags")
"""What YAML says of a node besides its configuration: see `references.reads_properties`."""


def view(manifest: Any, parsed: str = "", *, configured: bool = True, alike: Set[str] = frozenset()) -> Manifest:
    """Return what planning needs of dbt's manifest; `parsed` tells how it was parsed.

    `configured` says that the last invocation of dbt parsed it: see `macro_lookup.lookup_order`. Nodes that are
    `alike` in the base are only named: see `Manifest.completed`.
    """
    every = manifest.macros.values()
    known = Known(macros=frozenset(m.name for m in every), packages=frozenset(m.package_name for m in every))
    # What reads a disabled node is disabled too; dbt moves it to where it belongs at the next partial parse only.
    enabled = {
        unique_id: node
        for part in (manifest.nodes, manifest.unit_tests, manifest.sources, functions(manifest))
        for unique_id, node in part.items()
        if getattr(node.config, "enabled", True)
    }
    nodes = {unique_id: _node(node, known) for unique_id, node in enabled.items() if unique_id not in alike}
    off = {n.unique_id: [n] for n in manifest.nodes.values() if n.unique_id not in enabled}
    for part in (manifest.exposures, manifest.metrics, manifest.semantic_models, manifest.saved_queries):
        enabled.update(part)
        nodes.update({unique_id: _definition(node) for unique_id, node in part.items()})
    builtin = builtin_packages(manifest.metadata.adapter_type or "")
    macros = {u: _macro(m, known, m.package_name in builtin) for u, m in manifest.macros.items()}
    dispatched = [one.get("dispatches", ()) for one in (*nodes.values(), *macros.values())]
    dispatched += [dispatches_of_node(node, _hooks(node)) for u, node in enabled.items() if u not in nodes]
    return Manifest(
        project=manifest.metadata.project_name,
        adapter=manifest.metadata.adapter_type or "",
        dbt_version=manifest.metadata.dbt_version,
        nodes={u: ManifestNode(unique_id=u, **_tuples(n)) for u, n in nodes.items()},
        macros={u: ManifestMacro(unique_id=u, **_tuples(m)) for u, m in macros.items()},
        docs={d.unique_id: _file(d) for d in manifest.docs.values()},
        disabled={unique_id: _file(found[0]) for unique_id, found in {**manifest.disabled, **off}.items() if found},
        env_vars={n: None if v == _DEFAULT_USED else fingerprint(v) for n, v in manifest.env_vars.items()},
        lookup=lookup_order(manifest, {space for one in dispatched for _, space in one}, configured=configured),
        parsed=parsed,
        order=tuple(enabled) if alike else (),
    )


def functions(manifest: Any) -> dict[str, Any]:
    """Return the manifest's user-defined functions, which dbt-core knows since 1.11."""
    found: dict[str, Any] = getattr(manifest, "functions", {})
    return found


def _tuples(shown: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in shown.items()}


def place(node: Any) -> Place:
    """Return where the node's relation lies."""
    return Place(
        database=getattr(node, "database", None) or "",
        schema=getattr(node, "schema", None) or "",
        identifier=getattr(node, "alias", None) or getattr(node, "identifier", None) or "",
        relation=getattr(node, "relation_name", None),
    )


def _file(node: Any) -> str:
    return f"{node.package_name}://{node.original_file_path}"


def _macro(macro: Any, known: Known, builtin: bool) -> dict[str, Any]:
    text = macro.macro_sql
    shown = {
        "name": macro.name,
        "package": macro.package_name,
        "file": macro.original_file_path,
        "digest": digest(text),
        "macros": [m for m in macro.depends_on.macros if m],
    }
    return {**shown, **mentioned_by_macro(text, known, builtin=builtin)}


def _node(node: Any, known: Known) -> dict[str, Any]:
    config = getattr(node, "config", None)
    depends = getattr(node, "depends_on", None)
    parents = [p for p in getattr(depends, "nodes", ()) if p]
    has_hooks, hooks, writes = _has_hooks(node), _hooks(node), _writes(node, config)
    shown = {
        "resource_type": "external" if is_external(node) else str(node.resource_type),
        "name": node.name,
        "package": node.package_name,
        "file": node.original_file_path,
        "patch": getattr(node, "patch_path", None),
        **vars(place(node)),
        "materialized": getattr(config, "materialized", "") or "",
        "parents": parents,
        "macros": [
            m for m in getattr(depends, "macros", ()) if m and (has_hooks or m.rpartition(".")[2] in node.raw_code)
        ],
        "attached": getattr(node, "attached_node", None),
        "column": getattr(node, "column_name", None),
        "severity": str(getattr(config, "severity", "") or ""),
        "version": None if getattr(node, "version", None) is None else str(node.version),
        "writes": writes,
        "hooks": hooks,
        "parts": {k: digest(json_text(v)) for k, v in compared(node, config).items()},
        "effects": {k: digest(json_text(v)) for k, v in effects(node, config, parents, writes=writes).items()},
        "told": digest(in_order([getattr(one, k, None) for one in (node, config) for k in _TOLD])),
    }
    shown |= mentioned_by_node(node, hooks, known)
    said = {k: v for k, v in shown.items() if v or k in ("resource_type", "name", "package", "file", "parts")}
    return {**said, "full_refresh": getattr(config, "full_refresh", None)}


def _has_hooks(node: Any) -> bool:
    # To a hook of the whole run dbt gives the hooks that are configured for models, and never runs them.
    return bool(node.resource_type != "operation")


def _hooks(node: Any) -> list[str]:
    config = getattr(node, "config", None)
    found = [h.sql for k in ("pre_hook", "post_hook") for h in getattr(config, k, ()) or ()]
    return found if _has_hooks(node) else []


def _writes(node: Any, config: Any) -> bool:
    """Whether building the node leaves a relation behind."""
    if is_external(node):
        return False
    if node.resource_type == "test":
        stored = getattr(config, "store_failures", None)
        return bool(_stores_failures() if stored is None else stored)
    if node.resource_type in ("seed", "snapshot", "function"):
        return True
    return node.resource_type == "model" and getattr(config, "materialized", "") != "ephemeral"


@functools.cache
def _stores_failures() -> bool:
    """Whether tests store failures unless they say otherwise, which only the environment of a build decides."""
    return bool(build_settings().get("store_failures", ("", False))[1])


def _definition(node: Any) -> dict[str, Any]:
    depends = getattr(node, "depends_on", None)
    data = node.to_dict(omit_none=True)
    for volatile in ("created_at", "original_file_path", "path"):
        data.pop(volatile, None)
    return {
        "resource_type": str(node.resource_type),
        "name": node.name,
        "package": node.package_name,
        "file": node.original_file_path,
        "parents": [p for p in getattr(depends, "nodes", ()) if p],
        "macros": [m for m in getattr(depends, "macros", ()) if m],
        "parts": {"body": digest(json_text(data))},
        **(_for_people(node) if node.resource_type == "exposure" else {}),
    }


def _for_people(exposure: Any) -> dict[str, str]:
    owner = exposure.owner
    return {
        "label": exposure.label or exposure.name,
        "owner": owner.name or (owner.email if isinstance(owner.email, str) else ", ".join(owner.email or ())) or "",
        "url": exposure.url or "",
    }
