"""Find the nodes whose text changed in its formatting alone: dbt compiles both versions; their tokens are compared.

What a node's Jinja learns from the warehouse, the run or the node itself may show in no compiled text, or in another
one the next time. A node that asks for such things is never called the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pytest_dbtci.dbt_client.protocol.values import Invocation
from pytest_dbtci.dbt_host.compiled import compiled
from pytest_dbtci.dbt_host.plain_nodes import is_plain, macros_by_name
from pytest_dbtci.dbt_host.sql_tokens import KNOWN, is_same


def same_but_for_formatting(
    before: tuple[Invocation, Any], now: tuple[Invocation, Any], unique_ids: Iterable[str]
) -> tuple[str, ...]:
    """Return those of the nodes whose compiled text has the same tokens in both trees; no warehouse is asked.

    A tree is what dbt is called with for it, and its manifest, parsed with the same schema in both. Both manifests
    stay as they are.
    """
    adapter_type = now[1].metadata.adapter_type
    if adapter_type not in KNOWN:
        return ()
    found = list(unique_ids)
    for _, manifest in (before, now):
        macros = macros_by_name(manifest)
        found = [u for u in found if is_plain(manifest, macros, u)]
    if not found:
        return ()
    then, head = (compiled(invocation, manifest, found) for invocation, manifest in (before, now))
    return tuple(u for u in found if u in then and u in head and is_same(then[u], head[u], adapter_type))
