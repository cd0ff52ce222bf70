"""Find the nodes whose text changed in its formatting alone: dbt compiles both versions; their tokens are compared.

What a node's Jinja learns from the warehouse, the run or the node itself may show in no compiled text, or in another
one the next time. A node that asks for such things is never called the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_dbtci.dbt_client.protocol.values import Invocation
from pytest_dbtci.dbt_host.compiled import compiled
from pytest_dbtci.dbt_host.plain_nodes import is_plain, macros_by_name
from pytest_dbtci.dbt_host.sql_tokens import KNOWN, is_same


def same_but_for_formatting(invocation: Invocation, manifest: Any, before: Mapping[str, str]) -> tuple[str, ...]:
    """Return the nodes whose text compiles to the same tokens as the one `before`, by unique_id; no warehouse is asked.

    Both are compiled in one tree: nothing else that makes up such a node has changed. The manifest stays as it is.
    """
    adapter_type = manifest.metadata.adapter_type
    if adapter_type not in KNOWN:
        return ()
    macros = macros_by_name(manifest)
    found = [u for u in before if is_plain(manifest, macros, u) and is_plain(manifest, macros, u, text=before[u])]
    if not found:
        return ()
    then, now = (compiled(invocation, manifest, found, texts) for texts in (before, {}))
    return tuple(u for u in found if u in then and u in now and is_same(then[u], now[u], adapter_type))
