from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_dbtci.plan import Plan
from pytest_dbtci.reports.failures import describe, headline, own_words, skip_reason, warning_text
from pytest_dbtci.reports.table import width
from pytest_dbtci.results import Result, Rows
from tests.support import finished_run as dogs_run
from tests.support.finished_run import PLAN, RESULTS, failed, node, write_project


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return write_project(tmp_path)


def told(plan: Plan, unique_id: str, message: str | None = None) -> str:
    results = RESULTS if message is None else failed(message, unique_id)
    found = plan.node(unique_id)
    assert found is not None
    return describe(found, results[unique_id], plan, results)


def reason(unique_id: str, results: dict[str, Result], plan: Plan = PLAN) -> str:
    found = plan.node(unique_id)
    assert found is not None
    return skip_reason(found, results[unique_id], plan, results)


def test_tells_a_failed_data_test_with_its_rows(plan: Plan) -> None:
    assert (
        told(plan, "test.dogs.unique_fact_dogs_id")
        == """\
Got 12 results, configured to fail if != 0 (test unique_fact_dogs_id)

file      models/fact_dogs.sql
declared  models/staging.yml:13
tests     "d"."dbt_build_7"."fact_dogs"
compiled  target/compiled/dogs/models/staging.yml/unique_fact_dogs_id.sql
selected  downstream
skipped   top_dogs, best_dog and no_dupes

first 3 failing rows:
   id | n | name                         | note
  ----+---+------------------------------+---------
    1 | 2 | Rex                          | null
   17 | 3 | 狗子                         | a↵b
  300 | 2 | xxxxxxxxxxxxxxxxxxxxxxxxxxx… | |`@team`"""
    )


def test_tells_a_unit_test_with_dbts_diff_under_the_verdict(plan: Plan) -> None:
    text = told(plan, "unit_test.dogs.human_years")
    assert text.startswith(
        "actual differs from expected (unit test human_years)\n"
        "\n"
        "@@,id ,human_age,name\n"
        "→ ,1  ,15→14    ,Rex\n"
        "→ ,3→2,NULL     ,狗子\n"
        "\n"
        "file      models/walks.sql\n"
        "declared  models/staging.yml:22\n"
    )
    assert "expected→actual, +++ is too many, --- is missing" in text


def test_tells_a_database_error_in_the_databases_words(plan: Plan) -> None:
    assert (
        told(plan, "model.dogs.fact_dogs", dogs_run.POSTGRES_COLUMN)
        == """\
Database Error: column "nme" does not exist (model fact_dogs)
LINE 15:   nme as name
           ^
HINT:  Perhaps you meant to reference the column "stg_dogs.name".

file      models/fact_dogs.sql:3
relation  "d"."dbt_build_7"."fact_dogs"
selected  modified: body (models/fact_dogs.sql)
skipped   unique_fact_dogs_id, accepted_values_fact_dogs_name, top_dogs and 2 more"""
    )


@pytest.mark.parametrize(
    ("message", "verdict"),
    [
        (
            dogs_run.BINDER,
            'Binder Error: Referenced column "nme" not found in FROM clause! (model fact_dogs)',
        ),
        (
            'dogs.on-run-start.0 failed, error:\n Parser Error: syntax error at or near "selec"\n\nLINE 2: selec 1',
            'Parser Error: syntax error at or near "selec" (model fact_dogs)',
        ),
        (dogs_run.PYTHON, "NameError: name 'nosuch' is not defined (model fact_dogs)"),
        (dogs_run.DUCKDB_SYNTAX, 'Parser Error: syntax error at or near ""d"" (model fact_dogs)'),
        (
            dogs_run.REDSHIFT_COLUMN,
            'Database Error: column "nme" does not exist in stg_dogs (model fact_dogs)',
        ),
        (
            dogs_run.CONTRACT,
            "Compilation Error: This model has an enforced contract that failed. (model fact_dogs)",
        ),
        (dogs_run.RAISED, "Compilation Error: no such dog (model fact_dogs)"),
        ("\x1b[31mRuntime Error\x1b[0m\n  no\x1b[1m dog", "no dog (model fact_dogs)"),
        ("Got 1 result", "Got 1 result (model fact_dogs)"),
        ("", "dbt reports 'error' and gives no message (model fact_dogs)"),
    ],
)
def test_puts_the_verdict_into_the_first_line(plan: Plan, message: str, verdict: str) -> None:
    text = told(plan, "model.dogs.fact_dogs", message)
    assert text.split("\n")[0] == verdict
    assert "compiled code at" not in text
    assert "\x1b" not in text


