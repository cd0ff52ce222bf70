"""Ask of data tests that failed how they stand on the base: new, worse, or already failing there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pytest_dbtci.dbt_client.client import Cancelled
from pytest_dbtci.dbt_client.protocol.events import Event, NodeFinished
from pytest_dbtci.dbt_client.protocol.warehouse_requests import BuildTwins, SameRows
from pytest_dbtci.dbt_words import reason
from pytest_dbtci.differences import PREFIX, Comparison, Counterpart, FailingRows, OnBase
from pytest_dbtci.errors import DbtCiError
from pytest_dbtci.execution.comparing import Comparing
from pytest_dbtci.manifest import READABLE, Manifest, ManifestNode
from pytest_dbtci.planning.twins import Twins
from pytest_dbtci.results import Result

MOST = 50
"""The most failed tests of which the base is asked."""

TREE = "base tests"
"""The tree that the base's tests are run from: a copy of the twins', which dbt can build from only once."""


def read_by(base: Manifest, unique_id: str) -> Iterator[ManifestNode]:
    """Yield what a test of the base reads, looking through ephemeral models."""
    todo, seen = [unique_id], set[str]()
    while todo:
        for parent in base.nodes[todo.pop()].parents:
            node = base.nodes.get(parent)
            if node is None or parent in seen:
                continue
            seen.add(parent)
            if node.materialized == "ephemeral":
                todo.append(parent)
            else:
                yield node


@dataclass(frozen=True, kw_only=True)
class FailedTests:
    """Ask the base's version of failed tests, on the twins that `comparing` has built or on production's relations."""

    twins: Twins
    head: Manifest
    comparing: Comparing

    def ask(self, failed: Sequence[Result]) -> dict[str, OnBase]:
        """Return how each failed test stands on the base, by its unique_id. Raises Cancelled."""
        found, asked = dict[str, OnBase](), dict[str, Result]()
        for result in failed:
            known = self._without_asking(result.unique_id)
            if known is None and len(asked) == MOST:
                known = _unknown(f"the base is asked about the first {MOST} failed tests only")
            if known is None:
                asked[result.unique_id] = result
            else:
                found[result.unique_id] = known
        return {**found, **self._ask(asked)} if asked else found

    def _without_asking(self, unique_id: str) -> OnBase | None:
        theirs = self.twins.base.nodes.get(unique_id)
        if theirs is None:
            return OnBase(label="new", text="new: the base has no such test")
        if theirs.writes or self.head.nodes[unique_id].writes:
            return _unknown("it stores its failures")
        why = next(filter(None, map(self._why_not, read_by(self.twins.base, unique_id))), "")
        return _unknown(why) if why else None

    def _why_not(self, parent: ManifestNode) -> str:
        """Return why the base's contents of what a test reads are not known; empty if they are."""
        compared = self._counterparts.get(parent.unique_id)
        if compared is None:
            known = parent.resource_type not in READABLE or parent.unique_id in self.twins.elsewhere
            return "" if known else f"the base's {parent.name} stands nowhere"
        if compared.base == "twin":
            why = self.comparing.failed.get(parent.unique_id, "the base's version was not built")
            return "" if parent.unique_id in self.comparing.ready else f"{parent.name}: {why}"
        if not compared.base:
            return f"{parent.name} is not compared: {compared.why}"
        return compared.drift and f"{parent.name} was built earlier in production, and {compared.drift}"

    def _ask(self, asked: Mapping[str, Result]) -> dict[str, OnBase]:
        told = dict[str, Result]()

        def hear(event: Event) -> None:
            if isinstance(event, NodeFinished):
                told[event.result.unique_id] = event.result

        host = self.comparing.host
        try:
            host.ask(
                BuildTwins(
                    tree=TREE,
                    invocation=self.twins.invocation,
                    unique_ids=tuple(asked),
                    elsewhere=self.twins.elsewhere,
                    hooks=False,
                ),
                hear,
            )
            found = {u: _verdict(result, told.get(u)) for u, result in asked.items()}
            again = {u: self._failing_rows(u) for u, label in found.items() if label.label == "same"}
            rows = host.ask(SameRows(head="head", base=TREE, tests=again)) if again else {}
        except Cancelled:
            raise
        except DbtCiError as error:
            return dict.fromkeys(asked, _unknown(reason(str(error))))
        return {**found, **{u: _with_rows(verdict) for u, verdict in rows.items()}}

    def _failing_rows(self, unique_id: str) -> FailingRows:
        """Return what tells the rows of a test apart, given what was found of what it reads."""
        test, read = self.twins.base.nodes[unique_id], list(read_by(self.twins.base, unique_id))
        about = test.attached or (read[0].unique_id if len(read) == 1 else "")
        same = {n.unique_id for n in read} == {n.unique_id for n in read_by(self.head, unique_id)}
        compared = self._counterparts.get(about)
        pair, found = compared and compared.pair, self._comparison(about)
        key = found.differences.key if found and found.differences and pair and not pair.where else ()
        return FailingRows(
            head=self._relation(about, is_head=True) if test.attached else "",
            base=self._relation(about, is_head=False) if test.attached else "",
            key=key,
            exclude=pair.exclude if pair else (),
            same_inputs=same and all(self._is_same(n.unique_id) for n in read),
        )

    def _is_same(self, unique_id: str) -> bool:
        """Whether the head's and the base's relation hold the same rows, in all of the base's columns."""
        compared = self._counterparts.get(unique_id)
        if compared is None:
            return True  # both read the same relation
        found, pair = self._comparison(unique_id), compared.pair
        differences = found.differences if found else None
        if pair is None or pair.where or pair.tolerance or differences is None or differences.left_out:
            return False
        if differences.sample > 1:
            return False
        return differences.same_rows and {c.kind for c in differences.schema} <= {"added", "reordered"}

    def _comparison(self, unique_id: str) -> Comparison | None:
        result = self.comparing.found.get(PREFIX + unique_id)
        return result.comparison if result is not None else None

    def _relation(self, unique_id: str, *, is_head: bool) -> str:
        planned, there = self.comparing.plan.node(unique_id), self.twins.elsewhere.get(unique_id)
        if is_head and planned is not None:
            return planned.relation or ""
        if not is_head and unique_id in self.comparing.ready:
            return self.twins.base.nodes[unique_id].relation or ""
        return (there.relation or "") if there else ""

    @property
    def _counterparts(self) -> Mapping[str, Counterpart]:
        return {c.unique_id: c for c in self.comparing.plan.compared}


