"""The schemas that a run calls its own: created and marked before the build, dropped or kept after it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_dbtci.dbt_client.client import Host
from pytest_dbtci.dbt_client.process import HostDied
from pytest_dbtci.dbt_client.protocol.values import Built, BuiltNode, Invocation, Mark, Opened, Owner
from pytest_dbtci.dbt_client.protocol.warehouse_requests import (
    Attach,
    DropSchemas,
    NoteBuilt,
    OpenSchemas,
    Ping,
    ReadBuilt,
    ReserveSchema,
    Shell,
)
from pytest_dbtci.dbt_words import reason
from pytest_dbtci.errors import DbtCiError
from pytest_dbtci.plan import Plan
from pytest_dbtci.results import Teardown
from pytest_dbtci.schemas.names import in_mark

DROP_SECONDS = 300.0
"""How long a host may take to drop the schemas before another one is tried."""

DROP_PAUSES = (3.0, 10.0)
"""How long to wait before the schemas are dropped once more, where the warehouse was not reachable."""

PING_SECONDS = 4.0
"""How long an interrupted run waits for a sign of life; CI providers kill a job after some ten seconds, of which dbt
has had up to `client.CANCEL_SECONDS` to stop."""


def external_folder(invocation: Invocation, schema: str) -> str:
    """Return where the files go that a run writes besides its relations; they share the fate of its schemas."""
    return str(Path(invocation.target_path, "external", schema))


@dataclass(kw_only=True)
class OwnSchemas:
    """Open the schemas of a plan once, end them once.

    `run` is the run's identity and `began` its start (`time.monotonic`), which their marks hold; `names` are all that
    runs of the pull request may have chosen; `keep` is `--dbt-ci-keep-schema`.
    `invocation` is what dbt is called with, `restart` gives another host where this one died, `work` is the run's
    private folder.
    """

    plan: Plan
    names: tuple[str, ...]
    run: str
    keep: str
    host: Host
    restart: Callable[[], Host]
    invocation: Invocation
    work: Path
    tell: Callable[[str], None]
    began: float

    def reserve(self) -> str:
        """Create and mark the first of them unless it exists; say whose it is where another repository has it."""
        where = self.plan.destination
        place = next(s for s in where.schemas if s[1] == where.prefix)
        try:
            return self.host.ask(ReserveSchema(tree="head", schema=place, owner=self._owner()))
        except DbtCiError:
            return ""  # opening them meets the same, and says it where items can show it

    def open(self, reuse: str = "") -> Opened:
        """Create and mark them.

        Those that carry the mark of the run `reuse` are taken as they are. Raises UsageError when one is not ours,
        DbtCiError for other trouble.
        """
        return self.host.ask(
            OpenSchemas(tree="head", schemas=self.plan.destination.schemas, owner=self._owner(), reuse=reuse)
        )

    def built(self) -> Built:
        """Return what an earlier run of the pull request left in them."""
        return self.host.ask(ReadBuilt(tree="head", schemas=self.plan.destination.schemas, owner=self._owner()))

    def end(
        self, red: bool, *, built: bool, hurry: bool, notes: Callable[[], Mapping[str, BuiltNode]] = dict
    ) -> Teardown:
        """Drop them, unless they are to be kept.

        `red` tells whether something failed, `built` whether dbt began, `hurry` that somebody waits to kill this
        process: then a warehouse that does not answer soon is left to the next run. `notes` tells what stands in them.
        """
        if hurry and (why := self._silence()):
            return self.not_dropped(why)
        if not built:
            return self._drop()
        if self.keep == "always" or (self.keep == "failed" and red):
            return self._keep(notes())
        return self._drop()

    def not_dropped(self, why: str) -> Teardown:
        """Return a Teardown for schemas that may remain, with what becomes of them."""
        names = ", ".join(s for _, s in self.plan.destination.schemas)
        return Teardown(
            trouble=f"the schemas of this run ({names}) could not all be dropped: {reason(why)}\n"
            "They carry this run's mark: the next run of this pull request, or `pytest --dbt-ci "
            "--dbt-ci-sweep=drop`, drops them."
        )

    def _silence(self) -> str:
        """Return why the warehouse can't be used now, empty if it can; another host may replace one that is dead."""
        try:
            self.host.ask(Ping(), last=True, within=PING_SECONDS)
        except HostDied as error:
            return f"the run was interrupted, and neither warehouse nor dbt answered: {error}" if error.silent else ""
        except DbtCiError as error:
            return str(error)
        return ""

    def _keep(self, notes: Mapping[str, BuiltNode]) -> Teardown:
        kept = tuple(s for _, s in self.plan.destination.schemas)
        if notes:
            self._note(notes)
        try:
            self.host.ask(DropSchemas(keep=True), last=True, within=DROP_SECONDS)
            shell = self.host.ask(Shell(), last=True, within=DROP_SECONDS)
        except DbtCiError as error:
            return Teardown(kept=kept, trouble=reason(str(error)))
        return Teardown(kept=kept, shell=shell)

    def _note(self, nodes: Mapping[str, BuiltNode]) -> None:
        noting = NoteBuilt(schemas=self.plan.destination.schemas, nodes=nodes)
        try:
            self.host.ask(noting, last=True, within=DROP_SECONDS)
        except DbtCiError as error:
            self.tell(f"what was built could not be noted, so the next run builds all of it: {reason(str(error))}")

    def _drop(self) -> Teardown:
        """Drop them; try again where the warehouse is only away for a moment."""
        for pause in DROP_PAUSES:
            try:
                return Teardown(dropped=self._drop_once())
            except DbtCiError as error:
                if error.trouble not in ("connection lost", "warehouse not reachable", "too many connections"):
                    return self.not_dropped(str(error))
                self.tell(f"{error.trouble}: dropping the schemas is tried again in {pause:g} s")
                time.sleep(pause)
        try:
            return Teardown(dropped=self._drop_once())
        except DbtCiError as error:
            return self.not_dropped(str(error))

    def _drop_once(self) -> tuple[str, ...]:
        try:
            return self.host.ask(DropSchemas(), last=True, within=DROP_SECONDS)
        except HostDied:
            self.host = self.restart()
            self._attach()
            return self.host.ask(DropSchemas(), last=True, within=DROP_SECONDS)

    def _attach(self) -> None:
        """Connect another host to clean up after the one that died; it needs no project of the user's."""
        empty = self.work / "empty"
        invocation = replace(self.invocation, project_dir=str(empty), target_path=str(empty / "target"))
        external = external_folder(self.invocation, self.plan.destination.prefix)
        self.host.ask(Attach(invocation=invocation, owner=self._owner(), external=external), within=DROP_SECONDS)

    def _owner(self) -> Owner:
        plan, where = self.plan, self.plan.destination
        return Owner(
            prefix=where.prefix,
            also=tuple(name for name in self.names if name != where.prefix),
            age=time.monotonic() - self.began,
            mark=Mark(
                pr=plan.pr,
                run=self.run,
                head=plan.commits.head,
                repository=in_mark(plan.repository),
                project=in_mark(plan.project),
            ),
            databases=tuple(sorted({database for database, _ in where.schemas})),
            keep=self.keep != "never",
        )
