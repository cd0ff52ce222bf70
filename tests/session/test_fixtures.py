"""A team's own Python tests see what was built, and hear plainly why they can't."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from examples import demo
from tests.support.validation import DEFER, Validation, environment, validate
from tests.support.warm_start import warm

TESTS = """
import datetime
import decimal
import pytest

@pytest.mark.dbt_needs("fact_dogs")
def test_plain_values(dbt_query):
    answer = dbt_query("select 7 as n, 'x' as s, 1.50::decimal(5,2) as d, date '2024-06-03' as day, null as nothing")
    assert answer.columns == ("n", "s", "d", "day", "nothing")
    assert answer[0] == (7, "x", decimal.Decimal("1.50"), datetime.date(2024, 6, 3), None)

@pytest.mark.dbt_needs("fact_dogs")
def test_big_answer(dbt_query):
    answer = dbt_query("select i from range(50000) t(i) order by i")
    assert len(answer) == 50000 and answer[49999] == (49999,)

@pytest.mark.dbt_needs("fact_dogs")
def test_relations(dbt_plan, dbt_schema, dbt_relation):
    assert dbt_schema == dbt_plan.destination.schema == "dbt_build_1066"
    assert "dbt_build_1066" in str(dbt_relation("fact_dogs"))
    assert not dbt_relation("fact_dogs").deferred
    assert dbt_relation("fact_dogs", deferred=True).deferred
    assert "dbt_build" not in str(dbt_relation("dim_dog"))

@pytest.mark.dbt_needs("fact_dogs")
def test_results(dbt_build):
    assert "fact_dogs" in dbt_build and "dim_dog" not in dbt_build
    assert dbt_build["fact_dogs"].outcome == "passed"

@pytest.mark.dbt_needs("fact_dogs")
def test_bad_sql(dbt_query):
    dbt_query("select no_such_column from {{ ref('fact_dogs') }}")

@pytest.mark.dbt_needs("fact_dogs")
def test_bad_ref(dbt_query):
    dbt_query("select * from {{ ref('no_such_model') }}")

@pytest.mark.dbt_needs("fact_dogs")
def test_no_such_relation(dbt_relation):
    dbt_relation("no_such_model")

@pytest.mark.dbt_needs("dim_dog")
def test_not_selected():
    assert False

@pytest.mark.dbt_needs("dim_dog", deferred=True)
def test_deferred(dbt_query):
    assert dbt_query("select count(*) from {{ ref('dim_dog') }}").scalar > 0

@pytest.mark.dbt_needs("dim_dgo")
def test_misspelt(dbt_query):
    assert False

@pytest.mark.dbt_needs("broken")
def test_on_a_broken_model(dbt_query):
    assert False

def test_that_needs_nothing():
    pass
"""


@pytest.fixture(scope="module")
def repository(released: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example with Python tests of every kind and a broken model."""
    directory = tmp_path_factory.mktemp("fixtures") / "dogs"
    demo.copy_repository(released, directory)
    (directory / "models/staging/broken.sql").write_text("select no_such_column from {{ ref('dim_dog') }}\n")
    (directory / "tests/python/test_kinds.py").write_text(TESTS)
    return directory


@pytest.fixture(
    scope="module",
    params=[pytest.param(("-p", "no:xdist"), marks=pytest.mark.slow), (), ("-n", "2")],
    ids=["xdist blocked", "idle", "active"],
)
def run(repository: Path, request: pytest.FixtureRequest) -> Validation:
    """One run of them, alone and distributed."""
    return validate(repository, *DEFER, *request.param, "tests/python/test_kinds.py")


def outcome(run: Validation, name: str) -> tuple[str, str]:
    case = run.cases[f"tests.python.test_kinds::{name}"]
    return case.outcome, case.message + case.text


def test_gives_values_relations_and_results(run: Validation) -> None:
    for name in ("plain_values", "big_answer", "relations", "results", "deferred", "that_needs_nothing"):
        assert outcome(run, f"test_{name}")[0] == "passed", outcome(run, f"test_{name}")


def test_shows_a_querys_error_without_what_lies_between(run: Validation) -> None:
    found, text = outcome(run, "test_bad_sql")
    assert found == "failed"
    assert "no_such_column" in text
    assert "pytest_dbtci/dbt_client/client.py" not in text
    assert "pytest_dbtci/execution/worker_channel.py" not in text
    found, text = outcome(run, "test_bad_ref")
    assert found == "failed"
    assert "depends on a node named 'no_such_model' which was not found" in text


def test_says_which_relation_there_is_not(run: Validation) -> None:
    found, text = outcome(run, "test_no_such_relation")
    assert found == "failed"
    assert "there is no relation of a node named 'no_such_model'" in text


def test_skips_what_was_not_selected_or_not_built(run: Validation) -> None:
    assert outcome(run, "test_not_selected")[1].startswith("dim_dog was not selected by this pull request")
    found, text = outcome(run, "test_on_a_broken_model")
    assert found == "skipped"
    assert text.startswith("broken was not built")
    assert "pytest_dbtci" not in text, "the test's own line is named"


def test_fails_where_no_node_has_the_name(run: Validation) -> None:
    """A test that never runs is not a green one."""
    found, text = outcome(run, "test_misspelt")
    assert found in ("failed", "error")
    assert "dbt_needs: the project has no node named dim_dgo: is dim_dog meant?" in text


def test_builds_only_what_they_name_and_shows_a_failure_that_no_item_shows(run: Validation) -> None:
    assert run.code == 1
    assert "no dbt item was asked for: 2 nodes were built for Python tests" in run.output
    assert "broken.sql::broken" in run.output
    assert "dropped dbt_build_1066" in run.output


def test_skips_with_the_reason_without_the_option(repository: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-rs", "tests/python/test_dogs.py"],
        cwd=repository,
        env=warm(environment()),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    assert "3 skipped" in done.stdout
    assert "needs --dbt-ci" in done.stdout
