"""One run, from plan to teardown: owns the dbt host, the schemas and the results."""

from __future__ import annotations

import base64
import pickle
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pytest_dbtci.dbt_client.client import Cancelled, Host
from pytest_dbtci.dbt_client.protocol import (
    Answer as HostAnswer,
)
from pytest_dbtci.dbt_client.protocol import (
    Build,
    CopyTables,
    Document,
    Event,
    Invocation,
    KeepForQueries,
    NodeFinished,
    NodeStarted,
    Query,
    Request,
    RowsFetched,
)
from pytest_dbtci.dbt_client.redaction import Redaction, secrets_of
from pytest_dbtci.errors import DbtCiError, HeldUp, UsageError
from pytest_dbtci.execution.outcomes import Answer, Relation, find_relation
from pytest_dbtci.manifest import BUILDABLE, Manifest, Place
from pytest_dbtci.plan import Plan
from pytest_dbtci.planning import incremental
from pytest_dbtci.planning.planner import Planner, Workspace
from pytest_dbtci.project.profile import Profile
from pytest_dbtci.release.docs_folder import publish
from pytest_dbtci.release.planner import ReleasePlanner, held_back
from pytest_dbtci.results import Result, Results, Teardown
from pytest_dbtci.schemas.lifecycle import OwnSchemas
from pytest_dbtci.schemas.reuse import Kept, keep, reusable
from pytest_dbtci.selection.nodes import home
from pytest_dbtci.selection.selector import Choice
from pytest_dbtci.settings import Settings


