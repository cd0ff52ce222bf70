"""What the host tells while it works on a request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pytest_dbtci.codec import Words
from pytest_dbtci.differences import Differences
from pytest_dbtci.results import Result


@dataclass(frozen=True, kw_only=True)
class NodeStarted:
    """dbt began with the node."""

    unique_id: str


@dataclass(frozen=True, kw_only=True)
class NodeFinished:
    """dbt has a result for a node."""

    result: Result


@dataclass(frozen=True, kw_only=True)
class RowsFetched:
    """Rows of a query: a pickled list of tuples in base64, so that values keep their types."""

    pickled: str


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What differs between the relations of a pair, or in `trouble` why that is not known."""

    name: str
    differences: Differences | None = None
    trouble: Words = ""
    seconds: float = 0.0


Event = NodeStarted | NodeFinished | RowsFetched | Compared
"""What the host tells while it works on a request."""


Emit = Callable[[Event], None]
