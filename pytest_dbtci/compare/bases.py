"""Choose what each built relation is compared with: production's where that is free of drift, else a base twin.

Production's relation was built earlier, from the data of that time. It holds what the base would build now only if it
is a seed, or a table whose inputs are tables that this run reads, too, or has built from such. A base twin is the
base's version of the node, built by this run from the inputs that the head's version reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Literal

from pytest_dbtci.manifest import Manifest, ManifestNode
from pytest_dbtci.plan import Node, Plan

How = Literal["auto", "base", "prod"]
_BUILT = ("model", "seed", "snapshot")


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """What one node is compared with.

    `base` is `twin` or `prod`, empty where it can't be compared, and `why` says why. `drift` says why production's
    relation may differ from what the base would build now, whether it is what was chosen or what stands in for a twin.
    """

    unique_id: str
    base: Literal["twin", "prod", ""]
    why: str
    drift: str = ""


@dataclass(frozen=True, kw_only=True)
class Graph:
    """The graph of the base, over which the choice walks; `deferral` has production's relations, None without them."""

    plan: Plan
    head: Manifest
    base: Manifest
    deferral: Manifest | None
    drifts: dict[str, str] = field(default_factory=dict)

    def choose(self, how: How) -> tuple[Chosen, ...]:
        """Return the choice for each node that the run builds because of the pull request."""
        return tuple(self._choose(node, how) for node in self.plan.nodes if self._is_compared(node))

    def twins(self, chosen: Iterable[Chosen]) -> tuple[str, ...]:
        """Return the nodes of the base to build: the twins, and inputs of theirs that stand nowhere else."""
        todo, found = [c.unique_id for c in chosen if c.base == "twin"], set[str]()
        while todo:
            unique_id = todo.pop()
            if unique_id not in found:
                found.add(unique_id)
                inputs = (n.unique_id for n in self._inputs(unique_id) if n.resource_type in _BUILT)
                todo.extend(u for u in inputs if self.place(u) is None)
        return tuple(sorted(found))

    def place(self, unique_id: str) -> ManifestNode | None:
        """Return where a node stands that no twin is built of: production, or this run if it is the base's own.

        None where it stands nowhere.
        """
        produced = self.production(unique_id)
        return produced or (self.head.nodes[unique_id] if self._is_unchanged(unique_id) else None)

    def _is_compared(self, node: Node) -> bool:
        built = node.resource_type in _BUILT and node.relation is not None and node.is_item
        return built and not (node.reason.kind == "ancestor" and self._is_unchanged(node.unique_id))

    def _choose(self, node: Node, how: How) -> Chosen:
        theirs, unique_id = self.base.nodes.get(node.unique_id), node.unique_id
        if theirs is None or not theirs.writes:
            return Chosen(unique_id=unique_id, base="", why="new: the base builds no such relation")
        drift = self.drift(unique_id)
        # A view costs nothing to build, and the CI target's sources need not be production's.
        if how == "base" or (how == "auto" and (drift or theirs.materialized == "view")):
            return Chosen(unique_id=unique_id, base="twin", why=drift or "asked for", drift=drift)
        if self.production(unique_id) is None:
            return Chosen(unique_id=unique_id, base="", why=drift)
        return Chosen(unique_id=unique_id, base="prod", why="its inputs are production's tables", drift=drift)

    def drift(self, unique_id: str) -> str:
        """Return why production's relation may hold something else than the base would build now; empty if it can't."""
        if unique_id not in self.drifts:
            self.drifts[unique_id] = self._drift(unique_id)
        return self.drifts[unique_id]

    def _drift(self, unique_id: str) -> str:
        node = self.base.nodes[unique_id]
        if self.production(unique_id) is None:
            return "there is no relation of a deferral target"
        if node.resource_type == "seed":
            return ""
        if node.resource_type == "snapshot" or node.materialized not in ("table", "view"):
            return "production's holds rows of earlier builds"
        for parent in self._inputs(unique_id):
            # A view reads today's data, in production, too.
            if parent.resource_type == "source" and node.materialized != "view":
                return f"it reads {parent.name}, which may have changed since production was built"
            stored = parent.resource_type in _BUILT and parent.materialized != "view"
            if stored and self.plan.node(parent.unique_id) and (drift := self.drift(parent.unique_id)):
                return f"it reads {parent.name}, and {drift}"
        return ""

    def _inputs(self, unique_id: str) -> Iterator[ManifestNode]:
        """Yield what a node of the base reads, looking through ephemeral models and views that are not built here."""
        todo, seen = list(self.base.nodes[unique_id].parents), set[str]()
        while todo:
            parent = self.base.nodes.get(todo.pop(0))
            if parent is None or parent.unique_id in seen:
                continue
            seen.add(parent.unique_id)
            if parent.resource_type == "model" and parent.materialized in ("ephemeral", "view"):
                todo += parent.parents
            if parent.materialized != "ephemeral":
                yield parent

    def production(self, unique_id: str) -> ManifestNode | None:
        """Return the deferral target's relation of a node; None where there is none."""
        node = self.deferral.nodes.get(unique_id) if self.deferral else None
        return node if node is not None and node.relation and node.resource_type in _BUILT else None

    def _is_unchanged(self, unique_id: str) -> bool:
        """Whether the run builds the base's own version of the node, from the base's own inputs."""
        planned, theirs, ours = (
            self.plan.node(unique_id),
            self.base.nodes.get(unique_id),
            self.head.nodes.get(unique_id),
        )
        if planned is None or theirs is None or ours is None or planned.reason.kind != "ancestor":
            return False
        same = dict(theirs.parts) == dict(ours.parts) and theirs.parents == ours.parents
        return same and all(
            self._is_unchanged(n.unique_id) for n in self._inputs(unique_id) if n.resource_type in _BUILT
        )


def needed(twins: Iterable[str], wanted: Iterable[str], base: Manifest) -> frozenset[str]:
    """Return the twins that must be built for some of them: these and the twins that they read."""
    known = frozenset(twins)
    return frozenset(u for w in wanted if w in known for u in {w, *_above(w, base, known)})


def within(
    budget: float, twins: Iterable[str], seconds: Mapping[str, float], base: Manifest, order: Iterable[str]
) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the twins that a budget (seconds) pays for, parents first, and those left out with all that reads them.

    `seconds` is what the head's version of each took, `order` the order in which the head's were built.
    """
    wanted, position = set(twins), {u: i for i, u in enumerate(order)}
    paid, left, spent = list[str](), set[str](), 0.0
    for unique_id in sorted(wanted, key=lambda u: (position.get(u, -1), u)):
        cost = seconds.get(unique_id, 0.0)
        if left & _above(unique_id, base, wanted) or spent + cost > budget:
            left.add(unique_id)
        else:
            spent += cost
            paid.append(unique_id)
    return tuple(paid), frozenset(left)


def _above(unique_id: str, base: Manifest, wanted: Set[str]) -> Set[str]:
    todo, seen = list(base.nodes[unique_id].parents), set[str]()
    while todo:
        parent = base.nodes.get(todo.pop())
        if parent is not None and parent.unique_id not in seen:
            seen.add(parent.unique_id)
            todo += parent.parents
    return seen & wanted
