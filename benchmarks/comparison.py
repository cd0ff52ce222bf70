"""Compare two tables as `--dbt-ci-compare` does, and as other tools ask the same question, in turn on the same tables.

    python -m benchmarks.comparison --rows 300000 --packages dbt_packages --sqlmesh sqlmesh/bin/python

The tables have twelve columns and a unique key, and are compared three times: identical; with 0.1 % of the rows on one
side only and 1.5 % that differ in two columns (`few`); with half of the rows that differ (`many`). Contenders:

scans        a count and a sum of hashes over all rows of each side: the least that can see a difference at all
plugin       what the plugin asks: rows, columns, five examples of each kind, a profile; of the second model of a run
audit-helper its statements that classify rows and name the columns that differ, as dbt compiles them
by column    its statement for one column, for each column: what a value diff on top of it asks
sqlmesh      its table diff

audit-helper and dbt_utils are looked for in the folder where `dbt deps` installs them, SQLMesh in the environment of
the given Python; without them these contenders are left out.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from benchmarks.run import DBT
from pytest_dbtci.dbt_client.protocol.events import Compared, Event
from pytest_dbtci.dbt_client.protocol.warehouse_requests import Compare
from pytest_dbtci.differences import Pair
from tests.support.warehouse_project import attach, database_of, running_host
from tests.support.warehouses import Warehouse, duckdb_warehouse, run_server
from tests.support.warehouses.dbt_project import PROFILE, write_profiles

COLUMNS = {
    "id": "i",
    "customer": "i % 5003",
    "status": "case i % 4 when 0 then 'new' when 1 then 'paid' when 2 then 'sent' else 'returned' end",
    "price": "cast((i * 37 % 100000) / 100.0 as decimal(12,2))",
    "discount": "case when i % 10 = 0 then null else cast(i % 30 as decimal(5,2)) end",
    "weight": "cast(i % 977 as double precision) / 7",
    "note": "'note of order ' || cast(i % 100003 * 7919 % 1000003 as varchar)",
    "country": "case i % 3 when 0 then 'DE' when 1 then 'FR' else 'PL' end",
    "ordered": "date '2024-01-01' + cast(i % 700 as integer)",
    "shipped": "timestamp '2024-01-01 00:00:00' + cast(i % 100000 as integer) * interval '1 second'",
    "express": "i % 11 = 0",
    "items": "i % 9",
}
LOST = {"status": "case when i % 200 = 7 then 'lost' else status end"}
CHANGED: dict[str, dict[str, str]] = {
    "identical": {},
    "few": {"price": "cast(price + case when i % 100 = 5 then 1 else 0 end as decimal(12,2))", **LOST},
    "many": {"price": "cast(price + case when i % 2 = 0 then 1 else 0 end as decimal(12,2))", **LOST},
}

HASHES = {
    "duckdb": f"select count(*), sum(hash({', '.join(COLUMNS)})) from {{}}",
    "postgres": "select count(*), sum(hash_record_extended(t, 0)) from {} t",
}
AUDIT = {
    "classify": "{{{{ audit_helper.compare_and_classify_query_results({a}, {b}, ['id'], {columns}) }}}}",
    "columns": "{{{{ audit_helper.compare_which_query_columns_differ({a}, {b}, ['id'], {columns}) }}}}",
    "{column}": "{{{{ audit_helper.compare_column_values({a}, {b}, 'id', '{column}') }}}}",
}
ON_DUCKDB = (
    "{% macro duckdb___count_num_rows_in_status() %}"
    "{{ audit_helper._count_num_rows_in_status_without_distinct_window_func() }}{% endmacro %}"
)
"""DuckDB can't count with audit-helper's default, but with what it has for PostgreSQL."""

SQLMESH = """
import sys, time
from sqlmesh.core.engine_adapter import create_engine_adapter
from sqlmesh.core.table_diff import TableDiff
kind, target, database = sys.argv[1:]
if kind == "duckdb":
    import duckdb
    connection = duckdb.connect(target)
