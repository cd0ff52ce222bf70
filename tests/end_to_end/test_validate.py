"""A pull request is validated end to end: real git, real dbt, real DuckDB, pytest in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from examples import demo
from tests.support.validation import DEFER, Validation, validate

MODEL = "models/staging/fact_dogs.sql"
OUTCOMES = {
    "success": "passed",
    "pass": "passed",
    "warn": "passed",
    "fail": "failed",
    "error": "failed",
    "skipped": "skipped",
}


@pytest.fixture(scope="module")
def pull_request(released: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, tuple[int, int]]]:
    """The example with its prod schemas' contents as they were before anything ran."""
    directory = tmp_path_factory.mktemp("green") / "dogs"
    demo.copy_repository(released, directory)
    return directory, demo.contents(directory)


@pytest.fixture(scope="module")
def green(pull_request: tuple[Path, dict[str, tuple[int, int]]]) -> Validation:
    """One green run of pull request 1066."""
    return validate(pull_request[0], *DEFER, "-v")


def test_builds_only_the_changed_model_and_what_lies_downstream(green: Validation) -> None:
    assert green.code == 0, green.output
    built = {u for u in green.by_unique_id() if u.split(".")[0] in ("model", "seed", "snapshot")}
    assert built == {
        "model.dogs.fact_dogs",
        "model.dogs.monthly_income.v1",
        "model.dogs.monthly_income.v2",
        "model.dogs.top_dogs",
    }
    assert {c.outcome for c in green.cases.values()} == {"passed"}


def test_leaves_the_released_schemas_as_they_were_and_no_other(
    green: Validation, pull_request: tuple[Path, dict[str, tuple[int, int]]]
) -> None:
    directory, before = pull_request
    assert demo.contents(directory) == before
    assert not [s for s in demo.schemas(directory) if s.startswith("dbt_build")]
    assert "dropped dbt_build_1066, " in green.output


def test_leaves_the_users_files_as_they_were(green: Validation, pull_request: tuple[Path, object]) -> None:
    directory, _ = pull_request
    assert demo.git(directory, "status", "--porcelain") == ""
    assert not (directory / "logs").exists()
    assert [p.name for p in (directory / "target").iterdir()] == ["dbt_ci"]


def test_agrees_with_dbts_run_results_node_by_node(green: Validation, pull_request: tuple[Path, object]) -> None:
    directory, _ = pull_request
    written = json.loads((directory / "target/dbt_ci/run_results.json").read_text())["results"]
    statuses = {r["unique_id"]: OUTCOMES[r["status"]] for r in written}
    assert {u: c.outcome for u, c in green.by_unique_id().items()} == statuses
    times = {r["unique_id"]: r["execution_time"] for r in written}
    for unique_id, case in green.by_unique_id().items():
        assert case.seconds == pytest.approx(times[unique_id], abs=0.002)


def test_says_why_each_node_was_selected(green: Validation) -> None:
    reasons = {u: c.properties["dbt_reason"] for u, c in green.by_unique_id().items()}
    assert reasons["model.dogs.fact_dogs"].startswith("modified: body")
    assert reasons["model.dogs.top_dogs"] == "downstream of fact_dogs"
    assert f"{MODEL}::fact_dogs PASSED (modified: body" in green.output


def test_names_items_by_the_file_a_reader_opens_first(green: Validation) -> None:
    names = set(green.cases)
    assert "models.staging.fact_dogs.sql::not_null_fact_dogs_dog_id" in names
    assert "models.staging.fact_dogs.sql::a_week_is_a_tenth_off" in names
    assert "tests.stays_do_not_overlap.sql::stays_do_not_overlap" in names
    assert "models.marts.monthly_income_v2.sql::monthly_income.v2" in names


def test_shows_dbts_warning_as_a_pytest_warning(green: Validation) -> None:
    assert "DbtWarning: Got 1 result, configured to warn if != 0" in green.output
    assert "1 warning" in green.output
    case = green.cases["models.staging.fact_dogs.sql::not_null_fact_dogs_price_kronor"]
    assert case.outcome == "passed"


@pytest.fixture(scope="module")
def red(released: Path, tmp_path_factory: pytest.TempPathFactory) -> Validation:
    """One run with a failing data test, a failing unit test, a broken model, and what hangs on them."""
    directory = tmp_path_factory.mktemp("red") / "dogs"
    demo.copy_repository(released, directory)
    (directory / "models/staging/broken.sql").write_text("select no_such_column from {{ ref('dim_dog') }}\n")
    (directory / "models/staging/hangs_on_broken.sql").write_text("select * from {{ ref('broken') }}\n")
    (directory / "models/staging/wrong.sql").write_text("select dog_id, 1 as legs from {{ ref('dim_dog') }}\n")
    (directory / "models/staging/red.yml").write_text(
        """
models:
  - name: stray
    columns:
      - name: dog_id
        data_tests: [unique]
unit_tests:
  - name: dogs_have_four_legs
    model: wrong
    given:
      - input: ref('dim_dog')
        rows: [{dog_id: 7}]
    expect:
      rows: [{dog_id: 7, legs: 4}]
"""
    )
    (directory / "models/staging/stray.sql").write_text("select 1 as dog_id union all select 1 union all select null\n")
    (directory / "seeds/twice.csv").write_text("id,id,\n1,2,3\n")
    return validate(directory, *DEFER)


