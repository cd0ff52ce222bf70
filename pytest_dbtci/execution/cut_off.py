"""Early cut-off: what reads only contents that the base holds, too, need not be built to be known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from functools import cached_property

from pytest_dbtci.differences import PREFIX, Contents, Counterpart
from pytest_dbtci.manifest import Manifest
from pytest_dbtci.plan import Node, Plan
from pytest_dbtci.planning.planned import Planned
from pytest_dbtci.settings import Settings

_COMPARABLE = ("model", "seed", "snapshot")


@dataclass(frozen=True, kw_only=True)
class CutOff:
    """Split a build in two: first what the pull request changes, then what only reads it.

    A node waits where nothing but what it reads selects it; so does all that reads a waiting node. Between the two
    builds the contents of what waiting nodes read are asked of both sides. `changed` are the nodes and sources that
    changed by themselves. What `must` be there is never left out.
    """

    plan: Plan
    head: Manifest
    base: Manifest
    changed: frozenset[str]
    must: frozenset[str] = frozenset()

    def waiting(self, unique_ids: Iterable[str]) -> frozenset[str]:
        """Return the nodes that are built second; none where that can't leave anything out.

        Hooks of a run see every build, so with them there is one.
        """
        asked, found = frozenset(unique_ids), set[str]()
        if any(n.resource_type == "operation" for n in self.plan.nodes):
            return frozenset()
        for node in self._parents_first:
            if node.unique_id in asked and (self._only_reads(node) or any(p in found for p in _reads(node))):
                found.add(node.unique_id)
        return frozenset(found) if self.to_ask(found) else frozenset()

    def to_ask(self, waiting: Set[str]) -> tuple[Counterpart, ...]:
        """Return what was built first, waiting nodes read, and the base builds, too, without doing anything else."""
        read = {p for u in waiting if (node := self.plan.node(u)) for p in _reads(node)} - waiting
        return tuple(c for c in self.plan.compared if c.unique_id in read and self._is_comparable(c))

    def left_out(self, waiting: Set[str], steady: Set[str], contents: Mapping[str, Contents]) -> Mapping[str, str]:
        """Return the waiting nodes that need not be built, each with the evidence.

        The contents of `steady` nodes follow from those of what they read.
        """
        same, evidence = {u for u, found in contents.items() if found.same}, dict[str, str]()
        for node in self._parents_first:
            if node.unique_id in self.changed or not all(self._is_base(p, same) for p in _reads(node)):
                continue
            if node.unique_id not in waiting:
                # What stands elsewhere without the pull request's own inputs, and is built only to be read.
                if node.reason.kind == "ancestor" and node.unique_id not in self._compared:
                    same.add(node.unique_id)
            # A unit test brings its rows along.
            elif (node.unique_id in steady or node.resource_type == "unit_test") and self._can_be_left_out(node):
                same.add(node.unique_id)
                evidence[node.unique_id] = _evidence(self.plan, _reads(node), contents, evidence)
        needed = self.plan.needed_by((waiting - evidence.keys()) | self.must)
        return {u: text for u, text in evidence.items() if u not in needed}

    @cached_property
    def _parents_first(self) -> tuple[Node, ...]:
        """The nodes in the order of the build, but unit tests, which nothing reads, after the models they are about."""
        return tuple(sorted(self.plan.nodes, key=lambda n: n.resource_type == "unit_test"))

    @cached_property
    def _compared(self) -> frozenset[str]:
        return frozenset(c.unique_id for c in self.plan.compared)

    def _only_reads(self, node: Node) -> bool:
        """Whether nothing but what a node reads selects it, and it is no test of what the base may hold, too."""
        return (
            node.reason.kind == "downstream" and node.about not in self._compared and node.resource_type != "unit_test"
        )

    def _is_comparable(self, counterpart: Counterpart) -> bool:
        ours, theirs = (tree.nodes.get(counterpart.unique_id) for tree in (self.head, self.base))
        if ours is None or theirs is None or not counterpart.pair or counterpart.volatile:
            return False
        # What reads it may show its name, or need its primary key.
        same = all(ours.parts.get(part) == theirs.parts.get(part) for part in ("configs", "contract", "relation"))
        return (same and ours.identifier == theirs.identifier) and not any(
            n.hooks or n.graph or n.resource_type not in _COMPARABLE for n in (ours, theirs)
        )

    def _is_base(self, unique_id: str, same: Set[str]) -> bool:
        """Whether a node holds what the base's holds; what this run does not build is read where it is, by both."""
        return unique_id in same or (unique_id not in self.changed and self.plan.node(unique_id) is None)

    def _can_be_left_out(self, node: Node) -> bool:
        """Whether building a node leaves nothing behind but its relation, which follows from what it reads."""
        ours = self.head.nodes.get(node.unique_id)
        if ours is None or node.reason.kind != "downstream" or ours.hooks or ours.graph:
            return False
        if node.resource_type in ("test", "unit_test"):
            return not ours.writes
        return node.resource_type == "model"


def cut_off(planned: Planned, settings: Settings, needs: Iterable[str], *, queries: bool) -> CutOff | None:
    """Return the cut-off that the settings ask for; None where they don't, or queries may read any node."""
    plan, head, twins = planned.plan, planned.head, planned.twins
    if not settings.leaves_out("contents") or queries or plan.mode == "release" or head is None or twins is None:
        return None
    must = frozenset(u for u in needs if not u.startswith(PREFIX))
    return CutOff(plan=plan, head=head, base=twins.base, changed=planned.changed, must=must)


def _reads(node: Node) -> tuple[str, ...]:
    return (*node.parents, *((node.about,) if node.about else ()))


def _evidence(plan: Plan, read: Iterable[str], contents: Mapping[str, Contents], evidence: Mapping[str, str]) -> str:
    told = list[str]()
    for unique_id in dict.fromkeys(read):
        node = plan.node(unique_id)
        if node is not None and (found := contents.get(unique_id)):
            columns = f"{found.columns} column{'s' * (found.columns != 1)}"
            told.append(f"{node.name} ({found.rows:,} row{'s' * (found.rows != 1)}, {columns}, {found.digest})")
        elif node is not None and unique_id in evidence:
            told.append(f"{node.name} (as in the base)")
    return f"inputs identical to the base's: {', '.join(told)}"
