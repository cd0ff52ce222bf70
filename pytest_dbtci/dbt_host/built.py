"""Notes beside the mark: what stands in a pull request's schemas, so that its next run can go on from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from pytest_dbtci.dbt_client.protocol.values import Built, BuiltNode, Mark, node_key
from pytest_dbtci.dbt_host.mark import BUILT_TABLE
from pytest_dbtci.dbt_host.warehouses.generic import Warehouse

_COLUMNS = ("written_by", "node", "fingerprint", "run", "started")

Place = tuple[str, str]


def read(warehouse: Warehouse, schemas: Sequence[Place], mark: Mark) -> Built:
    """Return what an earlier run of the pull request noted, if all schemas are still as it left them.

    A relation that somebody put in the place of one that was noted is none of those that are there.
    """
    there = {d: {*map(warehouse.same, warehouse.list_schemas(d))} for d in {d for d, _ in schemas}}
    runs = set[str]()
    for database, schema in schemas:
        found = warehouse.read_mark(database, schema) if warehouse.same(schema) in there[database] else None
        if found is None or not found.repository or not found.is_of(mark):
            return Built()
        runs.add(found.run)
    relations = tuple(_relations(warehouse, schemas)) if len(runs) == 1 else ()
    notes = (schemas[0][0].lower(), schemas[0][1].lower(), BUILT_TABLE)
    if notes not in [place for place, _, _ in relations]:
        return Built()
    (run,), now = runs, warehouse.clock()
    noted = {
        key: BuiltNode(fingerprint=text, run=by, started=at, age=(now - datetime.fromisoformat(at)).total_seconds())
        for written_by, key, text, by, at in warehouse.read_texts((*schemas[0], BUILT_TABLE), _COLUMNS)
        if written_by == run
    }
    same = tuple(place for place, key, text in relations if (was := noted.pop(key, None)) and was.fingerprint == text)
    return Built(run=run, nodes=noted, relations=same)


def write(warehouse: Warehouse, schemas: Sequence[Place], mark: Mark, nodes: Mapping[str, BuiltNode]) -> None:
    """Note what stands there, unless a newer run has taken the schemas over."""
    found = warehouse.read_mark(*schemas[0])
    if found is None or found.run != mark.run:
        return
    relations = {key: BuiltNode(fingerprint=text) for _, key, text in _relations(warehouse, schemas)}
    noted = {**relations, **nodes}
    known = {k: n if n.run else replace(n, run=mark.run, started=mark.started) for k, n in noted.items()}
    rows = [(mark.run, k, n.fingerprint, n.run, n.started) for k, n in known.items()]
    warehouse.write_texts((*schemas[0], BUILT_TABLE), _COLUMNS, rows)


def _relations(warehouse: Warehouse, schemas: Iterable[Place]) -> Iterator[tuple[tuple[str, str, str], str, str]]:
    """Yield what stands there: its place in lower case, the key of its note, and what tells it from another."""
    for database, schema in schemas:
        for name, identity in warehouse.relations(database, schema).items():
            key = node_key("\0".join((database, schema, name)))
            yield (database.lower(), schema.lower(), name.lower()), key, node_key(identity)
