"""Paths, node ids, expressions and re-runs mean for dbt's items what they mean for Python tests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from examples import demo
from tests.support.validation import DEFER, Validation, validate

FACT = "models/staging/fact_dogs.sql"


@pytest.fixture(scope="module")
def repository(released: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the released example on which only collection runs."""
    directory = tmp_path_factory.mktemp("selection") / "dogs"
    demo.copy_repository(released, directory)
    return directory


def collected(run: Validation) -> list[str]:
    """Return the node ids of `--collect-only -q`."""
    return [line for line in run.output.splitlines() if "::" in line and not line.startswith("ERROR")]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((f"{FACT}::unique_fact_dogs_stay_id",), [f"{FACT}::unique_fact_dogs_stay_id"]),
        (("-k", "unique and income"), None),
        (("-m", "dbt_unit_test", FACT), [f"{FACT}::a_week_is_a_tenth_off", f"{FACT}::prices_are_in_kronor"]),
    ],
    ids=["node id", "expression", "marker"],
)
def test_selects_the_pytest_way(repository: Path, given: tuple[str, ...], expected: list[str] | None) -> None:
    found = collected(validate(repository, *DEFER, "--collect-only", "-q", *given))
    assert found
    assert found == expected if expected else all("unique" in f and "income" in f for f in found)


@pytest.mark.slow
def test_an_expression_that_pytest_refuses_builds_nothing(repository: Path) -> None:
    run = validate(repository, *DEFER, "-k", "and")
    assert run.code == 4
    assert "Wrong expression passed to '-k'" in run.output
    assert "dropped" not in run.output


def test_collects_a_folder_and_leaves_out_what_is_deselected(repository: Path) -> None:
    found = collected(validate(repository, *DEFER, "--co", "-q", "models/staging", f"--deselect={FACT}::fact_dogs"))
    assert found
    assert {f.split("::")[0] for f in found} == {FACT}
    assert f"{FACT}::fact_dogs" not in found


def test_puts_dbts_items_first_in_build_order_and_names_each_once(repository: Path) -> None:
    found = collected(validate(repository, *DEFER, "--co", "-q"))
    python = [i for i, f in enumerate(found) if f.startswith("tests/python/")]
    assert python == list(range(len(found) - len(python), len(found)))
    assert found.index(f"{FACT}::fact_dogs") < found.index("models/marts/top_dogs.sql::top_dogs")
    assert len(set(found)) == len(found)


def test_says_that_the_pull_request_does_not_select_what_was_named(repository: Path) -> None:
    run = validate(repository, *DEFER, "-rs", "models/staging/dim_dog.sql::dim_dog")
    assert run.code == 0, run.output
    case = run.cases["models.staging.dim_dog.sql::dim_dog"]
    assert (case.outcome, case.message) == ("skipped", "dbt knows it, but this pull request does not select it")
    assert "so nothing was built" in run.output
    assert "dropped" not in run.output
    assert "pytest_dbtci/" not in run.output


def test_refuses_a_name_that_dbt_does_not_know(repository: Path) -> None:
    run = validate(repository, *DEFER, f"{FACT}::no_such_test")
    assert run.code == 4
    assert "not found" in run.output


def test_prepares_what_python_tests_need_and_says_that_no_dbt_item_was_asked_for(repository: Path) -> None:
    name = "test_no_dog_brings_more_than_a_fifth_of_the_income"
    run = validate(repository, *DEFER, f"tests/python/test_dogs.py::{name}")
    assert [c.outcome for c in run.cases.values()] == ["passed"], run.output
    assert "no dbt item was asked for" in run.output
    assert "dropped dbt_build_1066" in run.output


def test_blames_no_choice_of_items_where_a_file_can_not_be_collected(repository: Path) -> None:
    broken = repository / "tests/python/test_broken.py"
    broken.write_text("import no_such_module\n")
    run = validate(repository, *DEFER)
    broken.unlink()
    assert run.code == pytest.ExitCode.INTERRUPTED
    assert "no_such_module" in run.output
    assert "no dbt item was asked for" not in run.output
    assert "dropped" not in run.output


