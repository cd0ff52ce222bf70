"""Distributed or alone: one plan, one build, one create, one drop, and nothing lost with a worker."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from examples import demo
from tests.support.validation import DEFER, Validation, validate

FACT = "models/staging/fact_dogs.sql"


@pytest.fixture(scope="module")
def repository(released: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the released example."""
    directory = tmp_path_factory.mktemp("xdist") / "dogs"
    demo.copy_repository(released, directory)
    return directory


@pytest.fixture(scope="module")
def alone(repository: Path) -> Validation:
    """One run without pytest-xdist."""
    return validate(repository, *DEFER, "-p", "no:xdist", "--durations=0", "-vv")


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(given, id=" ".join(given), marks=() if given[-1] in ("0", "--dist=load") else pytest.mark.slow)
        for given in (
            ("-n", "0"),
            ("-n", "auto"),
            *(("-n", "2", f"--dist={how}") for how in ("load", "loadscope", "loadfile", "loadgroup", "worksteal")),
        )
    ],
)
def test_gives_the_same_items_and_outcomes_in_every_mode(
    repository: Path, alone: Validation, given: tuple[str, ...]
) -> None:
    run = validate(repository, *DEFER, *given)
    assert run.code == alone.code == 0, run.output
    assert {n: c.outcome for n, c in run.cases.items()} == {n: c.outcome for n, c in alone.cases.items()}
    assert run.output.count("dropped dbt_build_1066") == 1
    assert not [s for s in demo.schemas(repository) if s.startswith("dbt_build")]


def test_runs_each_item_on_every_worker_from_one_build(repository: Path, alone: Validation) -> None:
    run = validate(repository, *DEFER, "-n", "2", "--dist=each", "--junitxml=each.xml")
    assert run.code == 0, run.output
    assert f"{2 * len(alone.cases)} passed" in run.output
    assert run.output.count("dropped dbt_build_1066") == 1


@pytest.mark.slow
@pytest.mark.parametrize("given", [("-p", "no:xdist"), ("-n", "2")], ids=["alone", "distributed"])
def test_durations_are_dbts(repository: Path, given: tuple[str, ...]) -> None:
    run = validate(repository, *DEFER, *given, "--durations=0", "-vv")
    shown = [line.split() for line in run.output.splitlines() if "s call " in line and line.endswith("::fact_dogs")]
    assert len(shown) == 1, run.output
    case = run.cases["models.staging.fact_dogs.sql::fact_dogs"]
    assert case.seconds > 0
    assert float(shown[0][0].rstrip("s")) == pytest.approx(case.seconds, abs=0.011)


CRASH = """
import os

def test_crash(dbt_relation):
    os._exit(3)

def test_crash_after_a_query(dbt_query):
    dbt_query("select i from range(200000) t(i)")
    os._exit(3)
"""
CRASH_EARLY = """
def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: "crash" not in item.name)
"""


@pytest.mark.slow
@pytest.mark.parametrize("early", [True, False], ids=["before the build ends", "after it"])
def test_crashed_workers_lose_neither_the_schema_nor_other_results(dogs: Path, early: bool) -> None:
    crash = CRASH.replace("(dbt_relation)", "()") if early else CRASH
    (dogs / "tests/python/test_crash.py").write_text(crash)
    (dogs / "conftest.py").write_text(CRASH_EARLY if early else "")
    run = validate(dogs, *DEFER, "-n", "2")
    assert run.code == 1, run.output
    assert {c.outcome for c in run.by_unique_id().values()} == {"passed"}
    assert len(run.by_unique_id()) == 23
    python = {n.split("::")[1]: c.outcome for n, c in run.cases.items() if "dbt_unique_id" not in c.properties}
    assert len(python) == 5
    assert {name for name, outcome in python.items() if outcome != "passed"} == {
        "test_crash",
        "test_crash_after_a_query",
    }, run.output
    assert run.output.count("crashed while running") >= 2
    assert run.output.count("dropped dbt_build_1066") == 1
    assert not [s for s in demo.schemas(dogs) if s.startswith("dbt_build")]


