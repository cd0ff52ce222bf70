"""Bad input ends with exit code 4 and a message that says what is wrong and what to do; nothing is written."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pytest

from tests.support.tiny_project import PROFILES, commit, git, make_tiny, write
from tests.support.validation import validate


@dataclass(frozen=True, kw_only=True)
class Bad:
    """One kind of bad input: how it comes about, and what the message must hold."""

    name: str
    says: tuple[str, ...]
    args: tuple[str, ...] = ()
    spoil: Callable[[Path], object] = lambda project: None
    environ: dict[str, str] = field(default_factory=dict)


def files(**changes: str | None) -> Callable[[Path], None]:
    names = {"project": "dbt_project.yml", "profiles": "profiles.yml", "model": "models/three.sql"}
    return lambda project: write(project, {names.get(k, k): v for k, v in changes.items()})


def unborn(project: Path) -> None:
    shutil.rmtree(project / ".git")
    git(project, "init", "--quiet")


def foreign_schema(project: Path) -> None:
    with duckdb.connect(str(project / "tiny.duckdb")) as connection:
        connection.execute("create schema dbt_build_7")
        connection.execute("create table dbt_build_7.somebodys as select 1 as a")


def broken_base(project: Path) -> None:
    git(project, "switch", "--quiet", "master")
    write(project, {"models/two.sql": "select * from {{ ref('nobody') }}\n"})
    commit(project, "break master")
    git(project, "switch", "--quiet", "--create", "mend")
    write(project, {"models/two.sql": "select 2 as b\n"})
    commit(project, "mend")


def second_project(project: Path) -> None:
    for name in ("a", "b"):
        shutil.copytree(project, project / "sub" / name, ignore=shutil.ignore_patterns(".git", "sub"))
    (project / "dbt_project.yml").unlink()


def orphan(project: Path) -> None:
    git(project, "switch", "--quiet", "--orphan", "orphan")
    write(project, {"dbt_project.yml": "name: tiny\nprofile: tiny\n", "models/one.sql": "select 1 as a\n"})
    commit(project, "another history")


CASES = (
    Bad(name="no git repository", spoil=lambda p: shutil.rmtree(p / ".git"), says=("git", "repository")),
    Bad(name="no commit", spoil=unborn, says=("commit",)),
    Bad(name="no project", spoil=files(project=None), says=("no dbt_project.yml", "--dbt-ci-project-dir")),
    Bad(name="wrong project dir", args=("--dbt-ci-project-dir=nowhere",), says=("nowhere", "dbt_project.yml")),
    Bad(name="several projects", spoil=second_project, says=("sub/a", "sub/b", "--dbt-ci-project-dir")),
    Bad(name="rootdir elsewhere", args=("--rootdir=.git",), says=("rootdir is", "does not hold", "pytest.ini")),
    Bad(name="unknown base", args=("--dbt-ci-base=nope",), says=("'nope'", "--dbt-ci-base", "master")),
    Bad(name="unrelated histories", spoil=orphan, args=("--dbt-ci-base=master",), says=("master",)),
    Bad(name="profile missing", args=("--dbt-ci-profile=nope",), says=("'nope'", "it has: tiny")),
    Bad(name="no profiles.yml", spoil=files(profiles=None), says=("profiles.yml", "--dbt-ci-profiles-dir")),
    Bad(name="profiles.yml is no YAML", spoil=files(profiles="a: [b"), says=("profiles.yml", "not valid YAML")),
    Bad(name="target missing", args=("--dbt-ci-target=nope",), says=("'nope'", "it has: ci, prod")),
    Bad(name="defer target missing", args=("--dbt-ci-defer-target=nope",), says=("'nope'", "it has: ci, prod")),
    Bad(
        name="env_var without value",
        spoil=files(profiles=PROFILES.replace("threads: 2}", "user: \"{{ env_var('NO_SUCH_VAR') }}\"}", 1)),
        says=("NO_SUCH_VAR",),
    ),
    Bad(
        name="adapter not installed",
        spoil=files(profiles=PROFILES.replace("duckdb, path", "bigquery, path")),
        says=("bigquery",),
    ),
    Bad(
        name="project does not parse",
        spoil=files(model="select * from {{ ref('nobody') }}\n"),
        says=("can't parse the project", "models/three.sql", "nobody"),
    ),
    Bad(name="broken Jinja", spoil=files(model="{% if %}\n"), says=("models/three.sql",)),
    Bad(name="base does not parse", spoil=broken_base, says=("the base", "does not parse", "--dbt-ci-base")),
    Bad(
        name="packages not installed",
        spoil=files(**{"packages.yml": "packages:\n  - package: dbt-labs/dbt_utils\n    version: 1.3.0\n"}),
        says=("dbt deps",),
    ),
    Bad(name="hostile pull request", args=("--dbt-ci-pr=1; drop schema x",), says=("1; drop schema x", "not safe")),
    Bad(name="no pr in template", args=("--dbt-ci-schema=everybody",), says=("everybody", "{pr}")),
    Bad(name="template makes a bad name", args=("--dbt-ci-schema=a-{pr}",), says=("a-7", "not safe")),
    Bad(name="too long a name", args=("--dbt-ci-pr=" + "9" * 200,), says=("longer", "bytes")),
    Bad(
        name="schema without our mark",
        spoil=foreign_schema,
        says=("dbt_build_7", "was not created by this tool", "nothing was written"),
    ),
    Bad(
        name="node outside",
        spoil=files(
            model="{{ config(schema='x') }} select 1 as a\n",
            **{"macros/g.sql": "{% macro generate_schema_name(n, node) %}{{ n or 'main' }}{% endmacro %}\n"},
        ),
        says=("model.tiny.three", "schema x", "generate_schema_name"),
    ),
    Bad(
        name="another database",
        spoil=files(model="{{ config(database='memory') }} select 1 as a\n"),
        says=("model.tiny.three", "database memory"),
    ),
    Bad(name="selector refused", args=("--dbt-ci-select=nonsense:x",), says=("--dbt-ci-select", "nonsense")),
    Bad(name="vars are no YAML", args=("--dbt-ci-vars={a",), says=("{a", "YAML")),
    Bad(name="keep-schema unknown", args=("--dbt-ci-keep-schema=maybe",), says=("maybe", "never, failed, always")),
    Bad(name="misspelt option", args=("--dbt-ci-defer-tagret=prod",), says=("--dbt-ci-defer-target", "mean")),
    Bad(
        name="path after a space",
        spoil=lambda p: write(p.parent, {"else/where/profiles.yml": "", "else/pytest.ini": "[pytest]\n"}),
        args=("--dbt-ci-profiles-dir", "../else/where"),
        says=("pytest.ini would not be read", "--dbt-ci-profiles-dir=../else/where"),
    ),
    Bad(name="a flag that is no flag", args=("-o", "dbt_ci_comment=maybe"), says=("dbt_ci_comment", "true or false")),
    Bad(name="a number that is none", args=("-o", "dbt_ci_threads=many"), says=("dbt_ci_threads", "whole number")),
    Bad(name="threads no number", args=("--dbt-ci-threads=many",), says=("many", "whole number")),
    Bad(name="no threads", args=("--dbt-ci-threads=0",), says=("--dbt-ci-threads 0", "1 or more")),
    Bad(name="selects nothing", args=("--dbt-ci-select=nonsuch+",), says=("'nonsuch+'", "names nothing")),
    Bad(name="excludes nothing", args=("--dbt-ci-exclude=two nonsuch+",), says=("'nonsuch+'", "names nothing")),
    Bad(name="selects less", args=("--dbt-ci-select=one nonsuch",), says=("'nonsuch'", "names nothing")),
    Bad(
        name="intersects with nothing",
        args=("--dbt-ci-select=state:modified+,tag:nonsuch",),
        says=("'tag:nonsuch'", "names nothing"),
    ),
    Bad(name="age without sweep", args=("--dbt-ci-sweep-age=7d",), says=("--dbt-ci-sweep-age", "goes with")),
    Bad(name="rules without compare", args=("--dbt-ci-compare-rules={}",), says=("compare-rules", "goes with")),
    Bad(name="sweep's pr without sweep", args=("--dbt-ci-sweep-pr=7",), says=("--dbt-ci-sweep-pr", "goes with")),
    Bad(name="rehearsal of no release", args=("--dbt-ci-rehearse",), says=("--dbt-ci-rehearse", "--dbt-ci-release")),
    Bad(name="sweep and release", args=("--dbt-ci-sweep", "--dbt-ci-release=prod"), says=("leave one of them out",)),
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("tiny") / "repo")


@pytest.mark.parametrize("bad", CASES, ids=lambda b: b.name)
def test_bad_input_is_said_and_nothing_is_written(bad: Bad, tiny: Path, tmp_path: Path) -> None:
    project = tmp_path / "repo"
    shutil.copytree(tiny, project, symlinks=True)
    bad.spoil(project)
    before = schemas(project)
    args = bad.args if any(a.startswith("--dbt-ci-pr=") for a in bad.args) else (*bad.args, "--dbt-ci-pr=7")
    run = validate(project, *args, HOME=str(tmp_path), **bad.environ)
    assert run.code == 4, run.output
    error = run.output[run.output.rindex("ERROR: ") :]
    for part in bad.says:
        assert part in error, run.output
    assert "Traceback" not in run.output
    assert "most recent call" not in run.output
    assert schemas(project) == before
    assert [c.outcome for c in run.cases.values()] in ([], ["error"])


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
