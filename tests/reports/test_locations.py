from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_dbtci.plan import Node
from pytest_dbtci.reports.locations import line_of
from tests.support import finished_run as dogs_run
from tests.support.finished_run import node, write_project


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_project(tmp_path)
    return tmp_path


def planned(unique_id: str) -> Node:
    found = dogs_run.PLAN.node(unique_id)
    assert found is not None
    return found


def test_finds_a_generic_test_under_its_model_and_column(project: Path) -> None:
    # stg_dogs has a `unique` on a column of the same name too.
    assert line_of(project, planned("test.dogs.unique_fact_dogs_id")) == 13
    assert line_of(project, planned("test.dogs.accepted_values_fact_dogs_name")) == 17


def test_finds_a_unit_test(project: Path) -> None:
    assert line_of(project, planned("unit_test.dogs.human_years")) == 22


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (dogs_run.DUCKDB_SYNTAX, 4),  # quotes the line after Jinja was rendered
        (dogs_run.POSTGRES_COLUMN, 3),
        (dogs_run.REDSHIFT_COLUMN, 3),  # only names the column
        (dogs_run.BINDER, 3),
        (dogs_run.POSTGRES_CUT, 1),  # what it quotes stands nowhere in the file
        (dogs_run.CONTRACT, 1),
        ("", 1),
    ],
)
def test_finds_the_line_that_the_database_complains_of(project: Path, message: str, line: int) -> None:
    assert line_of(project, planned("model.dogs.fact_dogs"), message) == line


def test_finds_the_line_of_a_python_model(project: Path) -> None:
    (project / "models/fact_dogs.py").write_text("def model(dbt, session):\n    x = nosuch\n    return x\n")
    model = replace(planned("model.dogs.fact_dogs"), defined_in="models/fact_dogs.py")
    assert line_of(project, model, dogs_run.PYTHON) == 2


def test_does_not_guess_between_two_lines_that_fit(project: Path) -> None:
    (project / "models/fact_dogs.sql").write_text("select nme, 1\nunion all\nselect nme, 2\n")
    assert line_of(project, planned("model.dogs.fact_dogs"), dogs_run.REDSHIFT_COLUMN) == 1


def test_finds_a_line_that_the_database_cut(project: Path) -> None:
    text = "select 1 as id\n, coalesce(a_long_name, another_long_name, a_third_long_name, nme) as name\n"
    (project / "models/fact_dogs.sql").write_text(text)
    message = (
        "Database Error in model x (x.sql)\n"
        '  column "q" does not exist\n'
        "  LINE 3: ...another_long_name, a_third_long_name, nme) as n..."
    )
    assert line_of(project, planned("model.dogs.fact_dogs"), message) == 2


def test_finds_the_line_of_a_seed_that_duckdb_names(project: Path) -> None:
    assert line_of(project, planned("seed.dogs.raw_dogs"), dogs_run.SEED) == 3
    assert line_of(project, planned("seed.dogs.raw_dogs"), dogs_run.SEED.replace("3", "99")) == 1


def test_finds_the_block_of_a_snapshot(project: Path) -> None:
    (project / "snapshots").mkdir()
    (project / "snapshots/dogs.sql").write_text(
        "{% snapshot dog_old %}\nselect 1\n{% endsnapshot %}\n{%- snapshot dog %}\n{% endsnapshot %}\n"
    )
    assert line_of(project, node("snapshot.dogs.dog", file="snapshots/dogs.sql")) == 4


SOURCES = """\
sources:
  - name: landing
    tables:
      - name: other
        columns: [{name: id, tests: [unique]}]
      - name: bookings
        data_tests:
          - dbt_utils.expression_is_true:
              arguments: {expression: "paid >= 0"}
          - dbt_utils.expression_is_true:
              arguments: {expression: "nights > 0"}
          - name: my own name
            test_name: unique
        columns:
          - name: "ID"
            data_tests: [not_null, unique]
models:
  - name: income
    versions:
      - v: 1
      - v: 2
        columns:
          - name: month
            data_tests:
              - not_null
"""


@pytest.mark.parametrize(
    ("name", "parent", "column", "line"),
    [
        ("dbt_utils_source_expression_is_true_landing_bookings_nights_0", "", None, 10),
        ("dbt_utils_source_expression_is_true_landing_bookings_paid_0", "", None, 8),
        ("my own name", "", None, 12),
        ("source_unique_landing_bookings_ID", "", "id", 16),
        ("not_null_income_v2_month", "model.dogs.income.v2", "month", 25),
    ],
)
def test_finds_tests_of_sources_packages_and_versions(
    project: Path, name: str, parent: str, column: str | None, line: int
) -> None:
    (project / "models/sources.yml").write_text(SOURCES)
    test = node(
        "test.dogs.x",
        parent or "source.dogs.landing.bookings",
        defined_in="models/sources.yml",
        column=column,
    )
    object.__setattr__(test, "name", name)
    assert line_of(project, test) == line


def test_falls_back_to_what_is_tested(project: Path) -> None:
    unknown = node(
        "test.dogs.some_macro_made_name", "model.dogs.fact_dogs", defined_in="models/staging.yml", column="id"
    )
    assert line_of(project, unknown) == 8


def test_finds_a_hook_by_its_key(project: Path) -> None:
    (project / "dbt_project.yml").write_text("name: dogs\non-run-start: select 1\non-run-end:\n  - select 2\n")
    hook = node("operation.dogs.dogs-on-run-end-0", file="dbt_project.yml")
    assert line_of(project, hook) == 3


@pytest.mark.parametrize("text", [b"models: [", b"\xff\xfe", b"", b"- just\n- a list\n"])
def test_says_nothing_of_a_file_that_it_does_not_understand(project: Path, text: bytes) -> None:
    (project / "models/staging.yml").write_bytes(text)
    assert line_of(project, planned("test.dogs.unique_fact_dogs_id")) is None


def test_says_nothing_of_a_missing_file(tmp_path: Path) -> None:
    assert line_of(tmp_path, planned("model.dogs.fact_dogs")) is None
