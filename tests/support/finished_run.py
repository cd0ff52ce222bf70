"""A run of a small dogs project with every kind of outcome, for the tests of what is said about a run.

The messages are what dbt 1.11 said with DuckDB 1.4 and Postgres 18, as the host passes them on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from pytest_dbtci.plan import Commits, Destination, Node, PathChange, Plan, Reason, ReasonKind
from pytest_dbtci.results import Result, Rows

BINDER = (
    "Runtime Error in model fact_dogs (models/fact_dogs.sql)\n"
    '  Binder Error: Referenced column "nme" not found in FROM clause!\n'
    '  Candidate bindings: "name", "age"'
)
PYTHON = """\
Runtime Error in model fact_dogs (models/fact_dogs.py)
  Python model failed:
  Traceback (most recent call last):
    File "/venv/lib/python3.11/site-packages/dbt/adapters/duckdb/environments/__init__.py", line 286, in run_python_job
      df = module.model(dbt, con)
           ^^^^^^^^^^^^^^^^^^^^^^
    File "/tmp/tmp01fi8mer.py", line 2, in model
      x = nosuch
          ^^^^^^
  NameError: name 'nosuch' is not defined"""
DUCKDB_SYNTAX = (
    "Runtime Error in model fact_dogs (models/fact_dogs.sql)\n"
    '  Parser Error: syntax error at or near ""d""\n'
    "\n"
    '  LINE 6: frm "d"."dbt_build_7"."stg_dogs"\n'
    "              ^^^"
)
POSTGRES_COLUMN = (
    "Database Error in model fact_dogs (models/fact_dogs.sql)\n"
    '  column "nme" does not exist\n'
    "  LINE 15:   nme as name\n"
    "             ^\n"
    '  HINT:  Perhaps you meant to reference the column "stg_dogs.name".\n'
    "  compiled code at target/run/dogs/models/fact_dogs.sql"
)
POSTGRES_CUT = (
    "Database Error in model fact_dogs (models/fact_dogs.sql)\n"
    '  invalid input syntax for type integer: "x"\n'
    '  LINE 7:     select \'x\'::integer as n from "postgres"."dbt_build_7"."...\n'
    "                     ^\n"
    "  compiled code at target/run/dogs/models/fact_dogs.sql"
)
# dbt-redshift passes the server's `M` field on and nothing else.
REDSHIFT_COLUMN = (
    "Database Error in model fact_dogs (models/fact_dogs.sql)\n"
    '  column "nme" does not exist in stg_dogs\n'
    "  compiled code at target/run/dogs/models/fact_dogs.sql"
)
CONTRACT = (
    "Compilation Error in model fact_dogs (models/fact_dogs.sql)\n"
    "  This model has an enforced contract that failed.\n"
    "  Please ensure the name, data_type, and number of columns in your contract match the columns in your "
    "model's definition.\n"
    "\n"
    "  | column_name | definition_type | contract_type | mismatch_reason       |\n"
    "  | ----------- | --------------- | ------------- | --------------------- |\n"
    "  | id          | INTEGER         | VARCHAR       | data type mismatch    |\n"
    "  | nam         |                 | VARCHAR       | missing in definition |\n"
    "\n"
    "\n"
    "  > in macro assert_columns_equivalent (macros/relations/column/columns_spec_ddl.sql)\n"
    "  > called by macro duckdb__create_table_as (macros/adapters.sql)\n"
    "  > called by macro materialization_table_duckdb (macros/materializations/table.sql)\n"
    "  > called by model fact_dogs (models/fact_dogs.sql)"
)
RAISED = (
    "Compilation Error in model fact_dogs (models/fact_dogs.sql)\n"
    "  no such dog\n"
    "\n"
    "  > in macro raise_no_such_dog (macros/dogs.sql)\n"
    "  > called by model fact_dogs (models/fact_dogs.sql)"
)
SEED = (
    "Runtime Error in seed raw_dogs (seeds/raw_dogs.csv)\n"
    "  Conversion Error: CSV Error on Line: 3\n"
    "  Original Line: x,abc\n"
    '  Error when converting column "id". Could not convert string "x" to \'INTEGER\'\n'
)
UNIT_DIFF = "actual differs from expected:\n\n@@,id ,human_age,name\n→ ,1  ,15→14    ,Rex\n→ ,3→2,NULL     ,狗子"
FIXTURE = (
    "Compilation Error in model stg_dogs (models/staging.yml)\n"
    "  Invalid column name: 'ag' in unit test fixture for 'stg_dogs'.\n"
    "  Accepted columns for 'stg_dogs' are: ['id', 'name', 'age']\n"
    "\n"
    "  > in macro format_row (macros/unit_test_sql/get_fixture_sql.sql)\n"
    "  > called by macro get_fixture_sql (macros/unit_test_sql/get_fixture_sql.sql)\n"
    "  > called by model stg_dogs (models/staging.yml)"
)
HOSTILE = "##vso[task.complete result=Succeeded;]ok ::error::x `a` | b <img src=x> @org/team #12 ```\n::set-env::"


def node(
    unique_id: str,
    *parents: str,
    kind: ReasonKind = "downstream",
    reason: str = "",
    files: Iterable[str] = (),
    file: str = "",
    defined_in: str = "",
    column: str | None = None,
    materialized: str = "table",
) -> Node:
    """Make a node of the dogs project from its unique_id and what differs from the usual."""
    resource_type, _, name = unique_id.split(".")[:3]
    folder, suffix = {"seed": ("seeds", "csv"), "snapshot": ("snapshots", "sql")}.get(resource_type, ("models", "sql"))
    file = file or f"{folder}/{name}.{suffix}"
    builds = resource_type in ("model", "seed", "snapshot")
    return Node(
        unique_id=unique_id,
        resource_type=resource_type,
        name=name,
        item=name,
        file=file,
        defined_in=defined_in or file,
        reason=Reason(kind=kind, text=reason or kind, files=tuple(files)),
        parents=parents,
        materialized=materialized if builds else "",
        relation=f'"d"."dbt_build_7"."{name}"' if builds else None,
        column=column,
    )


NODES = (
    node("seed.dogs.raw_dogs", kind="ancestor", reason="fact_dogs needs it"),
    node("model.dogs.stg_dogs", "seed.dogs.raw_dogs", kind="ancestor", reason="fact_dogs needs it"),
    node(
        "model.dogs.fact_dogs",
        "model.dogs.stg_dogs",
        kind="modified",
        reason="modified: body",
        files=("models/fact_dogs.sql",),
    ),
    node(
        "test.dogs.unique_fact_dogs_id",
        "model.dogs.fact_dogs",
        file="models/fact_dogs.sql",
        defined_in="models/staging.yml",
        column="id",
    ),
    node(
        "test.dogs.accepted_values_fact_dogs_name",
        "model.dogs.fact_dogs",
        file="models/fact_dogs.sql",
        defined_in="models/staging.yml",
        column="name",
    ),
    node("model.dogs.walks", "model.dogs.stg_dogs", reason="downstream of stg_dogs"),
    node("model.dogs.top_dogs", "model.dogs.fact_dogs", reason="downstream of fact_dogs"),
    node(
        "unit_test.dogs.human_years",
        "model.dogs.walks",
        file="models/walks.sql",
        defined_in="models/staging.yml",
    ),
    node("model.dogs.best_dog", "model.dogs.top_dogs", reason="downstream of fact_dogs"),
    node("test.dogs.no_dupes", "model.dogs.best_dog", file="tests/no_dupes.sql"),
)

PLAN = Plan(
    mode="pull_request",
    pr="7",
    project="dogs",
    commits=Commits(
        head="9d8c7b6a5f4e3d2c1b0a9f8e7d6c5b4a39281706",
        base="3f2c1aa0c4f5b6a7d8e9f0a1b2c3d4e5f6a7b8c9",
        base_ref="origin/main",
        how="merge base",
    ),
    destination=Destination(
        profile="dogs",
        target="ci",
        adapter="duckdb",
        schema="dbt_build_7",
        schemas=(("d", "dbt_build_7"), ("d", "dbt_build_7_staging")),
        defer_target="prod",
    ),
    provider="github",
    nodes=NODES,
    changes=(
        PathChange(path="models/fact_dogs.sql", status="modified"),
        PathChange(path="README.md", status="modified", effect="none"),
        PathChange(path="models/old.sql", status="deleted", effect="removed"),
    ),
    total=228,
    notes=("macros/hooks.sql has SQL that can't be checked beforehand: on-run-end",),
)

ROWS = Rows(
    columns=("id", "n", "name", "note"),
    rows=(("1", "2", "Rex", "null"), ("17", "3", "狗子", "a\nb"), ("300", "2", "x" * 60, "|`@team`")),
    more=True,
)

RESULTS = {
    r.unique_id: r
    for r in (
        Result(unique_id="seed.dogs.raw_dogs", status="success", message="INSERT 4", seconds=0.31),
        Result(unique_id="model.dogs.stg_dogs", status="success", message="OK", seconds=0.12),
        Result(unique_id="model.dogs.fact_dogs", status="success", message="OK", seconds=1.84),
        Result(
            unique_id="test.dogs.unique_fact_dogs_id",
            status="fail",
            message="Got 12 results, configured to fail if != 0",
            seconds=0.05,
            failures=12,
            compiled="target/compiled/dogs/models/staging.yml/unique_fact_dogs_id.sql",
            rows=ROWS,
        ),
        Result(
            unique_id="test.dogs.accepted_values_fact_dogs_name",
            status="warn",
            message="Got 1 result, configured to warn if != 0",
            seconds=0.04,
            failures=1,
        ),
        Result(unique_id="unit_test.dogs.human_years", status="fail", message=UNIT_DIFF, seconds=0.2),
        Result(unique_id="model.dogs.walks", status="skipped"),
        Result(unique_id="model.dogs.top_dogs", status="skipped"),
        Result(unique_id="model.dogs.best_dog", status="skipped"),
        Result(unique_id="test.dogs.no_dupes", status="skipped"),
    )
}


def failed(message: str, unique_id: str = "model.dogs.fact_dogs") -> dict[str, Result]:
    """Return the results of a run in which this node failed with that message."""
    return {**RESULTS, unique_id: Result(unique_id=unique_id, status="error", message=message)}


def write_project(folder: Path) -> Plan:
    """Write the files that the plan speaks of and give the plan with its folder."""
    files = {
        "models/fact_dogs.sql": "select\n  id,\n  nme as name\nfrm {{ ref('stg_dogs') }}\nwhere id > 0\n",
        "models/walks.sql": "select 1 as id\n",
        "tests/no_dupes.sql": "select * from {{ ref('best_dog') }}\n",
        "seeds/raw_dogs.csv": "id,age\n1,3\nx,abc\n",
        "models/staging.yml": STAGING,
    }
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, "utf-8")
    return replace(PLAN, project_dir=str(folder))


STAGING = """\
version: 2
models:
  - name: stg_dogs
    columns:
      - name: id
        data_tests:
          - unique
  - name: fact_dogs
    columns:
      - name: id
        data_tests:
          - not_null
          - unique:
              config: {severity: error}
      - name: name
        data_tests:
          - accepted_values:
              arguments: {values: [Rex]}
unit_tests:
  - name: other
    model: walks
  - name: human_years
    model: walks
"""