@pytest.fixture(scope="module")
def hidden(released: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example with planned nodes in folders that pytest leaves out by name, or because a conftest file says so."""
    directory = tmp_path_factory.mktemp("hidden") / "dogs"
    demo.copy_repository(released, directory)
    files = {
        "models/build/in_build.sql": "select 1 as one\n",
        "models/dist/deep/in_dist.sql": "select 1 as one\n",
        "models/slow/slow.sql": "select 1 as one\n",
        "tests/build/is_one.sql": "select one from {{ ref('in_build') }} where one <> 1\n",
        "tests/build/test_of_pythons_build.py": "def test_that_pytest_leaves_out():\n    assert False\n",
        "tests/slow/test_slow.py": "def test_that_is_slow():\n    pass\n",
        "conftest.py": "collect_ignore = ['models/dist']\n",
    }
    for path, text in files.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(text)
    return directory


EVERYWHERE = {"in_build", "in_dist", "slow", "is_one", "test_that_is_slow"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "missing", "said"),
    [
        ((), set[str](), ""),
        (("--ignore=tests/slow",), {"test_that_is_slow"}, ""),
        (("--ignore-glob=*/slow*", "models", "tests"), {"slow", "test_that_is_slow"}, "models/slow/slow.sql::slow"),
        (("models", "tests", "--ignore=models/build"), {"in_build"}, "models/build/in_build.sql::in_build"),
        (("-o", "testpaths=tests", "--ignore=models/build"), {"in_build"}, "models/build/in_build.sql::in_build"),
    ],
    ids=["nothing", "Python tests", "pattern", "folder", "beside testpaths"],
)
def test_leaves_out_planned_nodes_only_where_the_command_line_says_so(
    hidden: Path, given: tuple[str, ...], missing: set[str], said: str
) -> None:
    run = validate(hidden, *DEFER, "--co", "-q", *given)
    assert run.code == 0, run.output
    names = {line.split("::")[1] for line in collected(run) if not line.startswith("dbt-ci")}
    assert EVERYWHERE - names == missing
    assert "fact_dogs" in names
    assert "test_that_pytest_leaves_out" not in names
    told = [line for line in run.output.splitlines() if "because of --ignore" in line]
    assert told == ([f"dbt-ci: not collected, because of --ignore: {said}"] if said else [])


def test_builds_what_stands_in_folders_that_pytest_leaves_out(hidden: Path) -> None:
    run = validate(hidden, *DEFER, "-n", "2", "--ignore=tests/slow", "-k", "in_build or in_dist or is_one")
    assert run.code == 0, run.output
    assert built(hidden) == {"model.dogs.in_build", "model.dogs.in_dist", "test.dogs.is_one"}
    assert set(run.by_unique_id()) == built(hidden)


def test_stops_dbt_at_the_first_failure(dogs: Path) -> None:
    (dogs / "models/staging/a_broken.sql").write_text("select no_such_column from {{ ref('dim_dog') }}\n")
    (dogs / "models/staging/slow.sql").write_text(
        "{{ config(materialized='table') }}\n-- depends_on: {{ ref('dim_dog') }}\n"
        "select count(*) as n from range(200000000000) t(i) where i % 7 = 3\n"
    )
    run = validate(dogs, *DEFER, "-x", "models/staging/a_broken.sql", "models/staging/slow.sql")
    assert run.code == 1, run.output
    assert [c.outcome for c in run.cases.values()] == ["failed"]
    assert "dropped dbt_build_1066" in run.output


ALONE_AND_DISTRIBUTED = pytest.mark.parametrize(
    "processes",
    [pytest.param(("-p", "no:xdist"), id="alone"), pytest.param(("-n", "2"), id="distributed", marks=pytest.mark.slow)],
)
PYTHON = """
import pytest

@pytest.mark.dbt_needs("hangs_on_broken")
def test_on_broken(dbt_query):
    assert dbt_query("select count(*) from {{ ref('hangs_on_broken') }}").scalar == 24
"""


@pytest.mark.slow
@ALONE_AND_DISTRIBUTED
def test_goes_on_where_it_stopped_and_puts_failures_first(dogs: Path, processes: tuple[str, ...]) -> None:
    broken = dogs / "models/staging/a_broken.sql"
    broken.write_text("select no_such_column from {{ ref('dim_dog') }}\n")
    given = (*DEFER, *processes, "models/staging/a_broken.sql", "models/marts/top_dogs.sql")
    first = validate(dogs, *given, "--sw")
    assert first.code == 2, "interrupted, as pytest ends a stepwise run"
    assert [n.split("::")[1] for n, c in first.cases.items() if c.outcome != "passed"] == ["a_broken"], first.output
    broken.write_text("select dog_id from {{ ref('dim_dog') }}\n")
    second = validate(dogs, *given, "--ff")
    assert (second.code, {c.outcome for c in second.cases.values()}) == (0, {"passed"}), second.output
    # Distributed, the other worker may well have reported before.
    assert processes[0] == "-n" or next(iter(second.cases)).endswith("::a_broken")
    assert validate(dogs, *given, "--sw").code == 0


@pytest.mark.slow
@ALONE_AND_DISTRIBUTED
def test_builds_again_only_what_failed_and_what_was_skipped_because_of_it(
    dogs: Path, processes: tuple[str, ...]
) -> None:
    broken = dogs / "models/staging/broken.sql"
    broken.write_text("select no_such_column from {{ ref('fact_dogs') }}\n")
    (dogs / "models/staging/hangs_on_broken.sql").write_text("select * from {{ ref('broken') }}\n")
    (dogs / "tests/python/test_broken.py").write_text(PYTHON)
    keep = "--dbt-ci-keep-schema=failed"
    again = {"broken", "hangs_on_broken", "test_on_broken"}

    first = validate(dogs, *DEFER, *processes, keep)
    assert first.code == 1, first.output
    assert "dbt-ci: kept dbt_build_1066" in first.output
    assert {n.split("::")[1] for n, c in first.cases.items() if c.outcome != "passed"} == again

    broken.write_text("select dog_id from {{ ref('fact_dogs') }}\n")
    second = validate(dogs, *DEFER, *processes, keep, "--lf")
    assert second.code == 0, second.output
    assert {name.split("::")[1] for name in second.cases} == again
    assert {c.outcome for c in second.cases.values()} == {"passed"}
    assert built(dogs) == {"model.dogs.broken", "model.dogs.hangs_on_broken"}
    assert "dropped dbt_build_1066" in second.output
    assert not [s for s in demo.schemas(dogs) if s.startswith("dbt_build")]

    third = validate(dogs, *DEFER, *processes, keep, "--lf")
    assert (third.code, third.cases.keys()) == (0, first.cases.keys()), "after a green run there is no last failure"
    assert built(dogs) == set(third.by_unique_id())


@pytest.mark.slow
def test_builds_a_changed_parent_anew_in_a_kept_schema(dogs: Path) -> None:
    broken = dogs / "models/staging/broken.sql"
    broken.write_text("select no_such_column from {{ ref('fact_dogs') }}\n")
    keep = "--dbt-ci-keep-schema=failed"
    assert validate(dogs, *DEFER, keep).code == 1
    broken.write_text("select dog_id from {{ ref('fact_dogs') }}\n")
    fact = dogs / FACT
    fact.write_text(fact.read_text() + "\n-- said more clearly\n")
    second = validate(dogs, *DEFER, keep, "--lf")
    assert second.code == 0, second.output
    assert built(dogs) == {"model.dogs.broken", "model.dogs.fact_dogs"}


@pytest.mark.slow
def test_does_not_trust_a_schema_that_another_run_made_since(dogs: Path) -> None:
    broken = dogs / "models/staging/broken.sql"
    broken.write_text("select no_such_column from {{ ref('fact_dogs') }}\n")
    keep = "--dbt-ci-keep-schema=failed"
    assert validate(dogs, *DEFER, keep).code == 1
    assert validate(dogs, *DEFER, "--dbt-ci-keep-schema=always", "-p", "no:cacheprovider").code == 1
    second = validate(dogs, *DEFER, keep, "--lf")
    assert second.code == 1, second.output
    assert built(dogs) == {"model.dogs.broken", "model.dogs.fact_dogs"}


def built(directory: Path) -> set[str]:
    """Return what dbt ran last."""
    written = json.loads((directory / "target/dbt_ci/run_results.json").read_text())["results"]
    return {r["unique_id"] for r in written}
