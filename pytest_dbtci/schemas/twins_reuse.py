"""Which of the base's versions stand beside what is reused, so that both hold what was there at the same time.

Built at another time, the two versions of a node would differ in what changed in the sources meanwhile.
"""

from __future__ import annotations

import graphlib
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass

from pytest_dbtci.dbt_client.protocol.values import BuiltNode
from pytest_dbtci.manifest import Manifest

_STORED = ("table", "incremental", "seed", "snapshot")
"""Materializations that hold what was read when they were built, which a view does not."""


@dataclass(frozen=True, kw_only=True)
class NotedTwins:
    """Some nodes' twins, of which an earlier run `noted` those that are still the same; `base` has their manifest."""

    twins: Set[str]
    head: Manifest
    base: Manifest
    noted: Mapping[str, BuiltNode]

    def standing(self, reused: Mapping[str, BuiltNode], needed: Set[str]) -> frozenset[str]:
        """Return the twins that need no building where these of the needed nodes are reused."""
        found = set[str]()
        inputs = {u: {*_read(self.base, u)} & self.twins for u in self.twins}
        for unique_id in graphlib.TopologicalSorter(inputs).static_order():
            twin, ours = self.noted.get(unique_id), reused.get(unique_id)
            is_same = twin is not None and inputs[unique_id] <= found
            if is_same and unique_id in needed:
                is_same = ours is not None and twin is not None and ours.run == twin.run and self._keep(unique_id)
            if is_same:
                found.add(unique_id)
        return frozenset(found)

    def _keep(self, unique_id: str) -> bool:
        """Whether both versions show the same time for as long as they stand."""
        kinds = {m.nodes[unique_id].materialized for m in (self.head, self.base)}
        return kinds <= {*_STORED} or (kinds == {"view"} and self.read_alike(unique_id))

    def read_alike(self, unique_id: str) -> bool:
        """Whether both versions of a node read the same, so that they see the same time of it."""
        return {*_read(self.head, unique_id)} == {*_read(self.base, unique_id)}


def _read(manifest: Manifest, unique_id: str) -> Iterator[str]:
    """Yield what a node reads, looking through ephemeral models."""
    for parent in manifest.nodes[unique_id].parents:
        node = manifest.nodes.get(parent)
        if node is not None and node.materialized == "ephemeral":
            yield from _read(manifest, parent)
        else:
            yield parent