class Run:
    """Plan, build in the background, hand out results, tear down; `host` is there already, its folder is the run's.

    The order of calls is `prepare`, `begin`, any number of `wait`, `finish`; `finish` may come at any
    time, and more than once.
    """

    def __init__(
        self,
        settings: Settings,
        host: Host,
        tell: Callable[[str], None] = lambda text: None,
        adjust: Callable[[Choice, Manifest], Choice] = lambda choice, head: choice,
    ) -> None:
        self.settings = settings
        self.kept: Kept | None = None
        self.asked = frozenset[str]()
        self.plan = Plan(mode="nothing")
        self.results = Results()
        self.trouble: DbtCiError | None = None
        self.begun = frozenset[str]()
        self.released = False
        self.identity = secrets.token_hex(4)
        self.timings: dict[str, float] = {}
        self._tell = tell
        self._adjust = adjust
        self.on_result: Callable[[Result], None] = lambda result: None
        self._began = datetime.now(timezone.utc)
        assert host.folder is not None
        self._idle = host
        self._folder = host.folder
        self._work = host.folder.path
        self._planner: Planner | None = None
        self._host: Host | None = None
        self._redaction = Redaction(secrets_of({}, settings.environ))
        self._thread: threading.Thread | None = None
        self._schemas: OwnSchemas | None = None
        self._beginning = threading.Lock()
        self._queried = False
        self._cancelled = False
        self._hurry = False
        self.misuse: UsageError | None = None
        self._teardown: Teardown | None = None

    def prepare(self) -> Plan:
        """Make the plan; UsageError where the user's input is at fault. The warehouse stays untouched."""
        incremental.check(self.settings)
        workspace = Workspace(work=self._work, cache=self.settings.cache_dir)
        planner = ReleasePlanner if self.settings.release else Planner
        self._planner = planner(
            settings=self.settings,
            workspace=workspace,
            start_host=self._start_host,
            tell=self._tell,
            timings=self.timings,
            adjust=self._adjust,
        )
        self.plan = incremental.with_note(self._planner.make(), self.settings.incremental)
        return self.plan

    def _open(self, reuse: str) -> tuple[str, ...]:
        assert self._host is not None
        assert self._planner is not None
        self._schemas = OwnSchemas(
            plan=self.plan,
            run=self.identity,
            keep=self.settings.keep_schema,
            host=self._host,
            restart=self._restart,
            invocation=self._planner.invocation,
            work=self._work,
            tell=self._tell,
            began=self._began,
        )
        began = time.perf_counter()
        try:
            return self._schemas.open(reuse)
        finally:
            self.timings["schemas"] = time.perf_counter() - began

    def begin(self, unique_ids: Iterable[str], needs: Iterable[str] = (), queries: bool = False) -> None:
        """Open the schemas and build these nodes in the background, with what they need; only the first call acts.

        `needs` are nodes that must be there besides; they, and what is needed, may come from `kept`. `queries`
        tells that `query` will be called. Raises UsageError when a schema is not ours; other trouble
        is what `wait` then answers.
        """
        with self._beginning:
            if self._thread is not None or self.trouble is not None:
                return
            try:
                self._check_whole(unique_ids := frozenset(unique_ids))
                needed = self.plan.needed_by((*unique_ids, *needs))
                reused = self._reusable(unique_ids, needed)
                done = self._open(self.kept.run if self.kept and reused else "") if self.plan.schemas and needed else ()
                if not all(f"{schema} reused" in done for _, schema in self.plan.schemas):
                    reused = frozenset()
                if queries:
                    self._ask(KeepForQueries(tree="head"))
            except UsageError as error:
                self.misuse = self.trouble = error
                self.results.close()
                raise
            except DbtCiError as error:
                self.trouble = DbtCiError(f"the schemas could not be made ready: {error}")
                self.results.close()
                return
            except BaseException:
                # Nobody may wait for what will not be built.
                self.results.close()
                raise
            for unique_id in reused:
                self.results.add(Result(unique_id=unique_id, status="reused", message="kept from the run before"))
            self.asked, self.begun = unique_ids, needed - reused
            chosen = sorted(self.begun)
            self._thread = threading.Thread(target=self._build, args=(chosen,), daemon=True)
            self._thread.start()

    def _check_whole(self, unique_ids: frozenset[str]) -> None:
        left_out = [n for n in self.plan.items if n.unique_id not in unique_ids]
        if self.plan.mode == "release" and left_out:
            raise UsageError(
                f"nothing was released, because {len(left_out)} of {len(self.plan.items)} nodes were deselected "
                f"({left_out[0].label} …), and a release builds and tests the whole project. "
                "Leave out paths, -k, -m, --deselect, --lf and the like."
            )

    def _reusable(self, asked: frozenset[str], needed: frozenset[str]) -> frozenset[str]:
        head = self._planner.head if self._planner is not None else None
        if head is None or self.plan.mode == "release":
            return frozenset()
        return reusable(self.kept, self.plan, head, asked, needed)

    def holds(self) -> Kept | None:
        """Give what the kept schemas hold; None unless they were kept."""
        head = self._planner.head if self._planner is not None else None
        kept = self._teardown is not None and self._teardown.kept
        return keep(self.identity, self.plan, head, self.results) if head is not None and kept else None

    def names_in(self, file: str) -> tuple[str, ...]:
        """Give the names of all nodes that stand under a file of the project, planned or not."""
        head = self._planner.head if self._planner is not None else None
        if head is None:
            return ()
        nodes = [n for n in head.nodes.values() if n.resource_type in BUILDABLE]
        return tuple(n.name for n in nodes if home(n, head, "dbt_packages") == file)

    def redact(self, text: str) -> str:
        """Return the text with the run's secrets replaced."""
        return self._redaction.text(text)

    def redact_long(self, text: str) -> str:
        """Return the text with the run's longer secrets replaced; a short one may be a part of any word of ours."""
        return self._redaction.long(text)

    def known(self) -> Mapping[str, Result]:
        """Give the results that are there by now."""
        return {r.unique_id: r for r in self.results}

    def relation(self, name: str, deferred: bool = False) -> Relation | None:
        """Give the relation that this run builds, or the deferral target's: see `outcomes.find_relation`."""
        assert self._planner is not None
        return find_relation(name, self.plan, self._planner.head, self._planner.deferral, deferred=deferred)

    def query(self, sql: str) -> Answer:
        """Compile the SQL with dbt and run it, once the build has ended; DbtCiError when dbt refuses it."""
        assert self._planner is not None
        rows: list[tuple[Any, ...]] = []
        elsewhere: dict[str, Place] = {}
        if self._planner.deferral is not None and not self._queried:
            planned = {n.unique_id for n in self.plan.nodes}
            for unique_id, node in self._planner.deferral.nodes.items():
                if unique_id not in planned and node.relation:
                    elsewhere[unique_id] = node.place
        self._queried = True

        def hear(event: Event) -> None:
            assert isinstance(event, RowsFetched)
            rows.extend(pickle.loads(base64.b64decode(event.pickled)))

        try:
            invocation = replace(self._planner.invocation, target_path=str(self._work / "queries"))
            columns = self._ask(Query(invocation=invocation, sql=sql, elsewhere=elsewhere), hear)
        except Cancelled:
            raise HeldUp("the session stopped before the warehouse answered this query") from None
        except UsageError as error:
            raise DbtCiError(f"dbt can't run this query: {error}\n{sql}") from None
        return Answer(columns=columns, rows=tuple(rows))

    def wait(self, unique_id: str) -> Result:
        """Wait for the node's result; a node that dbt gave none for has the outcome `error`, with the reason.

        Where the session stopped the build, as `-x` asks, it has the outcome `skipped`: the run is red already.
        """
        result = self.results.wait(unique_id)
        if result is not None:
            return result
        if self._cancelled:
            return Result(
                unique_id=unique_id, status="skipped", message="the session stopped before dbt had a result for it"
            )
        why = str(self.trouble) if self.trouble else "dbt ended without a result for it."
        return Result(unique_id=unique_id, status="no result", message=why, trouble=True)

    def document(self) -> str:
        """Write the released state's page and manifest where `--dbt-ci-docs` says; give the folder, empty if not asked.

        Call it once all is known to be green. Raises DbtCiError when the warehouse or the disk refuses.
        """
        if not self.settings.docs or self.plan.mode != "release":
            return ""
        assert isinstance(self._planner, ReleasePlanner)
        missing = [n.label for n in self.plan.items if self.wait(n.unique_id).outcome not in ("passed", "warned")]
        if missing:
            raise DbtCiError(f"the documentation was not written, because {missing[0]} was not released.")
        written = self._planner.written
        self._ask(Document(tree="head", invocation=replace(self._planner.invocation, target_path=str(written))))
        self._redaction.clean(written)
        directory = self.settings.invocation_dir / self.settings.docs
        publish(written, directory)
        return str(directory)

    def cancel(self) -> None:
        """Stop the build: dbt cancels its queries; results that are there stay, what is cut off gets none."""
        if self._host is None or not (self._schemas or self._beginning.locked()):
            return
        self._cancelled = not self.results.closed
        self._host.cancel()
        if self._beginning.acquire(timeout=60):
            self._beginning.release()
        if self._thread is not None:
            self._thread.join(timeout=60)

    def hurry(self) -> None:
        """Let `finish` wait no longer for a build that still runs; may be called by a signal's handler."""
        self._hurry = True

    def finish(self, *, red: bool, stopped: bool) -> Teardown:
        """Drop the schemas unless they are to be kept, end the host.

        `red` tells whether something failed, which `--dbt-ci-keep-schema=failed` asks for. A build that still
        runs is cancelled if the session was `stopped`, else waited for: it writes its artifacts at the end.
        Never raises.
        """
        if self._teardown is not None:
            return self._teardown
        began = time.perf_counter()
        schemas = self._schemas
        try:
            while not stopped and not self._hurry and self._thread is not None and self._thread.is_alive():
                self._thread.join(timeout=0.5)
            began = time.perf_counter()
            self.cancel()
            self._teardown = schemas.end(red) if schemas else Teardown()
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            self._teardown = schemas.not_dropped(why) if schemas else Teardown(trouble=why)
        self.timings["drop"] = time.perf_counter() - began
        self._close()
        return self._teardown

    def _ask(self, request: Request[HostAnswer], on_event: Callable[[Event], None] | None = None) -> HostAnswer:
        if self._host is None:
            raise DbtCiError("dbt was not started: the plan builds nothing.")
        return self._host.ask(request, on_event)

    def _restart(self) -> Host:
        """Give another host in place of one that died."""
        assert self._host is not None
        self._host.kill()
        self._host.close()
        environ = {**self.settings.environ, **self._number(self.plan.pr)}
        directory, log = Path(self.plan.project_dir), self._work / "dbt.log"
        self._host = Host(directory, environ, log, redaction=self._redaction, private=self._folder)
        return self._host

    def _build(self, unique_ids: list[str]) -> None:
        assert self._planner is not None
        began = time.perf_counter()
        try:
            if self.settings.incremental == "clone":
                unique_ids = self._copy_deferred(unique_ids)
            if not self.plan.rehearsal or self._rehearse(unique_ids):
                self.released = self.plan.mode == "release"
                self._ask_for_build("head", self._planner.invocation, unique_ids, self._hear)
        except Cancelled:
            self.trouble = DbtCiError("the build was cancelled before dbt came to it.")
        except DbtCiError as error:
            self.trouble = DbtCiError(f"dbt stopped before it had a result: {error}")
        finally:
            self.timings["build"] = time.perf_counter() - began
            self.results.close()

    def _copy_deferred(self, unique_ids: list[str]) -> list[str]:
        """Copy what incremental models go on from; give the nodes that can be built then."""
        planner = self._planner
        if planner is None or planner.head is None or planner.deferral is None:
            return unique_ids
        copies = incremental.copies(self.plan, planner.head, planner.deferral, unique_ids)
        if not copies:
            return unique_ids
        began = time.perf_counter()
        told = self._ask(CopyTables(tree="head", copies=copies))
        self.timings["copies"] = time.perf_counter() - began
        for unique_id in (u for u, why in told.items() if why is None):
            self._tell(f"{'.'.join(copies[unique_id].source)} is no table, so {unique_id} is built anew")
        failed = {u: why for u, why in told.items() if why}
        held = incremental.held_up(self.plan, failed, unique_ids)
        for result in held:
            self._keep(result)
        stopped = {r.unique_id for r in held}
        return [u for u in unique_ids if u not in stopped]

    def _rehearse(self, unique_ids: list[str]) -> bool:
        """Build in the rehearsal's schemas; tell whether all was green, else keep what is to be shown instead."""
        assert isinstance(self._planner, ReleasePlanner)
        heard: dict[str, Result] = {}
        began = time.perf_counter()

        def hear(event: Event) -> None:
            if isinstance(event, NodeFinished):
                heard.setdefault(event.result.unique_id, event.result)

        try:
            self._ask_for_build("rehearsal", self._planner.rehearsal, unique_ids, hear)
        except DbtCiError:
            for result in heard.values():
                if result.is_bad:
                    self.results.add(result)
            raise
        finally:
            self.timings["rehearsal"] = time.perf_counter() - began
        if self._cancelled:
            # The rehearsal had just ended, so dbt could not tell; a release must not begin now.
            raise Cancelled("the run was cancelled between rehearsal and release.")
        held = list(held_back(self.plan, heard, unique_ids))
        for result in held:
            self._keep(result)
        return not held

    def _ask_for_build(
        self, tree: str, invocation: Invocation, unique_ids: list[str], hear: Callable[[Event], None]
    ) -> None:
        assert self._planner is not None
        try:
            request = Build(
                tree=tree,
                invocation=invocation,
                unique_ids=tuple(unique_ids),
                defer_state=self._planner.defer_state,
                full_refresh=self.settings.full_refresh,
                show_rows=self.settings.show_rows,
                batch_tests=self.settings.batch_tests,
            )
            self._ask(request, hear)
        finally:
            # dbt writes down what the warehouse said, word for word.
            self._redaction.clean(Path(invocation.target_path))

    def _hear(self, event: Event) -> None:
        if isinstance(event, NodeStarted):
            self.results.start(event.unique_id)
        elif isinstance(event, NodeFinished) and not self._cancelled:
            self._keep(event.result)

    def _keep(self, result: Result) -> None:
        if result.outcome == "skipped":
            result = replace(result, cause=self._cause(result.unique_id))
        self.results.add(result)
        self.on_result(result)

    def _cause(self, unique_id: str) -> str | None:
        """Find the nearest node upstream that went wrong."""
        seen, level = {unique_id}, [unique_id]
        while level:
            above = [b for u in level for b in self.plan.blockers(u) if b not in seen]
            for blocker in above:
                found = self.results.get(blocker)
                if found is not None and found.is_bad:
                    return blocker
            seen.update(above)
            level = list(dict.fromkeys(above))
        return None

    def _start_host(self, project_dir: Path, pr: str, profile: Profile) -> Host:
        self._redaction = Redaction(secrets_of(profile.outputs, self.settings.environ, self.settings.variables()))
        self._host = self._idle
        self._host.settle(project_dir, self._number(pr), self._redaction)
        return self._host

    def _number(self, pr: str) -> dict[str, str]:
        return {"PR_NUMBER": pr} if pr and not self.settings.environ.get("PR_NUMBER") else {}

    def _close(self) -> None:
        if self._host is None:
            # It may still import dbt, which nobody needs any more.
            self._idle.kill()
        (self._host or self._idle).close()
        self._folder.remove()
