"""Tell whether data tests that failed on both sides failed with the same rows; where in doubt, that is not known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_dbtci.dbt_host.parallel import run_all
from pytest_dbtci.dbt_host.runner import DbtFailed
from pytest_dbtci.dbt_host.warehouses.generic import Warehouse
from pytest_dbtci.differences import FailingRows, OnBase

_FAILING = {"unique": "unique_field", "accepted_values": "value_field", "relationships": "from_field"}
"""What dbt's own tests call the values that they find."""

MOST = 1000
"""The most failing rows of a test that are looked at."""


def run(warehouse: Warehouse, head: Any, base: Any, tests: Mapping[str, FailingRows]) -> dict[str, OnBase]:
    """Return of each test how it stands on the base: `same`, `other` or `unknown`.

    `head` and `base` are the manifests with which dbt ran the tests.
    """
    found = dict[str, OnBase]()

    def one(unique_id: str) -> None:
        asked = tests[unique_id]
        try:
            ours = _Side.read(warehouse, head, unique_id, asked.head)
            theirs = _Side.read(warehouse, base, unique_id, asked.base)
        except DbtFailed as error:
            found[unique_id] = OnBase(label="unknown", text=f"its failing rows could not be read: {error}")
        else:
            found[unique_id] = _verdict(ours, theirs, asked)

    run_all(warehouse, tests, one)
    return found


@dataclass(frozen=True, kw_only=True)
class _Side:
    """A test's failing rows on one side; `whole` tells that they are rows of the tested relation itself."""

    column: str
    names: Sequence[str]
    rows: Sequence[tuple[Any, ...]]
    whole: bool

    @classmethod
    def read(cls, warehouse: Warehouse, manifest: Any, unique_id: str, relation: str) -> _Side:
        node = manifest.nodes[unique_id]
        if not node.compiled_code:
            raise DbtFailed("dbt did not compile it", usage=False)
        metadata = getattr(node, "test_metadata", None)
        column = str((metadata.kwargs if metadata else {}).get("column_name") or "")
        chosen = _rows_of(relation, column, node, manifest) if relation and column else ""
        names, rows = warehouse.read(chosen or node.compiled_code, MOST + 1)
        lower = [name.lower() for name in names]
        return cls(column=column.strip('"`').lower(), names=lower, rows=rows, whole=bool(chosen))

    def has(self, key: Sequence[str]) -> bool:
        """Whether no row lacks a part of its key."""
        places = [self.names.index(name) for name in key]
        return all(row[place] is not None for row in self.rows for place in places)

    def bag(self, columns: Sequence[str]) -> Counter[Any]:
        """Return how often each combination of values stands there."""
        places = [self.names.index(name) for name in columns]
        return Counter(tuple(_hashable(row[place]) for place in places) for row in self.rows)


def _rows_of(relation: str, column: str, node: Any, manifest: Any) -> str:
    """Return SQL for the rows of the relation that make one of dbt's own tests fail; empty for any other test.

    These tests tell values (`not_null` nothing but nulls), which may stand in other rows on the other side.
    """
    name = node.test_metadata.name
    own = f"macro.dbt.test_{name}" in node.depends_on.macros
    replaced = any(m.name.endswith(f"__test_{name}") and m.package_name != "dbt" for m in manifest.macros.values())
    if not own or replaced or name not in ("not_null", *_FAILING):
        return ""
    if name == "not_null":
        return f"select * from {relation} where {column} is null"
    # By its name: Snowflake's grammar gives a subquery's columns no other ones.
    return f"select * from {relation} where {column} in (select {_FAILING[name]} from (\n{node.compiled_code}\n) t)"


def _verdict(head: _Side, base: _Side, asked: FailingRows) -> OnBase:
    if max(len(head.rows), len(base.rows)) > MOST:
        return OnBase(label="unknown", text=f"more than {MOST:,} rows fail")
    common = [name for name in head.names if name in base.names]
    key, excluded = [name.lower() for name in asked.key], {name.lower() for name in asked.exclude}
    if key and set(key) <= set(common) and all(side.has(key) for side in (head, base)):
        columns = list(dict.fromkeys([*key, *([head.column] if head.column in common else [])]))
    elif head.whole and base.whole:
        columns = [name for name in common if name not in excluded]
    elif asked.same_inputs and sorted(head.names) == sorted(base.names):
        columns = common
    else:
        return OnBase(label="unknown", text="its failing rows don't say which rows of the table they are")
    if head.bag(columns) == base.bag(columns):
        return OnBase(label="same", text="the same rows")
    return OnBase(label="other", text="other rows")


def _hashable(value: Any) -> Any:
    try:
        hash(value)
    except (TypeError, ValueError):
        return repr(value)
    return value
