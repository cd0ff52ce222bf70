"""A small pull request in front of a warehouse that also holds what is not its own, and a look at all of it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from examples.demo import git
from tests.support.validation import Validation, command, environment, read_junit
from tests.support.warehouses import Warehouse
from tests.support.warm_dbt.forkserver import copy_of
from tests.support.warm_start import warm

PR = 7
SCHEMA = f"dbt_build_{PR}"
NODES = (
    "model.kennel.first",
    "model.kennel.second",
    "model.kennel.third",
    "test.kennel.unique_first_id",
    "test.kennel.unique_third_id",
)
"""What the pull request adds: `second` reads `first`, `third` is by itself; a node's name ends with a digest."""

TWINS = bool(os.environ.get("DBT_CI_TESTS_WITH_TWINS"))
"""Whether the base has other versions of these nodes, and runs compare with twins: any fault can be tried so, too."""

RUN = "dbt_project.yml::dbt_ci_build"
"""The case of a JUnit file that tells what kept nodes from being built."""

_FILES = {
    "dbt_project.yml": "name: kennel\nprofile: kennel\nflags: {send_anonymous_usage_stats: false}\n"
    "models: {+materialized: table}\n",
    "models/old.sql": "select 1 as id\n",
    ".gitignore": "target/\nlogs/\nprofiles.yml\n.pytest_cache/\n",
}
_CHANGE = {
    "models/first.sql": "select 1 as id\n",
    "models/second.sql": "select id from {{ ref('first') }}\n",
    "models/third.sql": "{{ config(schema='extra') }}\nselect 3 as id\n",
    "models/models.yml": """
models:
  - name: first
    columns: [{name: id, data_tests: [unique]}]
  - name: third
    columns: [{name: id, data_tests: [unique]}]
""",
}


def make_repository(directory: Path) -> Path:
    """Make the project's repository: `main`, and the pull request's branch checked out."""
    directory.mkdir(parents=True)
    _write(directory, _FILES)
    if TWINS:
        _write(directory, {name: text.replace("select ", "select 7 as more, ") for name, text in _CHANGE.items()})
    git(directory, "init", "--quiet", "--initial-branch=main")
    for name in ("user.name", "user.email"):
        git(directory, "config", name, "anton@example.com")
    git(directory, "add", "--all")
    git(directory, "commit", "--quiet", "--message=Open")
    git(directory, "switch", "--quiet", "--create", "change")
    _write(directory, _CHANGE)
    git(directory, "add", "--all")
    git(directory, "commit", "--quiet", "--message=Change")
    return directory


def _write(directory: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)


def write_profile(directory: Path, output: Mapping[str, Any]) -> None:
    """Write the profile with one output, `ci`."""
    text = json.dumps({"kennel": {"target": "ci", "outputs": {"ci": dict(output)}}})
    (directory / "profiles.yml").write_text(text)