def test_unwraps_errors_within_errors() -> None:
    where = "in model x (models/x.sql)"
    message = f"Runtime Error {where}\n  Database Error {where}\n    no\n      more"
    assert own_words(Result(unique_id="x", status="error", message=message)) == "Database Error: no\n  more"


def test_leaves_dbts_own_macros_out_and_the_projects_in(plan: Plan) -> None:
    assert "assert_columns_equivalent" not in told(plan, "model.dogs.fact_dogs", dogs_run.CONTRACT)
    assert "| data type mismatch    |" in told(plan, "model.dogs.fact_dogs", dogs_run.CONTRACT)
    assert "raise_no_such_dog" not in told(plan, "model.dogs.fact_dogs", dogs_run.RAISED)
    (Path(plan.project_dir) / "macros").mkdir()
    (Path(plan.project_dir) / "macros/dogs.sql").write_text("{% macro raise_no_such_dog() %}{% endmacro %}")
    text = told(plan, "model.dogs.fact_dogs", dogs_run.RAISED)
    assert "> in macro raise_no_such_dog (macros/dogs.sql)" in text
    assert "called by model" not in text


@pytest.mark.parametrize("message", [dogs_run.RAISED, dogs_run.POSTGRES_COLUMN, dogs_run.DUCKDB_SYNTAX])
def test_tells_a_cause_once_and_of_the_other_nodes_a_line(plan: Plan, message: str) -> None:
    first, second = (n for n in map(plan.node, ("model.dogs.fact_dogs", "model.dogs.walks")) if n is not None)
    other = message.replace("fact_dogs", "walks").replace("LINE 15:   nme as name", "LINE 3: nme as x")
    results = {
        n.unique_id: Result(unique_id=n.unique_id, status="error", message=m)
        for n, m in ((first, message), (second, other))
    }
    verdict = own_words(results[second.unique_id]).split("\n")[0]
    line = f"{verdict} (model walks), in the same words as models/fact_dogs.sql::fact_dogs"
    assert describe(second, results[second.unique_id], plan, results) == line
    assert "file  " in describe(first, results[first.unique_id], plan, results).replace("    ", "  ")


def test_tells_causes_apart_by_the_macro_that_they_come_from(plan: Plan) -> None:
    first, second = (n for n in map(plan.node, ("model.dogs.fact_dogs", "model.dogs.walks")) if n is not None)
    other = dogs_run.RAISED.replace("fact_dogs", "walks").replace(
        "macro raise_no_such_dog (macros/dogs", "macro x (macros/x"
    )
    results = {
        n.unique_id: Result(unique_id=n.unique_id, status="error", message=m)
        for n, m in ((first, dogs_run.RAISED), (second, other))
    }
    assert "in the same words" not in describe(second, results[second.unique_id], plan, results)


def test_says_what_dbt_skips_before_dbt_has_come_to_it(plan: Plan) -> None:
    skipped = {
        "test.dogs.unique_fact_dogs_id": "top_dogs, best_dog and no_dupes",
        "unit_test.dogs.human_years": "walks",
    }
    for unique_id, names in skipped.items():
        found = plan.node(unique_id)
        assert found is not None
        early = {unique_id: RESULTS[unique_id]}
        assert describe(found, early[unique_id], plan, early) == told(plan, unique_id)
        assert f"\nskipped   {names}" in told(plan, unique_id)


def test_tells_the_rows_of_every_failed_test(plan: Plan) -> None:
    texts = [told(plan, n.unique_id) for n in plan.items if RESULTS[n.unique_id].status == "fail"]
    assert texts
    assert not any("in the same words" in text for text in texts)


def test_cuts_a_message_that_nobody_reads_to_its_end(plan: Plan) -> None:
    text = told(plan, "model.dogs.fact_dogs", "\n".join(f"{i} {'x' * 5000}" for i in range(500)))
    lines = text.split("\n")
    assert width(lines[0]) <= 420
    assert lines[0].endswith("… (model fact_dogs)")
    assert "… 380 more lines" in lines
    assert len(text) < 200_000


def test_says_where_failures_are_stored(plan: Plan) -> None:
    found = plan.node("test.dogs.unique_fact_dogs_id")
    assert found is not None
    result = replace(RESULTS[found.unique_id], relation='"d"."dbt_build_7_audit"."unique_fact_dogs_id"')
    assert 'stored in  "d"."dbt_build_7_audit"."unique_fact_dogs_id"' in describe(found, result, plan, RESULTS)


