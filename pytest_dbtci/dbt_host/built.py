"""Notes beside the mark: what stands in a pull request's schemas, so that its next run can go on from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from pytest_dbtci.dbt_client.protocol.values import Built, BuiltNode, Mark
from pytest_dbtci.dbt_host.warehouses.generic import Warehouse

TABLE = "dbt_ci_built"
_COLUMNS = ("written_by", "node", "fingerprint", "run", "started")

Place = tuple[str, str]


def read(warehouse: Warehouse, schemas: Iterable[Place], mark: Mark) -> Built:
    """Return what an earlier run of the pull request noted, if all schemas are still as it left them."""
    schemas, names = tuple(schemas), dict[Place, tuple[str, ...]]()
    there = {d: {*map(warehouse.same, warehouse.list_schemas(d))} for d in {d for d, _ in schemas}}
    runs = set[str]()
    for database, schema in schemas:
        found = warehouse.read_mark(database, schema) if warehouse.same(schema) in there[database] else None
        if found is None or not found.repository or not found.is_of(mark):
            return Built()
        runs.add(found.run)
        names[database, schema] = warehouse.relations(database, schema)
    if len(runs) != 1 or TABLE not in (name.lower() for name in names[schemas[0]]):
        return Built()
    (run,), now = runs, warehouse.clock()
    nodes = {
        node: BuiltNode(fingerprint=text, run=by, started=at, age=(now - datetime.fromisoformat(at)).total_seconds())
        for written_by, node, text, by, at in warehouse.read_texts((*schemas[0], TABLE), _COLUMNS)
        if written_by == run
    }
    relations = tuple((d.lower(), s.lower(), name.lower()) for (d, s), found in names.items() for name in found)
    return Built(run=run, nodes=nodes, relations=relations)


def write(warehouse: Warehouse, schema: Place, mark: Mark, nodes: Mapping[str, BuiltNode]) -> None:
    """Note what stands there, unless a newer run has taken the schemas over."""
    found = warehouse.read_mark(*schema)
    if found is None or found.run != mark.run:
        return
    known = {k: n if n.run else replace(n, run=mark.run, started=mark.started) for k, n in nodes.items()}
    rows = [(mark.run, k, n.fingerprint, n.run, n.started) for k, n in known.items()]
    warehouse.write_texts((*schema, TABLE), _COLUMNS, rows)
