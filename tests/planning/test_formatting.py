"""What changed in its formatting alone is left out, with what only it selects; in any doubt it is built."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.planning_bench import Bench, Planned, bench
from tests.support.repositories import Files

FILES: Files = {
    ".gitignore": "target/\nlogs/\n*.duckdb\n.user.yml\n",
    "dbt/dbt_project.yml": "name: kennel\nversion: '1.0.0'\nprofile: kennel\n"
    "flags: {require_generic_test_arguments_property: true}\n",
    "dbt/profiles.yml": "kennel:\n  target: ci\n  outputs:\n"
    "    ci: {type: duckdb, path: kennel.duckdb, schema: dev, threads: 2}\n",
    "dbt/macros/macros.sql": """\
{% macro plain(column) %}upper({{ column }}){% endmacro %}
{% macro grown() %}{% if is_incremental() %}where id > 1{% endif %}{% endmacro %}
{% macro hidden() %}{{ this.schema }}{% endmacro %}
{% materialization odd, default %}
  {%- set relation = this.incorporate(type='table') -%}
  {% call statement('main') %}create or replace table {{ relation }} as select '{{ sql | length }}' as size
  {% endcall %}
  {{ return({'relations': [relation]}) }}
{% endmaterialization %}
""",
    "dbt/models/dogs.sql": "{{ config(materialized='table') }}\nselect 1 as id, 'a b' as name -- the first\n",
    "dbt/models/toys.sql": "select id, name from {{ ref('dogs') }}\n",
    "dbt/models/shops.sql": "select id from {{ ref('toys') }}\n",
    "dbt/models/inlined.sql": "{{ config(materialized='ephemeral') }}\nselect id from {{ ref('dogs') }}\n",
    "dbt/models/reads_inlined.sql": "select id from {{ ref('inlined') }}\n",
    "dbt/models/calls.sql": "select {{ plain('name') }} as name from {{ ref('dogs') }}\n",
    "dbt/models/names.sql": "select 1 as Id\n",
    "dbt/models/sized.sql": "{{ config(materialized='odd') }}\nselect 1 as id\n",
    "dbt/models/grows.sql": "{{ config(materialized='incremental') }}\nselect 1 as id {{ grown() }}\n",
    "dbt/models/knows.sql": "select '{% if execute %}{{ hidden() }}{% endif %}' as name\n",
    "dbt/models/headed.sql": "{% call set_sql_header(config) %}select 'a b';{% endcall %}\nselect 1 as id\n",
    "dbt/models/asks.sql": "select {{ run_query('select 1').columns[0][0] if execute }} as id\n",
    "dbt/models/digest.sql": "select '{{ (model | string | length) > 0 }}' as size\n",
    "dbt/models/hooked.sql": "{{ config(post_hook=\"select '{{ model.raw_code | length }}'\") }}\nselect 1 as id\n",
    "dbt/models/read_file.sql": "select * from read_csv('data/given.csv')\n",
    "dbt/data/given.csv": "id\n1\n",
    "dbt/snapshots/kept.sql": "{% snapshot kept %}\n{{ config(strategy='check', unique_key='id', check_cols='all') }}\n"
    "select 1 as id\n{% endsnapshot %}\n",
    "dbt/tests/no_gap.sql": "select id from {{ ref('dogs') }} where id = 2\n",
    "dbt/models/models.yml": """\
models:
  - name: dogs
    columns:
      - name: id
        data_tests: [unique]
  - name: toys
    columns:
      - name: id
        data_tests: [unique]
unit_tests:
  - name: rows
    model: toys
    given: [{input: ref('dogs'), rows: [{id: 1, name: a}]}]
    expect: {rows: [{id: 1, name: a}]}
