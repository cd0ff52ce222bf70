"""What no node is to blame for is said once; the nodes that it kept from being built are not run, and not green."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from tests.support.fault_stage import RUN
from tests.support.tiny_project import commit, git, make_tiny, write
from tests.support.validation import Validation, validate

LOCKED = "Could not set lock on file"
NODES = ("models.one.sql::one", "models.two.sql::two")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_tiny(tmp_path / "tiny")


@contextmanager
def locked(project: Path) -> Iterator[None]:
    """Hold the warehouse as a notebook does that somebody forgot."""
    with duckdb.connect(str(project / "tiny.duckdb")):
        yield


ELSEWHERE = """\
import pytest

@pytest.mark.dbt_needs("three", deferred=True)
def test_three(dbt_query):
    dbt_query("select * from {{ ref('three') }}")
"""


def read_elsewhere(project: Path) -> None:
    """Add a Python test that reads what master has and the branch leaves alone."""
    git(project, "switch", "--quiet", "master")
    write(project, {"models/three.sql": "select 3 as a\n", "test_elsewhere.py": ELSEWHERE})
    commit(project, "three")
    git(project, "switch", "--quiet", "feature")
    git(project, "rebase", "--quiet", "master")


def last_failed(project: Path) -> list[str]:
    return list(json.loads((project / ".pytest_cache/v/cache/lastfailed").read_text()))


def assert_told_once(run: Validation) -> None:
    """Look for the one error, and for the nodes that it names as not run."""
    assert run.code == 1, run.output
    assert run.cases[RUN].outcome == "error"
    assert LOCKED in run.cases[RUN].text
    assert "end that one, or wait for it." in run.cases[RUN].text
    sections = run.output.partition("= ERRORS =")[2].partition("= short test summary")[0]
    assert sections.count(LOCKED) == 1, run.output
    assert "no dbt item was asked for" not in run.output
    assert max(map(int, re.findall(r"\[ *(\d+)%\]", run.output)), default=0) <= 100


@pytest.mark.parametrize("how", [(), pytest.param(("-n2",), marks=pytest.mark.slow)], ids=["alone", "xdist"])
def test_says_once_that_the_database_is_locked(how: tuple[str, ...], project: Path) -> None:
    read_elsewhere(project)
    with locked(project):
        args = ("-v", "--dbt-ci-defer-target=prod", "--dbt-ci-summary=s.md", "--dbt-ci-report=r.html")
        run = validate(project, *how, *args)
    assert_told_once(run)
    for name in (*NODES, "test_elsewhere::test_three"):
        assert run.cases[name].outcome == "skipped"
        assert run.cases[name].message == "not run: the schemas could not be made ready"
    assert "dbt-ci: 2 nodes were not run: the schemas could not be made ready\n" in run.output
    summary = (project / "s.md").read_text()
    assert summary.startswith("## ❌ dbt: 2 not run\n")
    assert summary.count(LOCKED) == 1
    assert summary.index(LOCKED) < summary.index("Not run: `one`, `two`") < summary.index("###")
    assert "failed besides" not in summary
    assert (project / "r.html").read_text().count(LOCKED) == 1
    not_run = ["models/one.sql::one", "models/two.sql::two", "test_elsewhere.py::test_three"]
    assert sorted(last_failed(project)) == not_run


def test_runs_again_what_was_not_run_although_the_session_stopped_before(project: Path) -> None:
    with locked(project):
        run = validate(project, "-x")
    assert_told_once(run)
    assert sorted(last_failed(project)) == ["models/one.sql::one", "models/two.sql::two"]
    again = validate(project, "--lf")
    assert again.code == 0, again.output
    assert {name: case.outcome for name, case in again.cases.items()} == dict.fromkeys(NODES, "passed")
    assert last_failed(project) == []


def test_names_items_as_pytest_does_where_the_project_is_in_a_folder(tmp_path: Path) -> None:
    project = make_tiny(tmp_path / "repository", inside="dbt")
    with locked(project):
        run = validate(project.parent, "-x", "--dbt-ci-profiles-dir=dbt")
    assert run.code == 1, run.output
    assert sorted(last_failed(project.parent)) == ["dbt/models/one.sql::one", "dbt/models/two.sql::two"]


def test_tells_what_a_macro_does_wrong_in_many_nodes_once(project: Path) -> None:
    raises = "{% if execute %}{{ exceptions.raise_compiler_error('no such spell') }}{% endif %}1"
    write(project, {"macros/spell.sql": "{% macro spell() %}" + raises + "{% endmacro %}\n"})
    write(project, {f"models/m{i}.sql": "select {{ spell() }} as a\n" for i in range(3)})
    run = validate(project, "--dbt-ci-summary=s.md")
    assert run.code == 1, run.output
    failed = [case for case in run.cases.values() if case.outcome == "failed"]
    assert len(failed) == 3
    assert sum("in the same words as models/m" in case.text for case in failed) == 2
    assert all(case.message.startswith("Compilation Error: no such spell") for case in failed)
    assert (project / "s.md").read_text().count("no such spell") == 1
