"""What a kept schema holds, so that a re-run needs to build only what failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from typing import Any

from pytest_dbtci.dbt_client.protocol.values import Built, BuiltNode, node_key
from pytest_dbtci.manifest import Place
from pytest_dbtci.plan import Node, Plan
from pytest_dbtci.schemas.twins_reuse import NotedTwins

_REPLACED = ("table", "view", "seed", "ephemeral", "")
"""Materializations whose build replaces what is there; others would go on from a state that a new run has not."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Schemas that a run left; `run` is the identity in their marks."""

    run: str
    schema: str
    target: str

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Any) -> Kept | None:
        """Read what `to_dict` gave; None for anything else, as the file is the user's to change."""
        try:
            return cls(run=str(data["run"]), schema=data["schema"], target=data["target"])
        except (KeyError, TypeError):
            return None


def same(
    built: Built, places: Mapping[str, Place | None], fingerprints: Mapping[str, str], prefix: str = ""
) -> Mapping[str, BuiltNode]:
    """Return the nodes that an earlier run built from the same, and that still stand there.

    `places` says where each has its relation, None for none; `prefix` is what their keys in the notes begin with.
    """
    found, there = dict[str, BuiltNode](), set(built.relations)
    for unique_id, place in places.items():
        noted = built.nodes.get(node_key(prefix + unique_id))
        if noted is None or noted.fingerprint != fingerprints.get(unique_id):
            continue
        if place is None or (place.database.lower(), place.schema.lower(), place.identifier.lower()) in there:
            found[unique_id] = noted
    return found


def reusable(
    noted: Mapping[str, BuiltNode],
    plan: Plan,
    asked: frozenset[str],
    needed: frozenset[str],
    lingering: frozenset[str],
) -> frozenset[str]:
    """Return the needed nodes that need no building: they are as when they were kept, and so is what they read.

    `noted` are the nodes that are as they were by themselves. What was asked for is always built. Nothing is reusable
    if one of the nodes to build goes on from what is there, as an incremental model does, or one of the needed is
    `lingering`: then everything is built. So it is where the base's versions, which may be such, are built beside them.
    """
    if plan.twins:
        return frozenset()
    fresh = frozenset[str]()
    for node in plan.nodes:
        # Parents stand before their readers.
        is_same = node.relation is None or node.unique_id in noted
        parents = {p for p in node.parents if p in needed}
        if node.unique_id in needed - asked and node.about is None and is_same and parents <= fresh:
            fresh |= {node.unique_id}
    left = needed - fresh
    return frozenset() if _goes_on(plan, left) or (left and lingering & needed) else fresh


def standing(
    noted: Mapping[str, BuiltNode],
    plan: Plan,
    needed: frozenset[str],
    lingering: frozenset[str],
    seconds: float,
    twins: NotedTwins | None = None,
) -> tuple[Mapping[str, BuiltNode], frozenset[str]]:
    """Return the needed nodes that are as an earlier run noted them at most `seconds` ago, with all that they read.

    With them come the twins that stand beside them: a node whose twin does not is built anew, as its twin is.

    `noted` are the nodes that are so by themselves. Nothing is returned if one of the nodes to build goes on from what
    is there, or something is to be built and one of the needed is `lingering`: can see, or has changed, what stands
    there besides. Nor is it if a node is to be built whose twin reads something else, which may be older or newer.
    """
    noted = {u: n for u, n in noted.items() if n.age <= seconds}
    nodes = [n for n in plan.nodes if n.unique_id in needed]
    paired, stale, kept = needed & {*plan.twins}, frozenset[str](), frozenset[str]()
    while True:
        fresh = _fresh(noted, nodes, stale)
        if twins is not None:
            kept = twins.standing({u: noted[u] for u in fresh & noted.keys()}, needed)
        if paired - kept <= stale:
            break
        stale |= paired - kept
    left = frozenset(n.unique_id for n in nodes if n.unique_id not in fresh)
    hooks = {n.unique_id for n in nodes if n.resource_type == "operation"}
    seeing = left and (left <= hooks or lingering & {*needed, *plan.twins})
    if seeing or _goes_on(plan, left) or (twins and _twins_go_on(twins, left & paired)):
        return {}, frozenset()
    if left:
        fresh -= hooks  # those of the whole run come with whatever is built
    return {n.unique_id: noted[n.unique_id] for n in nodes if n.unique_id in fresh & noted.keys()}, kept


def _fresh(noted: Mapping[str, BuiltNode], nodes: Sequence[Node], stale: Set[str]) -> set[str]:
    """Return which of the nodes are as they were noted and none of the stale, and read only such."""
    among = {n.unique_id for n in nodes}
    unit_tests = [n for n in nodes if n.resource_type == "unit_test"]
    # A unit test runs only together with its model.
    again = {n.about for n in unit_tests if n.unique_id not in noted} | stale
    fresh = set[str]()
    for node in nodes:
        # Parents stand before their readers. An ephemeral model has no result of its own: it is part of its readers.
        is_same = node.unique_id in noted or not node.is_item
        if is_same and node.unique_id not in again and {p for p in node.parents if p in among} <= fresh:
            fresh.add(node.unique_id)
    return fresh | {n.unique_id for n in unit_tests if n.unique_id in noted and n.about in fresh}


def _twins_go_on(twins: NotedTwins, unique_ids: Set[str]) -> bool:
    """Whether one of these twins would go on from another state than its node, or read what is older or newer."""
    return any(twins.base.nodes[u].materialized not in _REPLACED or not twins.read_alike(u) for u in unique_ids)


def _goes_on(plan: Plan, unique_ids: frozenset[str]) -> bool:
    """Whether one of these nodes would go on from a state that is not the one of a new run."""
    nodes = [n for n in plan.nodes if n.unique_id in unique_ids and n.relation and n.about is None]
    return any(n.materialized not in _REPLACED and n.resource_type != "test" for n in nodes)
