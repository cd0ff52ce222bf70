"""Data tests that are asked in batches end as they do in dbt's own run: one by one, on every warehouse."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_dbtci.dbt_client.client import Cancelled, Host
from pytest_dbtci.dbt_client.protocol.events import Event, NodeFinished
from pytest_dbtci.dbt_client.protocol.tree_requests import Parse
from pytest_dbtci.dbt_client.protocol.values import Invocation
from pytest_dbtci.dbt_client.protocol.warehouse_requests import Build
from pytest_dbtci.results import Result
from tests.support.tiny_project import write
from tests.support.validation import environment
from tests.support.warehouses import KINDS, SERVER_KINDS, Server, Warehouse, duckdb_warehouse
from tests.support.warehouses.dbt_project import PROFILE, write_profiles
from tests.support.warm_start import warm

PROJECT = f"name: kennel\nversion: '1.0'\nprofile: {PROFILE}\n"

MODELS = """\
models:
- name: dogs
  columns:
  - name: id
    data_tests:
    - not_null
    - unique: {name: ids_fail}
    - unique: {name: ids_warn, config: {severity: warn}}
    - unique: {name: ids_pass_where, config: {where: "name <> 'Ada'"}}
    - accepted_values: {name: one_failure, arguments: {values: [1, 2]}}
    - accepted_values: {name: limited_to_one, arguments: {values: [7]}, config: {limit: 1}}
    - accepted_values: {name: below_both, arguments: {values: [1]}, config: {warn_if: "> 2", error_if: "> 5"}}
    - accepted_values: {name: between_both, arguments: {values: [1]}, config: {warn_if: "> 1", error_if: "> 5"}}
    - accepted_values: {name: beyond_both, arguments: {values: [1]}, config: {warn_if: "> 0", error_if: ">= 2"}}
    - accepted_values:
        name: beyond_but_warn
        arguments: {values: [1]}
        config: {severity: warn, warn_if: "> 0", error_if: ">= 2"}
    - accepted_values: {name: only_error_if, arguments: {values: [1]}, config: {warn_if: "= 77", error_if: "> 0"}}
    - accepted_values: {name: sums, arguments: {values: [1]}, config: {fail_calc: "sum(n_records)"}}
    - accepted_values: {name: sums_low, arguments: {values: [1]}, config: {fail_calc: "sum(n_records)", error_if: ">3"}}
    - accepted_values: {name: nothing_to_sum, arguments: {values: [1, 2, 3]}, config: {fail_calc: "sum(n_records)"}}
    - accepted_values: {name: half, arguments: {values: [1]}, config: {fail_calc: "sum(n_records) / 2.0"}}
    - accepted_values: {name: whole, arguments: {values: [1]}, config: {fail_calc: "cast(3 as decimal(9, 2))"}}
    - accepted_values: {name: texts, arguments: {values: [1]}, config: {fail_calc: "'3'", error_if: "= '3'"}}
    - accepted_values: {name: numbers_as_flags, arguments: {values: [1]}, config: {warn_if: "* 0", error_if: "* 1"}}
    - accepted_values: {name: stored, arguments: {values: [1]}, config: {store_failures: true}}
    - relationships: {name: deferred_kennels, arguments: {to: ref('kennels'), field: id}}
    - has_columns: {name: columns_there, arguments: {wanted: [id, name]}}
    - has_columns: {name: columns_missing, arguments: {wanted: [id, tail]}}
- name: cats
  columns:
  - name: dog
    data_tests:
    - relationships: {name: cats_of_dogs, arguments: {to: ref('dogs'), field: id}}
- name: passing
  columns: [{name: id, data_tests: [not_null: {name: on_ephemeral}]}]
- name: parents
  columns:
  - name: id
    data_tests:
    - accepted_values: {name: stops_children, arguments: {values: [9]}}
- name: children
  columns: [{name: id, data_tests: [not_null: {name: after_stopped}]}]
- name: wrong
  columns: [{name: id, data_tests: [not_null: {name: after_wrong}]}]
- name: kennels
  columns: [{name: id, data_tests: [unique: {name: on_deferred}]}]
