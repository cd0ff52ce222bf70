"""Parse a tree with dbt and show what planning needs of its manifest as plain values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pytest_dbtci.dbt.invocation import DbtFailed, Invocation

MARK = "dbtci_"
"""Prefix of the tags by which nodes are handed to dbt's selection; they exist in memory only."""


def parse(invocation: Invocation, *, partial_parse: str = "", write: bool) -> Any:
    """Parse the project; give dbt's Manifest.

    `partial_parse` is a `partial_parse.msgpack` to start from (another tree's will do: dbt compares checksums
    and settings and parses anew what differs). `write` says whether `manifest.json` is written to the target
    path. Raises DbtFailed.
    """
    args = ["--write-json" if write else "--no-write-json"]
    if partial_parse and Path(partial_parse).is_file():
        args += ["--partial-parse-file-path", partial_parse]
    manifest = invocation.run("parse", *args)
    root = str(Path(invocation.project_dir).resolve())
    for node in manifest.nodes.values():
        # A manifest that was parsed from another tree's cache still points at that tree for seed files.
        if getattr(node, "root_path", None) and node.package_name == manifest.metadata.project_name:
            node.root_path = root
    return manifest


def view(manifest: Any) -> dict[str, Any]:
    """Show the manifest as JSON-ready values: see `pytest_dbtci.manifest.Manifest`, which reads this."""
    nodes = {
        unique_id: _node(node)
        for part in (manifest.nodes, manifest.unit_tests, manifest.sources, manifest.functions)
        for unique_id, node in part.items()
    }
    for part in (manifest.exposures, manifest.metrics, manifest.semantic_models, manifest.saved_queries):
        nodes.update({unique_id: _definition(node) for unique_id, node in part.items()})
    return {
        "project": manifest.metadata.project_name,
        "adapter": manifest.metadata.adapter_type,
        "dbt_version": manifest.metadata.dbt_version,
        "nodes": nodes,
        "macros": {
            unique_id: {
                "name": macro.name,
                "package": macro.package_name,
                "file": macro.original_file_path,
                "digest": _digest(macro.macro_sql),
                "macros": [m for m in macro.depends_on.macros if m],
            }
            for unique_id, macro in manifest.macros.items()
        },
        "docs": {d.unique_id: d.original_file_path for d in manifest.docs.values()},
        "disabled": {
            unique_id: found[0].original_file_path for unique_id, found in manifest.disabled.items() if found
        },
        "env_vars": dict(manifest.env_vars),
    }


def select(
    invocation: Invocation,
    manifest: Any,
    *,
    select: str,
    exclude: str = "",
    selector: str = "",
    state: str = "",
    indirect: str = "",
    marks: dict[str, Iterable[str]] | None = None,
) -> list[str]:
    """Ask dbt which nodes a selection means; give their unique_ids.

    `indirect` is dbt's indirect selection of tests, dbt's own where empty. `marks` maps names to unique_ids: `tag:dbtci_NAME` then stands for these nodes in `select` and `exclude`.
    Raises DbtFailed when dbt refuses the selection.
    """
    for name, unique_ids in (marks or {}).items():
        mark(manifest, name, unique_ids)
    args = ["--output", "json", "--output-keys", "unique_id", "--no-defer"]
    for flag, value in (("--select", select), ("--exclude", exclude), ("--selector", selector), ("--indirect-selection", indirect)):
        args += [flag, value] if value else []
    if state:
        args += ["--state", state]
    lines = invocation.run("ls", *args, manifest=manifest)
    return [json.loads(line)["unique_id"] for line in lines or ()]


def mark(manifest: Any, name: str, unique_ids: Iterable[str]) -> None:
    """Tag these nodes, and no others, with `dbtci_NAME`."""
    tag, wanted = MARK + name, set(unique_ids)
    for part in (manifest.nodes, manifest.unit_tests, manifest.functions, manifest.sources):
        for unique_id, node in part.items():
            if unique_id in wanted and tag not in node.tags:
                node.tags.append(tag)
            elif unique_id not in wanted and tag in node.tags:
                node.tags.remove(tag)


def slim(manifest_file: str, unique_ids: Iterable[str], into: str) -> str:
    """Write a manifest.json that keeps only these nodes, for dbt to defer to; give its folder.

    dbt reads a manifest as a whole, so a large one costs seconds; deferral looks at the needed nodes only.
    """
    data = json.loads(Path(manifest_file).read_text(encoding="utf-8"))
    wanted = set(unique_ids)
    for part in ("nodes", "functions", "sources"):
        data[part] = {k: v for k, v in data.get(part, {}).items() if k in wanted}
    for part in ("exposures", "metrics", "semantic_models", "saved_queries", "unit_tests", "macros", "docs"):
        data[part] = {}
    for part in ("parent_map", "child_map", "group_map", "disabled", "selectors", "groups"):
        if part in data:
            data[part] = {}
    Path(into).mkdir(parents=True, exist_ok=True)
    Path(into, "manifest.json").write_text(json.dumps(data), encoding="utf-8")
    return into


def place_elsewhere(manifest: Any, relations: dict[str, list[str | None]]) -> None:
    """Say where nodes live that this run does not build: unique_id to database, schema, identifier, relation."""
    for unique_id, (database, schema, identifier, relation) in relations.items():
        node = manifest.nodes.get(unique_id)
        if node is not None:
            node.database, node.schema, node.alias, node.relation_name = database, schema, identifier, relation


