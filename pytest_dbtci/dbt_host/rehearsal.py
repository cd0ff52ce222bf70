"""What only a release asks of dbt: a copy of the project in other schemas, and the documentation page."""

from __future__ import annotations

from typing import Any

from pytest_dbtci.dbt_client.protocol import Invocation
from pytest_dbtci.dbt_host.manifest_view import functions, is_external
from pytest_dbtci.dbt_host.manifests import deepcopy
from pytest_dbtci.dbt_host.runner import DbtFailed, run_dbt


def copy_into(manifest: Any, own: str, schema: str) -> Any:
    """Return a copy of the manifest whose relations lie in other schemas, whatever made the names of the old ones.

    `own` is the target's schema, which becomes `schema`; `own_x` becomes `schema_x`, and any other y `schema_y`. Two
    schemas never become one. Sources stay: they are read where they are.
    """
    from dbt.adapters.factory import get_adapter_by_type

    copy = deepcopy(manifest)
    adapter = get_adapter_by_type(copy.metadata.adapter_type)
    nodes = [n for part in (copy.nodes, functions(copy)) for n in part.values() if getattr(n, "schema", None)]
    nodes = [n for n in nodes if not is_external(n)]
    names = _new_names({n.schema for n in nodes}, own, schema)
    for node in nodes:
        if getattr(node.config, "target_schema", None) == node.schema:
            node.config.target_schema = names[node.schema]
        node.schema = names[node.schema]
        if getattr(node, "relation_name", None):
            node.relation_name = str(adapter.Relation.create_from(adapter.config, node))
    return copy


def _new_names(schemas: set[str], own: str, schema: str) -> dict[str, str]:
    names: dict[str, str] = {}
    for old in sorted(schemas, key=lambda s: (not _is_own(s, own), s)):
        new = schema + old[len(own) :] if _is_own(old, own) else f"{schema}_{old}"
        while new.lower() in {n.lower() for n in names.values()}:
            new += "_"
        names[old] = new
    return names


def _is_own(schema: str, own: str) -> bool:
    return schema == own or schema.startswith(own + "_")


def document(invocation: Invocation, manifest: Any) -> None:
    """Write the static documentation page and its catalog into the target path, where manifest.json lies already.

    Nothing is compiled, so the page holds no rendered SQL. Raises DbtFailed when the warehouse can't be asked.
    """
    catalog = run_dbt(invocation, "docs generate", "--static", "--no-compile", manifest=manifest)
    if catalog is None or catalog.errors:
        raise DbtFailed("; ".join(catalog.errors) if catalog else "dbt gave no catalog", usage=False)