"""

FILES: dict[str, str | None] = {
    "dbt_project.yml": PROJECT,
    "models/models.yml": MODELS,
    "models/dogs.sql": "{{ config(materialized='table') }}\nselect 1 as id, 'Ada' as name union all select 2, 'Bea%' "
    "union all select 3, 'Ada' union all select 3, 'Ada'\n",
    "models/cats.sql": "select 1 as dog union all select 4 as dog\n",
    "models/kennels.sql": "{% set nothing = 'where 1 = 0' if target.name == 'ci' %}\n"
    "select 1 as id {{ nothing }} union all select 2 {{ nothing }}\n",
    "models/passing.sql": "{{ config(materialized='ephemeral') }}\nselect 1 as id\n",
    "models/parents.sql": "select 1 as id\n",
    "models/children.sql": "select * from {{ ref('parents') }}\n",
    "models/wrong.sql": "select no_such_column as id from {{ ref('cats') }}\n",
    "tests/comment_at_end.sql": "select * from {{ ref('dogs') }} where id = 1 -- the end",
    "tests/with_cte.sql": "with mine as (select * from {{ ref('dogs') }})\nselect * from mine where id > 1 order by id",
    "tests/percent.sql": "select * from {{ ref('dogs') }} where name like '%a\\%' or name = '%s é {}'",
    "tests/on_nothing.sql": "select 1 as a",
    "tests/of_the_run.sql": "select * from {{ ref('dogs') }} where '{{ flags.WHICH }}' = 'build'",
    "tests/asks_while_compiled.sql": "select * from {{ ref('dogs') }} where id >= "
    "{{ run_query('select max(id) from ' ~ ref('dogs')).columns[0][0] if execute else 0 }}",
    "tests/bad_column.sql": "select tail from {{ ref('dogs') }}",
    "tests/bad_sql.sql": "select * from {{ ref('dogs') }} where id > 1;",
    "tests/bad_compile.sql": "select * from {{ ref('dogs') }}"
    "{{ exceptions.raise_compiler_error('no good') if execute }}",
    "macros/has_columns.sql": """
{% test has_columns(model, column_name, wanted) %}
{% set found = adapter.get_columns_in_relation(model) | map(attribute='name') | list if execute else [] %}
{% for name in wanted if name not in found %}select '{{ name }}' as missing{{ ' union all ' if not loop.last }}
{% else %}select 1 as missing where 1 = 0
{% endfor %}
{% endtest %}
""",
}

BAD = {"bad_column", "bad_sql", "bad_compile"}
TO_DBT = {"stored", "on_ephemeral", "stops_children", "on_nothing", "of_the_run", "asks_while_compiled"}
"""The tests that are no business of batches."""

EXPECTED = {
    "ids_fail": ("fail", "Got 1 result, configured to fail if != 0"),
    "ids_warn": ("warn", "Got 1 result, configured to warn if != 0"),
    "ids_pass_where": ("pass", ""),
    "limited_to_one": ("fail", "Got 1 result, configured to fail if != 0"),
    "below_both": ("pass", ""),
    "between_both": ("warn", "Got 2 results, configured to warn if > 1"),
    "beyond_both": ("fail", "Got 2 results, configured to fail if >= 2"),
    "beyond_but_warn": ("warn", "Got 2 results, configured to warn if > 0"),
    "only_error_if": ("fail", "Got 2 results, configured to fail if > 0"),
    "cats_of_dogs": ("fail", "Got 1 result, configured to fail if != 0"),
    "deferred_kennels": ("fail", "Got 2 results, configured to fail if != 0"),
    "on_deferred": ("pass", ""),
    "columns_there": ("pass", ""),
    "columns_missing": ("fail", "Got 1 result, configured to fail if != 0"),
    "comment_at_end": ("fail", "Got 1 result, configured to fail if != 0"),
    "with_cte": ("fail", "Got 3 results, configured to fail if != 0"),
    "stops_children": ("fail", "Got 1 result, configured to fail if != 0"),
    "after_stopped": ("skipped", ""),
    "after_wrong": ("skipped", ""),
}

pytestmark = pytest.mark.slow


def name_of(unique_id: str) -> str:
    """Return the name in a unique_id, without a generic test's hash."""
    return unique_id.split(".")[2]


