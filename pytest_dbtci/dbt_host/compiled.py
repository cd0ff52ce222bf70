"""Let dbt compile nodes without a connection: what the warehouse would be sent, whatever wrote it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pytest_dbtci.dbt_client.protocol.values import Invocation
from pytest_dbtci.dbt_host.manifests import MARK, deepcopy, mark
from pytest_dbtci.dbt_host.runner import OWN, run_dbt


def compiled(
    invocation: Invocation, manifest: Any, unique_ids: Iterable[str], texts: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the nodes' compiled texts; a node that asks the warehouse fails, and is not in the answer.

    `texts` stand in for the nodes' own, by unique_id. The manifest stays as it is.
    """
    wanted = tuple(unique_ids)
    manifest = _part(manifest, wanted)
    for unique_id in wanted:
        manifest.nodes[unique_id].raw_code = (texts or {}).get(unique_id, manifest.nodes[unique_id].raw_code)
    mark(manifest, "compiled", wanted)
    results = run_dbt(
        invocation,
        "compile",
        *("--select", f"tag:{MARK}compiled", "--indirect-selection", "empty", "--no-defer"),
        *("--no-introspect", "--no-populate-cache", "--no-write-json"),
        manifest=manifest,
        unset=OWN,
    )
    done = [r for r in results.results if r.status == "success"]
    return {r.node.unique_id: r.node.compiled_code for r in done if r.node.compiled_code is not None}


def _part(manifest: Any, unique_ids: Iterable[str]) -> Any:
    """Return a copy that holds, of the nodes, these and what their texts name: dbt walks all that a manifest holds.

    An ephemeral node's text is part of its readers', so what it names is needed, too.
    """
    wanted, named, todo = dict[str, Any](), dict[str, Any](), set(unique_ids)
    while todo:
        unique_id = todo.pop()
        node = wanted[unique_id] = manifest.nodes[unique_id]
        for parent in node.depends_on_nodes:
            if parent in manifest.nodes:
                named[parent] = manifest.nodes[parent]
            elif parent not in manifest.sources:
                return deepcopy(manifest)  # a metric or a function, say, which may read any node
        todo |= {p for p in named if named[p].config.materialized == "ephemeral"} - wanted.keys()
    part = deepcopy(manifest, {**named, **wanted})
    for unique_id in named.keys() - wanted.keys():
        part.nodes[unique_id].depends_on_nodes.clear()
    return part
