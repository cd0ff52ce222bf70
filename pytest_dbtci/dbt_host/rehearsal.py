"""What only a release asks of dbt: a rehearsal in schemas of its own, and the documentation page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from pytest_dbtci.dbt_client.protocol.values import Invocation
from pytest_dbtci.dbt_host.manifest_view import functions
from pytest_dbtci.dbt_host.node_parts import is_external
from pytest_dbtci.dbt_host.repoint import rewrite
from pytest_dbtci.dbt_host.runner import DbtFailed, run_dbt


def keep_apart(manifest: Any, schema: str) -> None:
    """Move a project that was parsed for the target's schema `schema` out of all others.

    What lies in `schema` or `schema_x` stays, and any other y becomes `schema_y`; two schemas never become one. Sources
    stay: they are read where they are. Raises DbtFailed where a hook would work in a schema that was left.
    """
    from dbt.adapters.factory import get_adapter_by_type

    adapter = get_adapter_by_type(manifest.metadata.adapter_type)
    nodes = [n for part in (manifest.nodes, functions(manifest)) for n in part.values() if getattr(n, "schema", None)]
    nodes = [n for n in nodes if not is_external(n)]
    names = _new_names({n.schema for n in nodes}, schema)
    relations = {old: [n.alias or n.name for n in nodes if n.schema == old] for old, new in names.items() if old != new}
    for node in nodes:
        _rewrite(node, relations, names)
        if getattr(node.config, "target_schema", None) == node.schema:
            node.config.target_schema = names[node.schema]
        node.schema = names[node.schema]
        if getattr(node, "relation_name", None):
            node.relation_name = str(adapter.Relation.create_from(adapter.config, node))
    _check_hooks(nodes, relations)


def _rewrite(node: Any, relations: Mapping[str, Iterable[str]], names: Mapping[str, str]) -> None:
    """Name relations anew in all that dbt made of the node's configuration and constraints."""
    parts = [getattr(node, part, None) for part in ("config", "constraints", "columns")]
    for old, found in relations.items():
        known = "|".join(map(re.escape, found))
        pattern = re.compile(rf'(?<!\w){re.escape(old)}(?="?\."?(?:{known})(?!\w))', re.IGNORECASE)
        rewrite(parts, partial(_replaced, pattern, names[old]))


def _replaced(pattern: re.Pattern[str], new: str, text: str) -> str:
    # An enumeration's value is a text, too, and has to stay what it is.
    return pattern.sub(new, text) if pattern.search(text) else text


def _check_hooks(nodes: Iterable[Any], left: Iterable[str]) -> None:
    pattern = re.compile(rf'(?<!\w)({"|".join(map(re.escape, left))})(?="?\.)', re.IGNORECASE)
    for node in nodes if left else ():
        for hook in (*getattr(node.config, "pre_hook", ()), *getattr(node.config, "post_hook", ())):
            if found := pattern.search(hook.sql):
                raise DbtFailed(
                    f"nothing was rehearsed or released, because a hook of {node.name} works in the schema {found[0]}, "
                    f"which is not the rehearsal's: {hook.sql!r}. Let the hook's text say {{{{ this }}}} or "
                    "{{ this.schema }}, or release without --dbt-ci-rehearse."
                )


def _new_names(schemas: set[str], own: str) -> dict[str, str]:
    names: dict[str, str] = {}
    for old in sorted(schemas, key=lambda s: (not _is_own(s, own), s)):
        new = old if _is_own(old, own) else f"{own}_{old}"
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
