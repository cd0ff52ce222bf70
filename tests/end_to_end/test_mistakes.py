"""Mistakes end with a message that a first-time user reads once: the reason, what to do; and nothing is written."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from tests.support.mistakes import FAILING, USAGE, Mistake, foreign_schema
from tests.support.terminal import Screen, on_a_terminal
from tests.support.tiny_project import PROJECT, commit, git, make_tiny, write
from tests.support.validation import command, environment, parse_base, read_junit, validate
from tests.support.warehouses import Server

pytestmark = pytest.mark.slow

COLUMNS = 60


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = make_tiny(tmp_path_factory.mktemp("tiny") / "repo")
    parse_base(project, "--dbt-ci-pr=7")
    return project


def flat(text: str) -> str:
    """Return a text as if it had no ends of lines."""
    return " ".join(text.split())


def assert_reads_well(screen: Screen, error: str, mistake: Mistake) -> None:
    """Look for the reason, once and first, and for lines that a terminal would break within a word."""
    assert screen.code == mistake.code, screen.text
    for sign in ("Traceback", "most recent call", "INTERNALERROR", "pytest_dbtci/"):
        assert sign not in screen.text
    for part in mistake.says:
        assert flat(part) in flat(error), screen.text
    begin = flat(error)[:200]
    assert flat(mistake.says[0]) in begin, screen.text
    assert flat(screen.text).count(begin[:80]) == 1, screen.text


@pytest.mark.parametrize("mistake", USAGE, ids=lambda m: m.name)
def test_a_mistake_is_said_once_and_nothing_is_written(mistake: Mistake, tiny: Path, tmp_path: Path) -> None:
    project = tmp_path / "repo"
    shutil.copytree(tiny, project, symlinks=True)
    mistake.spoil(project)
    before = schemas(project)
    pr = () if any(a.startswith("--dbt-ci-pr=") for a in mistake.args) else ("--dbt-ci-pr=7",)
    junit = tmp_path / "junit.xml"
    line = command(f"--junitxml={junit}", *mistake.args, *pr)
    screen = on_a_terminal(project, line, environment(HOME=str(tmp_path), **mistake.environ), COLUMNS)
    error = screen.text[screen.text.rindex("ERROR: ") :].removeprefix("ERROR: ")
    assert_reads_well(screen, error, mistake)
    assert not [row for row in f"ERROR: {error}".split("\n") if len(row) > COLUMNS and " " in row.strip()]
    assert schemas(project) == before
    assert [c.outcome for c in read_junit(junit).values()] in ([], ["error"])


@pytest.mark.parametrize(
    "mistake", [pytest.param(m, id=m.name, marks=pytest.mark.slow if m.slow else ()) for m in FAILING]
)
def test_a_mistake_that_only_the_run_shows_is_said_once(mistake: Mistake, tiny: Path, tmp_path: Path) -> None:
    project = tmp_path / "repo"
    shutil.copytree(tiny, project, symlinks=True)
    mistake.spoil(project)
    line = command("--dbt-ci-pr=7", *mistake.args)
    with mistake.meanwhile(project):
        screen = on_a_terminal(project, line, environment(HOME=str(tmp_path), **mistake.environ), COLUMNS)
    told, _, shown = screen.text.partition("= short test summary")
    section = re.split(r"\n[_ ]{3,}.*[_ ]{3,}\n", told)[1:]
    assert_reads_well(
        replace(screen, written=told), section[0] if section else told[told.rindex("dbt-ci: ") :], mistake
    )
    assert not section or flat(mistake.says[0])[:20] in flat(shown), screen.text
    assert "\nselected " not in shown, "what stands above is not said again, as pytest does in CI"
    rows = [row for row in screen.text.split("\n") if row.startswith("dbt-ci: ") and "\x1b" not in row]
    assert max(map(len, rows)) <= COLUMNS


@pytest.mark.parametrize(
    ("login", "says"),
    [
        ({"password": "wrong"}, ("password authentication failed", "Look at the target's user and password")),
        ({}, ("permission denied for database", "has to create schemas: grant it create on database")),
    ],
    ids=["wrong password", "no right to create schemas"],
)
def test_what_the_warehouse_refuses_is_said_once(
    login: dict[str, str], says: tuple[str, ...], tiny: Path, tmp_path: Path, warehouse_server: Server
) -> None:
    project = tmp_path / "repo"
    shutil.copytree(tiny, project, symlinks=True)
    with warehouse_server.database("postgres") as warehouse:
        output = warehouse.output("dbt", as_reader=True) | login
        (project / "profiles.yml").write_text(json.dumps({"tiny": {"target": "ci", "outputs": {"ci": output}}}))
        screen = on_a_terminal(project, command("--dbt-ci-pr=7"), environment(), COLUMNS)
    told = screen.text.partition("= short test summary")[0]
    error = told.partition("dbt_ci_build __")[2]
    assert_reads_well(replace(screen, written=told), error, Mistake(name="refused", says=says, code=1))


@pytest.mark.parametrize("typed", ["--dbt-ci-target=ci", "--dbt-ci-sweep", "--dbt-ci-threads=2"])
def test_an_option_that_nothing_reads_without_dbt_ci_is_an_error(typed: str, pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(): pass")
    run = pytester.runpytest_subprocess(typed)
    assert run.ret == pytest.ExitCode.USAGE_ERROR
    run.stderr.fnmatch_lines([f"*{typed.split('=')[0]} means nothing without --dbt-ci*"])


def test_options_that_wait_in_the_ini_file_are_none(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\naddopts = --dbt-ci-target=ci\ndbt_ci_threads = 2\n")
    pytester.makepyfile("def test_it(): pass")
    assert pytester.runpytest_subprocess().ret == pytest.ExitCode.OK


@pytest.mark.parametrize("option", ["--dbt-ci-base=nope", "--dbt-ci-target=nope"])
def test_a_run_without_a_plan_still_writes_its_error_to_junit(option: str, tiny: Path) -> None:
    run = validate(tiny, option)
    assert run.code == 4
    (case,) = run.cases.values()
    assert case.outcome == "error"
    assert "nope" in case.text


def test_a_base_that_asks_for_another_dbt_is_compared_with(tmp_path: Path) -> None:
    project = make_tiny(tmp_path / "repo")
    git(project, "switch", "--quiet", "master")
    write(project, {"dbt_project.yml": PROJECT + "require-dbt-version: '<1.0.0'\n"})
    commit(project, "for an old dbt")
    git(project, "switch", "--quiet", "feature")
    git(project, "rebase", "--quiet", "master")
    write(project, {"dbt_project.yml": PROJECT + "require-dbt-version: '>=1.0.0'\n"})
    run = validate(project, "--dbt-ci-pr=7", "--collect-only", "-q")
    assert run.code == 0, run.output
    assert "models/one.sql::one" in run.output


def schemas(project: Path) -> list[tuple[str, ...]]:
    """Give the relations in the warehouse, seen from outside."""
    path = project / "tiny.duckdb"
    if not path.exists():
        return []
    with duckdb.connect(str(path), read_only=True) as connection:
        query = "select table_schema, table_name from information_schema.tables order by all"
        found: list[tuple[str, ...]] = connection.execute(query).fetchall()
        return found


def test_a_schema_without_our_mark_is_said_once_under_xdist_too(tiny: Path, tmp_path: Path) -> None:
    project = tmp_path / "repo"
    shutil.copytree(tiny, project, symlinks=True)
    foreign_schema(project)
    before = schemas(project)
    run = validate(project, "--dbt-ci-pr=7", "-n", "2")
    assert run.code == 4, run.output
    assert "INTERNALERROR" not in run.output
    assert run.cases["dbt_project.yml::dbt_ci_schemas"].outcome == "error"
    assert [c.outcome for n, c in run.cases.items() if "dbt_ci_schemas" not in n] == ["skipped", "skipped"]
    assert schemas(project) == before
