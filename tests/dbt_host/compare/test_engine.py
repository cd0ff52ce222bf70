"""What a comparison says of two relations: rows, columns, examples, and what it can't say; on every warehouse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_dbtci.dbt_client.protocol.events import Compared, Event
from pytest_dbtci.dbt_client.protocol.warehouse_requests import Compare
from pytest_dbtci.differences import Pair
from tests.support.warehouse_project import attach, database_of, running_host
from tests.support.warehouses import Warehouse
from tests.support.warehouses.fixtures import ALL_KINDS, empty_warehouse
from tests.support.warehouses.snowflake import Snowflake

MONEY = "decimal(9,2)"
DOGS = f"select 1 as id, 'Ada' as name, cast(0.31 as {MONEY}) as price union all select 2, 'Bea', cast(7.00 as {MONEY})"
CENT = DOGS.replace("7.00", "7.01")
OTHER_DOGS = DOGS.replace("0.31", "1.31").replace("2, 'Bea'", "3, 'Cid'")
ULP = "select 1 as id, cast({} as double precision) as x, cast({} as real) as y"
WIDE = "select 1 as id, cast({} as decimal(38,2)) as x, cast({} as decimal(38,0)) as y"
SWAPPED = "select 39 as id, {} as flag union all select 163893, {}"
"""DuckDB's hashes of these rows, of many values each, have the same sum with true and false as with false and true."""
ENDS = (
    "select 1 as id, cast(1e308 as double precision) as x, cast(1 as double precision) as y "
    "union all select 2, 1e308, {0} union all select 3, {0}e-300, 1e139 union all select 4, -1e308, 4 "
    "union all select 5, null, null"
)

CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "identical": (DOGS, DOGS, {}),
    "rows": (OTHER_DOGS, DOGS, {}),
    "rows of a bag": (OTHER_DOGS, DOGS, {"key": ()}),
    "ulp": (ULP.format("0.30000000000000004", "0.1"), ULP.format("0.3", "0.10000001"), {}),
    "ulp in a bag": (ULP.format("0.30000000000000004", "0.1"), ULP.format("0.3", "0.10000001"), {"key": ()}),
    "ends of the range": (ENDS.format("1"), ENDS.format("2"), {}),
    "cent": (CENT, DOGS, {}),
    "cent of a wide decimal": (WIDE.format("-0.01", "-1"), WIDE.format("0.00", "0"), {}),
    "swapped": (SWAPPED.format("true", "false"), SWAPPED.format("false", "true"), {}),
    "tolerated cent": (CENT, DOGS, {"tolerance": {"PRICE": 0.01}}),
    "excluded": (OTHER_DOGS, DOGS, {"exclude": ("Price",)}),
    "where": (OTHER_DOGS, DOGS, {"where": "id = 1"}),
    "removed": (f"select id, name from ({DOGS}) d", DOGS, {}),
    "added": (f"select d.*, 1 as legs from ({DOGS}) d", DOGS, {}),
    "renamed": (f"select id, name as title, price from ({DOGS}) d", DOGS, {}),
    "renamed without a key": (f"select id, name as title, price from ({CENT}) d", DOGS, {"key": ()}),
    "not renamed without a key": (f"select id, upper(name) as title, price from ({DOGS}) d", DOGS, {"key": ()}),
    "not renamed": (f"select id, upper(name) as title, price from ({DOGS}) d", DOGS, {}),
    "retyped": (f"select id, name, cast(price as decimal(12,4)) as price from ({DOGS}) d", DOGS, {}),
    "retyped and cut": (f"select id, name, cast(price as integer) as price from ({DOGS}) d", DOGS, {}),
    "reordered": (f"select price, id, name from ({DOGS}) d", DOGS, {}),
    "key gone": (f"select name, price from ({DOGS}) d", DOGS, {}),
    "key repeated": (f"{DOGS} union all select 2, 'Bea', cast(7 as decimal(9,2))", DOGS, {"unique": False}),
    "key repeated in spite of its test": (DOGS, f"{DOGS} union all select 2, 'Bea', cast(7 as decimal(9,2))", {}),
    "nothing in common": ("select 1 as a", "select 2 as b", {}),
    "no relation": (DOGS, "", {}),
    "secret": (f"select id, '{'x' * 300}' as name, price from ({DOGS}) d", DOGS, {}),
}
STORED = {"cent of a wide decimal", "swapped"}
"""What is compared with both sides as tables; else the head's is a view."""
SPARED = {
    *("cent", "excluded", "where", "removed", "added", "reordered", "not renamed", "not renamed without a key"),
    *("key gone", "key repeated in spite of its test", "nothing in common", "secret", "swapped"),
}
"""What asks for no SQL that other cases don't ask for; Snowflake's stand-in takes a second for each statement."""

