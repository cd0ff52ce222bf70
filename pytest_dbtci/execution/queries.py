"""Queries of the user's own tests, compiled by dbt against what the run builds."""

from __future__ import annotations

import base64
import pickle
from dataclasses import dataclass, field, replace
from typing import Any

from pytest_dbtci.dbt_client.client import Cancelled
from pytest_dbtci.dbt_client.protocol.events import Event, RowsFetched
from pytest_dbtci.dbt_client.protocol.warehouse_requests import Query
from pytest_dbtci.dbt_words import reason
from pytest_dbtci.errors import DbtCiError, HeldUp, UsageError
from pytest_dbtci.execution.outcomes import Answer
from pytest_dbtci.execution.run_host import NOT_STARTED, RunHost
from pytest_dbtci.manifest import Place
from pytest_dbtci.planning.planned import Planned


@dataclass(kw_only=True)
class Queries:
    """Ask the host, whose tree for queries was kept before the build."""

    planned: Planned
    host: RunHost
    _told_places: bool = field(default=False, init=False)

    def ask(self, sql: str) -> Answer:
        """Compile the SQL with dbt and run it, once the build has ended; DbtCiError when dbt refuses it."""
        if self.planned.build is None:
            raise DbtCiError(NOT_STARTED)
        invocation = replace(self.planned.build.invocation, target_path=str(self.host.work / "queries"))
        rows: list[tuple[Any, ...]] = []

        def hear(event: Event) -> None:
            assert isinstance(event, RowsFetched)
            rows.extend(pickle.loads(base64.b64decode(event.pickled)))

        try:
            # Two at once may both tell the places; the host takes one request after the other.
            elsewhere = {} if self._told_places else self._elsewhere()
            columns = self.host.ask(Query(invocation=invocation, sql=sql, elsewhere=elsewhere), hear)
            self._told_places = True
        except Cancelled:
            raise HeldUp("the session stopped before the warehouse answered this query") from None
        except UsageError as error:
            raise DbtCiError(f"dbt can't run this query: {reason(str(error))}\n{sql}") from None
        except DbtCiError as error:
            raise DbtCiError(f"{reason(str(error))}{error.next_step}", trouble=error.trouble) from None
        return Answer(columns=columns, rows=tuple(rows))

    def _elsewhere(self) -> dict[str, Place]:
        """Return where what this run does not build is deferred to."""
        planned = {n.unique_id for n in self.planned.plan.nodes}
        nodes = self.planned.deferral.nodes if self.planned.deferral else {}
        return {u: node.place for u, node in nodes.items() if u not in planned and node.relation}