else:
    import psycopg2
    connection = psycopg2.connect(target)
adapter = create_engine_adapter(lambda: connection, kind, default_catalog=database)
began = time.perf_counter()
diff = TableDiff(adapter=adapter, source="s.base", target="s.head", on=["id"])
diff.schema_diff(), diff.row_diff()
print(time.perf_counter() - began)
"""


def make_tables(warehouse: Warehouse, rows: int) -> None:
    """Make `s.base` and the small `s.first`."""
    shown = ", ".join(f"{value} as {name}" for name, value in COLUMNS.items())
    with closing(warehouse.connect()) as connection, closing(connection.cursor()) as cursor:
        cursor.execute("create schema s")
        cursor.execute(f"create table s.base as select {shown} from generate_series(1, {rows}) as g(i)")
        cursor.execute("create table s.first as select * from s.base where id < 10")
        if warehouse.kind != "duckdb":
            cursor.execute("grant all on schema s to dbt")
            cursor.execute("grant select on all tables in schema s to dbt")


def make_head(warehouse: Warehouse, rows: int, case: str) -> None:
    """Make `s.head`."""
    shown = ", ".join(f"{value} as {name}" for name, value in COLUMNS.items())
    changed = ", ".join(f"{CHANGED[case].get(name, name)} as {name}" for name in COLUMNS)
    moved = rows // 1000 if CHANGED[case] else 0
    inner = f"select i, {shown} from generate_series({moved + 1}, {rows + moved}) as g(i)"
    with closing(warehouse.connect()) as connection, closing(connection.cursor()) as cursor:
        cursor.execute("drop table if exists s.head")
        cursor.execute(f"create table s.head as select {changed} from ({inner}) t")
        if warehouse.kind != "duckdb":
            cursor.execute("grant select on all tables in schema s to dbt")
            cursor.execute("analyze")


Contender = Callable[[], float]


def timed(warehouse: Warehouse, *statements: str) -> Contender:
    """Return what gives the seconds that these statements take, with all rows fetched."""

    def run() -> float:
        with closing(warehouse.connect()) as connection, closing(connection.cursor()) as cursor:
            began = time.perf_counter()
            for statement in statements:
                cursor.execute(statement)
                cursor.fetchall()
            return time.perf_counter() - began

    return run


def plugin(warehouse: Warehouse, folder: Path, case: str) -> Contender:
    """Return what gives the seconds of a comparison by the plugin, in a dbt process of its own."""
    head, base, first = ((database_of(warehouse), "s", name) for name in ("head", "base", "first"))
    pair = Pair(head=head, base=base, key=("id",), unique=True, examples=5)

    def run() -> float:
        events: list[Event] = []
        with tempfile.TemporaryDirectory(dir=folder) as name, running_host(Path(name)) as host:
            # As in a run, DuckDB's file stays open and the connection is made.
            kept = {"keep_open": True} if warehouse.kind == "duckdb" else {}
            attach(host, folder, warehouse, threads=1, **kept)
            host.ask(Compare(tree="empty", pairs={"first": replace(pair, head=first, base=first)}))
            began = time.perf_counter()
            host.ask(Compare(tree="empty", pairs={"s": pair}), events.append)
            took = time.perf_counter() - began
        (found,) = (event for event in events if isinstance(event, Compared))
        if found.differences is None or found.differences.identical is bool(CHANGED[case]):
            raise SystemExit(f"the plugin's answer is wrong: {found}")
        return took

    return run


def audit_helper(warehouse: Warehouse, folder: Path, packages: Path) -> Mapping[str, Contender]:
    """Let dbt compile audit-helper's statements; return what runs them."""
    shutil.copytree(packages, folder / "dbt_packages")
    dispatch = "dispatch: [{macro_namespace: audit_helper, search_order: [audit, audit_helper]}]"
    (folder / "dbt_project.yml").write_text(f"name: audit\nversion: '1.0'\nprofile: {PROFILE}\n{dispatch}\n")
    (folder / "macros").mkdir()
    (folder / "macros" / "duckdb.sql").write_text(ON_DUCKDB)
    write_profiles(folder, {"ci": warehouse.output("dbt_build")})
    others = [name for name in COLUMNS if name != "id"]
    a, b = "'select * from s.base'", "'select * from s.head'"
    (folder / "analyses").mkdir()
    for name, text in AUDIT.items():
        for column in others if "{" in name else [""]:
            call = text.format(a=a, b=b, columns=list(COLUMNS), column=column)
            (folder / "analyses" / f"{name.format(column=column)}.sql").write_text(call)
    compile_ = [DBT, "--quiet", "compile", "--profiles-dir", str(folder), "--project-dir", str(folder)]
    subprocess.run(compile_, cwd=folder, check=True)
    compiled = {p.stem: p.read_text() for p in (folder / "target/compiled/audit/analyses").glob("*.sql")}
    return {
        "audit-helper": timed(warehouse, compiled["classify"], compiled["columns"]),
        "by column": timed(warehouse, *(compiled[column] for column in others)),
    }


