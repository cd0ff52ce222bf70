"""The example project and what makes a git repository of it, with real git, dbt and DuckDB."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from examples import demo


def dbt(directory: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from dbt.cli.main import cli; cli()", *arguments]
    return subprocess.run(
        command, cwd=directory, env=os.environ | environment, capture_output=True, text=True, check=False
    )


def test_a_release_fills_the_prod_schemas_and_no_others(released: Path) -> None:
    assert demo.schemas(released) == [
        "analytics",
        "analytics_dbt_test__audit",
        "analytics_marts",
        "analytics_raw",
        "analytics_staging",
    ]
    rows = {name: rows for name, (rows, _) in demo.contents(released).items()}
    assert rows["analytics_staging.dim_dog"] == 12
    assert rows["analytics_staging.fact_dogs"] == 24, "the test guest's stay is left out"
    assert rows["analytics_staging.fact_walks"] == 57
    assert rows["analytics.dog_history"] == 12


@pytest.mark.slow
def test_a_second_release_changes_no_row(released: Path, dogs: Path) -> None:
    demo.git(dogs, "switch", "--quiet", "master")
    demo.release(dogs)
    assert demo.contents(dogs) == demo.contents(released)


def test_contents_tell_one_changed_value(released: Path, dogs: Path) -> None:
    with duckdb.connect(str(dogs / "warehouse.duckdb")) as connection:
        connection.execute("update analytics_staging.fact_dogs set price_kronor = 1 where stay_id = 1001")
    before, after = demo.contents(released), demo.contents(dogs)
    assert [name for name in before if before[name] != after[name]] == ["analytics_staging.fact_dogs"]


def test_the_pull_request_builds_on_an_empty_warehouse_with_one_warning(dogs: Path, tmp_path: Path) -> None:
    empty = str(tmp_path / "empty.duckdb")
    strict = ["--show-all-deprecations", "--warn-error-options", '{"error": ["Deprecations"]}']
    built = dbt(dogs, "build", "--target", "ci", *strict, PR_NUMBER="1066", DOGS_WAREHOUSE=empty)
    assert built.returncode == 0, built.stdout

    results = json.loads((dogs / "target" / "run_results.json").read_text())["results"]
    assert {result["status"] for result in results} == {"success", "pass", "warn", "no-op"}
    warned = [result["unique_id"].split(".")[2] for result in results if result["status"] == "warn"]
    assert warned == ["not_null_fact_dogs_price_kronor"]

    manifest = json.loads((dogs / "target" / "manifest.json").read_text())
    schemas = {node["name"]: node["schema"] for node in manifest["nodes"].values()}
    assert schemas["dim_dog"] == schemas["fact_dogs"] == "dbt_build_1066_staging"
    assert schemas["dog_history"] == "dbt_build_1066"
    assert schemas["top_dogs"] == "dbt_build_1066_marts"


def test_the_project_parses_without_a_warning(dogs: Path) -> None:
    parsed = dbt(dogs, "parse", "--target", "prod", "--warn-error", "--show-all-deprecations")
    assert parsed.returncode == 0, parsed.stdout


def test_the_pull_request_is_one_commit_on_master_and_everything_is_committed(released: Path) -> None:
    assert demo.git(released, "status", "--porcelain") == ""
    assert demo.git(released, "branch", "--show-current").strip() == demo.BRANCH
    assert demo.git(released, "rev-parse", "origin/HEAD") == demo.git(released, "rev-parse", "HEAD^")
    assert demo.git(released, "diff", "--name-only", "origin/master...HEAD").split() == [
        "models/staging/fact_dogs.sql",
        "models/staging/staging.yml",
    ]
    assert demo.git(released, "rev-parse", "HEAD") == demo.git(released, "rev-parse", f"origin/{demo.BRANCH}")


def test_the_users_git_configuration_leaves_no_trace(
    released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "pre-commit").write_text("#!/bin/sh\nexit 1\n")
    (hooks / "pre-commit").chmod(0o755)
    (tmp_path / "ignore").write_text("*.csv\n")
    (tmp_path / "config").write_text(
        "[user]\n\tname = Somebody\n[commit]\n\tgpgSign = true\n[init]\n\tdefaultBranch = trunk\n"
        f"[core]\n\thooksPath = {hooks.as_posix()}\n\texcludesFile = {(tmp_path / 'ignore').as_posix()}\n"
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    directory = tmp_path / "hundar och kök"
    demo.make_repository(directory)
    demo.open_pull_request(directory)
    assert demo.git(directory, "rev-parse", "HEAD") == demo.git(released, "rev-parse", "HEAD")


def test_a_copy_lives_without_its_original(released: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    demo.copy_repository(released, first)
    demo.copy_repository(first, second)
    shutil.rmtree(first)
    demo.git(second, "commit", "--quiet", "--allow-empty", "--message=Think again")
    demo.git(second, "push", "--quiet", "origin", "HEAD")
    demo.git(second, "fetch", "--quiet", "origin")
    assert demo.git(second, "rev-parse", f"origin/{demo.BRANCH}") == demo.git(second, "rev-parse", "HEAD")
    assert demo.git(released, "rev-parse", f"origin/{demo.BRANCH}") != demo.git(second, "rev-parse", "HEAD")


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="not empty"):
        demo.make_repository(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_release_that_fails_shows_what_dbt_said(dogs: Path) -> None:
    (dogs / "models" / "staging" / "dim_dog.sql").write_text("select kennel from nowhere")
    with pytest.raises(RuntimeError, match="nowhere"):
        demo.release(dogs)


@pytest.mark.slow
def test_the_demo_ends_well_and_says_that_nothing_is_left(
    dogs: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a CI job that releases master has set is none of the demo's business.
    for name, value in {"TF_BUILD": "True", "BUILD_SOURCEBRANCH": "refs/heads/master"}.items():
        monkeypatch.setenv(name, value)
    assert demo.demonstrate(dogs) == 0
    said = capfd.readouterr().out
    assert "models/staging/fact_dogs.sql::a_week_is_a_tenth_off PASSED" in said
    assert "test_dogs.py::test_nobody_pays_more_than_on_master PASSED" in said
    assert "26 passed, 1 warning in" in said
    assert "Master's 11 relations hold the same rows as before." in said


@pytest.mark.slow
def test_the_demo_fails_when_a_schema_stays(
    dogs: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "VALIDATE", f"{demo.VALIDATE} --dbt-ci-keep-schema=always")
    assert demo.demonstrate(dogs) == 1
    assert "FAILED: left behind: dbt_build_1066, " in capfd.readouterr().out


@pytest.mark.slow
def test_a_python_test_of_the_team_stops_a_price_rise(dogs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = dogs / "models" / "staging" / "fact_dogs.sql"
    # No dbt test looks at stays as long as that.
    dearer = "price_ore - discount_ore + case when nights > 10 then price_ore * 0.2 else 0 end"
    model.write_text(model.read_text().replace("price_ore - discount_ore", dearer))
    assert demo.demonstrate(dogs) == 1
    said = capfd.readouterr().out
    assert "test_dogs.py::test_nobody_pays_more_than_on_master FAILED" in said
    assert "1 failed, 25 passed, 1 warning in" in said
