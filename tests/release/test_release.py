"""A release builds and tests everything in the target's own schemas; a rehearsal keeps failures away from them."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from examples import demo
from pytest_dbtci.plan import Plan
from pytest_dbtci.release.planner import held_back
from pytest_dbtci.results import Result
from tests.support.ci_environments import AZURE
from tests.support.finished_run import PLAN, RESULTS
from tests.support.tiny_project import PROJECT, commit, make_tiny, write
from tests.support.validation import Validation, command, environment, read_junit, validate
from tests.support.warehouses import Warehouse
from tests.support.warehouses.dbt_project import copy_project, write_profiles
from tests.support.warm_start import warm

PROD = "--dbt-ci-release=prod"
MASTER = {**AZURE, "BUILD_REASON": "Manual", "BUILD_SOURCEBRANCH": "refs/heads/master"}
ROW = "insert into analytics_staging.fact_walks values (777, 1, timestamp '2020-01-01', 50)"
# A team whose production schemas have no prefix: nothing in their names tells that they are this target's.
OWN_NAMES = """\
{% macro generate_schema_name(custom, node) %}{{ custom or target.schema }}{% endmacro %}
"""


@pytest.fixture
def master(released: Path, tmp_path: Path) -> Path:
    """The released example with master checked out."""
    return at_master(released, tmp_path / "dogs")


def at_master(released: Path, directory: Path) -> Path:
    """Copy the released example and check master out."""
    demo.copy_repository(released, directory)
    demo.git(directory, "switch", "--quiet", "master")
    return directory


def merge(directory: Path, files: dict[str, str]) -> None:
    """Bring files to the remote's master."""
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    demo.git(directory, "add", "--all")
    demo.git(directory, "commit", "--quiet", "--message=Change the dogs")
    demo.git(directory, "push", "--quiet", "--set-upstream", "origin", "HEAD")


def change_warehouse(directory: Path, sql: str) -> None:
    """Run a statement in the example's warehouse."""
    with duckdb.connect(str(directory / "warehouse.duckdb")) as connection:
        connection.execute(sql)


def walks(directory: Path) -> set[int]:
    """Give the walks that consumers see."""
    with duckdb.connect(str(directory / "warehouse.duckdb"), read_only=True) as connection:
        return {walk for (walk,) in connection.execute("select walk_id from analytics_staging.fact_walks").fetchall()}


@pytest.fixture(scope="module")
def first(released: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Validation]:
    """The first release ever, rehearsed: an empty warehouse, an agent that has the commit without a branch."""
    directory = at_master(released, tmp_path_factory.mktemp("first") / "dogs")
    (directory / "warehouse.duckdb").unlink()
    demo.git(directory, "checkout", "--quiet", "--detach")
    junit = directory.parent / "release.xml"
    # Without --dbt-ci: the release implies it.
    line = [sys.executable, "-m", "pytest", "-v", PROD, "--dbt-ci-rehearse", f"--junitxml={junit}"]
    done = subprocess.run(
        line, cwd=directory, env=warm(environment(**MASTER)), capture_output=True, text=True, check=False
    )
    return directory, Validation(code=done.returncode, output=done.stdout, cases=read_junit(junit), junit=junit)


def test_releases_every_node_of_the_project_as_an_item(first: tuple[Path, Validation]) -> None:
    directory, done = first
    assert done.code == 0, done.output
    ran = json.loads((directory / "target/dbt_ci/run_results.json").read_text())["results"]
    cases = done.by_unique_id()
    assert {r["unique_id"] for r in ran} == set(cases)
    assert {"seed.dogs.raw_dogs", "model.dogs.top_dogs", "snapshot.dogs.dog_history"} < set(cases)
    assert {(c.outcome, c.properties["dbt_reason"]) for c in cases.values()} == {("passed", "released")}


def test_releases_into_the_targets_own_schemas(first: tuple[Path, Validation], released: Path) -> None:
    directory, done = first
    # The same relations with the same rows as `dbt build --target prod` made; the snapshot has the time in it.
    was, now = demo.contents(released), demo.contents(directory)
    assert set(now) == set(was)
    assert {n for n in was if was[n] != now[n]} <= {"analytics.dog_history"}
    relations = {c.properties["dbt_relation"] for c in done.by_unique_id().values() if "dbt_relation" in c.properties}
    assert '"warehouse"."analytics_staging"."fact_dogs"' in relations
    assert not [r for r in relations if "dbt_build" in r]


