"""Run the scheduled job's entry script as a container would: nothing inherited but what is given."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.deploy import DEPLOY

PROJECT_FILE = "name: kennel\nversion: '1.0'\nprofile: developers\n"
TESTS = """
models:
  - name: dogs
    columns:
      - name: dog_id
        data_tests: [unique]
"""


@dataclass(frozen=True, kw_only=True)
class Run:
    """Hold what one run printed and how it ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def lines(self) -> list[str]:
        """Return what CloudWatch would get: both streams, a line an event."""
        return [line for line in (self.stdout + self.stderr).splitlines() if line]

    @property
    def messages(self) -> str:
        """Return the messages of the JSON log, one below the other."""
        return "\n".join(json.loads(line)["info"]["msg"] for line in self.stdout.splitlines())


def write_project(root: Path, *, dogs: str = "select 1 as dog_id") -> Path:
    """Write a dbt project of one model with one test and return its folder."""
    (root / "models").mkdir(parents=True)
    (root / "dbt_project.yml").write_text(PROJECT_FILE)
    (root / "models" / "dogs.sql").write_text(dogs)
    (root / "models" / "schema.yml").write_text(TESTS)
    return root


def write_duckdb_profile(root: Path) -> Path:
    """Write the scheduler's profile for a DuckDB file and return its folder."""
    output = {"type": "duckdb", "path": str(root / "kennel.duckdb"), "schema": "dbt"}
    (root / "profiles.yml").write_text(json.dumps({"scheduler": {"target": "prod", "outputs": {"prod": output}}}))
    return root


def run_job(
    environment: Mapping[str, str],
    *arguments: str,
    python: str = sys.executable,
    script: Path = DEPLOY / "entrypoint.py",
) -> Run:
    """Run the script with this environment alone."""
    whole = {"HOME": "/tmp", "DBT_SEND_ANONYMOUS_USAGE_STATS": "false", **environment}
    command = [python, str(script), *arguments]
    done = subprocess.run(command, env=whole, cwd="/tmp", capture_output=True, text=True, timeout=120)
    return Run(code=done.returncode, stdout=done.stdout, stderr=done.stderr)
