"""The parts of a node by which two trees are compared: what dbt compares, and what shows after rendering."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from pytest_dbtci.dbt_host.digests import in_order

_TEST_MODIFIERS = (
    *("severity", "where", "limit", "fail_calc", "warn_if", "error_if", "store_failures", "store_failures_as"),
)
"""What dbt compares of a test's configuration (`TestConfig.same_contents`)."""

_IDLE = ("tags", "group", "docs", "alias", "schema", "database", "access")
"""Configuration that changes nothing in what is built, or is digested elsewhere."""

_RELATION = ("database", "schema", "alias")


def is_external(node: Any) -> bool:
    """Whether the node is another project's, brought in by a plugin of dbt: it is read, and never built or moved."""
    return bool(getattr(node, "is_external_node", False))


def compared(node: Any, config: Any) -> dict[str, Any]:
    """Return what dbt's `state:modified` compares, part by part, by the name of dbt's own sub-selector.

    From `same_contents` of dbt's node classes. What has no sub-selector of its own has its plain name.
    """
    parts: dict[str, Any] = {"fqn": list(getattr(node, "fqn", ()))}
    if node.resource_type == "unit_test":
        return {"body": node.checksum}
    unrendered = dict(getattr(node, "unrendered_config", None) or {})
    parts["configs"] = _configuration(node, config, unrendered)
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


def _configuration(node: Any, config: Any, unrendered: dict[str, Any]) -> dict[str, Any]:
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


def effects(node: Any, config: Any, parents: list[str], *, writes: bool) -> dict[str, Any]:
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
    if node.resource_type == "source" or is_external(node) or writes:
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