@dataclass(kw_only=True)
class Stage:
    """One repository and one warehouse; `scratch` is the runs' TMPDIR, so that what they leave can be seen."""

    directory: Path
    warehouse: Warehouse
    scratch: Path
    before: dict[str, list[tuple[object, ...]]]
    started: list[Running] = field(default_factory=list)

    @classmethod
    def make(cls, directory: Path, warehouse: Warehouse) -> Stage:
        """Put the master's relations, and those of pull requests with similar numbers, into the warehouse."""
        for schema in ("analytics", f"{SCHEMA}7", "dbt_build_1", "dbt_build"):
            warehouse.query(f"create schema {schema}")
            warehouse.query(f"create table {schema}.first as select 42 as id")
        if warehouse.server is not None:
            for schema in ("analytics", f"{SCHEMA}7", "dbt_build_1", "dbt_build"):
                warehouse.query(f"alter schema {schema} owner to dbt")
        write_profile(directory, warehouse.output("analytics"))
        scratch = Path(tempfile.mkdtemp(prefix="scratch", dir=directory.parent))
        return cls(directory=directory, warehouse=warehouse, scratch=scratch, before=warehouse.contents())

    def start(self, *args: str, pr: object = PR, **extra: str) -> Running:
        """Start `pytest --dbt-ci` in a session of its own."""
        compare = ["--dbt-ci-compare=base"] if TWINS else []
        running = Running(self, (f"--dbt-ci-pr={pr}", "--dbt-ci-base=main", *compare, *args), extra)
        self.started.append(running)
        return running

    def end(self) -> None:
        """End what a test that failed has left running."""
        for running in self.started:
            if running.process.poll() is None:
                running.process.kill()
                running.process.wait()
        for host in self.hosts():
            with contextlib.suppress(ProcessLookupError):
                os.kill(host, signal.SIGKILL)

    def run(self, *args: str, pr: object = PR, **extra: str) -> Validation:
        """Run `pytest --dbt-ci` to its end."""
        return self.start(*args, pr=pr, **extra).wait()

    def assert_others_untouched(self) -> None:
        """Compare what belongs to master and to other pull requests with what it was."""
        now = self.warehouse.contents()
        own = f"{SCHEMA}.", f"{SCHEMA}_"
        assert {name: rows for name, rows in now.items() if not name.startswith(own)} == self.before

    def own_schemas(self) -> list[str]:
        """Return the pull request's schemas that are there."""
        return [s for s in self.warehouse.schemas() if s == SCHEMA or s.startswith(f"{SCHEMA}_")]

    def assert_nothing_left(self) -> None:
        """Look for schemas of the pull request, processes and files of its runs."""
        said = self.started[-1].output() if self.started else ""
        assert self.own_schemas() == [], said
        self.assert_others_untouched()
        eventually(lambda: not self.hosts(), "the dbt process has ended")
        eventually(lambda: not list(self.scratch.glob("dbt-ci-*")), "the temporary folder is gone")

    def hosts(self) -> list[int]:
        """Return the dbt processes of this stage, found by their TMPDIR: copies rather than what these stand for."""
        copies, others = list[int](), list[int]()
        name, entry = copy_of({"TMPDIR": str(self.scratch)}), f"TMPDIR={self.scratch}".encode()
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                command_line, environ = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
                if (process / "comm").read_text().strip() == name:
                    copies.append(int(process.name))
                elif b"pytest_dbtci.dbt_host" in command_line and entry in environ.split(b"\0"):
                    others.append(int(process.name))
        return copies or others

    def host(self) -> int:
        """Return the dbt process, as soon as there is one and pytest, which starts it early, hears signals."""
        eventually(lambda: len(self.hosts()) == 1, "there is a dbt process")
        if self.started:
            eventually(self.started[-1].hears_signals, "pytest handles SIGTERM")
        return self.hosts()[0]


class Running:
    """A `pytest --dbt-ci` that runs."""

    def __init__(self, stage: Stage, args: tuple[str, ...], extra: Mapping[str, str]) -> None:
        name = f"{stage.directory.name}-{time.monotonic_ns()}"
        self._junit = stage.directory.parent / f"{name}.xml"
        self._output = stage.directory.parent / f"{name}.txt"
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                command(f"--junitxml={self._junit}", "-v", *args),
                cwd=stage.directory,
                env=warm(environment(TMPDIR=str(stage.scratch), **extra)),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def signal(self, number: int, *, group: bool = False) -> None:
        """Send a signal to pytest, or, as a terminal does, to its whole process group."""
        (os.killpg if group else os.kill)(self.process.pid, number)

    def hears_signals(self) -> bool:
        """Whether it has begun to handle SIGTERM, or has ended."""
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{self.process.pid}/status").read_text()
            caught = re.search(r"^SigCgt:\s*(\w+)$", status, re.MULTILINE)
            return bool(caught and int(caught[1], 16) >> (signal.SIGTERM - 1) & 1) or self.process.poll() is not None
        return True

    def output(self) -> str:
        """Return what it has printed by now."""
        return self._output.read_text(errors="replace")

    def wait(self, timeout: float = 180) -> Validation:
        """Wait for the end; end it by force after `timeout` seconds."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            self.process.wait()
            raise AssertionError(f"pytest did not end within {timeout} s:\n{self.output()}") from None
        return Validation(code=code, output=self.output(), cases=read_junit(self._junit), junit=self._junit)


def eventually(condition: Callable[[], object], what: str, timeout: float = 300) -> None:
    """Wait until a condition holds; AssertionError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(0.05)


def outcomes(validation: Validation) -> dict[str, str]:
    """Return each node's outcome, by a unique_id without the digest that ends a test's."""
    return {
        next((n for n in NODES if unique_id.startswith(n)), unique_id): case.outcome
        for unique_id, case in validation.by_unique_id().items()
    }


def assert_every_node_has_an_outcome(validation: Validation) -> None:
    """Look for each of the pull request's nodes in the JUnit file."""
    assert sorted(outcomes(validation)) == sorted(NODES), validation.output
