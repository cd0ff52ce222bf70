"""What a run goes on with of an earlier run's schemas, and what it notes for the next one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from pytest_dbtci.dbt_client.protocol.values import BuiltNode, node_key
from pytest_dbtci.execution.run_schemas import RunSchemas
from pytest_dbtci.planning.fingerprints import fingerprints, lingering
from pytest_dbtci.planning.planned import Planned
from pytest_dbtci.results import REUSED, Result
from pytest_dbtci.schemas.reuse import Kept, keep, reusable, standing
from pytest_dbtci.settings import Settings, age_of


@dataclass(kw_only=True)
class Reuse:
    """Find what need not be built; `kept` is what this machine knows of the last run, for `--lf`."""

    planned: Planned
    settings: Settings
    schemas: RunSchemas
    kept: Kept | None
    _standing: Mapping[str, BuiltNode] = field(default_factory=dict, init=False)

    def find(self, asked: frozenset[str], needed: frozenset[str]) -> tuple[str, Mapping[str, str]]:
        """Return the earlier run, and which of the needed nodes need no building, each with a word on why."""
        plan, settings = self.planned.plan, self.settings
        if self.kept is not None:
            same = reusable(self.kept, plan, self._fingerprints, asked, needed, lingering(self.planned, settings))
            return self.kept.run, dict.fromkeys(same, "kept from an earlier run")
        if not self._is_on or settings.fresh or not needed:
            return "", {}
        built, head = self.schemas.built(self.planned), self.planned.head
        places = {u: n.place for u, n in head.nodes.items()} if head else {}
        seconds = age_of(settings.reuse_age, "--dbt-ci-reuse-age").total_seconds()
        if built.nodes:
            seeing = lingering(self.planned, settings)
            self._standing = standing(built, plan, places, self._fingerprints, needed, seeing, seconds)
        return built.run, {u: _reused(n) for u, n in self._standing.items()}

    def notes(self, results: Iterable[Result]) -> Mapping[str, BuiltNode]:
        """Return what the next run may go on with, by `node_key`; empty where it is not to."""
        if not self._is_on:
            return {}
        known, found = self._fingerprints, dict[str, BuiltNode]()
        for result in results:
            text, is_new = known.get(result.unique_id), result.status != REUSED
            # When it was built that `--lf` took from an earlier run is not known, so that is not noted.
            node = BuiltNode(fingerprint=text) if text and is_new else self._standing.get(result.unique_id)
            if result.outcome == "passed" and text and node is not None:
                found[node_key(result.unique_id)] = node
        return found

    def keep(self, run: str, results: Iterable[Result]) -> Kept:
        """Return what a later `--lf` on this machine goes on with."""
        return keep(run, self.planned.plan, self._fingerprints, results)

    @property
    def _is_on(self) -> bool:
        return self.planned.plan.mode == "pull_request" and self.settings.leaves_out("reuse")

    @cached_property
    def _fingerprints(self) -> Mapping[str, str]:
        return fingerprints(self.planned, self.settings)


def _reused(node: BuiltNode) -> str:
    when = node.started[:16].replace("T", " ")
    return f"reused: run {node.run} of {when} UTC built it from the same code"
