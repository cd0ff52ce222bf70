"""The sweep lists and drops what dead runs left, and nothing else."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

import duckdb
import pytest

from pytest_dbtci.dbt_client.client import Host
from pytest_dbtci.dbt_client.protocol.warehouse_requests import DropLeftover, ListLeftovers
from pytest_dbtci.errors import DbtCiError, UsageError
from pytest_dbtci.schemas.sweep import Criteria, Leftover, read_criteria
from pytest_dbtci.settings import Settings
from tests.support.repositories import commit, git, repository
from tests.support.scripted_forge import Forge, forge
from tests.support.tiny_project import make_tiny
from tests.support.validation import Validation, validate
from tests.support.warehouse_project import attach, open_schemas, running_host
from tests.support.warehouses import KINDS, SERVER_KINDS, Warehouse
from tests.support.warehouses.dbt_project import write_profiles
from tests.support.warehouses.faults import REDSHIFT_TOO_MANY_CONNECTIONS

__all__ = ["forge"]

pytestmark = pytest.mark.slow

Sweep = Callable[..., Validation]


def ago(**age: float) -> str:
    """Return the time that long ago as a mark has it."""
    return (datetime.now(timezone.utc) - timedelta(**age)).isoformat()


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """One dbt process that leaves schemas behind for all cases."""
    with running_host(tmp_path_factory.mktemp("host")) as host:
        yield host


@pytest.fixture
def sweep(process: Host, warehouse: Warehouse, tmp_path: Path) -> Sweep:
    """Run the sweep in a project that no git knows and dbt can't parse, over what five runs left."""
    attach(process, tmp_path / "attached", warehouse)
    left = {"7": ago(days=9), "8": ago(hours=5), "local_anna": ago(days=3), "77": ago(minutes=1)}
    for pr, started in left.items():
        open_schemas(process, warehouse, f"dbt_build_{pr}", pr=pr, run=f"run{pr}", started=started)
    open_schemas(process, warehouse, "dbt_build_7_staging", prefix="dbt_build_7_s", pr="7", started=ago(days=9))
    open_schemas(process, warehouse, "review_7", pr="7", started=ago(days=99))
    for statement in (
        "create table dbt_build_7.dogs as select 1 as id",
        "create view dbt_build_7_staging.dogs as select * from dbt_build_7.dogs",
        "create schema dbt_build_9",
        "create table dbt_build_9.precious as select 1 as id",
        "create schema finance",
        "create table finance.wages as select 1 as id",
    ):
        warehouse.query(statement)
    project = tmp_path / "project"
    (project / "tests").mkdir(parents=True)
    (project / "tests" / "test_nothing.py").write_text("def test_nothing(): assert False\n")
    (project / "models").mkdir()
    (project / "models" / "broken.sql").write_text("{{ this is no Jinja")
    (project / "dbt_project.yml").write_text("name: kennel\nprofile: kennel\n")
    # A profile that asks for the pull request, which a sweep has none of.
    write_profiles(project, {"ci": warehouse.output("dbt_build_{{ env_var('PR_NUMBER') }}")})
    return lambda *args, **environ: validate(project, *args, **environ)


def outcomes(run: Validation) -> dict[str, str]:
    """Return the outcome of every schema."""
    return {name.split("::")[-1]: case.outcome for name, case in run.cases.items()}


ALL = ("dbt_build_7", "dbt_build_77", "dbt_build_7_staging", "dbt_build_8", "dbt_build_9", "dbt_build_local_anna")
OTHERS = ("finance", "review_7")


