"""Whether two relations hold exactly the same: their columns in order, and the texts of their rows as a bag.

Stricter than a comparison, which calls floats equal that differ in the last place: what reads them may not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pytest_dbtci.dbt_host.compare import columns
from pytest_dbtci.dbt_host.compare.columns import Column
from pytest_dbtci.dbt_host.compare.dialect import Dialect, base_name
from pytest_dbtci.dbt_host.parallel import run_all
from pytest_dbtci.dbt_host.runner import DbtFailed
from pytest_dbtci.dbt_host.warehouses.generic import Warehouse
from pytest_dbtci.differences import Contents, Pair, Place


def run(warehouse: Warehouse, pairs: Mapping[str, Pair]) -> dict[str, Contents]:
    """Return of each pair whether both sides hold the same; where that can't be told they don't, with the reason."""
    found = dict[str, Contents]()

    def one(job: tuple[str, Pair]) -> None:
        name, pair = job
        try:
            found[name] = _compare(warehouse, pair)
        except DbtFailed as error:
            found[name] = Contents(same=False, why=str(error))

    run_all(warehouse, pairs.items(), one)
    return found


def _compare(warehouse: Warehouse, pair: Pair) -> Contents:
    dialect = warehouse.dialect
    if dialect is None or not dialect.digest:
        raise DbtFailed("it is not known how rows of this adapter's warehouse are hashed")
    (head, ours), (base, theirs) = (_relation(warehouse, place) for place in (pair.head, pair.base))
    if ours != theirs or warehouse.shape(pair.head) != warehouse.shape(pair.base):
        return Contents(same=False, why="its columns differ")
    digest = f"coalesce(sum({dialect.digest.format(_row(ours, dialect))}), 0)"
    query = " union all ".join(
        f"select {number} as side, count(*), {digest} from {name} t" for number, name in enumerate((head, base))
    )
    after, before = (tuple(map(int, counts)) for _, *counts in sorted(warehouse.fetch(query)))
    why = "its rows differ" if after != before else _ambiguity(warehouse, dialect, head, ours)
    return Contents(same=not why, rows=after[0], columns=len(ours), digest=f"{after[1]:x}"[-12:], why=why)


def _ambiguity(warehouse: Warehouse, dialect: Dialect, name: str, of: Sequence[Column]) -> str:
    """Return why one of some equal values, as `distinct` takes it, need not look like another; empty if all do."""
    alike = [c for c in of if base_name(c.type) not in dialect.families or re.fullmatch(dialect.alike, c.type.lower())]
    for column in alike:
        value, text = columns.quoted(column.name), _text(column, dialect)
        ((values, texts),) = warehouse.fetch(f"select count(distinct {value}), count(distinct {text}) from {name} t")
        if values != texts:
            return f"values of column {column.name} ({column.type}) are equal and look different"
    return ""


def _relation(warehouse: Warehouse, place: Place) -> tuple[str, list[Column]]:
    found = warehouse.describe(place)
    if found is None or not found[1]:
        raise DbtFailed(f"{'.'.join(place)} is not there", usage=False)
    return found[0], [columns.read(c) for c in found[1]]


def _row(of: Sequence[Column], dialect: Dialect) -> str:
    """Return SQL for a text that only a row with the same values has: each value's length, then the value."""
    texts = [_text(column, dialect) for column in of]
    return " || ".join(f"coalesce(cast(length({t}) as {dialect.text}) || ':' || {t}, 'null')" for t in texts)


def _text(column: Column, dialect: Dialect) -> str:
    """Return SQL for a value's text, of which no other value has the same; DbtFailed where there is none."""
    name, kind = columns.quoted(column.name), base_name(column.type)
    if (dialect.lossy and re.match(dialect.lossy, kind)) or not (kind in dialect.families or dialect.other):
        raise DbtFailed(f"values of column {column.name} ({column.type}) have no text that tells them apart")
    if kind in dialect.families:
        return dialect.as_text(dialect.families[kind], name)
    return dialect.other.format(name)
