"""What a kept schema holds, so that a re-run needs to build only what failed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pytest_dbtci.manifest import Manifest
from pytest_dbtci.plan import Plan
from pytest_dbtci.results import Result

_REPLACED = ("table", "view", "seed", "ephemeral", "")
"""Materializations whose build replaces what is there; others would go on from a state that a new run has not."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What a run left: `run` is the identity in its schemas' marks, `nodes` maps what passed to a digest of it."""

    run: str
    schema: str
    target: str
    nodes: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Any) -> Kept | None:
        """Read what `to_dict` gave; None for anything else, as the file is the user's to change."""
        try:
            return cls(run=str(data["run"]), schema=data["schema"], target=data["target"], nodes=dict(data["nodes"]))
        except (KeyError, TypeError, ValueError):
            return None


def keep(run: str, plan: Plan, head: Manifest, results: Iterable[Result]) -> Kept:
    """Note what passed and leaves a relation behind."""
    passed = {r.unique_id for r in results if r.outcome == "passed"}
    nodes = {n.unique_id: digest(n.unique_id, head) for n in plan.nodes if n.unique_id in passed and n.relation}
    return Kept(run=run, schema=plan.schema, target=plan.target, nodes=nodes)


def reusable(
    kept: Kept | None, plan: Plan, head: Manifest, asked: frozenset[str], needed: frozenset[str]
) -> frozenset[str]:
    """Return the needed nodes that need no building: they are as when they were kept, and so is what they read.

    What was asked for is always built. Nothing is reusable if one of the nodes to build goes on from what is there,
    as an incremental model does: then everything is built.
    """
    if kept is None or plan.mode == "release" or (kept.schema, kept.target) != (plan.schema, plan.target):
        return frozenset()
    fresh = frozenset[str]()
    for node in plan.nodes:
        # Parents stand before their readers.
        same = node.relation is None or kept.nodes.get(node.unique_id) == digest(node.unique_id, head)
        parents = {p for p in node.parents if p in needed}
        if node.unique_id in needed - asked and node.about is None and same and parents <= fresh:
            fresh |= {node.unique_id}
    building = [n for n in plan.nodes if n.unique_id in needed - fresh and n.relation]
    if any(n.materialized not in _REPLACED and n.about is None for n in building):
        return frozenset()
    return fresh


def digest(unique_id: str, head: Manifest) -> str:
    """Return a digest of all that makes the node what it is, its parents apart."""
    node = head.nodes[unique_id]
    macros = {u: head.macros[u].digest for u in head.macros_behind(node.macros) if u in head.macros}
    what = [dict(node.parts), dict(node.effects), macros, node.relation, node.materialized, sorted(node.parents)]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