Told = Mapping[str, Compared]


def stored(warehouse: Warehouse, name: str) -> str:
    """Return a column's name as the warehouse stores it."""
    return name.upper() if warehouse.kind == "snowflake" else name


def asked_of(warehouse: Warehouse, expected: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is expected of the cases that this warehouse is asked."""
    return {n: told for n, told in expected.items() if warehouse.kind != "snowflake" or n not in SPARED}


def statements(warehouse: Warehouse, pattern: str) -> int:
    """Return how many statements that match were sent to the warehouse, which is none of files."""
    if not isinstance(warehouse, Snowflake):
        return len(warehouse.faults.statements(pattern))
    return sum(database_of(warehouse) in text.lower() for text in warehouse.statements(pattern))


@pytest.fixture(scope="module", params=ALL_KINDS)
def compared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """A warehouse of each kind, for what was told of it."""
    with empty_warehouse(request.param, request, tmp_path_factory.mktemp(request.param)) as warehouse:
        yield warehouse


@pytest.fixture(scope="module")
def told(compared: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """What was told of each case."""
    warehouse, tmp_path = compared, tmp_path_factory.mktemp("told")
    events: list[Event] = []
    database, pairs = database_of(warehouse), {}
    with closing(warehouse.connect()) as connection:
        cursor = connection.cursor()
        cursor.execute("create schema s")
        for i, (name, (head, base, how)) in enumerate(CASES.items()):
            if warehouse.kind == "snowflake" and name in SPARED:
                continue
            cursor.execute(f"create {'table' if name in STORED else 'view'} s.h{i} as {head}")
            if base:
                cursor.execute(f"create table s.b{i} as {base}")
            how = {"key": ("id",), "unique": True, **how}
            pairs[name] = Pair(head=(database, "s", f"h{i}"), base=(database, "s", f"b{i}"), **how)
        if warehouse.kind != "duckdb":
            cursor.execute("grant all on schema s to dbt")
            cursor.execute("grant select on all tables in schema s to dbt")
    with running_host(tmp_path / "host") as host:
        attach(host, tmp_path, warehouse, threads=1)
        host.ask(Compare(tree="empty", pairs=pairs), events.append)
    return {event.name: event for event in events if isinstance(event, Compared)}


def test_says_what_differs(told: Told, compared: Warehouse) -> None:
    found = {n: e.differences for n, e in told.items() if e.differences}
    id_, amount = stored(compared, "id"), stored(compared, "price")
    counts = {n: (d.added, d.removed, d.changed) for n, d in found.items()}
    expected: dict[str, Any] = {
        "identical": (0, 0, 0),
        "rows": (1, 1, 1),
        "rows of a bag": (2, 2, 0),
        # To Snowflake a real is a double.
        "ulp": (0, 0, int(compared.kind == "snowflake")),
        "ulp in a bag": (1, 1, 0) if compared.kind == "snowflake" else (0, 0, 0),
        "ends of the range": (0, 0, 2),
        "cent": (0, 0, 1),
        "cent of a wide decimal": (0, 0, 1),
        "swapped": (0, 0, 2),
        "tolerated cent": (0, 0, 0),
        "excluded": (1, 1, 0),
        "where": (0, 0, 1),
        "removed": (0, 0, 0),
        "added": (0, 0, 0),
        "renamed": (0, 0, 0),
        "renamed without a key": (1, 1, 0),
        "not renamed without a key": (0, 0, 0),
        "not renamed": (0, 0, 0),
        "retyped": (0, 0, 0),
        "retyped and cut": (0, 0, 1),
        "reordered": (0, 0, 0),
        "key gone": (0, 0, 0),
        "key repeated": (1, 0, 0),
        "key repeated in spite of its test": (0, 1, 0),
        "secret": (0, 0, 2),
    }
    assert counts == asked_of(compared, expected)
    alike = [] if compared.kind == "snowflake" else ["ulp", "ulp in a bag"]
    assert [n for n, d in found.items() if d.identical] == ["identical", *alike, "tolerated cent"]
    keyless = {n: d.note for n, d in found.items() if not d.key}
    expected = {
        "rows of a bag": "no key is known",
        "renamed without a key": "no key is known",
        "not renamed without a key": "no key is known",
        "ulp in a bag": "no key is known",
        "key gone": "id of the key is not on both sides",
        "key repeated": "id is not unique in this pull request",
        "key repeated in spite of its test": "id is not unique in the base",
    }
    assert keyless == asked_of(compared, expected)
    assert [n for n, d in found.items() if d.left_out] == list(asked_of(compared, {"excluded": ()}))
    assert all(d.left_out == ((amount, "excluded"),) for d in found.values() if d.left_out)

    rows = found["rows"]
    assert (rows.head_rows, rows.base_rows) == (2, 2)
    assert [(e.kind, e.key, e.values) for e in rows.examples] == [
        ("added", ((id_, "3"),), ()),
        ("changed", ((id_, "1"),), ((amount, "0.31", "1.31"),)),
        ("removed", ((id_, "2"),), ()),
    ]
    (price,) = rows.columns
    assert price.before is not None
    assert price.after is not None
    assert (price.column, price.rows, price.before.least, price.after.least) == (amount, 1, "0.31", "1.31")
    assert (price.before.mean, price.after.distinct, price.after.nulls) == ("3.655", 2, 0)
    x, y = found["ends of the range"].columns
    assert (x.column, x.rows, y.column, y.rows) == (stored(compared, "x"), 1, stored(compared, "y"), 1)
    assert [(p.mean, p.nulls) for p in (x.before, x.after, y.before, y.after) if p] == [("", 1)] * 2 + [
        ("2.5e+138", 1)
    ] * 2
    bag = found["rows of a bag"].examples
    assert sorted((e.kind, e.values[0]) for e in bag) == [
        ("added", (id_, None, "1")),
        ("added", (id_, None, "3")),
        ("removed", (id_, "1", None)),
        ("removed", (id_, "2", None)),
    ]
    secrets = [e for n in asked_of(compared, {"secret": ()}) for e in found[n].examples]
    assert all(len(str(after)) == 200 for e in secrets for _, _, after in e.values)


def test_says_how_the_columns_differ(told: Told, compared: Warehouse) -> None:
    found = {n: e.differences for n, e in told.items() if e.differences}
    schema = {n: [(c.kind, c.column, c.before, c.after) for c in d.schema] for n, d in found.items() if d.schema}
    decimal = {"duckdb": "decimal", "snowflake": "number"}.get(compared.kind, "numeric")
    whole = "number(38,0)" if compared.kind == "snowflake" else "integer"
    title_, name_, price = (stored(compared, n) for n in ("title", "name", "price"))
    for case in asked_of(compared, dict.fromkeys(("not renamed", "not renamed without a key"))):
        name, title = schema.pop(case)
        assert (name[:2], title[:2]) == (("removed", "name"), ("added", "title"))
        assert name[2] == title[3] == ("varchar" if compared.kind == "duckdb" else "text")
    expected: dict[str, Any] = {
        "removed": [("removed", price, f"{decimal}(9,2)", "")],
        "added": [("added", "legs", "", "integer")],
        "renamed": [("renamed", title_, name_, title_)],
        "renamed without a key": [("renamed", title_, name_, title_)],
        "retyped": [("retyped", price, f"{decimal}(9,2)", f"{decimal}(12,4)")],
        "retyped and cut": [("retyped", price, f"{decimal}(9,2)", whole)],
        "reordered": [("reordered", price, "3", "1")],
        "key gone": [("removed", "id", "integer", "")],
    }
    assert schema == asked_of(compared, expected)


def test_says_what_can_not_be_compared(told: Told, compared: Warehouse) -> None:
    trouble = {n: e.trouble for n, e in told.items() if e.trouble}
    number = list(CASES).index("no relation")
    expected: dict[str, Any] = {
        "nothing in common": "the two relations have no column in common that can be compared",
        "no relation": f"{database_of(compared)}.s.b{number} is not there",
    }
    assert trouble == asked_of(compared, expected)


@pytest.mark.slow
def test_gives_up_when_the_time_is_over_and_goes_on_with_the_next(compared: Warehouse, tmp_path: Path) -> None:
    database, events = database_of(compared), list[Event]()
    numbers = (
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < 1000000000) select i as id from n"
    )
    with closing(compared.connect()) as connection:
        cursor = connection.cursor()
        cursor.execute("create schema late")
        cursor.execute(f"create view late.never as {numbers}")
        cursor.execute("create table late.one as select 1 as id")
        if compared.kind != "duckdb":
            cursor.execute("grant all on schema late to dbt")
            cursor.execute("grant select on all tables in schema late to dbt")
    one, never = (database, "late", "one"), (database, "late", "never")
    slow, quick = (Pair(head=head, base=one, key=("id",), unique=True) for head in (never, one))
    pairs = {"a": slow, "b": quick}
    with running_host(tmp_path / "host") as host:
        attach(host, tmp_path, compared, threads=1)
        host.ask(Compare(tree="empty", pairs=pairs, seconds=8), events.append)
        host.ask(Compare(tree="empty", pairs={"c": quick}), events.append)
    found = {event.name: event for event in events if isinstance(event, Compared)}
    assert {n: e.trouble for n, e in found.items() if e.trouble} == {"a": "it took longer than 8 s"}
    assert [n for n, e in found.items() if e.differences and e.differences.identical] == ["b", "c"]


def test_compares_a_sample_of_the_same_keys_on_both_sides(compared: Warehouse, tmp_path: Path) -> None:
    database, events = database_of(compared), list[Event]()
    numbers = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000) select i as id"
    text = "case when i % 2 = 0 then cast(i % 3 as varchar(9)) end as part"
    with closing(compared.connect()) as connection:
        cursor = connection.cursor()
        cursor.execute("create schema many")
        cursor.execute(
            f"create table many.head as {numbers}, {text}, case when i % 10 = 0 then 1 else 0 end as v from n"
        )
        cursor.execute(f"create table many.base as {numbers}, {text}, 0 as v from n where i > 100")
        cursor.execute("create table many.other as select id, part, v + 1 as v from many.base")
        if compared.kind != "duckdb":
            cursor.execute("grant all on schema many to dbt")
            cursor.execute("grant select on all tables in schema many to dbt")
    head, base, other = ((database, "many", name) for name in ("head", "base", "other"))
    pair = Pair(head=head, base=base, key=("id",), most_rows=1000)
    large = replace(pair, most_rows=20000)
    pairs = {"one": pair, "two": replace(pair, key=("id", "part")), "all": large, "most": replace(large, head=other)}
    with running_host(tmp_path / "host") as host:
        attach(host, tmp_path, compared)
        host.ask(Compare(tree="empty", pairs=pairs), events.append)
    found = {e.name: e.differences for e in events if isinstance(e, Compared) and e.differences}
    every = found["all"]
    assert (every.sample, every.head_rows, every.added, every.removed, every.changed) == (1, 20000, 100, 0, 1990)
    assert [(c.column, c.rows) for c in every.columns] == [(stored(compared, "v"), 1990)]
    most = found["most"]
    assert (most.changed, [(c.column, c.rows) for c in most.columns], len(most.examples)) == (
        19900,
        [(stored(compared, "v"), 19900)],
        5,
    )
    one, two = found["one"], found["two"]
    assert (one.sample, two.sample, one.removed, two.removed) == (20, 20, 0, 0)
    assert 800 < one.head_rows < 1200
    assert 60 < one.changed < 140
    assert 0 < one.added < 15
    assert two.keyless > 600
    if compared.kind != "duckdb":
        # Sizes, keys that occur twice, rows, columns of all of them, profile.
        assert statements(compared, r'from[^;]*"?many"?\."?other') == 5


def test_asks_little(told: Told, compared: Warehouse) -> None:
    if compared.kind == "duckdb":
        return
    assert told

    def asked(name: str) -> int:
        number = list(CASES).index(name)
        return statements(compared, rf'^(?!.*information_schema).*from[^;]*"?s"?\."?[hb]{number}\b')

    assert (asked("identical"), asked("rows"), asked("rows of a bag")) == (1, 2, 3)