""",
}


@pytest.fixture(scope="module")
def kennel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("formatting"), FILES, "dbt") as made:
        made.host.parts = ()
        yield made


def _change(kennel: Bench, *edits: tuple[str, str, str], build_less: str = "formatting") -> Planned:
    changed = [kennel.replace(f"dbt/{path}", old, new) for path, old, new in edits]
    return kennel.change({p: text for edit in changed for p, text in edit.items()}, build_less=build_less)


def _left_out(planned: Planned) -> dict[str, str]:
    return {n.name: str(n.reason) for n in planned.plan.left_out}


REFORMATTED = (
    "models/dogs.sql",
    "select 1 as id, 'a b' as name -- the first",
    "SELECT\n    1 AS id,\n    'a b' AS name",
)


def test_nothing_is_built_for_the_sake_of_formatting(kennel: Bench) -> None:
    planned = _change(kennel, REFORMATTED)
    assert planned.plan.nodes == ()
    assert planned.plan.status.startswith("dbt finds nothing to build in what changed against ")
    assert planned.plan.status.endswith("; formatting only: 10 nodes left out")
    left = _left_out(planned)
    assert left["dogs"] == "formatting only (dbt/models/dogs.sql)"
    assert left["toys"] == "downstream of dogs, formatting only"
    assert left["unique_dogs_id"] == left["no_gap"] == "tests dogs, formatting only"
    assert not (kennel.folder / "kennel.duckdb").exists()
    assert {"shops", "rows", "inlined", "reads_inlined", "calls"} < left.keys()
    assert planned.effect("dbt/models/dogs.sql") == "none: formatting only: dogs"


DOUBTFUL = {
    "literal": ("models/toys.sql", "select id, name", "select id, name || ' ' as name"),
    "calls": ("models/calls.sql", "plain('name')", "plain('NAME')"),
    "names": ("models/names.sql", "Id", "id"),
    "sized": ("models/sized.sql", "select 1", "select  1"),
    "grows": ("models/grows.sql", "select 1", "select  1"),
    "knows": ("models/knows.sql", "select '", "select  '"),
    "headed": ("models/headed.sql", "'a b'", "'a  b'"),
    "asks": ("models/asks.sql", "select {{", "select  {{"),
    "digest": ("models/digest.sql", "as size", "as  size"),
    "hooked": ("models/hooked.sql", "select 1", "select  1"),
    "kept": ("snapshots/kept.sql", "select 1", "select  1"),
}
"""Edits that look like formatting, by what has to be built for each."""


def test_in_doubt_it_is_built(kennel: Bench) -> None:
    planned = _change(kennel, *DOUBTFUL.values())
    assert planned.roots.keys() == {"toys", *DOUBTFUL} - {"literal"}
    assert _left_out(planned) == {}


def test_all_that_changed_besides_counts(kennel: Bench) -> None:
    data = ("data/given.csv", "1", "2")
    planned = _change(kennel, ("models/read_file.sql", "select *", "SELECT *"), data, REFORMATTED)
    assert planned.roots.keys() == {"read_file"}
    planned = _change(kennel, REFORMATTED, ("models/toys.sql", "name from", "name || 'x' as name from"))
    assert {n.name for n in planned.plan.nodes} == {"dogs", "toys", "shops", "unique_toys_id", "rows"}
    assert [n.why for n in planned.plan.nodes if n.name == "dogs"] == ["ancestor of toys, not deferred"]
    assert _left_out(planned).keys() == {"no_gap", "unique_dogs_id", "inlined", "reads_inlined", "calls"}
    planned = _change(kennel, REFORMATTED, ("macros/macros.sql", "upper(", "lower("))
    assert planned.roots.keys() == {"calls"}


def test_an_ephemeral_model_and_a_test_can_be_reformatted_too(kennel: Bench) -> None:
    ephemeral = ("models/inlined.sql", "select id", "SELECT -- only this\n  id")
    planned = _change(kennel, ephemeral, ("tests/no_gap.sql", "where id", "WHERE  id"))
    assert planned.plan.nodes == ()
    assert _left_out(planned).keys() == {"inlined", "reads_inlined", "no_gap"}


def test_without_the_option_formatting_counts(kennel: Bench) -> None:
    planned = _change(kennel, REFORMATTED, build_less="none")
    assert len(planned.plan.nodes) == 10
    assert "CompareFormatting" not in planned.asked


def test_the_base_is_not_parsed_again_for_it(kennel: Bench) -> None:
    asked = [_change(kennel, REFORMATTED, build_less=rule).asked for rule in ("formatting", "none")]
    assert asked[0].count("CompareFormatting") == 1
    assert asked[0].count("Parse") == asked[1].count("Parse")


def test_what_does_not_look_like_formatting_costs_nothing(kennel: Bench) -> None:
    planned = _change(kennel, ("models/dogs.sql", "1 as id", "2 as id"))
    assert "CompareFormatting" not in planned.asked
    assert planned.roots.keys() == {"dogs"}