def test_leaves_neither_marks_nor_the_rehearsals_schemas(first: tuple[Path, Validation]) -> None:
    directory, done = first
    assert "rehearsed first in dbt_build_rehearsal_prod_" in done.output
    assert "dbt-ci: dropped dbt_build_rehearsal_prod_" in done.output
    assert {s.split("_")[0] for s in demo.schemas(directory)} == {"analytics"}
    assert not [name for name in demo.contents(directory) if name.endswith("dbt_ci_mark")]


def test_says_what_is_released_where(first: tuple[Path, Validation]) -> None:
    directory, done = first
    commit = demo.git(directory, "rev-parse", "HEAD")[:7]
    expected = f"dbt-ci: release of master @ {commit} (the remote's tip) → target prod, schema analytics"
    assert expected in done.output


@pytest.mark.slow
def test_keeps_what_incremental_models_hold_unless_told_to_refresh(master: Path) -> None:
    change_warehouse(master, ROW)
    done = validate(master, PROD, "-n2")
    assert done.code == 0, done.output
    assert 777 in walks(master)
    looked = validate(master, PROD, "--collect-only", DBT_FULL_REFRESH="1")
    assert "DBT_FULL_REFRESH=1 in the environment: 1 incremental model is built anew" in looked.output
    done = validate(master, PROD, "--dbt-ci-full-refresh")
    assert done.code == 0, done.output
    assert walks(master)
    assert 777 not in walks(master)


RED = {
    "models/marts/loud_dogs.sql": "select 1 as dog_id union all select 1\n",
    "models/marts/loud_dogs.yml": "models:\n  - name: loud_dogs\n    columns: [{name: dog_id, data_tests: [unique]}]\n",
    "models/marts/after_loud_dogs.sql": "select * from {{ ref('loud_dogs') }}\n",
    # Built before the test fails, and seen by every consumer if it were released.
    "models/staging/dim_dog.sql": (demo.PROJECT / "models/staging/dim_dog.sql")
    .read_text()
    .replace("dogs.owner,", "upper(dogs.owner) as owner,"),
}


def test_a_failing_test_makes_a_release_red_and_leaves_it_undocumented(master: Path) -> None:
    page = master.parent / "page"
    page.mkdir()
    (page / "index.html").write_text("what was released before")
    merge(master, RED)
    done = validate(master, PROD, f"--dbt-ci-docs={page}")
    assert done.code == 1, done.output
    cases = done.by_unique_id()
    (failed,) = [u for u, c in cases.items() if c.outcome == "failed"]
    assert failed.startswith("test.dogs.unique_loud_dogs_dog_id")
    assert cases["model.dogs.after_loud_dogs"].outcome == "skipped"
    assert "analytics_marts.loud_dogs" in demo.contents(master)
    assert [p.name for p in page.iterdir()] == ["index.html"]
    assert (page / "index.html").read_text() == "what was released before"


def test_a_failing_rehearsal_leaves_the_consumers_schemas_untouched(master: Path) -> None:
    merge(master, RED)
    before = demo.contents(master)
    done = validate(
        master, PROD, "--dbt-ci-rehearse", f"--dbt-ci-docs={master.parent / 'page'}", "--dbt-ci-full-refresh"
    )
    assert done.code == 1, done.output
    assert demo.contents(master) == before
    assert not (master.parent / "page").exists()
    assert "dbt-ci: the rehearsal failed, so nothing was released to prod" in done.output
    cases = done.by_unique_id()
    (failed,) = [c for u, c in cases.items() if u.startswith("test.dogs.unique_loud_dogs_dog_id")]
    assert failed.outcome == "failed"
    assert failed.message.startswith("Got 1 result, configured to fail if != 0")
    assert "This was the rehearsal: nothing was released." in failed.text
    assert cases["model.dogs.after_loud_dogs"].message.endswith("failed upstream")
    assert "not released: unique_loud_dogs_dog_id failed in the rehearsal" in cases["model.dogs.fact_walks"].message
    assert {c.outcome for c in cases.values()} == {"failed", "skipped"}


HOOKED = """\
{{ config(materialized="table",
          pre_hook="create table if not exists " ~ target.schema ~ ".seen as select 1 as n",
          post_hook="insert into " ~ target.schema ~ ".seen values (2)") }}
select 1 as dog_id union all select 1
"""


