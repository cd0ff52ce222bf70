"""One run, from plan to teardown: owns the dbt host, the schemas and the results."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from pytest_dbtci.dbt_client.client import Host
from pytest_dbtci.dbt_client.protocol.tree_requests import Keep
from pytest_dbtci.dbt_client.redaction import Redaction
from pytest_dbtci.dbt_client.requirement import check_installed
from pytest_dbtci.dbt_words import reason
from pytest_dbtci.differences import PREFIX, Comparison
from pytest_dbtci.errors import DbtCiError, HeldUp, UsageError
from pytest_dbtci.execution.builder import Builder
from pytest_dbtci.execution.cut_off import cut_off
from pytest_dbtci.execution.documentation import document
from pytest_dbtci.execution.outcomes import Answer, Relation, find_relation, missing_result, why_unknown
from pytest_dbtci.execution.queries import Queries
from pytest_dbtci.execution.reusing import Reuse
from pytest_dbtci.execution.run_host import RunHost
from pytest_dbtci.execution.run_schemas import RunSchemas
from pytest_dbtci.manifest import Manifest
from pytest_dbtci.plan import Node, Plan
from pytest_dbtci.planning import incremental
from pytest_dbtci.planning.planned import Planned, Workspace
from pytest_dbtci.planning.planner import Planner
from pytest_dbtci.release.checks import check_whole
from pytest_dbtci.release.planner import ReleasePlanner
from pytest_dbtci.results import REUSED, Result, Results, Teardown
from pytest_dbtci.schemas.names import DEFAULT
from pytest_dbtci.schemas.reuse import Kept
from pytest_dbtci.selection.selector import Choice
from pytest_dbtci.settings import Settings


class Run:
    """Plan, build in the background, hand out results, tear down; `host` is there already, its folder is the run's.

    `builds` is False for a session that only collects; `show` is told what is being done, for who looks on.
    The order of calls is `prepare`, `begin`, any `wait`, `finish`, which may come at any time, and more than once.
    """

    def __init__(
        self,
        settings: Settings,
        host: Host,
        tell: Callable[[str], None] = lambda text: None,
        adjust: Callable[[Choice, Manifest], Choice] = lambda choice, head: choice,
        builds: bool = True,
        show: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.settings = settings
        self.kept: Kept | None = None
        self.asked = frozenset[str]()
        self.planned = Planned(plan=Plan(mode="nothing"))
        self.results = Results()
        self.compared = Results()
        self.begun = frozenset[str]()
        self.identity = secrets.token_hex(4)
        self.timings: dict[str, float] = {}
        self.on_result: Callable[[Result], None] = lambda result: None
        self.misuse: UsageError | None = None
        self._tell = tell
        self._show = show
        self._adjust = adjust
        self._builds = builds
        self._host = RunHost(host, settings)
        self._queries = Queries(planned=self.planned, host=self._host)
        self._builder: Builder | None = None
        self._schemas = RunSchemas(
            host=self._host, run=self.identity, keep=settings.keep_schema, tell=tell, timings=self.timings
        )
        self._reuse = self._reusing()
        self._beginning = threading.Lock()
        self._trouble: DbtCiError | None = None
        self._cancelled = self._hurry = False
        self._teardown: Teardown | None = None

    @property
    def plan(self) -> Plan:
        """Return the plan; an empty one before `prepare`."""
        return self.planned.plan

    @property
    def released(self) -> bool:
        """Whether a release went beyond its rehearsal."""
        return self._builder is not None and self._builder.released

    @property
    def trouble(self) -> str:
        """Return what kept nodes from being built, and is no node's fault; empty where the session itself did."""
        found = self._trouble or (self._builder and self._builder.trouble)
        return str(found) if found and not self._cancelled else ""

    @property
    def not_run(self) -> tuple[Node, ...]:
        """Return the nodes that were asked for and that trouble of the run kept from being built."""
        if not self.trouble:
            return ()
        return tuple(n for n in self.plan.items if n.unique_id in self.asked and not self.results.get(n.unique_id))

    def prepare(self) -> Plan:
        """Make the plan; UsageError where the user's input is at fault. The warehouse stays untouched."""
        check_installed()
        incremental.check(self.settings)
        workspace = Workspace(
            settings=self.settings,
            work=self._host.work,
            cache=self.settings.cache_dir,
            start_host=self._host.settle,
            tell=self._tell,
            timings=self.timings,
            run=self.identity,
            show=self._show,
        )
        if self.settings.release:
            planned = ReleasePlanner(workspace=workspace).make()
        else:
            reserve = self._schemas.reserve if self._builds and self.settings.schema == DEFAULT else lambda planned: ""
            planned = Planner(workspace=workspace, adjust=self._adjust, reserve=reserve).make()
        self.planned = incremental.with_notes(planned, self.settings.incremental, self.settings.environ)
        self._queries = Queries(planned=self.planned, host=self._host)
        return self.plan

    def begin(self, unique_ids: Iterable[str], needs: Iterable[str] = (), queries: bool = False) -> None:
        """Open the schemas and build these nodes in the background, with what they need; only the first call acts.

        `needs` are nodes that must be there besides; they, and what is needed, may come from `kept`. `queries`
        tells that `query` will be called. Raises UsageError when a schema is not ours; other trouble
        is what `wait` then answers.
        """
        if self.plan.destination.schemas and self._builder is None:
            # Before the lock, for which who has the terminal may wait.
            self._show(f"making {self.plan.destination.schema} ready")
        with self._beginning:
            if self._builder is not None or self._trouble is not None:
                return
            self.asked, needs = frozenset(unique_ids), tuple(needs)
            compared = frozenset(u.removeprefix(PREFIX) for u in needs if u.startswith(PREFIX))
            needed = self.plan.needed_by((*self.asked, *needs, *compared))
            if (reused := self._make_ready(needed, queries)) is None:
                return
            for unique_id, message in reused.items():
                self.results.add(result := Result(unique_id=unique_id, status=REUSED, message=message))
                self.on_result(result)
            self.begun = needed - (reused.keys() - self.asked)
            builder = Builder(
                planned=self.planned,
                settings=self.settings,
                host=self._host,
                results=self.results,
                timings=self.timings,
                tell=self._tell,
                on_result=self.on_result,
                is_cancelled=lambda: self._cancelled,
                compared=self.compared,
                to_compare=compared,
                cut_off=cut_off(self.planned, self.settings, needs, queries=queries),
                twins={*self._reuse.twins},
            )
            builder.start(needed - reused.keys())
            self._builder = builder

    def _make_ready(self, needed: frozenset[str], queries: bool) -> Mapping[str, str] | None:
        """Open the schemas; say of the nodes that stand in them already why, None where trouble kept them closed."""
        try:
            if self.plan.mode == "release":
                check_whole(self.plan, self.asked)
            self._reuse = self._reusing()
            opened, (earlier, reused) = None, self._reuse.find(self.asked, needed)
            if self.plan.destination.schemas and needed:
                opened = self._schemas.open(self.planned, earlier if reused else "")
            if queries:
                self._host.ask(Keep(tree="head", copy="queries"))
        except UsageError as error:
            self.misuse = self._trouble = error
            self._close_results()
            raise
        except DbtCiError as error:
            self._trouble = DbtCiError(f"the schemas could not be made ready: {reason(str(error))}{error.next_step}")
            self._close_results()
            return None
        except BaseException:
            # Nobody may wait for what will not be built.
            self._close_results()
            raise
        if opened is not None and opened.reused:
            return reused
        self._reuse = self._reusing()
        return {}

    def _reusing(self) -> Reuse:
        return Reuse(planned=self.planned, settings=self.settings, schemas=self._schemas, kept=self.kept)

    def _close_results(self) -> None:
        self.results.close()
        self.compared.close()

    def holds(self) -> Kept | None:
        """Return which schemas were kept; None unless they were."""
        if self._teardown is None or not self._teardown.kept:
            return None
        where = self.plan.destination
        return Kept(run=self.identity, schema=where.schema, target=where.target)

    def redaction(self) -> Redaction:
        """Return what takes the run's secrets out of texts; see `Outcomes`."""
        return self._host.redaction

    def redact(self, text: str) -> str:
        """Return the text with the run's secrets replaced."""
        return self._host.redaction.text(text)

    def redact_long(self, text: str) -> str:
        """Return the text with the run's longer secrets replaced; a short one may be a part of any word of ours."""
        return self._host.redaction.long(text)

    def known(self) -> Mapping[str, Result]:
        """Return the results that are there by now."""
        return {r.unique_id: r for r in self.results}

    def results_of(self, unique_id: str) -> Results:
        """Return where the result of a node, or of a comparison, arrives."""
        return self.compared if unique_id.startswith(PREFIX) else self.results

    @property
    def comparisons(self) -> Mapping[str, Comparison]:
        """Return the comparisons that there are by now, by the node's unique_id, in the order of the plan."""
        results = ((c.unique_id, self.compared.get(PREFIX + c.unique_id)) for c in self.plan.compared)
        return {u: r.comparison for u, r in results if r is not None and r.comparison is not None}

    def relation(self, name: str, deferred: bool = False) -> Relation | None:
        """Return the relation that this run builds, or the deferral target's: see `outcomes.find_relation`."""
        return find_relation(name, self.plan, self.planned.head, self.planned.deferral, deferred=deferred)

    def why_unknown(self, name: str) -> str:
        """Return a sentence where no node has that name: see `outcomes.why_unknown`."""
        return why_unknown(name, self.plan, self.planned.head)

    def query(self, sql: str) -> Answer:
        """Return the rows of a query: see `Queries.ask`; HeldUp where the schemas could not be made ready."""
        if self._trouble is not None:
            raise HeldUp(missing_result("", trouble=str(self._trouble), cancelled=False).message)
        return self._queries.ask(sql)

    def wait(self, unique_id: str) -> Result:
        """Wait for the node's result; one that there will be none for has that of `outcomes.missing_result`."""
        if result := self.results_of(unique_id).wait(unique_id):
            return result
        node = self.plan.node(unique_id)
        file = Path(self.plan.project_dir, node.file) if node else None
        empty = file is not None and file.is_file() and not file.read_bytes().strip()
        return missing_result(unique_id, trouble=self.trouble, cancelled=self._cancelled, empty=empty)

    def document(self) -> str:
        """Write the released state's documentation once all is known to be green: see `documentation.document`."""
        return document(self.planned, self.settings, self._host, self.wait)

    def cancel(self) -> None:
        """Stop the build: dbt cancels its queries; results that are there stay, what is cut off gets none."""
        if not self._host.is_settled or not (self._schemas.own or self._beginning.locked()):
            return
        self._cancelled = not self.results.closed
        self._host.cancel()
        if self._beginning.acquire(timeout=60):
            self._beginning.release()
        if self._builder is not None:
            self._builder.join(60)

    def hurry(self) -> None:
        """Stop `finish` from waiting for a build that still runs; safe in a signal handler."""
        self._hurry = True

    def finish(self, *, red: bool, stopped: bool, hurry: bool = False) -> Teardown:
        """Drop the schemas unless they are to be kept, end the host.

        `red` tells whether something failed, which `--dbt-ci-keep-schema=failed` asks for. A build that still
        runs is cancelled if the session was `stopped`, else waited for: it writes its artifacts at the end. `hurry`
        tells that somebody interrupted the session. Never raises.
        """
        if self._teardown is not None:
            return self._teardown
        began = time.perf_counter()
        try:
            while not stopped and not self._hurry and self._builder is not None and not self._builder.join(0.5):
                pass
            began = time.perf_counter()
            self.cancel()
            notes = partial(self._reuse.notes, self.results, self._builder.twins if self._builder else ())
            self._teardown = self._schemas.end(red, built=bool(self._builder), hurry=hurry, notes=notes)
        except Exception as error:
            self._teardown = self._schemas.not_dropped(f"{type(error).__name__}: {error}")
        self.timings["drop"] = time.perf_counter() - began
        self._host.close()
        return self._teardown
