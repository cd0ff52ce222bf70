"""Run `pytest --dbt-ci` as a user does, in a process of its own, and read what it said and wrote."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

from tests.support.warm_start import warm

Outcome = Literal["passed", "failed", "error", "skipped"]

KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "PYTEST_DEBUG_TEMPROOT", "SYSTEMROOT", "PYTHONPATH")
"""The environment that a run gets: nothing of a CI job that runs the tests, but the code that is to be tested."""

CACHE = ".pytest_cache"
"""Where a run keeps, in the project, what it has parsed of the base."""

DEFER = ("--dbt-ci-pr=1066", "--dbt-ci-target=ci", "--dbt-ci-defer-target=prod")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One test case of the JUnit file; `message` is the attribute that consumers show first."""

    outcome: Outcome
    message: str
    text: str
    seconds: float
    properties: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Validation:
    """What a run left: exit code, output, and the JUnit file's cases by node id."""

    code: int
    output: str
    cases: dict[str, Case]
    junit: Path

    def by_unique_id(self) -> dict[str, Case]:
        """Return the cases by dbt's unique_id."""
        return {c.properties["dbt_unique_id"]: c for c in self.cases.values() if "dbt_unique_id" in c.properties}


def environment(**extra: str) -> dict[str, str]:
    """Return a laptop's environment."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {**kept, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "PYTHONWARNINGS": "", **extra}


def command(*args: str) -> list[str]:
    """Return the command line of a run."""
    return [sys.executable, "-m", "pytest", "-p", "no:hypothesispytest", "--dbt-ci", *args]


def validate(directory: Path, *args: str, **extra: str) -> Validation:
    """Run `pytest --dbt-ci` in the directory to its end."""
    junit = directory.parent / f"{directory.name}-junit.xml"
    junit.unlink(missing_ok=True)
    done = subprocess.run(
        command(f"--junitxml={junit}", *args),
        cwd=directory,
        env=warm(environment(**extra)),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    return Validation(code=done.returncode, output=done.stdout + done.stderr, cases=read_junit(junit), junit=junit)


def parse_base(directory: Path, *args: str) -> None:
    """Let copies of the project find its base parsed, as a branch's second run does."""
    run = validate(directory, "--collect-only", "-q", *args)
    assert run.code == 0, run.output
    run.junit.unlink()
    for left in ("target", "logs", f"{CACHE}/v"):
        shutil.rmtree(directory / left, ignore_errors=True)


def keep_base(directory: Path, project: Path) -> None:
    """Let copies of the project find what a run in one of them has parsed of the base."""
    if directory != project and (directory / CACHE).is_dir():
        shutil.copytree(directory / CACHE, project / CACHE, ignore=shutil.ignore_patterns("v"), dirs_exist_ok=True)


def read_junit(path: Path) -> dict[str, Case]:
    """Read a JUnit file's cases by `classname::name`."""
    if not path.exists():
        return {}
    cases = {}
    outcomes: dict[str, Outcome] = {"failure": "failed", "error": "error", "skipped": "skipped"}
    for case in ElementTree.parse(path).iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        assert name not in cases, f"{name} stands twice in the JUnit file"
        found = next((child for child in case if child.tag in outcomes), None)
        cases[name] = Case(
            outcome="passed" if found is None else outcomes[found.tag],
            message="" if found is None else found.get("message") or "",
            text="" if found is None else found.text or "",
            seconds=float(case.get("time") or 0),
            properties={p.get("name") or "": p.get("value") or "" for p in case.iter("property")},
        )
    return cases
