"""Compare ways to run a thousand cheap data tests on PostgreSQL: `dbt test`, the plugin's build, and its batches.

    python -m benchmarks.batch_tests --tests 1000 --repeats 3 --delays 0 25

Each way is a process of its own that imports dbt, reads the parse that an earlier run left, and tests tables that
are there. A delay (milliseconds each way) stands for a warehouse that is far away. CPU time is that of the client;
on a busy machine it is the figure to trust.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.run import DBT, ROOT
from pytest_dbtci.dbt_client.client import Host
from pytest_dbtci.dbt_client.protocol.events import Event, NodeFinished
from pytest_dbtci.dbt_client.protocol.tree_requests import Parse
from pytest_dbtci.dbt_client.protocol.values import Invocation
from pytest_dbtci.dbt_client.protocol.warehouse_requests import Build
from tests.support.warehouses import Warehouse, run_server
from tests.support.warehouses.dbt_project import PROFILE, write_profiles

TESTS_A_MODEL = 20
WAYS = ("dbt test", "plugin", "plugin, batches")


def write_project(folder: Path, tests: int) -> None:
    """Write tables of ten columns with twenty data tests each, as many as it takes."""
    models = folder / "models"
    models.mkdir(parents=True)
    (folder / "dbt_project.yml").write_text(f"name: thousand\nversion: '1.0'\nprofile: {PROFILE}\n")
    columns = "".join(f", n + {i} as c{i}" for i in range(9))
    described = ["models:"]
    for number in range(-(-tests // TESTS_A_MODEL)):
        sql = f"select n as id{columns} from (select 1 as n union all select 2 union all select 3) as t"
        (models / f"m{number}.sql").write_text(f"{{{{ config(materialized='table') }}}}\n{sql}\n")
        described += [f"- name: m{number}", "  columns:"]
        described += [f"  - {{name: c{i}, data_tests: [not_null, unique]}}" for i in range(9)]
        described += ["  - name: id", "    data_tests:", "    - not_null"]
        described += ["    - accepted_values: {arguments: {values: [1, 2, 3]}}"]
    (models / "models.yml").write_text("\n".join(described) + "\n")


def test_with_plugin(folder: Path, batch: bool) -> Counter[str]:
    """Run all tests of the project the way the plugin does; count their statuses."""
    found: Counter[str] = Counter()

    def hear(event: Event) -> None:
        if isinstance(event, NodeFinished):
            found[event.result.status] += 1

    work = str(folder / "target")
    where = Invocation(project_dir=str(folder), profiles_dir=str(folder), target_path=work, log_path=work)
    with Host(folder, os.environ, folder / "host.log") as host:
        parse = str(folder / "target" / "partial_parse.msgpack")
        seen = host.ask(Parse(tree="head", invocation=where, partial_parse=parse, write=False))
        tests = tuple(u for u in seen.nodes if u.startswith("test."))
        host.ask(Build(tree="head", invocation=where, unique_ids=tests, batch_tests=batch), hear)
    return found


@contextmanager
def delayed(warehouse: Warehouse, port: int, folder: Path, threads: int, delay: float) -> Iterator[None]:
    """Reach the warehouse directly, or through a line that is slow in both directions."""
    direct = {"port": port} if not delay else {}
    write_profiles(folder, {"ci": {**warehouse.output("bench"), **direct, "threads": threads}})
    warehouse.faults.delay(delay)
    try:
        yield
    finally:
        warehouse.faults.delay(0)


def run_way(way: str, folder: Path, tests: int) -> tuple[float, float]:
    """Run all tests one way, in a process of its own; give its wall and CPU seconds."""
    environ = {**os.environ, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "benchmarks.batch_tests", "--tests", str(tests), "--one", way, str(folder)]
    if way == WAYS[0]:
        command = [DBT, "--quiet", "test", "--profiles-dir", str(folder), "--project-dir", str(folder)]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, cwd=folder, env=environ, check=True)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compare(tests: int, repeats: int, delays: list[float], threads: int) -> None:
    """Measure all ways in turn and print the medians."""
    with run_server() as server, server.database("postgres") as warehouse, tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "project"
        write_project(folder, tests)
        port = server.postgres.port
        with delayed(warehouse, port, folder, threads, 0):
            dbt = [DBT, "--quiet", "run", "--profiles-dir", str(folder), "--project-dir", str(folder)]
            subprocess.run(dbt, cwd=folder, check=True)
        print("| delay each way | way | wall s | CPU s | wall, `dbt test` = 1 |\n|---|---|---|---|---|", flush=True)
        for delay in delays:
            with delayed(warehouse, port, folder, threads, delay):
                costs: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
                for _ in range(repeats):
                    for way in WAYS:
                        costs[way].append(run_way(way, folder, tests))
            walls = {way: statistics.median(wall for wall, _ in costs[way]) for way in WAYS}
            for way in WAYS:
                cpu = statistics.median(cpu for _, cpu in costs[way])
                ratio = walls[WAYS[0]] / walls[way]
                print(f"| {delay:g} ms | {way} | {walls[way]:.1f} | {cpu:.1f} | {ratio:.1f}× faster |", flush=True)


def main() -> None:
    """Compare, or run one way once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tests", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--delays", type=float, nargs="+", default=[0, 25])
    parser.add_argument("--one", nargs=2, metavar=("WAY", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.one:
        compare(arguments.tests, arguments.repeats, arguments.delays, arguments.threads)
        return
    way, folder = arguments.one
    found = test_with_plugin(Path(folder), batch=way == WAYS[2])
    if found != {"pass": -(-arguments.tests // TESTS_A_MODEL) * TESTS_A_MODEL}:
        raise SystemExit(f"{way}: {dict(found)}")


if __name__ == "__main__":
    main()
