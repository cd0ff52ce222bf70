"""Move a manifest from the schema that it was parsed with to the pull request's own: every text that holds it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from pytest_dbtci.dbt_host.manifest_view import functions, place
from pytest_dbtci.dbt_host.node_parts import is_external
from pytest_dbtci.dbt_host.runner import DbtFailed
from pytest_dbtci.manifest import Place


def repoint(manifest: Any, placeholder: str, schema: str) -> dict[str, Place]:
    """Replace the placeholder in all that dbt made of the project's files, and return the new places of relations.

    Raises DbtFailed, naming the nodes, where a text still holds it in another form: nothing may be built then.
    """
    moved, kept = dict[str, Place](), set[str]()
    parts = (manifest.nodes, manifest.sources, functions(manifest), manifest.unit_tests, manifest.exposures)
    more = (manifest.metrics, manifest.semantic_models, manifest.saved_queries, manifest.disabled, manifest.groups)

    def move(text: str) -> str:
        if placeholder not in text.lower():
            return text
        replaced = text.replace(placeholder, schema)
        if placeholder in replaced.lower():
            kept.add(unique_id)
        return replaced

    for part in (*parts, *more):
        for unique_id, node in part.items():
            if is_external(node):
                continue
            before = place(node)
            rewrite(node, move)
            if (now := place(node)) != before:
                moved[unique_id] = now
    if kept:
        raise DbtFailed(
            f"nothing was written, because dbt made texts from target.schema while it parsed, and the schema's letters "
            f"were changed in them: {', '.join(sorted(kept)[:5])}. Use target.schema as it is."
        )
    return moved


def rewrite(value: Any, move: Callable[[str], str]) -> Any:
    """Return the value with all of its texts moved; what can hold others is changed in place."""
    if isinstance(value, str):
        return move(value)
    if isinstance(value, dict):
        new = {rewrite(k, move): rewrite(v, move) for k, v in value.items()}
        if any(k not in value or value[k] is not v for k, v in new.items()):
            value.clear()
            value.update(new)
    elif isinstance(value, list):
        value[:] = [rewrite(v, move) for v in value]
    elif isinstance(value, tuple):
        return tuple(rewrite(v, move) for v in value) if type(value) is tuple else value
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        rewrite(vars(value), move)
    return value
