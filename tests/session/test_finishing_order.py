"""dbt's items are shown as dbt finishes them: a slow model holds nobody back, not `-x`, not Ctrl-C."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.tiny_project import make_tiny, write
from tests.support.validation import command, environment, read_junit, validate

SLOW = (
    "{{{{ config(materialized='table') }}}} with recursive t(i) as "
    "(select 0 union all select i + 1 from t where i < {}) select count(*) as n from t\n"
)
FAILS = "models:\n  - {name: quick, columns: [{name: b, data_tests: [not_null]}]}\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose first model in dbt's order takes long, as do none of the others."""
    directory = make_tiny(tmp_path / "repo")
    write(directory, {"models/a_slow.sql": SLOW.format(600_000), "models/quick.sql": "select 1 as a, null as b\n"})
    return directory


def shown(output: str) -> list[str]:
    return re.findall(r"^models/\S+::(\S+) (?:PASSED|FAILED|ERROR|SKIPPED)", output, flags=re.MULTILINE)


def test_shows_items_in_the_order_in_which_dbt_finishes_them(project: Path) -> None:
    write(
        project,
        {"tests/test_python.py": "def test_last(dbt_build):\n    assert dbt_build['a_slow'].outcome == 'passed'\n"},
    )
    run = validate(project, "--dbt-ci-pr=7", "-v")
    assert run.code == 0, run.output
    assert shown(run.output)[-1] == "a_slow"
    assert sorted(shown(run.output)) == ["a_slow", "one", "quick", "two"]
    assert run.output.index("a_slow PASSED") < run.output.index("test_last PASSED")
    assert len(run.cases) == 5


def test_stops_at_the_first_failure_when_it_happens(project: Path) -> None:
    write(project, {"models/a_slow.sql": SLOW.format(60_000_000), "models/quick.yml": FAILS})
    run = validate(project, "--dbt-ci-pr=7", "-v", "-x")
    assert run.code == 1, run.output
    assert shown(run.output)[-1] == "not_null_quick_b"
    assert "a_slow" not in shown(run.output)


@pytest.mark.slow
def test_keeps_every_result_that_is_there_when_interrupted(project: Path) -> None:
    write(project, {"models/a_slow.sql": SLOW.format(60_000_000)})
    junit = project.parent / "junit.xml"
    with subprocess.Popen(
        command(f"--junitxml={junit}", "--dbt-ci-pr=7", "-v"),
        cwd=project,
        env=environment(PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "two PASSED" in line:
                process.send_signal(signal.SIGINT)
        process.wait(timeout=300)
    outcomes = {c.properties["dbt_unique_id"].split(".")[-1]: c.outcome for c in read_junit(junit).values()}
    assert process.returncode == 2
    assert outcomes == {"one": "passed", "two": "passed", "quick": "passed", "a_slow": "error"}


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--stepwise", pytest.param("--failed-first", marks=pytest.mark.slow)])
def test_keeps_the_order_where_pytest_counts_on_it(project: Path, option: str) -> None:
    write(project, {"models/quick.yml": FAILS})
    first = validate(project, "--dbt-ci-pr=7", "-v", option)
    assert first.code in (1, 2), first.output
    again = validate(project, "--dbt-ci-pr=7", "-v", option)
    assert "not_null_quick_b" in shown(again.output)[:2]
