"""The build of a run, in a thread of its own: copies, rehearsal, build, and the cause of what was skipped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pytest_dbtci.dbt_client.client import Cancelled
from pytest_dbtci.dbt_client.protocol.events import Event, NodeFinished, NodeStarted
from pytest_dbtci.dbt_client.protocol.tree_requests import Confined, Keep, Narrowing, Steady
from pytest_dbtci.dbt_client.protocol.warehouse_requests import Build, CompareContents, CopyTables
from pytest_dbtci.dbt_words import reason
from pytest_dbtci.differences import OnBase
from pytest_dbtci.errors import DbtCiError
from pytest_dbtci.execution.comparing import Comparing
from pytest_dbtci.execution.cut_off import CutOff
from pytest_dbtci.execution.on_base import TREE, FailedTests, as_warning, read_by
from pytest_dbtci.execution.run_host import NOT_STARTED, RunHost
from pytest_dbtci.planning import incremental
from pytest_dbtci.planning.planned import Planned
from pytest_dbtci.release.planner import held_back
from pytest_dbtci.results import LEFT_OUT, Result, Results
from pytest_dbtci.settings import Settings

_SECOND = "second build"
"""A copy of the head's tree to build from: a tree can be built from only once."""


@dataclass(kw_only=True)
class Builder:
    """Build nodes of the plan; results arrive in `results` and are told to `on_result`.

    Once all is built, the nodes `to_compare` are compared with the base's, with results in `compared`; data tests that
    failed, and what dbt skipped after one, have their results only then. `twins` are the base's versions that stand.
    `is_cancelled` tells that no more results are to be taken, `released` that the rehearsal was green, `trouble` why
    dbt stopped before it had all of them.
    """

    planned: Planned
    settings: Settings
    host: RunHost
    results: Results
    timings: dict[str, float]
    tell: Callable[[str], None]
    on_result: Callable[[Result], None]
    is_cancelled: Callable[[], bool]
    compared: Results = field(default_factory=Results)
    to_compare: frozenset[str] = frozenset()
    cut_off: CutOff | None = None
    twins: set[str] = field(default_factory=set)
    released: bool = False
    trouble: DbtCiError | None = None
    _set_aside: dict[str, Result] = field(default_factory=dict, init=False)
    _comparing: Comparing = field(init=False)
    _thread: threading.Thread = field(init=False)

    def start(self, unique_ids: Iterable[str]) -> None:
        """Begin with the build."""
        self._comparing = Comparing(
            plan=self.planned.plan,
            settings=self.settings,
            twins=self.planned.twins,
            host=self.host,
            built=self.results,
            found=self.compared,
            asked=self.to_compare,
            ready=self.twins,
        )
        self._thread = threading.Thread(target=self._build_and_compare, args=(sorted(unique_ids),), daemon=True)
        self._thread.start()

    def join(self, seconds: float) -> bool:
        """Wait for the end of the build; whether it has ended."""
        self._thread.join(timeout=seconds)
        return not self._thread.is_alive()

    def _build_and_compare(self, unique_ids: list[str]) -> None:
        try:
            self._work(unique_ids)
            if (self.to_compare or self._set_aside) and not (self.is_cancelled() or self.trouble):
                self._compare()
        finally:
            self._tell_set_aside()
            self.compared.close()

    def _compare(self) -> None:
        began = time.perf_counter()
        comparing = replace(self._comparing, asked=self.to_compare | self._read_by_failed_tests())
        # What is cut off has no result, which `Run.wait` explains.
        try:
            if self._failed_tests:
                self.host.ask(Keep(tree="twin", copy=TREE))
            comparing.run()
            self._ask_of_failed_tests(comparing)
        except Cancelled:
            pass
        except DbtCiError as error:
            self.trouble = error
        self.timings["compare"] = time.perf_counter() - began

    @property
    def _failed_tests(self) -> list[Result]:
        return [r for r in self._set_aside.values() if r.outcome == "failed"]

    def _read_by_failed_tests(self) -> frozenset[str]:
        """Return what failed tests read in the base: whether or not it was asked for, its contents decide."""
        base = self.planned.twins.base if self.planned.twins else None
        tests = [r.unique_id for r in self._failed_tests if base and r.unique_id in base.nodes]
        return frozenset(n.unique_id for t in tests if base for n in read_by(base, t))

    def _ask_of_failed_tests(self, comparing: Comparing) -> None:
        """Label the failed tests that were set aside, and make warnings of those that the user wants as such."""
        twins, head = self.planned.twins, self.planned.head
        if not self._failed_tests or twins is None or head is None:
            return
        labels = FailedTests(twins=twins, head=head, comparing=comparing).ask(self._failed_tests)
        skipped = [r for r in (*self.results, *self._set_aside.values()) if r.outcome == "skipped"]
        for unique_id, label in labels.items():
            result = replace(self._set_aside[unique_id], on_base=label)
            if self.settings.known == "warn":
                nodes = (self.planned.plan.node(r.unique_id) for r in skipped if r.cause in (None, unique_id))
                after = [n.name for n in nodes if n is not None]
                result = as_warning(result, after)
            self._set_aside[unique_id] = result

    def _tell_set_aside(self) -> None:
        """Report the results that waited for their labels, labelled or not."""
        for result in self._set_aside.values():
            if result.outcome == "failed" and result.on_base is None:
                text = "not known how it stands on the base: the run stopped before it was asked"
                result = replace(result, on_base=OnBase(label="unknown", text=text))
            self._add(result)
        self.results.close()

    def _work(self, unique_ids: list[str]) -> None:
        began = time.perf_counter()
        try:
            if self.settings.incremental == "clone":
                unique_ids = self._copy_deferred(unique_ids)
            if self.planned.rehearsal is None or self._rehearse(self.planned.rehearsal, unique_ids):
                self.released = self.planned.plan.mode == "release"
                self._build_all(unique_ids)
        except Cancelled:
            self.trouble = DbtCiError("the build was cancelled before dbt came to it.")
        except DbtCiError as error:
            self.trouble = DbtCiError(f"dbt stopped before it had a result: {reason(str(error))}{error.next_step}")
        finally:
            self.timings["build"] = time.perf_counter() - began
            if not self._set_aside:
                self.results.close()

    def _build_all(self, unique_ids: list[str]) -> None:
        """Build; with a cut-off in two builds, of which the second leaves out what the first shows to be the base's."""
        request, cut_off = self.planned.build, self.cut_off
        waiting = cut_off.waiting(unique_ids) if cut_off and request else frozenset[str]()
        # Of a sample of the rows nothing follows for the others.
        if not (request and cut_off and waiting) or self.host.ask(Narrowing()):
            self._build(request, unique_ids, self._hear)
            return
        self.host.ask(Keep(tree=request.tree, copy=_SECOND))
        self._build(request, [u for u in unique_ids if u not in waiting], self._hear)
        waiting -= self._skip_after(waiting)
        began = time.perf_counter()
        left_out = self._left_out(cut_off, request, waiting) if waiting else {}
        self.timings["contents"] = time.perf_counter() - began
        for unique_id, evidence in left_out.items():
            self._add(Result(unique_id=unique_id, status=LEFT_OUT, message=evidence))
        if second := sorted(waiting - left_out.keys()):
            self._build(replace(request, tree=_SECOND), second, self._hear)

    def _left_out(self, cut_off: CutOff, request: Build, waiting: frozenset[str]) -> Mapping[str, str]:
        """Return the waiting nodes that need not be built, each with the evidence."""
        asked = cut_off.to_ask(waiting)
        for tree in (_SECOND, "twin"):
            confined = self.host.ask(Confined(tree=tree, unique_ids=tuple(c.unique_id for c in asked)))
            asked = tuple(c for c in asked if c.unique_id in confined)
        pairs = self._comparing.pairs(asked) if asked else {}
        contents = self.host.ask(CompareContents(tree=_SECOND, pairs=pairs)) if pairs else {}
        if not any(found.same for found in contents.values()):
            return {}
        steady = self.host.ask(Steady(tree=_SECOND, invocation=request.invocation, unique_ids=tuple(waiting)))
        return cut_off.left_out(waiting, frozenset(steady), contents)

    def _skip_after(self, waiting: frozenset[str]) -> frozenset[str]:
        """Skip what dbt would have skipped if it had built all at once: what follows something that went wrong."""
        found = {**{r.unique_id: r for r in self.results}, **self._set_aside}
        # Nothing is wrong above it, and dbt skipped it: dbt stops at the first failure here.
        early = next((r for r in found.values() if r.status == "skipped" and r.cause is None), None)
        stopped = {u for u, r in found.items() if r.is_bad or r.status == "skipped"}
        for node in self.planned.plan.nodes:
            unique_id = node.unique_id
            if unique_id in waiting and (early or stopped & {*self.planned.plan.blockers(unique_id)}):
                stopped.add(unique_id)
                self._keep(Result(unique_id=unique_id, status="skipped", message=early.message if early else ""))
        return frozenset(waiting & stopped)

    def _copy_deferred(self, unique_ids: list[str]) -> list[str]:
        """Copy what incremental models go on from; return the nodes that can be built then."""
        plan, head, deferral = self.planned.plan, self.planned.head, self.planned.deferral
        copies = incremental.copies(plan, head, deferral, unique_ids) if head and deferral else {}
        if not copies:
            return unique_ids
        began = time.perf_counter()
        told = self.host.ask(CopyTables(tree="head", copies=copies))
        self.timings["copies"] = time.perf_counter() - began
        for unique_id in (u for u, why in told.items() if why is None):
            self.tell(f"{'.'.join(copies[unique_id].source)} is no table, so {unique_id} is built anew")
        failed = {u: why for u, why in told.items() if why}
        held = incremental.held_up(plan, failed, unique_ids)
        for result in held:
            self._keep(result)
        stopped = {r.unique_id for r in held}
        return [u for u in unique_ids if u not in stopped]

    def _rehearse(self, rehearsal: Build, unique_ids: list[str]) -> bool:
        """Build in the rehearsal's schemas; whether all was green, else keep what is to be shown instead."""
        heard: dict[str, Result] = {}
        began = time.perf_counter()

        def hear(event: Event) -> None:
            if isinstance(event, NodeFinished):
                heard.setdefault(event.result.unique_id, event.result)

        try:
            self._build(rehearsal, unique_ids, hear)
        except DbtCiError:
            for result in heard.values():
                if result.is_bad:
                    self.results.add(result)
            raise
        finally:
            self.timings["rehearsal"] = time.perf_counter() - began
        if self.is_cancelled():
            # The rehearsal had just ended, so dbt could not tell; a release must not begin now.
            raise Cancelled("the run was cancelled between rehearsal and release.")
        held = list(held_back(self.planned.plan, heard, unique_ids))
        for result in held:
            self._keep(result)
        return not held

    def _build(self, request: Build | None, unique_ids: list[str], hear: Callable[[Event], None]) -> None:
        if request is None:
            raise DbtCiError(NOT_STARTED)
        if not unique_ids:
            return
        try:
            self.host.ask(replace(request, unique_ids=tuple(unique_ids)), hear)
        finally:
            # dbt writes down what the warehouse said, word for word.
            self.host.redaction.clean(Path(request.invocation.target_path))

    def _hear(self, event: Event) -> None:
        if isinstance(event, NodeStarted):
            self.results.start(event.unique_id)
        elif isinstance(event, NodeFinished) and not self.is_cancelled():
            self._keep(event.result)

    def _keep(self, result: Result) -> None:
        if result.outcome == "skipped":
            result = replace(result, cause=self._cause(result.unique_id))
        if self._waits(result):
            self._set_aside.setdefault(result.unique_id, result)
            self.results.set_aside(result.unique_id)
        else:
            self._add(result)

    def _waits(self, result: Result) -> bool:
        """Whether the result is told only once it is known how failed tests stand on the base."""
        if self.planned.twins is None:
            return False
        after = result.outcome == "skipped" and bool(self._set_aside)
        return after or (result.unique_id.startswith("test.") and result.status == "fail")

    def _add(self, result: Result) -> None:
        self.results.add(result)
        self.on_result(result)

    def _cause(self, unique_id: str) -> str | None:
        """Return the nearest node upstream that went wrong."""
        seen, level = {unique_id}, [unique_id]
        while level:
            above = [b for u in level for b in self.planned.plan.blockers(u) if b not in seen]
            for blocker in above:
                found = self._set_aside.get(blocker) or self.results.get(blocker)
                if found is not None and found.is_bad:
                    return blocker
            seen.update(above)
            level = list(dict.fromkeys(above))
        return None
