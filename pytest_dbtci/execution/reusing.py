"""What a run goes on with of an earlier run's schemas, and what it notes for the next one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from pytest_dbtci.dbt_client.protocol.values import Built, BuiltNode, node_key
from pytest_dbtci.execution.run_schemas import RunSchemas
from pytest_dbtci.planning.fingerprints import fingerprints, lingering, twin_fingerprints
from pytest_dbtci.planning.planned import Planned
from pytest_dbtci.results import REUSED, Result
from pytest_dbtci.schemas.reuse import Kept, reusable, same, standing
from pytest_dbtci.schemas.twins_reuse import NotedTwins
from pytest_dbtci.settings import Settings, age_of

TWIN = "base "
"""What the key of a twin's note begins with."""


@dataclass(kw_only=True)
class Reuse:
    """Find what need not be built; `kept` is where this machine knows that `--lf` may go on."""

    planned: Planned
    settings: Settings
    schemas: RunSchemas
    kept: Kept | None
    _standing: Mapping[str, BuiltNode] = field(default_factory=dict, init=False)
    _twins: Mapping[str, BuiltNode] = field(default_factory=dict, init=False)

    def find(self, asked: frozenset[str], needed: frozenset[str]) -> tuple[str, Mapping[str, str]]:
        """Return the earlier run, and which of the needed nodes need no building, each with a word on why."""
        plan, settings, kept = self.planned.plan, self.settings, self.kept
        is_asked = kept is not None or settings.leaves_out("reuse")
        if plan.mode != "pull_request" or settings.fresh or not needed or not is_asked:
            return "", {}
        built, head, where = self.schemas.built(self.planned), self.planned.head, plan.destination
        if not built.nodes or (kept and kept != Kept(run=built.run, schema=where.schema, target=where.target)):
            return "", {}
        nodes = head.nodes if head else {}
        # A node of dbt's own, like a hook, is in the plan alone.
        places = {n.unique_id: nodes[n.unique_id].place if n.relation else None for n in plan.nodes}
        noted, seeing = same(built, places, self._fingerprints), lingering(self.planned, settings)
        if kept:
            fresh = reusable(noted, plan, asked, needed, seeing)
            self._standing = {u: n for u, n in noted.items() if u in fresh}
            return built.run, dict.fromkeys(fresh, "kept from an earlier run")
        seconds = age_of(settings.reuse_age, "--dbt-ci-reuse-age").total_seconds()
        self._standing, twins = standing(noted, plan, needed, seeing, seconds, self._noted_twins(built))
        self._twins = {u: built.nodes[node_key(TWIN + u)] for u in twins}
        return built.run, {u: _reused(n) for u, n in self._standing.items()}

    @property
    def twins(self) -> frozenset[str]:
        """Return the base's versions that need no building where what was found is reused."""
        return frozenset(self._twins)

    def notes(self, results: Iterable[Result], twins: Iterable[str] = ()) -> Mapping[str, BuiltNode]:
        """Return what the next run may go on with, by `node_key`: nodes that passed, and these twins, which stand."""
        known, found = self._fingerprints, dict[str, BuiltNode]()
        for result in results:
            text, is_new = known.get(result.unique_id), result.status != REUSED
            node = BuiltNode(fingerprint=text) if text and is_new else self._standing.get(result.unique_id)
            if result.outcome == "passed" and text and node is not None:
                found[node_key(result.unique_id)] = node
        for unique_id in twins:
            if text := self._twin_fingerprints.get(unique_id):
                found[node_key(TWIN + unique_id)] = self._twins.get(unique_id, BuiltNode(fingerprint=text))
        return found

    def _noted_twins(self, built: Built) -> NotedTwins | None:
        plan, head, twins = self.planned.plan, self.planned.head, self.planned.twins
        if twins is None or head is None:
            return None
        nodes = twins.base.nodes
        noted = same(built, {u: nodes[u].place for u in plan.twins}, self._twin_fingerprints, TWIN)
        return NotedTwins(twins=frozenset(plan.twins), head=head, base=twins.base, noted=noted)

    @cached_property
    def _twin_fingerprints(self) -> Mapping[str, str]:
        return twin_fingerprints(self.planned, self.settings)

    @cached_property
    def _fingerprints(self) -> Mapping[str, str]:
        return fingerprints(self.planned, self.settings)


def _reused(node: BuiltNode) -> str:
    when = node.started[:16].replace("T", " ")
    return f"reused: run {node.run} of {when} UTC built it from the same code"
