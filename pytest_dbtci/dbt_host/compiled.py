"""Let dbt compile nodes without a connection: what the warehouse would be sent, whatever wrote it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pytest_dbtci.dbt_client.protocol.values import Invocation
from pytest_dbtci.dbt_host.manifests import MARK, deepcopy, mark
from pytest_dbtci.dbt_host.runner import OWN, run_dbt


def compiled(invocation: Invocation, manifest: Any, unique_ids: Iterable[str]) -> dict[str, str]:
    """Return the nodes' compiled texts; a node that asks the warehouse fails, and is not in the answer.

    The manifest stays as it is.
    """
    manifest = deepcopy(manifest)
    mark(manifest, "compiled", unique_ids)
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
