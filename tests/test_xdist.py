"""Distributed or alone: one plan, one build, one create, one drop, and nothing lost with a worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples import demo
from tests.validation import DEFER, Validation, validate


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
        ("-n", "0"),
        ("-n", "auto"),
        *(("-n", "2", f"--dist={how}") for how in ("load", "loadscope", "loadfile", "loadgroup", "worksteal")),
    ],
    ids=" ".join,
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


@pytest.mark.parametrize("given", [("-p", "no:xdist"), ("-n", "2")], ids=["alone", "distributed"])
def test_durations_are_dbts(repository: Path, given: tuple[str, ...]) -> None:
    run = validate(repository, *DEFER, *given, "--durations=0", "-vv")
    shown = [line.split() for line in run.output.splitlines() if "s call " in line and line.endswith("::fact_dogs")]
    assert len(shown) == 1, run.output
    case = run.cases["models.staging.fact_dogs.sql::fact_dogs"]
    assert case.seconds > 0
    assert float(shown[0][0].rstrip("s")) == pytest.approx(case.seconds, abs=0.011)


def test_a_crashed_worker_loses_neither_the_schema_nor_other_results(dogs: Path) -> None:
    (dogs / "tests/python/test_crash.py").write_text("import os\n\ndef test_crash():\n    os._exit(3)\n")
    run = validate(dogs, *DEFER, "-n", "2")
    assert run.code == 1, run.output
    assert {c.outcome for c in run.by_unique_id().values()} == {"passed"}
    assert len(run.by_unique_id()) == 23
    assert "test_crash" in run.output
    assert "dropped dbt_build_1066" in run.output
    assert not [s for s in demo.schemas(dogs) if s.startswith("dbt_build")]


def test_stops_dbt_for_all_workers_at_the_maximum_of_failures(dogs: Path) -> None:
    (dogs / "models/staging/a_broken.sql").write_text("select no_such_column from {{ ref('dim_dog') }}\n")
    (dogs / "models/staging/slow.sql").write_text(
        "-- depends_on: {{ ref('dim_dog') }}\nselect count(*) as n from range(200000000000) t(i) where i % 7 = 3\n"
    )
    run = validate(dogs, *DEFER, "-n", "2", "--maxfail=1", "models/staging/a_broken.sql", "models/staging/slow.sql")
    assert run.code in (1, 2), run.output
    assert "stopping after 1 failures" in run.output
    assert "dropped dbt_build_1066" in run.output