@pytest.mark.slow
@pytest.mark.parametrize("given", [("-x", "--dist=load"), ("--maxfail=1", "--dist=loadfile")], ids=" ".join)
def test_stops_dbt_for_all_workers_at_the_maximum_of_failures(dogs: Path, given: tuple[str, ...]) -> None:
    (dogs / "models/staging/a_broken.sql").write_text("select no_such_column from {{ ref('dim_dog') }}\n")
    (dogs / "models/staging/endless.sql").write_text(
        "{{ config(materialized='table') }}\n-- depends_on: {{ ref('dim_dog') }}\n"
        "select count(*) as n from range(200000000000) t(i) where i % 7 = 3\n"
    )
    (dogs / "tests/python/test_query.py").write_text("def test_query(dbt_query):\n    dbt_query('select 1')\n")
    paths = ("models/staging/a_broken.sql", "models/staging/endless.sql", "tests/python/test_query.py")
    run = validate(dogs, *DEFER, "-n", "2", *given, *paths)
    assert run.code == 2, "interrupted, as pytest-xdist ends a session that stops"
    assert run.output.count("stopping after 1 failures") == 2, run.output
    outcomes = {name.split("::")[1]: c.outcome for name, c in run.cases.items()}
    assert outcomes.pop("a_broken") == "failed"
    # Which of the others a worker has begun by then is its scheduler's affair; none of them did anything wrong.
    assert outcomes.keys() <= {"endless", "test_query"}
    assert set(outcomes.values()) == {"skipped"}, run.output
    assert {c.message for c in run.cases.values() if c.outcome == "skipped"} <= {
        "the session stopped before dbt had a result for it",
        "the session stopped before the warehouse answered this query",
        # pytest-xdist before 3.6 lets a worker begin its next test after its own last one failed.
        "a_broken was not built: it failed",
    }
    assert "dropped dbt_build_1066" in run.output
    remembered = json.loads((dogs / ".pytest_cache/v/cache/lastfailed").read_text())
    assert {name.split("::")[1] for name in remembered} == {"a_broken", *outcomes}, "--lf forgets nothing"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "given", "items", "besides"),
    [
        ("load", ("-k", "unique and income"), ("unique_monthly_income_v1_month", "unique_monthly_income_v2_month"), 3),
        ("loadscope", (f"{FACT}::unique_fact_dogs_stay_id",), ("unique_fact_dogs_stay_id",), 1),
        (
            "loadfile",
            ("-m", "dbt_test", "models/staging", "-k", "not_null", f"--deselect={FACT}::not_null_fact_dogs_dog_id"),
            ("not_null_fact_dogs_price_kronor", "not_null_fact_dogs_stay_id"),
            1,
        ),
        ("worksteal", (FACT, "-m", "dbt_unit_test"), ("a_week_is_a_tenth_off", "prices_are_in_kronor"), 1),
        ("loadgroup", ("tests/python", "-k", "fifth"), ("test_no_dog_brings_more_than_a_fifth_of_the_income",), 2),
    ],
    ids=["expression", "node id", "marker and deselected", "path", "Python test"],
)
def test_builds_only_what_the_items_left_need(
    repository: Path, how: str, given: tuple[str, ...], items: tuple[str, ...], besides: int
) -> None:
    run = validate(repository, *DEFER, "-n", "2", f"--dist={how}", *given)
    assert run.code == 0, run.output
    assert sorted(name.split("::")[1] for name in run.cases) == sorted(items)
    assert {c.outcome for c in run.cases.values()} == {"passed"}
    ran = [r["unique_id"] for r in json.loads((repository / "target/dbt_ci/run_results.json").read_text())["results"]]
    shown = [u for u in ran if u in run.by_unique_id()]
    assert len(shown) == len(run.by_unique_id())
    assert len(ran) - len(shown) == besides, "the models that the items need, and nothing more"
    assert run.output.count("dropped dbt_build_1066") == 1


def test_collects_the_same_distributed(repository: Path) -> None:
    found = validate(repository, *DEFER, "-n", "2", "--co", "-q", "models/staging", "-m", "dbt_unit_test")
    assert found.code == 0, found.output
    listed = [line for line in found.output.splitlines() if "::" in line]
    assert listed == [f"{FACT}::a_week_is_a_tenth_off", f"{FACT}::prices_are_in_kronor"]
    assert "dropped" not in found.output
