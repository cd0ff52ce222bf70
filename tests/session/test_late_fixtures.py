"""A Python test that says too late what it needs hears how to say it, and spoils nothing for the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples import demo
from tests.support.validation import DEFER, Validation, validate

TESTS = """
import pytest

@pytest.fixture(scope="session")
def stays(dbt_query):
    yield dbt_query("select count(*) from {{ ref('fact_dogs') }}").scalar
    # The last item, which ends this fixture, does not take it.
    assert dbt_query("select 1").scalar == 1

def test_late_query(request):
    request.getfixturevalue("dbt_query")("select 1")

def test_late_build(request):
    request.getfixturevalue("dbt_build")["fact_dogs"]

def test_late_relation(request):
    request.getfixturevalue("dbt_relation")("fact_dogs")

def test_late_schema(request):
    request.getfixturevalue("dbt_schema")

def test_plan_is_never_late(request):
    assert request.getfixturevalue("dbt_plan").nodes

@pytest.mark.dbt_needs("fact_dogs")
def test_with_a_marker(request):
    assert request.getfixturevalue("dbt_build")["fact_dogs"].outcome == "passed"
    schema = request.getfixturevalue("dbt_schema")
    assert request.getfixturevalue("dbt_relation")("fact_dogs").schema == f"{schema}_staging"

@pytest.mark.usefixtures("dbt_query")
@pytest.mark.dbt_needs("fact_dogs")
def test_with_usefixtures(request):
    assert request.getfixturevalue("dbt_query")("select count(*) from {{ ref('fact_dogs') }}").scalar > 0

@pytest.mark.dbt_needs("fact_dogs")
def test_by_way_of_a_fixture(stays):
    assert stays > 0

def test_late_query_again(request):
    request.getfixturevalue("dbt_query")("select 1")
"""


@pytest.fixture(scope="module")
def repository(released: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example with tests that ask for fixtures while they run."""
    directory = tmp_path_factory.mktemp("late") / "dogs"
    demo.copy_repository(released, directory)
    (directory / "tests/python/test_late.py").write_text(TESTS)
    return directory


@pytest.fixture(
    scope="module", params=[("-p", "no:xdist"), ("-n", "2", "--dist=loadfile")], ids=["alone", "distributed"]
)
def run(repository: Path, request: pytest.FixtureRequest) -> Validation:
    """One run of them, alone and on a worker."""
    return validate(repository, *DEFER, *request.param, "tests/python/test_late.py")


@pytest.mark.slow
def test_says_what_to_do_where_a_fixture_comes_too_late(run: Validation) -> None:
    cases = {name.split("::")[1]: c for name, c in run.cases.items()}
    late = {name: c for name, c in cases.items() if name.startswith("test_late")}
    assert len(late) == 5
    for name, case in late.items():
        fixture = f"dbt_{name.split('_')[2]}"
        assert case.outcome == "failed"
        assert f"{name} asks for {fixture} only while it runs" in case.text
        assert f"@pytest.mark.usefixtures('{fixture}')" in case.text
        for machinery in ("pytest_dbtci/", "pytest_dbtci.", "_pytest/", "pluggy/"):
            assert machinery not in case.message + case.text, "the test's own line is what is shown"
    others = {name: c.outcome for name, c in cases.items() if name not in late}
    assert len(others) == 4
    assert set(others.values()) == {"passed"}, run.output
    assert run.output.count("dropped dbt_build_1066") == 1


def test_only_late_tests_build_nothing_and_wait_for_nothing(repository: Path) -> None:
    run = validate(repository, *DEFER, "tests/python/test_late.py", "-k", "late_build")
    assert (run.code, [c.outcome for c in run.cases.values()]) == (1, ["failed"])
    assert "so nothing was built" in run.output
    assert "dropped" not in run.output


def test_what_reads_only_the_deferral_target_needs_no_schema(repository: Path) -> None:
    run = validate(repository, *DEFER, "tests/python/test_dogs.py::test_a_name_fits_on_the_collar")
    assert (run.code, [c.outcome for c in run.cases.values()]) == (0, ["passed"]), run.output
    assert "so nothing was built" in run.output
    assert "dropped" not in run.output