def test_says_so_when_the_rows_are_gone(plan: Plan) -> None:
    found = plan.node("test.dogs.unique_fact_dogs_id")
    assert found is not None
    result = replace(RESULTS[found.unique_id], rows=Rows(columns=("id",), rows=()))
    assert describe(found, result, plan, RESULTS).endswith("\n\nthe query gives no rows now")


def test_fits_a_terminal_of_80_columns(plan: Plan) -> None:
    found = plan.node("test.dogs.unique_fact_dogs_id")
    assert found is not None
    wide = Rows(columns=tuple(f"column_{i}" for i in range(30)), rows=(("狗" * 50,) * 30,) * 5, more=True)
    result = replace(RESULTS[found.unique_id], rows=wide)
    assert all(width(line) <= 80 for line in describe(found, result, plan, RESULTS).split("\n"))


def test_names_the_nearest_failed_node_upstream() -> None:
    results = failed("no", "model.dogs.stg_dogs")
    results["model.dogs.fact_dogs"] = Result(unique_id="model.dogs.fact_dogs", status="skipped")
    results["test.dogs.unique_fact_dogs_id"] = Result(unique_id="test.dogs.unique_fact_dogs_id", status="skipped")
    assert reason("model.dogs.fact_dogs", results) == "stg_dogs failed upstream"
    assert reason("test.dogs.unique_fact_dogs_id", results) == "stg_dogs failed upstream"
    assert reason("model.dogs.best_dog", results) == "stg_dogs failed upstream"


def test_names_the_failed_test_of_a_parent() -> None:
    assert reason("model.dogs.top_dogs", RESULTS) == "test unique_fact_dogs_id failed upstream"
    assert reason("test.dogs.no_dupes", RESULTS) == "test unique_fact_dogs_id failed upstream"


def test_names_the_failed_unit_test_of_the_model_itself() -> None:
    assert reason("model.dogs.walks", RESULTS) == "unit test human_years failed upstream"


def test_names_several_causes_and_counts_what_is_too_much() -> None:
    parents = [node(f"model.dogs.p{i}") for i in range(5)]
    child = node("model.dogs.child", *(p.unique_id for p in parents))
    plan = replace(PLAN, nodes=(*parents, child))
    results = {p.unique_id: Result(unique_id=p.unique_id, status="error") for p in parents}
    results[child.unique_id] = Result(unique_id=child.unique_id, status="skipped")
    assert reason(child.unique_id, results, plan) == "p0, p1, p2 and 2 more failed upstream"
    assert reason(child.unique_id, {k: v for k, v in results.items() if k[-1] in "d01"}, plan) == (
        "p0 and p1 failed upstream"
    )


def test_names_a_hook_that_is_no_parent() -> None:
    hook = node("operation.dogs.dogs-on-run-start-0", file="dbt_project.yml")
    plan = replace(PLAN, nodes=(hook, *PLAN.nodes))
    results = {
        hook.unique_id: Result(unique_id=hook.unique_id, status="error", message="no"),
        "model.dogs.stg_dogs": Result(unique_id="model.dogs.stg_dogs", status="skipped"),
    }
    text = "hook dogs-on-run-start-0 failed"
    assert reason("model.dogs.stg_dogs", results, plan) == f"dbt did not get to it: {text} before"
    results["model.dogs.stg_dogs"] = Result(unique_id="model.dogs.stg_dogs", status="skipped", cause=hook.unique_id)
    assert reason("model.dogs.stg_dogs", results, plan) == f"{text} upstream"


def test_passes_on_what_dbt_says_of_a_skip_and_admits_when_it_says_nothing() -> None:
    quiet = {"model.dogs.stg_dogs": Result(unique_id="model.dogs.stg_dogs", status="skipped")}
    assert reason("model.dogs.stg_dogs", quiet) == "dbt skipped it and gives no reason"
    said = {"model.dogs.stg_dogs": replace(quiet["model.dogs.stg_dogs"], message="No-op: no changes\n…")}
    assert reason("model.dogs.stg_dogs", said) == "No-op: no changes"


def test_warns_in_one_line() -> None:
    found = PLAN.node("test.dogs.accepted_values_fact_dogs_name")
    assert found is not None
    assert warning_text(found, RESULTS[found.unique_id]) == (
        "Got 1 result, configured to warn if != 0 (test accepted_values_fact_dogs_name)"
    )


def test_gives_the_verdict_alone() -> None:
    found = PLAN.node("unit_test.dogs.human_years")
    assert found is not None
    text = headline(found, RESULTS[found.unique_id])
    assert text == "actual differs from expected (unit test human_years)"
