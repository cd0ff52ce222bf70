"""A run that is overtaken by a newer one of its pull request stops building at once."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import yaml

from tests.support.tiny_project import make_tiny, write
from tests.support.validation import command, environment, read_junit
from tests.support.warehouses import Server


def test_an_overtaken_build_is_cancelled_and_red(warehouse_server: Server, tmp_path: Path) -> None:
    project = make_tiny(tmp_path / "repo")
    with warehouse_server.database("postgres") as warehouse:
        output = warehouse.output("dbt")
        write(project, {"profiles.yml": yaml.safe_dump({"tiny": {"target": "ci", "outputs": {"ci": output}}})})
        slow = "{{ config(materialized='table') }} select pg_sleep(900)::text as a from {{ ref('one') }}\n"
        write(project, {"models/slow.sql": slow})
        junit = tmp_path / "junit.xml"
        run = subprocess.Popen(
            command("--dbt-ci-pr=7", f"--junitxml={junit}"),
            cwd=project,
            env=environment(DBT_CI_WATCH_SECONDS="0.5"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        began = time.monotonic()
        while "dbt_build_7.one" not in warehouse.contents("dbt_build_7"):
            assert time.monotonic() - began < 300, "the build did not begin"
            time.sleep(0.2)
        warehouse.query("update dbt_build_7.dbt_ci_mark set run = 'newer', started = '2999-01-01'")
        said, _ = run.communicate(timeout=300)
        assert run.returncode == 1, said
        assert "taken over by a newer run" in said
        assert read_junit(junit)["models.slow.sql::slow"].outcome == "error"
        assert "dbt_build_7" in warehouse.schemas(), "what is the newer run's stays"