def test_is_red_when_something_fails_and_still_drops_the_schemas(red: Validation) -> None:
    assert red.code == 1, red.output
    assert "dropped dbt_build_1066" in red.output


def test_shows_the_failing_rows_of_a_data_test(red: Validation) -> None:
    case = red.cases["models.staging.stray.sql::unique_stray_dog_id"]
    assert case.outcome == "failed"
    assert case.message.startswith("Got 1 result, configured to fail if != 0")
    assert "\n" not in case.message, "providers show message and text, one below the other"
    assert "unique_field | n_records" in case.text
    assert "\ncompiled  target/dbt_ci/compiled/dogs/models/staging/red.yml/unique_stray_dog_id.sql\n" in case.text


def test_warns_of_a_seed_whose_columns_are_built_under_other_names(red: Validation) -> None:
    assert red.cases["seeds.twice.csv::twice"].outcome == "passed"
    renamed = "column 2 repeats the name id and is built as id_2, column 3 has no name and is built as c"
    assert renamed in " ".join(red.output.split())


def test_shows_the_diff_of_a_unit_test_and_skips_its_model(red: Validation) -> None:
    case = red.cases["models.staging.wrong.sql::dogs_have_four_legs"]
    assert case.outcome == "failed"
    assert "1→4" in case.text.replace(" ", "") or "1→ 4" in case.text or "legs" in case.text
    skipped = red.cases["models.staging.wrong.sql::wrong"]
    assert skipped.outcome == "skipped"
    assert "dogs_have_four_legs" in skipped.message


def test_shows_the_databases_own_words_for_a_broken_model(red: Validation) -> None:
    case = red.cases["models.staging.broken.sql::broken"]
    assert case.outcome == "failed"
    assert case.message.startswith("Binder Error: ")
    assert "no_such_column" in case.message
    assert "Traceback" not in red.output
    assert "_pytest" not in red.output


def test_skips_what_hangs_on_a_broken_model_and_names_it(red: Validation) -> None:
    case = red.cases["models.staging.hangs_on_broken.sql::hangs_on_broken"]
    assert case.outcome == "skipped"
    assert "broken" in case.message


def test_builds_the_parents_where_nothing_stands_in_for_them(dogs: Path) -> None:
    (dogs / "warehouse.duckdb").unlink()
    run = validate(dogs, "--dbt-ci-pr=1066", "--dbt-ci-target=ci", "-v")
    assert run.code == 0, run.output
    reasons = {u: c.properties["dbt_reason"] for u, c in run.by_unique_id().items()}
    assert reasons["seed.dogs.raw_stays"] == "ancestor of fact_dogs, not deferred"
    assert demo.schemas(dogs) == []


def test_collecting_only_shows_the_plan_and_touches_no_warehouse(dogs: Path) -> None:
    (dogs / "warehouse.duckdb").unlink()
    run = validate(dogs, *DEFER, "--collect-only")
    assert run.code == 0, run.output
    assert "<model fact_dogs  modified: body" in run.output
    assert "<model top_dogs  downstream of fact_dogs" in run.output
    assert not (dogs / "warehouse.duckdb").exists()


@pytest.mark.slow
def test_the_junit_file_with_every_outcome_is_valid_for_jenkins(red: Validation, tmp_path: Path) -> None:
    import xmlschema  # the only test here that needs it, and the built wheel's environment has it not

    # The schema comes with pytest's own source, which its wheel leaves out.
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary=pytest"]
    subprocess.run([*download, f"--dest={tmp_path}", f"pytest=={pytest.__version__}"], check=True)
    (source,) = tmp_path.glob("pytest-*.tar.gz")
    with tarfile.open(source) as archive:
        member = next(m for m in archive if m.name.endswith("/junit-10.xsd"))
        found = archive.extractfile(member)
        assert found is not None
        (tmp_path / "junit-10.xsd").write_bytes(found.read())
    tree = ElementTree.parse(red.junit)
    # It knows no properties of a test case; pytest writes them, and consumers take or ignore them.
    for case in tree.iter("testcase"):
        for properties in case.findall("properties"):
            case.remove(properties)
    assert {c.outcome for c in red.cases.values()} == {"passed", "failed", "skipped"}
    errors = list(xmlschema.XMLSchema(str(tmp_path / "junit-10.xsd")).iter_errors(tree))
    assert errors == []
