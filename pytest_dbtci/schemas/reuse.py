"""What a kept schema holds, so that a re-run needs to build only what failed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pytest_dbtci.plan import Plan
from pytest_dbtci.results import Result

_REPLACED = ("table", "view", "seed", "ephemeral", "")
"""Materializations whose build replaces what is there; others would go on from a state that a new run has not."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What a run left: `run` is the identity in its schemas' marks, `nodes` maps what passed to its fingerprint."""

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


def keep(run: str, plan: Plan, fingerprints: Mapping[str, str], results: Iterable[Result]) -> Kept:
    """Note what passed and leaves a relation behind."""
    passed = {r.unique_id for r in results if r.outcome == "passed"}
    nodes = {n.unique_id: fingerprints[n.unique_id] for n in plan.nodes if n.unique_id in passed & fingerprints.keys()}
    return Kept(run=run, schema=plan.schema, target=plan.target, nodes=nodes)


def reusable(
    kept: Kept,
    plan: Plan,
    fingerprints: Mapping[str, str],
    asked: frozenset[str],
    needed: frozenset[str],
) -> frozenset[str]:
    """Return the needed nodes that need no building: they are as when they were kept, and so is what they read.

    What was asked for is always built. Nothing is reusable if one of the nodes to build goes on from what is there,
    as an incremental model does: then everything is built. So it is where the base's versions, which may be such, are
    built beside them.
    """
    if plan.mode == "release" or plan.twins or (kept.schema, kept.target) != (plan.schema, plan.target):
        return frozenset()
    fresh = frozenset[str]()
    for node in plan.nodes:
        # Parents stand before their readers.
        known = fingerprints.get(node.unique_id)
        same = node.relation is None or (known is not None and kept.nodes.get(node.unique_id) == known)
        parents = {p for p in node.parents if p in needed}
        if node.unique_id in needed - asked and node.about is None and same and parents <= fresh:
            fresh |= {node.unique_id}
    building = [n for n in plan.nodes if n.unique_id in needed - fresh and n.relation]
    if any(n.materialized not in _REPLACED and n.about is None for n in building):
        return frozenset()
    return fresh
