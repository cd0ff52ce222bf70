"""Twenty pull requests of each of two repositories at once, in one database: each to itself, whatever dies."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
import yaml

from tests.support.tiny_project import commit, git, make_tiny, write
from tests.support.validation import CACHE, command, environment, parse_base
from tests.support.warehouses import Server, Warehouse
from tests.support.warm_start import warm

NUMBERS = range(1, 21)
RUNS = [(name, number) for number in NUMBERS for name in ("shop", "farm")]


class Run:
    """One pull request's run, in a clone of its own, whose models say which it is."""

    def __init__(self, root: Path, name: str, number: int) -> None:
        self.name, self.number = name, number
        self.clone = root / f"{name}-{number}"
        self.output = root / f"{name}-{number}.txt"
        self.process: subprocess.Popen[bytes] | None = None
        git(root, "clone", "--quiet", str(root / f"{name}.git"), self.clone.name)
        git(self.clone, "switch", "--quiet", "--create", f"change-{number}")
        shutil.copytree(root / name / CACHE, self.clone / CACHE)
        # The singular test fails if another run writes into this one's schema.
        mine = f"'{name} {number}'"
        write(
            self.clone,
            {
                "models/one.sql": f"select {mine} as a, pg_sleep(0.2)::text as s\n",
                "models/three.sql": "{{ config(schema='more') }} select a from {{ ref('two') }}\n",
                "tests/mine.sql": f"select * from {{{{ ref('three') }}}} where a <> {mine}\n",
            },
        )
        commit(self.clone, "change")

    def start(self, *, victim: bool = False) -> None:
        """Start it; one that is to be killed has a dbt process that is wholly its own."""
        environ = environment()
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                command(f"--dbt-ci-pr={self.number}", "--dbt-ci-base=origin/master"),
                cwd=self.clone,
                env=environ if victim else warm(environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def wait(self) -> int:
        assert self.process is not None
        return self.process.wait(timeout=1200)

    def kill(self, after: float) -> None:
        """Kill pytest and its dbt process after a while, if they run so long."""
        assert self.process is not None
        time.sleep(after)
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        pids = [self.process.pid]
        if children.exists():
            pids += [int(pid) for pid in children.read_text().split()]
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    @property
    def said(self) -> str:
        return f"{self.name} {self.number}:\n{self.output.read_text(errors='replace')}"

    def assert_green(self) -> None:
        assert self.wait() == 0, self.said
        assert re.search(r"\b4 passed", self.said), self.said


def make_runs(root: Path, warehouse: Warehouse) -> list[Run]:
    profile = {"target": "ci", "outputs": {"ci": {**warehouse.output("dbt"), "threads": 2}}}
    for name in ("shop", "farm"):
        project = make_tiny(root / name)
        git(project, "switch", "--quiet", "master")
        files: dict[str, str | None] = {"profiles.yml": yaml.safe_dump({"tiny": profile}), "pytest.ini": "[pytest]\n"}
        write(project, files)
        commit(project, f"Profile of {name}")
        git(root, "clone", "--quiet", "--bare", name, f"{name}.git")
        git(project, "switch", "--quiet", "--create", "change")
        write(project, {"models/one.sql": "select 3 as a\n"})
        parse_base(project, "--dbt-ci-pr=1", "--dbt-ci-base=master")
    return [Run(root, name, number) for name, number in RUNS]


@pytest.mark.slow
def test_forty_runs_at_once_are_each_to_itself_and_so_are_those_after_a_third_was_killed(
    warehouse_server: Server, tmp_path: Path
) -> None:
    with warehouse_server.database("postgres") as warehouse:
        for schema in ("analytics", "dbt_build_1_notes", "dbt_build"):
            warehouse.query(f"create schema {schema}; create table {schema}.kept as select 1 as id")
        before, runs = warehouse.contents(), make_runs(tmp_path, warehouse)
        for run in runs:
            run.start()
        for run in runs:
            run.assert_green()
        assert warehouse.contents() == before
        assert warehouse.schemas() == ("analytics", "dbt_build", "dbt_build_1_notes")
        dice = random.Random(7)
        victims = dice.sample(runs, len(runs) // 3)
        for run in runs:
            run.start(victim=run in victims)
        killers = [threading.Thread(target=run.kill, args=(dice.uniform(2, 60),)) for run in victims]
        for killer in killers:
            killer.start()
        for run in runs:
            run.wait() if run in victims else run.assert_green()
        for killer in killers:
            killer.join()
        for run in victims:
            run.start()
        for run in victims:
            run.assert_green()
        assert warehouse.contents() == before
        assert warehouse.schemas() == ("analytics", "dbt_build", "dbt_build_1_notes")