def as_warning(result: Result, skipped: Sequence[str]) -> Result:
    """Return the result of a test that failed as it did before as a warning, unless dbt skipped nodes after it."""
    if result.on_base is None or result.on_base.label != "same":
        return result
    if not skipped:
        return replace(result, status="warn")
    more = f" and {len(skipped) - 1} more" if len(skipped) > 1 else ""
    text = f"{result.on_base.text}; it stays red, because dbt skipped {skipped[0]}{more} after it"
    return replace(result, on_base=replace(result.on_base, text=text))


def _verdict(ours: Result, theirs: Result | None) -> OnBase:
    """Return what follows from dbt's results; `same` where the rows are still to be looked at."""
    if theirs is None or (theirs.outcome not in ("passed", "warned") and theirs.status != "fail"):
        why = reason(theirs.message) if theirs and theirs.message else "dbt gave no result"
        return _unknown(f"the base's version of it could not be run: {why}")
    if theirs.status != "fail":
        does = "passes" if theirs.outcome == "passed" else "only warns"
        return OnBase(label="new", text=f"new: it {does} on the base")
    before, now = theirs.failures or 0, ours.failures or 0
    if before < now:
        return OnBase(label="worse", text=f"worse than on the base: {before:,} → {now:,}")
    if before > now:
        return OnBase(
            label="other", text=f"already failing on the base, with more failures there: {before:,} → {now:,}"
        )
    return OnBase(label="same", text="")


def _with_rows(rows: OnBase) -> OnBase:
    if rows.label == "unknown":
        return OnBase(label="unknown", text=f"already failing on the base, with as many failures, but {rows.text}")
    return replace(rows, text=f"already failing on the base, {'with ' * (rows.label == 'other')}{rows.text}")


def _unknown(why: str) -> OnBase:
    return OnBase(label="unknown", text=f"not known how it stands on the base: {why}")
