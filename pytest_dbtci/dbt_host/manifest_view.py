"""Show what planning needs of a dbt manifest as plain values: names, places, and a digest for each part."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import Any

from pytest_dbtci.dbt_host.digests import digest, in_order, json_text
from pytest_dbtci.dbt_host.macro_lookup import builtin_packages, lookup_order
from pytest_dbtci.dbt_host.mentioned import Known, mentioned_by_macro, mentioned_by_node
from pytest_dbtci.dbt_host.runner import build_settings
from pytest_dbtci.manifest import Manifest, ManifestMacro, ManifestNode, Place, fingerprint

_TEST_MODIFIERS = (
    *("severity", "where", "limit", "fail_calc", "warn_if", "error_if", "store_failures", "store_failures_as"),
)
"""What dbt compares of a test's configuration (`TestConfig.same_contents`)."""

_IDLE = ("tags", "group", "docs", "alias", "schema", "database", "access")
"""Configuration that changes nothing in what is built, or is digested elsewhere."""

_DEFAULT_USED = "DBT_DEFAULT_PLACEHOLDER"
"""What dbt records for a variable that is not set and whose default was used (DEFAULT_ENV_PLACEHOLDER)."""

_RELATION = ("database", "schema", "alias")

_TOLD = ("columns", "constraints", "description", "docs", "group", "tags")
"""What YAML says of a node besides its configuration: see `references.reads_properties`."""


def view(manifest: Any, parsed: str = "", *, configured: bool = True) -> Manifest:
    """Return what planning needs of dbt's manifest; `parsed` tells how it was parsed.

    `configured` says that the last invocation of dbt parsed it: see `macro_lookup.lookup_order`.
    """
    every = manifest.macros.values()
    known = Known(macros=frozenset(m.name for m in every), packages=frozenset(m.package_name for m in every))
    # What reads a disabled node is disabled too; dbt moves it to where it belongs at the next partial parse only.
    nodes = {
        unique_id: _node(node, known)
        for part in (manifest.nodes, manifest.unit_tests, manifest.sources, functions(manifest))
        for unique_id, node in part.items()
        if getattr(node.config, "enabled", True)
    }
    off = {n.unique_id: [n] for n in manifest.nodes.values() if n.unique_id not in nodes}
    for part in (manifest.exposures, manifest.metrics, manifest.semantic_models, manifest.saved_queries):
        nodes.update({unique_id: _definition(node) for unique_id, node in part.items()})
    builtin = builtin_packages(manifest.metadata.adapter_type or "")
    macros = {u: _macro(m, known, m.package_name in builtin) for u, m in manifest.macros.items()}
    namespaces = [space for one in (*nodes.values(), *macros.values()) for _, space in one.get("dispatches", ())]
    return Manifest(
        project=manifest.metadata.project_name,
        adapter=manifest.metadata.adapter_type or "",
        dbt_version=manifest.metadata.dbt_version,
        nodes={u: ManifestNode(unique_id=u, **_tuples(n)) for u, n in nodes.items()},
        macros={u: ManifestMacro(unique_id=u, **_tuples(m)) for u, m in macros.items()},
        docs={d.unique_id: _file(d) for d in manifest.docs.values()},
        disabled={unique_id: _file(found[0]) for unique_id, found in {**manifest.disabled, **off}.items() if found},
        env_vars={n: None if v == _DEFAULT_USED else fingerprint(v) for n, v in manifest.env_vars.items()},
        lookup=lookup_order(manifest, namespaces, configured=configured),
        parsed=parsed,
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
    # To a hook of the whole run dbt gives the hooks that are configured for models, and never runs them.
    has_hooks = node.resource_type != "operation"
    hooks = [h.sql for k in ("pre_hook", "post_hook") for h in getattr(config, k, ()) or ()] if has_hooks else []
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
        "writes": _writes(node, config),
        "hooks": hooks,
        "parts": {k: digest(json_text(v)) for k, v in _parts(node, config).items()},
        "effects": {k: digest(json_text(v)) for k, v in _effects(node, config, parents).items()},
        "told": digest(in_order([getattr(one, k, None) for one in (node, config) for k in _TOLD])),
    }
    shown |= mentioned_by_node(node, hooks, known)
    said = {k: v for k, v in shown.items() if v or k in ("resource_type", "name", "package", "file", "parts")}
    return {**said, "full_refresh": getattr(config, "full_refresh", None)}


def is_external(node: Any) -> bool:
    """Whether the node is another project's, brought in by a plugin of dbt: it is read, and never built or moved."""
    return bool(getattr(node, "is_external_node", False))


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


