"""Measure pytest's own share of a run: what is neither dbt's nor the warehouse's time.

    python -m benchmarks.pytest_share --models 300 --tests 1000

A project of that size is generated and validated as a whole (every node is new against its first commit). `share` is
the part of the run's seconds in which neither dbt nor the warehouse was at work for it, `CPU` the part that pytest's
processes have in the CPU time of all; `first` is when the first item was reported, `build` when dbt's last result came.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROFILE = """
share:
  target: ci
  outputs:
    ci: {type: duckdb, path: warehouse.duckdb, schema: ci, threads: 4}
"""
PLUGIN = """
import atexit, os, time

def pytest_runtest_logreport(report):
    if report.when == "call" and not os.path.exists("first.txt"):
        open("first.txt", "w").write(str(time.time()))

def pytest_dbtci_result(result):
    open("last.txt", "w").write(str(time.time()))

@atexit.register
def write():
    used = os.times()
    open("cpu.txt", "a").write(f"{used.user + used.system}\\n")
"""


def generate(folder: Path, models: int, tests: int) -> None:
    """Write a repository of `models` views with `tests` data tests on them, one commit ahead of its empty start."""
    (folder / "models").mkdir(parents=True)
    (folder / "dbt_project.yml").write_text("name: share\nprofile: share\nmodel-paths: [models]\n")
    (folder / "profiles.yml").write_text(PROFILE)
    (folder / "conftest.py").write_text(PLUGIN)
    (folder / ".gitignore").write_text("*.txt\n*.duckdb\ntarget/\nlogs/\n.pytest_cache/\n__pycache__/\n")
    _git(folder, "init", "--quiet", "--initial-branch=master")
    _commit(folder, "Start")
    _git(folder, "switch", "--quiet", "--create", "all-of-it")
    described = []
    for number in range(models):
        parent = f"{{{{ ref('model_{number - 10:05d}') }}}}" if number >= 10 else "(select 1 as id, 2 as n)"
        (folder / f"models/model_{number:05d}.sql").write_text(f"select id, n from {parent}\n")
        count = tests * (number + 1) // models - tests * number // models
        wanted = [("id", "unique"), ("id", "not_null"), ("n", "not_null"), ("n", "unique")][:count]
        columns = "".join(
            f"      - name: {column}\n        data_tests: [{', '.join(t for c, t in wanted if c == column)}]\n"
            for column in dict.fromkeys(c for c, _ in wanted)
        )
        described.append(f"  - name: model_{number:05d}\n" + (f"    columns:\n{columns}" if columns else ""))
    (folder / "models/models.yml").write_text("models:\n" + "".join(described))
    _commit(folder, "Add everything")


def measure(folder: Path, *args: str) -> tuple[float, float, float, float, float]:
    """Run once; give pytest's shares, and the seconds to the first item, to dbt's last result and to the end."""
    for name in ("first.txt", "last.txt", "cpu.txt"):
        (folder / name).unlink(missing_ok=True)
    before, began = os.times(), time.time()
    command = [sys.executable, "-m", "pytest", "--dbt-ci", "--dbt-ci-base=master", "--dbt-ci-pr=1", "-q"]
    command += ["-p", "no:hypothesispytest"]  # only the tests' environment has it
    command += ["--dbt-ci-timings=timings.txt", *args]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    after, ended = os.times(), time.time()
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    whole = after.children_user + after.children_system - before.children_user - before.children_system
    own = sum(map(float, (folder / "cpu.txt").read_text().split()))
    first, last = (float((folder / name).read_text()) - began for name in ("first.txt", "last.txt"))
    steps = json.loads((folder / "timings.txt").read_text())
    busy = sum(s["seconds"] for s in steps if s["step"] != "git")
    return 1 - busy / (ended - began), own / whole, first, last, ended - began


def _commit(folder: Path, subject: str) -> None:
    _git(folder, "add", "--all")
    _git(folder, "-c", "user.name=Bench", "-c", "user.email=bench@example.com", "commit", "--quiet", "-m", subject)


def _git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True)


def main() -> None:
    """Measure serially and with two workers."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--models", type=int, default=300)
    options.add_argument("--tests", type=int, default=1000)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory) / "project"
        generate(folder, given.models, given.tests)
        for args in (("-p", "no:xdist"), ("-n", "2")):
            share, cpu, first, last, whole = measure(folder, *args)
            seconds = f"first {first:6.1f} s  build {last:6.1f} s  end {whole:6.1f} s"
            print(f"{' '.join(args):12} share {share:6.1%}  CPU {cpu:6.1%}  {seconds}")


if __name__ == "__main__":
    main()
