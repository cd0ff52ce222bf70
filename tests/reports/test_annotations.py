from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_dbtci.ci.build import Build
from pytest_dbtci.reports.annotations import annotate
from pytest_dbtci.results import Result
from tests.support import finished_run as dogs_run
from tests.support.finished_run import RESULTS, failed, node, write_project

GITHUB = Build(provider="github", pr="7")
AZURE = Build(provider="azure", pr="7")


def test_points_github_to_file_and_line_of_the_repository(tmp_path: Path) -> None:
    plan = write_project(tmp_path / "a, b" / "dogs")
    assert annotate(plan, failed(dogs_run.POSTGRES_COLUMN), GITHUB, tmp_path) == (
        "::error file=a%2C b/dogs/models/fact_dogs.sql,line=3,title=dbt model fact_dogs failed::"
        'Database Error: column "nme" does not exist%0ALINE 15:   nme as name%0A           ^%0A'
        'HINT:  Perhaps you meant to reference the column "stg_dogs.name".',
        "::error file=a%2C b/dogs/models/staging.yml,line=13,title=dbt test unique_fact_dogs_id failed::"
        "Got 12 results, configured to fail if != 0",
        "::error file=a%2C b/dogs/models/staging.yml,line=22,title=dbt unit test human_years failed::"
        "actual differs from expected:%0A%0A@@,id ,human_age,name%0A"
        "→ ,1  ,15→14    ,Rex%0A→ ,3→2,NULL     ,狗子",
        "::warning file=a%2C b/dogs/models/staging.yml,line=17,"
        "title=dbt test accepted_values_fact_dogs_name warns::Got 1 result, configured to warn if != 0",
    )


def test_points_azure_to_the_absolute_path(tmp_path: Path) -> None:
    plan = write_project(tmp_path)
    lines = annotate(plan, RESULTS, AZURE, tmp_path)
    assert lines[0] == (
        f"##vso[task.logissue type=error;sourcepath={tmp_path}/models/staging.yml;linenumber=13;]"
        "Got 12 results, configured to fail if != 0 (test unique_fact_dogs_id)"
    )
    assert lines[-1].startswith("##vso[task.logissue type=warning;")
    assert len(lines) == 3


@pytest.mark.parametrize("build", [GITHUB, AZURE])
def test_names_no_file_that_is_not_in_the_checkout(tmp_path: Path, build: Build) -> None:
    plan = write_project(tmp_path / "dogs")
    package = node("model.pack.x", file="../dbt_packages/pack/x.sql")
    results = {package.unique_id: Result(unique_id=package.unique_id, status="error", message="no")}
    (line,) = annotate(replace(plan, nodes=(package,)), results, build, tmp_path / "dogs")
    assert "file=" not in line
    assert "path=" not in line
    assert "line" not in line


@pytest.mark.parametrize("build", [GITHUB, AZURE])
def test_shows_the_worst_first_and_counts_the_rest(tmp_path: Path, build: Build) -> None:
    plan = write_project(tmp_path)
    tests = [node(f"test.dogs.t{i}", "model.dogs.stg_dogs") for i in range(12)]
    models = [node(f"model.dogs.m{i}") for i in range(2)]
    warned = [node(f"test.dogs.w{i}", "model.dogs.stg_dogs") for i in range(11)]
    results = {
        **{n.unique_id: Result(unique_id=n.unique_id, status="fail", message="t") for n in tests},
        **{n.unique_id: Result(unique_id=n.unique_id, status="error", message="m") for n in models},
        **{n.unique_id: Result(unique_id=n.unique_id, status="warn", message="w") for n in warned},
    }
    lines = annotate(replace(plan, nodes=(*tests, *warned, *models)), results, build, tmp_path)
    assert len(lines) == 21
    assert ["m0" in lines[0], "m1" in lines[1], "t0" in lines[2], "w0" in lines[10]] == [True] * 4
    assert lines[-1].endswith("4 errors and 1 warning more: see the summary or the log")
    assert not lines[-1].startswith(("::error", "::warning", "##"))


@pytest.mark.parametrize("build", [GITHUB, AZURE])
def test_text_of_the_warehouse_starts_no_command(tmp_path: Path, build: Build) -> None:
    plan = write_project(tmp_path)
    text = f"{dogs_run.HOSTILE}\n::error::x\n##vso[task.setvariable variable=PATH]x"
    named = node("model.dogs.fact_dogs", file="models/fact_dogs.sql")
    named = replace(named, item="x]##vso[task.complete]\n::stop-commands::y")
    plan = replace(plan, nodes=(named,))
    (line,) = annotate(plan, {named.unique_id: failed(text)[named.unique_id]}, build, tmp_path)
    assert "\n" not in line
    if build is AZURE:
        assert line.lower().count("##vso[") == 1
    else:
        assert "##vso[" not in line
        assert line.startswith("::error file=")
        data = line.split("::", 2)[2]
        assert not any(part.lstrip().startswith("::") for part in data.split("%0A"))


@pytest.mark.parametrize("provider", ["gitlab", "bitbucket", "jenkins", "local", "ci"])
def test_says_nothing_where_the_junit_file_is_read(tmp_path: Path, provider: str) -> None:
    plan = write_project(tmp_path)
    assert annotate(plan, RESULTS, Build(provider=provider), tmp_path) == ()


def test_says_nothing_of_a_green_run(tmp_path: Path) -> None:
    plan = write_project(tmp_path)
    green = {k: v for k, v in RESULTS.items() if v.outcome in ("passed", "skipped")}
    assert annotate(plan, green, GITHUB, tmp_path) == ()
