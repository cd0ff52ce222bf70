"""Measure what `--dbt-ci-build-less` spares: a model with fifty descendants is changed, on DuckDB.

    python -m benchmarks.build_less --rows 1000000 --rounds 3

Compared with `dbt build --select state:modified+ --defer`, by the relations that are built and the time for which dbt
is at work on the warehouse: twins, hashes and comparisons included, parsing and planning left out. The change is

refactoring  the same rows, written another way
formatting   white space and comments
new rows     some prices differ, so that everything has to be built
next push    after that, one of the last descendants is changed once more; what the first push built is reused
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
from contextlib import closing
from pathlib import Path

from tests.support.tiny_project import commit, git, write
from tests.support.validation import validate
from tests.support.warehouses import Warehouse, duckdb_warehouse
from tests.support.warehouses.dbt_project import PROFILE, run_dbt, write_profiles

TABLE = "{{ config(materialized='table') }}\n"
ORDERS = (
    "select i as id, i % 5003 as customer, cast((i * 37 % 100000) / 100.0 as decimal(12,2)) as price, "
    "md5(cast(i as varchar)) as note\nfrom {{ source('raw', 'orders') }}\n"
)
COMPARED = ("--dbt-ci-build-less=all", "--dbt-ci-compare=auto")
REUSED = ("--dbt-ci-build-less=reuse", "--dbt-ci-keep-schema=always")
FAR = "select part, sum(orders) as orders, max(paid) as paid"
CHANGES = {
    "refactoring": TABLE + f"with numbered as ({ORDERS}) select id, customer, price, note from numbered\n",
    "formatting": TABLE + "-- every order\n" + ORDERS.replace(", ", ",\n  "),
    "new rows": TABLE + ORDERS.replace("* 37", "* 37 + i % 2"),
}


def project() -> dict[str, str | None]:
    """Return the files: half of the descendants read the model, the others read these."""
    files: dict[str, str | None] = {
        "dbt_project.yml": f"name: orders\nprofile: {PROFILE}\n",
        ".gitignore": "target/\nlogs/\n.pytest_cache/\n.user.yml\n",
        "pytest.ini": "[pytest]\n",
        "models/sources.yml": "sources:\n- name: raw\n  schema: raw\n  tables: [{name: orders}]\n",
        "models/orders.sql": TABLE + ORDERS,
    }
    for n in range(25):
        near = f"select customer, id % {n + 2} as part, count(*) as orders, sum(price) as paid, min(note) as note"
        files[f"models/near_{n}.sql"] = f"{TABLE}{near} from {{{{ ref('orders') }}}} group by 1, 2\n"
        files[f"models/far_{n}.sql"] = f"{TABLE}{FAR} from {{{{ ref('near_{n}') }}}} group by 1\n"
    return files


def by_dbt(warehouse: Warehouse, directory: Path, state: Path) -> tuple[int, float]:
    """Return the number of nodes that dbt itself builds, and its seconds."""
    write_profiles(directory, {"ci": warehouse.output("by_dbt")})
    select = ["build", "--select", "state:modified+", "--state", str(state), "--defer"]
    done = run_dbt(directory, select, timeout=3600)
    if done.returncode:
        raise SystemExit(done.stdout)
    found = json.loads((directory / "target" / "run_results.json").read_text(encoding="utf-8"))
    warehouse.query("drop schema by_dbt cascade")
    (directory / "profiles.yml").unlink()
    return len(found["results"]), float(found["elapsed_time"])


def by_plugin(directory: Path, profiles: Path, *options: str) -> tuple[int, float]:
    """Return the number of relations that the run builds, twins included, and the seconds of all but the plan."""
    given = ("--dbt-ci-pr=7", "--dbt-ci-base=main", "--dbt-ci-target=ci", "--dbt-ci-defer-target=prod")
    run = validate(directory, *given, *options, "--dbt-ci-timings=timings.json", DBT_PROFILES_DIR=str(profiles))
    if run.code:
        raise SystemExit(run.output)
    steps = json.loads((directory / "timings.json").read_text(encoding="utf-8"))
    left = {"dbt_compared", "dbt_reused"}
    built = sum(c.outcome == "passed" and not left & c.properties.keys() for c in run.by_unique_id().values())
    twins = sum(c.outcome == "passed" for n, c in run.cases.items() if n.endswith("::compare"))
    return built + twins, sum(s["seconds"] for s in steps if s["step"] in ("schemas", "build", "compare"))


def main() -> None:
    """Print a line for each change."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        warehouse = duckdb_warehouse(folder / "warehouse.duckdb")
        with closing(warehouse.connect()) as connection:
            connection.execute("create schema raw")
            connection.execute(f"create table raw.orders as select i from generate_series(1, {given.rows}) as g(i)")
        master, profiles, state = (folder / n for n in ("main", "profiles", "state"))
        master.mkdir()
        profiles.mkdir()
        write(master, project())
        write_profiles(master, {"prod": warehouse.output("prod")})
        done = run_dbt(master, ["build"], timeout=3600)
        if done.returncode:
            raise SystemExit(done.stdout)
        state.mkdir()
        shutil.copy(master / "target" / "manifest.json", state)
        (master / "profiles.yml").unlink()
        write_profiles(profiles, {"ci": warehouse.output("ci"), "prod": warehouse.output("prod")})
        git(master, "init", "--quiet", "--initial-branch=main")
        commit(master, "release")
        print(f"{given.rows:,} rows, {os.cpu_count()} cores, {given.rounds} rounds", flush=True)
        for change, text in (*CHANGES.items(), ("next push", CHANGES["new rows"])):
            directory, told = folder / change.replace(" ", "_"), []
            shutil.copytree(master, directory)
            git(directory, "switch", "--quiet", "--create", "change")
            write(directory, {"models/orders.sql": text})
            commit(directory, "change")
            options = REUSED if change == "next push" else COMPARED
            if options == REUSED:
                by_plugin(directory, profiles, *options)
            for number in range(given.rounds):
                if options == REUSED:
                    far = f"{TABLE}{FAR}, {number} as push from {{{{ ref('near_0') }}}} group by 1\n"
                    write(directory, {"models/far_0.sql": far})
                    commit(directory, "next push")
                theirs, slow = by_dbt(warehouse, directory, state)
                ours, fast = by_plugin(directory, profiles, *options)
                told.append((theirs, ours, slow, fast))
            ratio = statistics.median(fast / slow for *_, slow, fast in told)
            print(change, sorted({t[:2] for t in told}), f"{ratio:.2f}", told, flush=True)


if __name__ == "__main__":
    main()