def sqlmesh(warehouse: Warehouse, python: str) -> Contender:
    """Return what gives the seconds of SQLMesh's table diff."""
    profile = warehouse.profile
    target = str(profile.get("path") or "")
    if not target:
        target = " ".join(f"{key}={profile[key]}" for key in ("host", "port", "user", "password", "dbname"))

    def run() -> float:
        command = [python, "-c", SQLMESH, warehouse.kind, target, database_of(warehouse)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        return float(done.stdout.split()[-1])

    return run


def compare(warehouse: Warehouse, folder: Path, asked: argparse.Namespace) -> None:
    """Measure all contenders in turn and print their medians."""
    make_tables(warehouse, asked.rows)
    make_head(warehouse, asked.rows, "identical")
    scans = HASHES[warehouse.kind]
    others: dict[str, Contender] = {}
    if asked.packages:
        (folder / "audit").mkdir()
        others |= audit_helper(warehouse, folder / "audit", asked.packages.resolve())
    if asked.sqlmesh:
        others["sqlmesh"] = sqlmesh(warehouse, asked.sqlmesh)
    for case in CHANGED:
        make_head(warehouse, asked.rows, case)
        contenders = {
            "scans": timed(warehouse, scans.format("s.base"), scans.format("s.head")),
            "plugin": plugin(warehouse, folder, case),
            **others,
        }
        contenders = {name: run for name, run in contenders.items() if name in (asked.only or contenders)}
        seconds: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(asked.repeats):
            for name, run in contenders.items():
                seconds[name].append(run())
        medians = {name: statistics.median(found) for name, found in seconds.items()}
        for name, median in medians.items():
            ratios = f"{median / medians['scans']:.2f} | {median / medians['plugin']:.1f}"
            print(f"| {warehouse.kind} | {asked.rows:,} | {case} | {name} | {median:.3f} | {ratios} |", flush=True)


def main() -> None:
    """Compare on each warehouse asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--warehouses", nargs="+", choices=sorted(HASHES), default=sorted(HASHES))
    parser.add_argument("--only", nargs="+", metavar="CONTENDER", help="scans and plugin, and which others")
    parser.add_argument("--packages", type=Path, help="the folder that holds audit_helper and dbt_utils")
    parser.add_argument("--sqlmesh", metavar="PYTHON", help="an environment's Python with sqlmesh and the drivers")
    asked = parser.parse_args()
    print("| warehouse | rows | tables | asked by | seconds | scans = 1 | plugin = 1 |", flush=True)
    print("|---|---|---|---|---|---|---|", flush=True)
    for kind in asked.warehouses:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            if kind == "duckdb":
                compare(duckdb_warehouse(folder / "warehouse.duckdb"), folder, asked)
            else:
                with run_server() as server, server.database(kind) as warehouse:
                    compare(warehouse, folder, asked)


if __name__ == "__main__":
    main()