@pytest.mark.slow
@pytest.mark.parametrize("names", ["", OWN_NAMES], ids=["the target's", "names of their own"])
def test_hooks_that_dbt_makes_while_it_parses_are_the_rehearsal_s_own(master: Path, names: str) -> None:
    merge(master, {**RED, "models/marts/loud_dogs.sql": HOOKED, "macros/generate_schema_name.sql": names})
    before = demo.contents(master)
    done = validate(master, PROD, "--dbt-ci-rehearse")
    assert done.code == 1, done.output
    wrong = {u for u, c in done.by_unique_id().items() if c.outcome not in ("passed", "skipped")}
    assert {u.rsplit(".", 1)[0] for u in wrong} == {"test.dogs.unique_loud_dogs_dog_id"}, done.output
    assert demo.contents(master) == before


def test_a_hook_that_works_in_a_schema_of_the_release_is_not_rehearsed(master: Path) -> None:
    hook = "{{ config(post_hook='create table marts.seen as select 1 as n') }} select 1 as dog_id\n"
    merge(master, {"models/marts/loud_dogs.sql": hook, "macros/generate_schema_name.sql": OWN_NAMES})
    before = demo.contents(master)
    done = validate(master, PROD, "--dbt-ci-rehearse")
    assert done.code == 4, done.output
    assert "a hook of loud_dogs works in the schema marts, which is not the rehearsal's" in done.output
    assert demo.contents(master) == before


@pytest.mark.slow
def test_rehearses_a_project_whose_schemas_have_names_of_their_own(master: Path) -> None:
    merge(master, {"macros/generate_schema_name.sql": OWN_NAMES})
    done = validate(master, PROD)
    assert done.code == 0, done.output
    merge(master, RED)
    before = demo.contents(master)
    assert "staging.dim_dog" in before
    done = validate(master, PROD, "--dbt-ci-rehearse", "--dbt-ci-keep-schema=failed")
    assert done.code == 1, done.output
    after = demo.contents(master)
    assert {name: after[name] for name in before} == before
    added = {name.partition(".")[0] for name in after if name not in before}
    assert all(schema.startswith("dbt_build_rehearsal_prod_") for schema in added)
    assert {schema.rpartition("_")[2] for schema in added} > {"staging", "marts", "raw"}


@pytest.mark.slow
def test_releases_nothing_when_the_rehearsal_is_interrupted(master: Path) -> None:
    slow = "select sum(a.range * b.range) as howls from range(10000000) as a, range(1000000) as b\n"
    merge(master, {"models/marts/slow.sql": "{{ config(materialized='table') }}\n" + slow, **RED})
    before = demo.contents(master)
    process = subprocess.Popen(
        command(PROD, "--dbt-ci-rehearse"), cwd=master, env=environment(), stdout=subprocess.PIPE, text=True
    )
    sent = master / "target/dbt_ci/run/dogs/models/marts/slow.sql"
    deadline = time.monotonic() + 120
    while not sent.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == pytest.ExitCode.INTERRUPTED, output
    assert demo.contents(master) == before
    assert {s.split("_")[0] for s in demo.schemas(master)} == {"analytics"}


def test_a_rehearsal_stops_at_a_schema_that_is_not_its_own(master: Path) -> None:
    commit = demo.git(master, "rev-parse", "HEAD")[:8]
    change_warehouse(master, f"create schema dbt_build_rehearsal_prod_{commit}")
    before = demo.contents(master)
    done = validate(master, PROD, "--dbt-ci-rehearse")
    assert done.code == 4, done.output
    assert demo.contents(master) == before


@pytest.mark.slow
def test_two_projects_of_one_name_take_no_schema_from_each_other(tmp_path: Path) -> None:
    project = make_tiny(tmp_path / "repo", "b")
    root = project.parent
    write(root, {"a/dbt_project.yml": PROJECT})
    commit(root, "another one")
    demo.git(root, "branch", "--quiet", "--force", "master")
    demo.git(root, "switch", "--quiet", "master")
    demo.git(tmp_path, "clone", "--quiet", "--bare", "repo", "origin.git")
    demo.git(root, "remote", "add", "origin", str(tmp_path / "origin.git"))
    here = ("--dbt-ci-project-dir=b", "--collect-only")
    rehearsed = validate(root, "--dbt-ci-release=ci", "--dbt-ci-rehearse", *here)
    assert re.search(r"rehearsed first in dbt_build_tiny_in_b_rehearsal_ci_\w{8}\b", rehearsed.output), rehearsed.output
    write(project, {"models/one.sql": "select 3 as a\n"})
    assert "schema dbt_build_tiny_in_b_7 " in validate(root, "--dbt-ci-pr=7", *here).output