def _parts(node: Any, config: Any) -> dict[str, Any]:
    """Return what dbt's `state:modified` compares, part by part, by the name of dbt's own sub-selector.

    From `same_contents` of dbt's node classes. What has no sub-selector of its own has its plain name.
    """
    parts: dict[str, Any] = {"fqn": list(getattr(node, "fqn", ()))}
    if node.resource_type == "unit_test":
        return {"body": node.checksum}
    unrendered = dict(getattr(node, "unrendered_config", None) or {})
    parts["configs"] = _compared(node, config, unrendered)
    if node.resource_type == "source":
        return {**parts, **_source_parts(node)}
    seed = node.checksum if node.resource_type == "seed" else None
    parts["body"] = (seed.name, seed.checksum) if seed else node.raw_code
    parts["relation"] = {k: unrendered.get(k) for k in _RELATION}
    if node.resource_type == "model":
        contract = node.contract
        parts["contract"] = (contract.enforced, contract.checksum if contract.enforced else None)
        parts["reference"] = (str(node.latest_version), str(node.access), str(node.deprecation_date))
    if node.resource_type == "function":
        parts["signature"] = (node.arguments, node.returns)
    persisted = getattr(config, "persist_docs", None) or {}
    if persisted.get("relation") or persisted.get("columns"):
        columns = {k: c.description for k, c in node.columns.items()} if persisted.get("columns") else None
        parts["persisted_descriptions"] = (node.description if persisted.get("relation") else None, columns)
    return parts


def _compared(node: Any, config: Any, unrendered: dict[str, Any]) -> dict[str, Any]:
    """Return the keys of the configuration as written that dbt compares (`BaseConfig.same_contents`)."""
    if node.resource_type == "test":
        return {k: unrendered[k] for k in _TEST_MODIFIERS if k in unrendered}
    if config is None:
        return {}
    excluded = _excluded(type(config))
    return {k: v for k, v in unrendered.items() if k not in excluded}


_EXCLUDED: dict[type, frozenset[str]] = {}


def _excluded(kind: type) -> frozenset[str]:
    from dbt_common.contracts.config.base import CompareBehavior

    if kind not in _EXCLUDED:
        _EXCLUDED[kind] = frozenset(
            name
            for found, name in kind._get_fields()  # type: ignore[attr-defined]
            if not CompareBehavior.should_include(found)
        )
    return _EXCLUDED[kind]


def _source_parts(node: Any) -> dict[str, Any]:
    from dbt.flags import get_flags

    names = (node.database, node.schema)
    if getattr(get_flags(), "state_modified_compare_more_unrendered_values", False):
        names = (node.unrendered_database, node.unrendered_schema)
    return {
        "relation": (*names, node.identifier),
        "quoting": node.quoting,
        "freshness": (node.freshness, node.loaded_at_field),
        "external": node.external,
    }


def _effects(node: Any, config: Any, parents: list[str]) -> dict[str, Any]:
    """Return what the node is after rendering: what dbt's comparison, which looks at the text, can miss.

    Two trees parsed in one environment can be compared by these; otherwise they differ for other reasons.
    """
    settings = {k: v for k, v in vars(config).items() if k not in (*_IDLE, "_extra", "meta")} if config else {}
    # What Jinja alone reads, it may read in its order.
    settings |= {k: in_order(v) for k, v in getattr(config, "_extra", {}).items() if k not in _IDLE}
    settings["meta"] = in_order(getattr(config, "meta", None) or getattr(node, "meta", None))
    name = node.identifier if node.resource_type == "source" else getattr(node, "alias", None)
    effects = {
        "rendered configuration": settings,
        "parents": sorted(parents),
    }
    if node.resource_type == "source" or is_external(node) or _writes(node, config):
        place = (getattr(node, "database", None), getattr(node, "schema", None), name)
        effects["relation's name"] = (*place, getattr(node, "relation_name", None))
    if columns := _columns(node, config):
        effects["columns"] = columns
    if metadata := getattr(node, "test_metadata", None):
        arguments = {k: in_order(v) for k, v in metadata.kwargs.items()}
        effects["arguments"] = (arguments, metadata.name, metadata.namespace)
    if node.resource_type == "source":
        columns = [(c.name, c.data_type, c.quote) for c in node.columns.values()] if node.external else []
        effects["definition"] = (node.source_meta, node.loader, node.external, columns)
    if content := _content(node):
        effects["content"] = content
    if node.resource_type == "unit_test":
        effects["definition"] = (node.model, node.given, node.expect, node.overrides)
    return effects


def _content(node: Any) -> str:
    """Digest the content of a large seed, which dbt compares by its path; empty for other nodes."""
    if node.resource_type != "seed" or node.checksum.name != "path":
        return ""
    path = Path(getattr(node, "root_path", None) or "", node.original_file_path)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _columns(node: Any, config: Any) -> list[tuple[Any, ...]]:
    """Return what is built of the columns in YAML and dbt does not compare: their order and their quotes."""
    contract, persisted = getattr(node, "contract", None), getattr(config, "persist_docs", None) or {}
    if getattr(contract, "enforced", False):
        return [(c.name, c.quote) for c in node.columns.values()]
    return sorted((c.name, c.quote) for c in node.columns.values()) if persisted.get("columns") else []


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