def test_lists_drops_by_age_and_drops_by_pull_request(sweep: Sweep, warehouse: Warehouse) -> None:
    before = warehouse.contents()
    listed = sweep("--dbt-ci-sweep", "-n2", "tests")
    assert listed.code == 0, listed.output
    assert outcomes(listed) == dict.fromkeys(ALL, "skipped")
    assert "dbt-ci: dbt_build_7 of pull request 7, 9 days old, 1 relation" in listed.output
    assert "dbt_build_8 of pull request 8, 5 h old, 0 relations" in listed.output
    assert "dbt_build_9 carries no mark, so it is not ours: kept" in listed.output
    assert ("B: kept" in listed.output) is (warehouse.server is not None), "PostgreSQL and Redshift tell the size"
    assert warehouse.contents() == before

    aged = sweep("--dbt-ci-sweep=drop", "--dbt-ci-sweep-age=2d")
    assert aged.code == 0, aged.output
    gone = ("dbt_build_7", "dbt_build_7_staging", "dbt_build_local_anna")
    assert outcomes(aged) == {s: "passed" if s in gone else "skipped" for s in ALL}
    assert "dbt_build_8 of pull request 8, 5 h old, 0 relations" in aged.output
    assert "kept, it is younger than 2 days" in aged.output
    assert warehouse.schemas() == ("dbt_build_77", "dbt_build_8", "dbt_build_9", *OTHERS)

    named = sweep("--dbt-ci-sweep=drop", "--dbt-ci-sweep-pr=8, 9,77")
    assert named.code == 0, named.output
    assert outcomes(named) == {"dbt_build_77": "passed", "dbt_build_8": "passed", "dbt_build_9": "skipped"}
    assert warehouse.schemas() == ("dbt_build_9", *OTHERS)
    kept = {name: rows for name, rows in before.items() if name.split(".")[0] in ("dbt_build_9", *OTHERS)}
    assert warehouse.contents() == kept

    other = sweep("--dbt-ci-sweep=drop", "--dbt-ci-sweep-age=1d", "--dbt-ci-schema=nothing_like_{pr}")
    assert other.code == 0, other.output
    assert outcomes(other) == {"sweep": "skipped"}
    assert "dbt-ci: no schema was left: none is named as nothing_like_{pr} makes it" in other.output


@pytest.mark.parametrize("warehouse", SERVER_KINDS, indirect=True)
def test_is_red_where_a_schema_can_not_be_dropped_and_drops_the_others(sweep: Sweep, warehouse: Warehouse) -> None:
    warehouse.query("create view finance.report as select * from dbt_build_7.dogs")
    with closing(warehouse.connect()) as reader:
        cursor = reader.cursor()
        cursor.execute("begin")
        cursor.execute("select * from dbt_build_8.dbt_ci_mark")
        run = sweep("--dbt-ci-sweep=drop", "--dbt-ci-sweep-age=0m", DBT_CI_LOCK_SECONDS="1")
    assert run.code == 1, run.output
    assert outcomes(run) == {
        "dbt_build_7": "failed",
        "dbt_build_7_staging": "passed",
        "dbt_build_77": "passed",
        "dbt_build_8": "failed",
        "dbt_build_9": "skipped",
        "dbt_build_local_anna": "passed",
    }
    texts = {name.split("::")[-1]: case.text for name, case in run.cases.items()}
    assert "outside the pull request's schemas depend on it: finance.report" in texts["dbt_build_7"]
    assert "another session held a lock on something in it for 1 seconds" in texts["dbt_build_8"]
    assert "Traceback" not in run.output
    assert warehouse.schemas() == ("dbt_build_7", "dbt_build_8", "dbt_build_9", *OTHERS)


@pytest.mark.parametrize("warehouse", SERVER_KINDS, indirect=True)
def test_is_red_and_says_why_where_the_warehouse_does_not_answer(sweep: Sweep, warehouse: Warehouse) -> None:
    warehouse.faults.refuse(REDSHIFT_TOO_MANY_CONNECTIONS, times=50)
    run = sweep("--dbt-ci-sweep")
    warehouse.faults.reset()
    assert run.code == 1, run.output
    assert outcomes(run) == {"sweep": "error"}
    assert "the schemas could not be listed: " in run.output
    assert "exceeded for non-bootstrap users" in run.output
    assert str(warehouse.profile["password"]) not in run.output
    assert "raise SweepFailed" not in run.output, "a traceback says nothing about a warehouse"


ODD = (
    "dbt_build_7_A näme",
    "dbt_build_7_x.y",
    "dbt_build_7_it's",
    "dbt_build_7_50%",
    "dbt_build_7_a::b",
    "dbt_build_7_\n",
)


@pytest.mark.parametrize("warehouse", KINDS, indirect=True)
def test_drops_what_has_an_odd_name_and_lists_a_strangers(process: Host, sweep: Sweep, warehouse: Warehouse) -> None:
    open_schemas(process, warehouse, *ODD, prefix="dbt_build_7_", pr="7", started=ago(days=1))
    warehouse.query('create schema "dbt_build_7_""quoted"""')
    run = sweep("--dbt-ci-sweep=drop", "--dbt-ci-sweep-pr=7")
    assert run.code == 0, run.output
    left = tuple(s for s in warehouse.schemas() if s.lower().startswith("dbt_build_7_"))
    assert left == ('dbt_build_7_"quoted"',), run.output
    assert 'dbt_build_7_"quoted" carries no mark, so it is not ours: kept' in run.output


