"""The schemas that a run calls its own: created and marked before the build, dropped or kept after it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from pytest_dbtci.dbt_client.client import Host, HostDied
from pytest_dbtci.dbt_client.protocol import Attach, DropSchemas, Invocation, Mark, OpenSchemas, Owner
from pytest_dbtci.errors import DbtCiError
from pytest_dbtci.plan import Plan
from pytest_dbtci.results import Teardown

DROP_SECONDS = 300.0
"""How long a host may take to drop the schemas before another one is tried."""

DROP_PAUSES = (3.0, 10.0)
"""How long to wait before the schemas are dropped once more, where the warehouse was not reachable."""


def external_folder(invocation: Invocation, schema: str) -> str:
    """Return where the files go that a run writes besides its relations; they share the fate of its schemas."""
    return str(Path(invocation.target_path, "external", schema))


@dataclass(kw_only=True)
class OwnSchemas:
    """Open the schemas of a plan once, end them once.

    `run` is the run's identity and `began` its start, which their marks hold; `keep` is `--dbt-ci-keep-schema`.
    `invocation` is what dbt is called with, `restart` gives another host where this one died, `work` is the run's
    private folder.
    """

    plan: Plan
    run: str
    keep: str
    host: Host
    restart: Callable[[], Host]
    invocation: Invocation
    work: Path
    tell: Callable[[str], None]
    began: datetime

    def open(self, reuse: str = "") -> tuple[str, ...]:
        """Create and mark them; say of each what was done.

        Those that carry the mark of the run `reuse` are taken as they are. Raises UsageError when one is not ours,
        DbtCiError for other trouble.
        """
        return self.host.ask(OpenSchemas(tree="head", schemas=self.plan.schemas, owner=self._owner(), reuse=reuse))

    def end(self, red: bool) -> Teardown:
        """Drop them, unless they are to be kept; `red` tells whether something failed."""
        if self.keep == "always" or (self.keep == "failed" and red):
            return self._keep()
        return self._drop()

    def not_dropped(self, why: str) -> Teardown:
        """Say that they may still be there, and what becomes of them."""
        names = ", ".join(s for _, s in self.plan.schemas)
        return Teardown(
            trouble=f"the schemas of this run ({names}) could not all be dropped: {why}\n"
            "They carry this run's mark: the next run of this pull request, or `pytest --dbt-ci "
            "--dbt-ci-sweep=drop`, drops them."
        )

    def _keep(self) -> Teardown:
        kept = tuple(s for _, s in self.plan.schemas)
        try:
            self.host.ask(DropSchemas(keep=True), last=True, within=DROP_SECONDS)
        except DbtCiError as error:
            return Teardown(kept=kept, trouble=str(error))
        return Teardown(kept=kept)

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
        """Let another host clean up after the one that died: it needs no project of the user's."""
        empty = self.work / "empty"
        invocation = replace(self.invocation, project_dir=str(empty), target_path=str(empty / "target"))
        external = external_folder(self.invocation, self.plan.rehearsal or self.plan.schema)
        self.host.ask(Attach(invocation=invocation, owner=self._owner(), external=external), within=DROP_SECONDS)

    def _owner(self) -> Owner:
        return Owner(
            prefix=self.plan.rehearsal or self.plan.schema,
            mark=Mark(pr=self.plan.pr, run=self.run, head=self.plan.head, started=self.began.isoformat()),
            databases=tuple(sorted({database for database, _ in self.plan.schemas})),
            keep=self.keep != "never",
        )