@dataclass(kw_only=True)
class Project:
    """A dbt project in front of a warehouse, and a host that works on it."""

    directory: Path
    host: Host
    threads: int = 2

    def invocation(self, target: str) -> Invocation:
        work, here = str(self.directory / "work" / target), str(self.directory)
        return Invocation(
            project_dir=here,
            profiles_dir=here,
            target_path=work,
            log_path=work,
            profile=PROFILE,
            target=target,
            threads=self.threads,
        )

    def parse(self, target: str) -> list[str]:
        """Parse anew, as a manifest can be built from only once; give the unique_ids of its nodes."""
        seen = self.host.ask(Parse(tree="head", invocation=self.invocation(target), write=True))
        return [u for u in seen.nodes if u.startswith(("model.", "test."))]

    def build(
        self, wanted: Callable[[str], bool], *, batch: bool, target: str = "ci", defer: bool = False, **how: Any
    ) -> dict[str, Result]:
        """Build the nodes whose names are wanted; give their results by name."""
        ids = [u for u in self.parse(target) if wanted(name_of(u))]
        found: dict[str, Result] = {}

        def hear(event: Event) -> None:
            if isinstance(event, NodeFinished):
                result = event.result
                assert name_of(result.unique_id) not in found, f"{result.unique_id} has two results"
                found[name_of(result.unique_id)] = result

        request = Build(
            tree="head",
            invocation=self.invocation(target),
            unique_ids=tuple(ids),
            defer_state=str(self.directory / "work" / "prod") if defer else "",
            batch_tests=batch,
            **how,
        )
        self.host.ask(request, hear)
        return found


def project(directory: Path, warehouse: Warehouse, **files: str | None) -> Project:
    """Write a project and start a host in it."""
    write(directory, files)
    write_profiles(directory, {"ci": warehouse.output("dbt_build_7"), "prod": warehouse.output("analytics")})
    return Project(directory=directory, host=Host(directory, warm(environment()), directory.parent / "host.log"))


@dataclass(frozen=True, kw_only=True)
class Runs:
    """The same nodes built thrice: by dbt alone, in batches, and in batches one of which fails."""

    alone: dict[str, Result]
    batched: dict[str, Result]
    troubled: dict[str, Result]


@pytest.fixture(scope="module", params=KINDS)
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """Release `kennels` to prod, leave a stale one in the schema of the pull request, and build all else there."""
    directory = tmp_path_factory.mktemp("batch") / "kennel"
    if request.param == "duckdb":
        yield run_all(directory, duckdb_warehouse(directory.parent / "kennel.duckdb"))
        return
    server: Server = request.getfixturevalue("warehouse_server")
    with server.database(request.param) as warehouse:
        runs = run_all(directory, warehouse)
        assert warehouse.faults.statements("dbt_ci_test"), "no batch was seen on its way"
        yield runs


def run_all(directory: Path, warehouse: Warehouse) -> Runs:
    """Build the project in all ways."""
    kennel = project(directory, warehouse, **FILES)
    with kennel.host:
        for target in ("ci", "prod"):
            released = kennel.build(lambda name: name == "kennels", batch=False, target=target)
            assert released["kennels"].status == "success"
        return Runs(
            alone=kennel.build(lambda name: name != "kennels", batch=False, defer=True),
            batched=kennel.build(lambda name: name not in {"kennels", *BAD}, batch=True, defer=True),
            troubled=kennel.build(lambda name: name != "kennels", batch=True, defer=True),
        )


def verdict(result: Result) -> dict[str, Any]:
    """Return all that is said of a node but when, how long and by which thread it was worked on."""
    return {name: value for name, value in asdict(result).items() if name not in ("seconds", "started", "thread")}


def in_batches(found: dict[str, Result]) -> set[str]:
    """Name the tests that share their query's time with others."""
    shared = Counter(r.seconds for r in found.values() if r.unique_id.startswith("test.") and r.seconds)
    return {name for name, r in found.items() if shared[r.seconds] > 1}


def test_says_of_every_node_what_dbt_says_of_it(runs: Runs) -> None:
    assert set(runs.alone) == {*runs.batched, *BAD}
    assert {n: verdict(r) for n, r in runs.batched.items()} == {
        n: verdict(r) for n, r in runs.alone.items() if n not in BAD
    }


def test_compares_what_it_means_to_compare(runs: Runs) -> None:
    found = {name: (result.status, result.message) for name, result in runs.alone.items()}
    assert {name: found[name] for name in EXPECTED} == EXPECTED
    assert found["nothing_to_sum"][0] == found["texts"][0] == "error"
    assert found["sums"][0] == "fail"
    rows = runs.batched["ids_fail"].rows
    assert rows is not None
    assert rows.rows == (("3", "2"),)
    compiled = runs.batched["ids_fail"].compiled
    assert compiled
    assert compiled.endswith("ids_fail.sql")


def test_asks_in_batches_what_it_may(runs: Runs) -> None:
    batched = in_batches(runs.batched)
    single = {name for name, r in runs.batched.items() if r.unique_id.startswith("test.")} - batched
    assert batched >= {name for name in EXPECTED if name not in TO_DBT and EXPECTED[name][0] != "skipped"}
    assert single >= TO_DBT
    assert not in_batches(runs.alone)