@pytest.mark.parametrize("warehouse", ["duckdb"], indirect=True)
def test_leaves_what_another_repository_or_project_owns(process: Host, sweep: Sweep, warehouse: Warehouse) -> None:
    whose = {"repository": "github.com/org/shop", "project": "shop##vso[task.complete]"}
    open_schemas(process, warehouse, "dbt_build_7_theirs", pr="7", run="r9", whose=whose)
    run = sweep("--dbt-ci-sweep=drop", "--dbt-ci-sweep-pr=7", "--dbt-ci-sweep-age=0m", TF_BUILD="True")
    assert run.code == 0, run.output
    gone = ("dbt_build_7", "dbt_build_7_staging")
    assert outcomes(run) == {s: "passed" if s in gone else "skipped" for s in (*ALL, "dbt_build_7_theirs")}
    for text in (run.output, run.junit.read_text()):
        assert "of pull request 7 of project shop# #vso[task.complete] in github.com/org/shop" in text
        assert "##vso" not in text
    assert "dbt_build_7_theirs" in warehouse.schemas()


def test_a_project_in_a_submodule_is_of_the_repository_whose_pull_request_it_was(tmp_path: Path) -> None:
    make_tiny(tmp_path / "tiny")
    outer = repository(tmp_path / "outer")
    git(outer, "submodule", "--quiet", "add", str(tmp_path / "tiny"), "dw")
    git(outer / "dw", "checkout", "--quiet", "--detach", "origin/master")
    base = commit(outer, {}, "Add the submodule")
    git(outer / "dw", "checkout", "--quiet", "--detach", "origin/feature")
    commit(outer, {}, "Move it")
    built = validate(outer / "dw", "--dbt-ci-pr=7", f"--dbt-ci-base={base}", "--dbt-ci-keep-schema=always")
    assert built.code == 0, built.output
    swept = validate(outer / "dw", "--dbt-ci-sweep=drop", "--dbt-ci-sweep-pr=7")
    assert outcomes(swept) == {"dbt_build_7": "passed"}, swept.output


def test_leaves_a_schema_that_a_new_run_took_between_the_list_and_the_drop(
    process: Host, warehouse: Warehouse, tmp_path: Path
) -> None:
    attach(process, tmp_path / "attached", warehouse)
    open_schemas(process, warehouse, "dbt_build_7", run="r0")
    [listed] = process.ask(ListLeftovers(beginning="dbt_build_"))
    assert listed.mark is not None
    open_schemas(process, warehouse, "dbt_build_7", run="r1", started=ago(seconds=1))
    request = DropLeftover(database=listed.database, schema=listed.schema, run=listed.mark.run, inside=())
    with pytest.raises(DbtCiError, match="dbt_build_7 has changed hands since it was listed, so it stays"):
        process.ask(request)
    assert warehouse.query("select run from dbt_build_7.dbt_ci_mark") == [("r1",)]


NOW = Leftover(database="d", schema="dbt_build_7", pr="7", run="r", age=timedelta(hours=30))


@pytest.mark.parametrize(
    ("criteria", "leftover", "reason"),
    [
        (Criteria(age=timedelta(hours=30)), NOW, ""),
        (Criteria(age=timedelta(hours=31)), NOW, "younger"),
        (Criteria(prs=("7",)), NOW, ""),
        (Criteria(prs=("77",)), NOW, "not asked for"),
        (Criteria(age=timedelta(hours=31), prs=("7",)), NOW, "younger"),
        (Criteria(), NOW, "only listed"),
        (Criteria(age=timedelta()), Leftover(database="d", schema="dbt_build_7"), "not ours"),
        (Criteria(age=timedelta()), Leftover(database="d", schema="s", pr="7", run="r"), "age is unknown"),
        (Criteria(prs=("7",)), Leftover(database="d", schema="s", pr="7", run="r"), ""),
    ],
)
def test_decides_by_age_and_pull_request(criteria: Criteria, leftover: Leftover, reason: str) -> None:
    said = criteria.reason_to_keep(leftover)
    assert reason in said
    assert bool(reason) == bool(said)


def settings(**given: str) -> Settings:
    """Return settings that sweep."""
    return Settings(rootdir=Path(os.sep), invocation_dir=Path(os.sep), **given)  # type: ignore[arg-type]