@pytest.mark.slow
def test_releases_an_earlier_commit_when_told_to(master: Path) -> None:
    merge(master, RED)
    demo.git(master, "checkout", "--quiet", "--detach", "HEAD~1")
    done = validate(master, PROD, "--dbt-ci-release-behind", **MASTER)
    assert done.code == 0, done.output
    assert "(behind the remote's tip " in done.output


@pytest.fixture
def kennel(redshift: Warehouse, tmp_path: Path) -> Path:
    """The warehouse tests' project in front of the Redshift stand-in, pushed to a remote."""
    project = copy_project(tmp_path / "kennel")
    (tmp_path / "profiles").mkdir()
    write_profiles(tmp_path / "profiles", {"dev": redshift.output("dev"), "prod": redshift.output("prod")})
    (project / ".gitignore").write_text("target/\nlogs/\n")
    demo.git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", "origin.git")
    demo.git(project, "init", "--quiet", "--initial-branch=main")
    for key, value in (("user.name", "Anton"), ("user.email", "anton@example.com")):
        demo.git(project, "config", key, value)
    demo.git(project, "remote", "add", "origin", str(tmp_path / "origin.git"))
    merge(project, {})
    return project


@pytest.mark.slow
def test_releases_and_rehearses_on_redshift(kennel: Path, redshift: Warehouse) -> None:
    profiles, page = {"DBT_PROFILES_DIR": str(kennel.parent / "profiles")}, kennel.parent / "page"
    done = validate(kennel, PROD, "--dbt-ci-rehearse", f"--dbt-ci-docs={page}", **profiles)
    assert done.code == 0, done.output
    assert {"prod", "prod_staging"} <= set(redshift.schemas())
    assert {s.split("_")[0] for s in redshift.schemas()} == {"prod"}
    assert sorted(p.name for p in page.iterdir()) == ["index.html", "manifest.json"]
    before = redshift.contents()
    assert before["prod.fact_dogs"]

    (kennel / "models/marts/breeds.sql").write_text("select 1 as breed from {{ ref('no_such_dogs') }}")
    assert validate(kennel, PROD, **profiles).code == 4

    demo.git(kennel, "restore", ".")
    change = "select dog_id, name, dog_id / 0 as weight_kg from {{ ref('fact_dogs') }}\n"
    merge(kennel, {"models/marts/heavy_dogs.sql": change})
    done = validate(kennel, PROD, "--dbt-ci-rehearse", "--dbt-ci-full-refresh", **profiles)
    assert done.code == 1, done.output
    assert done.by_unique_id()["model.kennel.heavy_dogs"].outcome == "failed"
    assert {s.split("_")[0] for s in redshift.schemas()} == {"prod"}
    assert redshift.contents() == before


def release_of(plan: Plan = PLAN) -> Plan:
    return replace(
        plan,
        mode="release",
        destination=replace(plan.destination, rehearsal="dbt_build_rehearsal_prod_9d8c7b6a"),
    )


def test_holds_nothing_back_after_a_green_rehearsal() -> None:
    green = {n.unique_id: Result(unique_id=n.unique_id, status="success") for n in PLAN.items}
    assert list(held_back(release_of(), green, green)) == []


def test_holds_everything_back_when_a_node_failed_in_the_rehearsal() -> None:
    held = {r.unique_id: r for r in held_back(release_of(), RESULTS, RESULTS)}
    assert set(held) == set(RESULTS)
    assert held["test.dogs.unique_fact_dogs_id"].rows == RESULTS["test.dogs.unique_fact_dogs_id"].rows
    assert {r.outcome for u, r in held.items() if not RESULTS[u].is_bad} == {"skipped"}
    assert held["seed.dogs.raw_dogs"].message.startswith("not released: ")


def test_holds_everything_back_when_the_rehearsal_lost_a_node() -> None:
    green = {n.unique_id: Result(unique_id=n.unique_id, status="success") for n in PLAN.items}
    lost = green.pop("model.dogs.walks").unique_id
    held = {r.unique_id: r for r in held_back(release_of(), green, (*green, lost))}
    assert held[lost].outcome == "error"
    assert {held[u].outcome for u in green} == {"skipped"}
