"""A run that builds less says what it left out, and touches no warehouse for its sake."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples import demo
from tests.support.validation import DEFER, validate

pytestmark = pytest.mark.slow


def test_a_model_that_is_only_formatted_anew_builds_nothing(dogs: Path) -> None:
    demo.git(dogs, "checkout", "-q", "-b", "format", "master")
    model, warehouse = dogs / "models/staging/fact_dogs.sql", dogs / "warehouse.duckdb"
    text = model.read_text()
    model.write_text(text.replace("\nselect\n    stay_id", "\nSELECT -- what a stay is\n  stay_id"))
    assert model.read_text() != text
    before = warehouse.read_bytes()

    run = validate(dogs, *DEFER, "--dbt-ci-build-less=formatting", f"--dbt-ci-summary={dogs / 'summary.md'}", "-rs")

    assert run.code == 0, run.output
    assert "; formatting only: 21 nodes left out" in run.output, run.output
    assert {c.outcome for c in run.cases.values()} == {"skipped"}
    left = {n.rpartition("::")[2]: c for n, c in run.cases.items() if "dbt_left_out" in c.properties}
    assert left["fact_dogs"].message == "not built: formatting only"
    assert left["top_dogs"].message == "not built: downstream of fact_dogs, formatting only"
    assert {c.properties["dbt_left_out"] for c in left.values()} == {"formatting"}
    assert "Not built, as only formatting changed" in (dogs / "summary.md").read_text()
    assert warehouse.read_bytes() == before


def test_what_else_changed_is_built_and_the_header_counts_the_rest(dogs: Path) -> None:
    demo.git(dogs, "checkout", "-q", "-b", "format", "master")
    model, other = dogs / "models/staging/fact_dogs.sql", dogs / "models/marts/top_dogs.sql"
    model.write_text(model.read_text().replace("nights,", "nights  ,"))
    other.write_text(other.read_text() + "limit 100\n")

    run = validate(dogs, *DEFER, "--dbt-ci-build-less=all")

    assert run.code == 0, run.output
    built = {u for u in run.by_unique_id() if u.startswith("model.")}
    assert built == {"model.dogs.top_dogs"}
    assert "1 modified, 4 tests · 16 left out (formatting only) · 25 of 46 nodes untouched" in run.output
