"""Random pairs of tables: what a comparison counts is what plain Python counts, on every warehouse."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pytest_dbtci.dbt_client.protocol.events import Compared, Event
from pytest_dbtci.dbt_client.protocol.warehouse_requests import Compare
from pytest_dbtci.differences import Pair
from tests.support.random_tables import RandomPair, expected, random_pair
from tests.support.warehouse_project import attach, database_of, running_host
from tests.support.warehouses import KINDS, Warehouse
from tests.support.warehouses.fixtures import ALL_KINDS

PAIRS = int(os.environ.get("RANDOM_TABLES", "1000"))
BATCH = 100


def compare_all(warehouse: Warehouse, folder: Path, numbers: range) -> Iterator[tuple[RandomPair, Compared]]:
    """Make the tables of these pairs and compare them; yield each pair with the event that tells of it."""
    kind = warehouse.kind
    pairs = {str(n): random_pair(n, kind) for n in numbers}
    with closing(warehouse.connect()) as connection:
        cursor = connection.cursor()
        cursor.execute("create schema if not exists s")
        for number, pair in pairs.items():
            for side, table in (("h", pair.head), ("b", pair.base)):
                for statement in table.statements(f"s.{side}{number}", kind):
                    cursor.execute(statement)
        cursor.execute("grant all on schema s to dbt") if kind != "duckdb" else None
        cursor.execute("grant select on all tables in schema s to dbt") if kind != "duckdb" else None
    asked = {}
    for number, pair in pairs.items():
        head, base = ((database_of(warehouse), "s", f"{side}{number}") for side in "hb")
        asked[number] = Pair(head=head, base=base, key=pair.key, unique=pair.unique, examples=2)
    events: list[Event] = []
    with running_host(folder / f"host{numbers.start}") as host:
        attach(host, folder, warehouse)
        host.ask(Compare(tree="empty", pairs=asked), events.append)
    told = {event.name: event for event in events if isinstance(event, Compared)}
    for number, pair in pairs.items():
        yield pair, told[number]


def check(warehouse: Warehouse, folder: Path, numbers: range) -> None:
    for number, (pair, event) in zip(numbers, compare_all(warehouse, folder, numbers), strict=True):
        common = {n.lower() for n in pair.head.columns} & {n.lower() for n in pair.base.columns}
        if not common:
            assert "no column in common" in event.trouble
            continue
        assert event.differences is not None, (number, pair, event.trouble)
        found, wanted = event.differences, expected(pair)
        keyed = wanted.keyed if wanted.keyed is None else bool(found.key)
        told = (keyed, found.head_rows, found.base_rows, found.added, found.removed, found.changed)
        assert told == (
            wanted.keyed,
            wanted.head_rows,
            wanted.base_rows,
            wanted.added,
            wanted.removed,
            wanted.changed,
        ), (number, pair)
        if found.key:
            assert {c.column: c.rows for c in found.columns} == wanted.columns, (number, pair)
        schema: set[tuple[str, str]] = {(c.kind, c.column) for c in found.schema}
        renamed = {(c.before, c.after) for c in found.schema if c.kind == "renamed"}
        schema |= {pair for old, new in renamed for pair in (("removed", old), ("added", new))}
        assert {c for c in schema if c[0] not in ("renamed", "reordered")} == wanted.schema, (number, pair)
        assert bool(found.examples) == bool(found.added or found.removed or found.changed), (number, pair)


@pytest.mark.parametrize("warehouse", ALL_KINDS, indirect=True)
def test_counts_what_plain_python_counts(warehouse: Warehouse, tmp_path: Path) -> None:
    check(warehouse, tmp_path, range(8 if warehouse.kind == "snowflake" else 40))


@pytest.mark.parametrize("warehouse", KINDS, indirect=True)
@pytest.mark.slow
def test_counts_what_plain_python_counts_of_many_more(warehouse: Warehouse, tmp_path: Path) -> None:
    for start in range(40, 40 + PAIRS, BATCH):
        check(warehouse, tmp_path, range(start, start + BATCH))
