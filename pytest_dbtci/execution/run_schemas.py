"""The schemas of a run, from the plan that names them to their end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pytest_dbtci.dbt_client.protocol.values import Built, BuiltNode, Opened
from pytest_dbtci.execution.run_host import RunHost
from pytest_dbtci.planning.planned import Planned
from pytest_dbtci.results import Teardown
from pytest_dbtci.schemas.lifecycle import OwnSchemas


@dataclass(kw_only=True)
class RunSchemas:
    """Reserve, open and end the schemas of a plan; `run` is the run's identity, `keep` is `--dbt-ci-keep-schema`.

    `began` is when the run did (`time.monotonic`), `own` are the schemas once a plan has named them.
    """

    host: RunHost
    run: str
    keep: str
    tell: Callable[[str], None]
    timings: dict[str, float]
    began: float = field(default_factory=time.monotonic)
    own: OwnSchemas | None = None

    def reserve(self, planned: Planned) -> str:
        """Reserve the plan's schema; return whose it is where another repository has it."""
        return self._of(planned).reserve()

    def open(self, planned: Planned, reuse: str) -> Opened:
        """Create and mark them: see `OwnSchemas.open`."""
        own = self._of(planned)
        began = time.perf_counter()
        try:
            return own.open(reuse)
        finally:
            self.timings["schemas"] = time.perf_counter() - began

    def built(self, planned: Planned) -> Built:
        """Return what an earlier run of the pull request left in them."""
        return self._of(planned).built()

    def end(self, red: bool, *, built: bool, hurry: bool, notes: Callable[[], Mapping[str, BuiltNode]]) -> Teardown:
        """Drop or keep them: see `OwnSchemas.end`."""
        return self.own.end(red, built=built, hurry=hurry, notes=notes) if self.own else Teardown()

    def not_dropped(self, why: str) -> Teardown:
        """Return a Teardown for schemas that may remain."""
        return self.own.not_dropped(why) if self.own else Teardown(trouble=why)

    def _of(self, planned: Planned) -> OwnSchemas:
        assert planned.build is not None
        self.own = OwnSchemas(
            plan=planned.plan,
            names=planned.names,
            run=self.run,
            keep=self.keep,
            host=self.host.current,
            restart=self.host.restart,
            invocation=planned.build.invocation,
            work=self.host.work,
            tell=self.tell,
            began=self.began,
        )
        return self.own