def test_gives_a_failed_batch_back_to_dbt(runs: Runs) -> None:
    assert {n: verdict(r) for n, r in runs.troubled.items()} == {n: verdict(r) for n, r in runs.alone.items()}
    assert {runs.troubled[name].status for name in BAD} == {"error"}
    assert "tail" in runs.troubled["bad_column"].message


OVERRIDE = """
{% macro default__get_test_sql(main_sql, fail_calc, warn_if, error_if, limit) %}
select 2 * {{ fail_calc }} as failures, {{ fail_calc }} {{ warn_if }} as should_warn,
  {{ fail_calc }} {{ error_if }} as should_error from ({{ main_sql }}) t
{% endmacro %}
"""

TWO_TESTS: dict[str, str | None] = {
    "dbt_project.yml": PROJECT,
    "models/dogs.sql": "select 1 as id\n",
    "models/models.yml": "models: [{name: dogs, columns: [{name: id, data_tests: [unique: {name: one}, "
    "accepted_values: {name: two, arguments: {values: [2]}, config: {severity: warn}}]}]}]\n",
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    directory = tmp_path_factory.mktemp("small") / "kennel"
    made = project(directory, duckdb_warehouse(directory.parent / "kennel.duckdb"), **TWO_TESTS)
    made.threads = 1
    with made.host:
        yield made


HOOK = "on-run-end: ['create table {{ target.schema }}.ended as select 1 as a']"
WARNED = ("warn", "Got 1 result, configured to warn if != 0")


@pytest.mark.parametrize(
    ("files", "two"),
    [
        ({"macros/own.sql": OVERRIDE}, ("warn", "Got 2 results, configured to warn if != 0")),
        (
            {"dbt_project.yml": f"{PROJECT}flags: {{warn_error: true}}\n"},
            ("fail", "Got 1 result, configured to fail if != 0"),
        ),
        ({"dbt_project.yml": f"{PROJECT}flags: {{fail_fast: true}}\n"}, WARNED),
        ({"dbt_project.yml": f"{PROJECT}{HOOK}\n"}, WARNED),
    ],
    ids=["macro", "warn_error", "fail_fast", "on_run_end"],
)
def test_leaves_all_to_dbt_where_a_project_runs_tests_its_own_way(
    small: Project, files: dict[str, str | None], two: tuple[str, str]
) -> None:
    write(small.directory, files)
    try:
        found = small.build(lambda name: True, batch=True)
    finally:
        write(small.directory, {**dict.fromkeys(files), **TWO_TESTS})
    assert (found["two"].status, found["two"].message) == two
    assert not in_batches(found)


def test_batches_the_two_tests_otherwise(small: Project) -> None:
    found = small.build(lambda name: True, batch=True)
    assert in_batches(found) == {"one", "two"}
    assert (found["one"].status, found["two"].status) == ("pass", "warn")


def test_runs_tests_of_what_was_built_before(small: Project) -> None:
    small.build(lambda name: name == "dogs", batch=True)
    found = small.build(lambda name: name != "dogs", batch=True)
    assert in_batches(found) == {"one", "two"}


@pytest.fixture(params=SERVER_KINDS)
def slow(
    request: pytest.FixtureRequest, warehouse_server: Server, tmp_path: Path
) -> Iterator[tuple[Project, Warehouse]]:
    sleeping = {f"tests/sleeps_{i}.sql": f"select pg_sleep({i}0) from {{{{ ref('dogs') }}}}" for i in (6, 7, 8)}
    with warehouse_server.database(request.param) as warehouse:
        made = project(tmp_path / "kennel", warehouse, **TWO_TESTS, **sleeping)
        with made.host:
            yield made, warehouse


def test_ends_the_queries_of_a_cancelled_run(slow: tuple[Project, Warehouse]) -> None:
    made, warehouse = slow
    ended: list[BaseException] = []

    def build() -> None:
        try:
            made.build(lambda name: True, batch=True)
        except Cancelled as error:
            ended.append(error)

    thread = threading.Thread(target=build)
    thread.start()
    deadline = time.monotonic() + 60
    while not warehouse.faults.statements("dbt_ci_test.*pg_sleep") and time.monotonic() < deadline:
        time.sleep(0.1)
    began = time.monotonic()
    made.host.cancel()
    thread.join(60)
    assert ended
    assert time.monotonic() - began < 50
    running = "select count(*) from pg_stat_activity where query like '%pg_sleep%' and pid <> pg_backend_pid()"
    assert warehouse.query(f"{running} and state = 'active'") == [(0,)]