def test_reads_ages_and_pull_requests() -> None:
    assert read_criteria(settings(sweep_age="36h")) == Criteria(age=timedelta(hours=36))
    assert read_criteria(settings(sweep_age="2w")).age == timedelta(days=14)
    assert read_criteria(settings(sweep_pr="12, 15,local_anna")).prs == ("12", "15", "local_anna")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"sweep": "drop"}, "say what may go"),
        ({"sweep": "drop", "sweep_pr": " , "}, "say what may go"),
        ({"sweep_age": "7"}, "write a number and m, h, d or w"),
        ({"sweep_age": "-7d"}, "write a number and m, h, d or w"),
        ({"sweep_age": "7 d"}, "write a number and m, h, d or w"),
        ({"sweep_age": "٧d"}, "write a number and m, h, d or w"),
    ],
)
def test_refuses_a_sweep_without_a_limit_or_with_a_strange_one(given: dict[str, str], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        read_criteria(settings(**given))


def test_the_sweep_drops_what_the_provider_says_is_closed(tmp_path: Path, forge: Forge) -> None:
    project = make_tiny(tmp_path / "repo")
    assert validate(project, "--dbt-ci-pr=7", "--dbt-ci-keep-schema=always", "--dbt-ci-target=ci").code == 0
    with duckdb.connect(str(project / "tiny.duckdb")) as connection:
        for pr in ("8", "9", "10", "anna"):
            mark = f"dbt_build_{pr}.dbt_ci_mark"
            connection.execute(f"create schema dbt_build_{pr}")
            connection.execute(f"create table {mark} as from dbt_build_7.dbt_ci_mark")
            connection.execute(f"update {mark} set pr = '{pr}'")
        connection.execute("update dbt_build_10.dbt_ci_mark set repository = 'elsewhere'")
    environ = {
        **{"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "o/tiny", "GITHUB_API_URL": forge.url},
        **{"GITHUB_TOKEN": "t0ken-of-the-job", "GITHUB_REF": "refs/heads/master", "no_proxy": "127.0.0.1"},
    }
    closed = ("--dbt-ci-target=ci", "--dbt-ci-sweep=drop", "--dbt-ci-sweep-pr=closed")

    forge.answers = [(200, {"state": "open"}), (404, {"message": "Not Found"}), (500, {"message": "busy"})]
    unknown = validate(project, *closed, **environ)
    assert unknown.code == 0, unknown.output
    assert "dropped" not in unknown.output
    assert "where the provider says no state, nothing of it goes: 8: It is not known" in unknown.output

    tokenless = validate(project, *closed, **{**environ, "GITHUB_TOKEN": ""})
    assert tokenless.code == 1, tokenless.output
    assert outcomes(tokenless)["sweep"] == "error"
    assert "nothing was dropped, as no state of a pull request is known" in tokenless.output
    assert "GITHUB_TOKEN is not set" in tokenless.output

    forge.answers = [(200, {"state": "closed"}), (200, {"state": "open"}), (404, {"message": "Not Found"})]
    found = validate(project, *closed, "--dbt-ci-sweep-age=7d", **environ)

    assert found.code == 0, found.output
    said = re.findall(r"dbt-ci: (dbt_build_\w+) of pull request \w+(.*?), .*: (dropped|kept, .*)", found.output)
    assert {name: (state.partition(" of project")[2] or state, became) for name, state, became in said} == {
        "dbt_build_7": (" (closed)", "dropped"),
        "dbt_build_8": (" (open)", "kept, it is younger than 7 days"),
        "dbt_build_9": ("", "kept, it is younger than 7 days"),
        "dbt_build_anna": ("", "kept, it is younger than 7 days"),
        "dbt_build_10": (" tiny in elsewhere", "kept, only a run or a sweep of that repository and project drops it"),
    }
    assert "where the provider says no state, only the age decides: 9: It is not known" in found.output
    assert [r[:2] for r in forge.asked()] == [("GET", f"/repos/o/tiny/pulls/{n}") for n in (7, 8, 9, 7, 8, 9)]
    aged = validate(project, *closed, "--dbt-ci-sweep-age=0m", **environ)
    assert outcomes(aged) == {
        **dict.fromkeys(("dbt_build_8", "dbt_build_9", "dbt_build_anna"), "passed"),
        "dbt_build_10": "skipped",
    }