def compile_inline(invocation: Invocation, manifest: Any, sql: str) -> str:
    """Compile SQL that is no node of the project; give the SQL that the warehouse understands."""
    results = invocation.run("compile", "--inline", sql, "--no-defer", "--no-populate-cache", manifest=manifest)
    for unique_id in [u for u in manifest.nodes if u.startswith("sql_operation.")]:
        del manifest.nodes[unique_id]
    return str(results.results[0].node.compiled_code)


def repoint(manifest: Any, placeholder: str, schema: str) -> None:
    """Move every relation of the manifest from the schema it was parsed with to the pull request's own.

    One constant schema at parse time lets all pull requests share dbt's parse cache, which is keyed by it.
    Raises DbtFailed when a name holds the placeholder in a form that can't be replaced with certainty.
    """
    if placeholder == schema:
        return
    for part in (manifest.nodes, manifest.sources, manifest.functions):
        for node in part.values():
            _repoint(node, placeholder, schema)


def _repoint(node: Any, placeholder: str, schema: str) -> None:
    for name in ("schema", "alias", "database", "identifier", "relation_name"):
        value = getattr(node, name, None)
        if isinstance(value, str) and placeholder.lower() in value.lower():
            if placeholder not in value:
                raise DbtFailed(
                    f"{node.unique_id}: its {name} {value!r} changes the letters of target.schema. "
                    "Use target.schema as it is in generate_schema_name and in configurations."
                )
            setattr(node, name, value.replace(placeholder, schema))
    config = getattr(node, "config", None)
    for name in ("schema", "alias", "database", "target_schema"):
        value = getattr(config, name, None)
        if isinstance(value, str) and placeholder in value:
            setattr(config, name, value.replace(placeholder, schema))


def _node(node: Any) -> dict[str, Any]:
    config = getattr(node, "config", None)
    depends = getattr(node, "depends_on", None)
    return {
        "resource_type": str(node.resource_type),
        "name": node.name,
        "package": node.package_name,
        "file": node.original_file_path,
        "patch": getattr(node, "patch_path", None),
        "database": getattr(node, "database", None) or "",
        "schema": getattr(node, "schema", None) or "",
        "relation": getattr(node, "relation_name", None),
        "identifier": getattr(node, "alias", None) or getattr(node, "identifier", None) or "",
        "materialized": getattr(config, "materialized", "") or "",
        "parents": [p for p in getattr(depends, "nodes", ()) if p],
        "macros": [m for m in getattr(depends, "macros", ()) if m],
        "attached": getattr(node, "attached_node", None),
        "column": getattr(node, "column_name", None),
        "severity": str(getattr(config, "severity", "") or ""),
        "version": None if getattr(node, "version", None) is None else str(node.version),
        "writes": _writes(node, config),
        "hooks": [h.sql for k in ("pre_hook", "post_hook") for h in getattr(config, k, ()) or ()],
        "parts": _parts(node, config),
    }


def _writes(node: Any, config: Any) -> bool:
    """Tell whether building the node leaves a relation behind."""
    if node.resource_type == "test":
        from dbt.flags import get_flags

        stored = getattr(config, "store_failures", None)
        return bool(getattr(get_flags(), "STORE_FAILURES", False) if stored is None else stored)
    if node.resource_type in ("seed", "snapshot", "function"):
        return True
    return node.resource_type == "model" and getattr(config, "materialized", "") != "ephemeral"


def _parts(node: Any, config: Any) -> dict[str, str]:
    """Digest each part that dbt's `state:modified` looks at, by the name of dbt's own sub-selector."""
    checksum = getattr(node, "checksum", None)
    body = getattr(node, "raw_code", "") or getattr(checksum, "checksum", None) or str(checksum or "")
    unrendered = dict(getattr(node, "unrendered_config", None) or {})
    relation = {k: unrendered.pop(k, None) for k in ("database", "schema", "alias")}
    for ignored in ("tags", "group", "docs", "meta"):
        unrendered.pop(ignored, None) if ignored != "meta" else None
    contract = getattr(node, "contract", None)
    persisted = getattr(config, "persist_docs", None) or {}
    columns = getattr(node, "columns", None) or {}
    described = [getattr(node, "description", "") if persisted.get("relation") else ""]
    if persisted.get("columns"):
        described += [f"{name}={column.description}" for name, column in sorted(columns.items())]
    if node.resource_type in ("unit_test", "source"):
        body = _as_json(node)
    return {
        "body": _digest(str(body)),
        "configs": _digest(json.dumps(unrendered, sort_keys=True, default=str)),
        "relation": _digest(json.dumps(relation, sort_keys=True, default=str)),
        "contract": _digest(
            str((getattr(contract, "enforced", None), getattr(contract, "checksum", None)))
        ),
        "persisted_descriptions": _digest("\n".join(described)),
        "place": _digest(".".join(getattr(node, "fqn", ()))),
    }


def _as_json(node: Any) -> str:
    data = node.to_dict(omit_none=True)
    for volatile in ("created_at", "original_file_path", "path", "patch_path", "relation_name", "schema"):
        data.pop(volatile, None)
    return json.dumps(data, sort_keys=True, default=str)


def _definition(node: Any) -> dict[str, Any]:
    depends = getattr(node, "depends_on", None)
    return {
        "resource_type": str(node.resource_type),
        "name": node.name,
        "package": node.package_name,
        "file": node.original_file_path,
        "parents": [p for p in getattr(depends, "nodes", ()) if p],
        "macros": [m for m in getattr(depends, "macros", ()) if m],
        "parts": {"body": _digest(_as_json(node))},
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
