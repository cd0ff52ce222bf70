"""What items and fixtures need of a run, the same on the controller and on a worker."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pytest_dbtci.dbt_client.redaction import Redaction
from pytest_dbtci.differences import PREFIX
from pytest_dbtci.manifest import Manifest
from pytest_dbtci.plan import Plan
from pytest_dbtci.results import NOT_RUN, Result


@dataclass(frozen=True, kw_only=True)
class Relation:
    """A relation in the warehouse; as text it is the quoted name, ready for SQL.

    `deferred` tells that it is the deferral target's, not one that this run built.
    """

    name: str
    database: str
    schema: str
    identifier: str
    rendered: str
    deferred: bool = False

    def __str__(self) -> str:
        return self.rendered


@dataclass(frozen=True, kw_only=True)
class Answer(Sequence[tuple[Any, ...]]):
    """The rows of a query: a sequence of tuples of plain Python values, with the column names."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        return self.rows[index]

    @property
    def scalar(self) -> Any:
        """Return the only value; ValueError unless there is one row with one column."""
        if len(self.rows) != 1 or len(self.columns) != 1:
            raise ValueError(f"the query gave {len(self.rows)} rows with {len(self.columns)} columns, not one value")
        return self.rows[0][0]

    def dicts(self) -> list[dict[str, Any]]:
        """Return each row as a mapping from column name to value."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


def find_relation(
    name: str, plan: Plan, head: Manifest | None, deferral: Manifest | None, *, deferred: bool
) -> Relation | None:
    """Find a relation by node name or unique_id: the one that the run builds, else the deferral target's.

    With `deferred` only the deferral target's counts. None when there is none.
    """
    planned = {n.unique_id for n in plan.find(name) if n.relation} if not deferred else set()
    for manifest, is_deferred in ((head, False), (deferral, True)):
        for node in (manifest.nodes if manifest else {}).values():
            if name not in (node.name, node.unique_id) or not node.relation:
                continue
            if node.unique_id in planned if not is_deferred else node.resource_type != "source":
                return Relation(
                    name=node.name,
                    database=node.database,
                    schema=node.schema,
                    identifier=node.identifier,
                    rendered=node.relation,
                    deferred=is_deferred,
                )
    return None


def why_unknown(name: str, plan: Plan, head: Manifest | None) -> str:
    """Return a sentence where the project has no node of that name, unique_id or item; empty where it has one."""
    if head is None or plan.find(name):
        return ""
    disabled = {unique_id.split(".")[2]: unique_id for unique_id in head.disabled}
    names = {n.name: u for u, n in head.nodes.items()} | disabled
    if name in names or name in names.values():
        return ""
    near = difflib.get_close_matches(name, names, n=1)
    return f"the project has no node named {name}{f': is {near[0]} meant?' if near else ''}"


def missing_result(unique_id: str, *, trouble: str, cancelled: bool, empty: bool = False) -> Result:
    """Return what stands for the result of a node that dbt gave none for, which is an error.

    Where `trouble` of the run kept it from being built, or the session stopped the build, as `-x` asks, it has the
    outcome `skipped`: the run is red for that. Of an `empty` file dbt builds nothing, and says nothing.
    """
    is_compared = unique_id.startswith(PREFIX)
    if trouble:
        return Result(unique_id=unique_id, status=NOT_RUN, message=f"not run: {trouble.partition(': ')[0]}")
    if cancelled or is_compared:
        before = "it was compared" if is_compared else "dbt had a result for it"
        return Result(unique_id=unique_id, status="skipped", message=f"the session stopped before {before}")
    why = "it is empty: write its SQL, or delete the file" if empty else "dbt ended without a result for it."
    return Result(unique_id=unique_id, status="no result", message=why, trouble=True)


class Outcomes(Protocol):
    """A run, as items and fixtures see it; `begin` may be called by several workers and acts once."""

    @property
    def plan(self) -> Plan:
        """Return the plan."""
        ...

    def redaction(self) -> Redaction:
        """Return what takes the run's secrets out of texts, the profile's once that was read."""
        ...

    def begin(self, unique_ids: Iterable[str], needs: Iterable[str] = (), queries: bool = False) -> None:
        """Open the schemas and build these nodes; see that `needs` and what all of them need is there."""
        ...

    def wait(self, unique_id: str) -> Result:
        """Wait for a node's result."""
        ...

    def known(self) -> Mapping[str, Result]:
        """Return the results that are there."""
        ...

    def relation(self, name: str, deferred: bool = False) -> Relation | None:
        """Return the relation of that name, unique_id or item; None when there is none."""
        ...

    def why_unknown(self, name: str) -> str:
        """Return a sentence where the project has no node of that name, unique_id or item; empty where it has one."""
        ...

    def query(self, sql: str) -> Answer:
        """Compile the SQL with dbt, run it in the warehouse, give its rows."""
        ...
