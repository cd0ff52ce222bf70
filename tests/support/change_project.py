"""A dbt project with one of everything that a dbt project can have, and a local package beside it.

The repository holds the project in `dbt/`, the local package in `shared/`, another dbt project in `other/`,
and files that dbt never reads.
"""

from __future__ import annotations

LARGE_SEED = "dog_id,steps\n" + "".join(f"{n % 97},{n}\n" for n in range(140_000))
"""Over 1 MiB, so that dbt compares it by its path alone."""

PROJECT = """\
name: kennel
version: "1.0.0"
config-version: 2
profile: kennel
flags:
  send_anonymous_usage_stats: false
  require_generic_test_arguments_property: true
on-run-start: "{{ note_start() }}"
query-comment: "kennel"
vars:
  min_age: 1
  unused: 1
  title: Sir
  via_macro: 3
  config_flag: table
  kennel:
    scoped: 5
dispatch:
  - macro_namespace: toolbox
    search_order: [kennel, toolbox]
seeds:
  kennel:
    +schema: raw
models:
  kennel:
    +materialized: view
    marts:
      +materialized: table
      +tags: [nightly]
data_tests:
  kennel:
    +severity: error
"""

FILES: dict[str, str | bytes | None] = {
    "README.md": "# Kennel\n",
    "tools/report.py": "print('report')\n",
    "data/walks.csv": "walk_id,dog_id,metres\n1,1,900\n2,2,1200\n",
    "data/other.csv": "a\n1\n",
    "other/dbt_project.yml": "name: other\nprofile: kennel\n",
    "other/models/elsewhere.sql": "select 1 as id\n",
    "shared/dbt_project.yml": "name: toolbox\nversion: '1.0.0'\nconfig-version: 2\nvars:\n  toolbox_limit: 10\n",
    "shared/macros/rounded.sql": """\
{% macro rounded(column) %}{{ return(adapter.dispatch('rounded', 'toolbox')(column)) }}{% endmacro %}
{% macro default__rounded(column) %}round({{ column }}, 1){% endmacro %}
""",
    "shared/macros/limited.sql": "{% macro limited() %}limit {{ var('toolbox_limit') }}{% endmacro %}\n",
    "shared/models/calendar.sql": "select 1 as day\n",
    "shared/README.md": "# Toolbox\n",
    "dbt/.gitignore": "target/\nlogs/\ndbt_packages/\n.user.yml\n*.duckdb\n*.duckdb.wal\npackage-lock.yml\n",
    "dbt/README.md": "# The project\n",
    "dbt/dbt_project.yml": PROJECT,
    "dbt/packages.yml": "packages:\n  - local: ../shared\n",
    "dbt/profiles.yml": """\
kennel:
  target: ci
  outputs:
    ci: {type: duckdb, path: "{{ env_var('KENNEL_WAREHOUSE', 'kennel.duckdb') }}", schema: dev, threads: 2}
    prod: {type: duckdb, path: "{{ env_var('KENNEL_WAREHOUSE', 'kennel.duckdb') }}", schema: analytics, threads: 2}
""",
    "dbt/selectors.yml": """\
selectors:
  - name: changed_marts
    definition:
      intersection:
        - {method: state, value: modified, children: true}
        - {method: path, value: models/marts}
  - name: nightly
    definition: {method: tag, value: nightly}
""",
    "dbt/.dbtignore": "models/drafts/\n",
    "dbt/models/drafts/idea.sql": "select 'draft' as id\n",
    "dbt/tests/test_python.py": "def test_nothing() -> None:\n    assert True\n",
    "dbt/macros/note_start.sql": "{% macro note_start() %}select 1{% endmacro %}\n",
    "dbt/macros/loud.sql": "{% macro loud(column) %}upper({{ shout(column) }}){% endmacro %}\n",
    "dbt/macros/shout.sql": "{% macro shout(column) %}{{ column }} || '!'{% endmacro %}\n",
    "dbt/macros/idle.sql": "{# nobody calls it #}\n{% macro idle() %}select 1{% endmacro %}\n",
    "dbt/macros/reads_var.sql": "{% macro reads_var() %}{{ var('via_macro') }}{% endmacro %}\n",
    "dbt/macros/vacuumed.sql": """\
{% materialization vacuumed, default %}
  {%- set target_relation = this.incorporate(type='table') -%}
  {{ run_hooks(pre_hooks) }}
  {% call statement('main') %}create or replace table {{ target_relation }} as {{ vacuum_sql(sql) }}{% endcall %}
  {{ run_hooks(post_hooks) }}
  {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}
""",
    "dbt/macros/vacuum_sql.sql": "{% macro vacuum_sql(sql) %}{{ sql }}{% endmacro %}\n",
    "dbt/macros/audit.sql": "{% macro audit() %}select 1{% endmacro %}\n",
    "dbt/macros/macros.yml": "macros:\n  - name: loud\n    description: Louder.\n",
    "dbt/tests/generic/positive.sql": """\
{% test positive(model, column_name) %}
select * from {{ model }} where {{ column_name }} <= {{ floor_of() }}
{% endtest %}
""",
    "dbt/macros/floor_of.sql": "{% macro floor_of() %}0{% endmacro %}\n",
    "dbt/tests/ages_are_sane.sql": "select * from {{ ref('dogs') }} where age > 40\n",
    "dbt/tests/fixtures/two_dogs.csv": "dog_id,name,age\n1,Rex,3\n2,Fia,5\n",
    "dbt/tests/fixtures/two_titles.sql": "select 1 as dog_id, 'Sir REX!' as title\n",
    "dbt/seeds/raw_dogs.csv": "dog_id,name,age\n1,Rex,3\n2,Fia,5\n3,Ola,7\n",
    "dbt/seeds/raw_steps.csv": LARGE_SEED,
    "dbt/seeds/seeds.yml": """\
seeds:
  - name: raw_dogs
    description: The register.
    config:
      column_types: {dog_id: integer}
""",
    "dbt/models/staging/dogs.sql": """\
select dog_id, name, age
from {{ ref('raw_dogs') }}
where age >= {{ var('min_age') }}
""",
    "dbt/models/staging/names.sql": """\
{{ config(materialized='ephemeral') }}
select dog_id, {{ loud('name') }} as name from {{ ref('dogs') }}
""",
    "dbt/models/staging/steps.sql": "select dog_id, sum(steps) as steps from {{ ref('raw_steps') }} group by 1\n",
    "dbt/models/staging/walks.sql": "select * from {{ source('field', 'walks') }}\n",
    "dbt/models/staging/other_file.sql": "select * from read_csv('../data/oth*.csv')\n",
    "dbt/models/staging/scoped.sql": "select {{ var('scoped') }} as n, {{ reads_var() }} as m\n",
    "dbt/models/staging/switched.sql": "{{ config(materialized=var('config_flag')) }}\nselect 1 as id\n",
    "dbt/models/staging/off.sql": "{{ config(enabled=false) }}\nselect 1 as id\n",
    "dbt/models/staging/staging.yml": """\
sources:
  - name: field
    schema: field
    meta: {external_location: "read_csv('../data/{name}.csv')"}
    freshness: {warn_after: {count: 1, period: day}}
    loaded_at_field: now()
    tables:
      - name: walks
        description: Walks.
        columns:
          - name: walk_id
            data_tests: [unique]
models:
  - name: dogs
    description: "{{ doc('dogs') }}"
    columns:
      - name: dog_id
        description: Number.
        data_tests: [unique, not_null]
      - name: age
        data_tests:
          - positive
          - accepted_values:
              name: ages_known
              arguments: {values: [3, 5, 7], quote: false}
  - name: steps
    description: Steps of each dog.
unit_tests:
  - name: young_dogs_stay_out
    model: dogs
    given:
      - input: ref('raw_dogs')
        format: csv
        fixture: two_dogs
    expect:
      rows: [{dog_id: 1, name: Rex, age: 3}, {dog_id: 2, name: Fia, age: 5}]
""",
    "dbt/models/docs.md": "{% docs dogs %}\nDogs.\n{% enddocs %}\n{% docs titles %}\nTitles.\n{% enddocs %}\n",
    "dbt/models/marts/titles.sql": """\
{{ config(persist_docs={'relation': true, 'columns': true}, post_hook="{{ audit() }}") }}
select dog_id, '{{ var("title") }} ' || name as title from {{ ref('names') }}
""",
    "dbt/models/marts/contracted.sql": "select cast(dog_id as integer) as dog_id from {{ ref('dogs') }}\n",
    "dbt/models/marts/rounded_steps.sql": """\
select dog_id, {{ toolbox.rounded('steps') }} as steps from {{ ref('steps') }} {{ toolbox.limited() }}
""",
    "dbt/models/marts/grown.sql": """\
{{ config(materialized='incremental', unique_key='dog_id') }}
select dog_id, age from {{ ref('dogs') }}
{% if is_incremental() %}where age > 0{% endif %}
""",
    "dbt/models/marts/cleaned.sql": "{{ config(materialized='vacuumed') }}\nselect dog_id from {{ ref('dogs') }}\n",
    "dbt/models/marts/scored.py": """\
import scoring


def model(dbt, session):
    dbt.config(materialized="table")
    return dbt.ref("dogs").df()
""",
    "dbt/scoring.py": "FACTOR = 2\n",
    "dbt/models/marts/prices_v1.sql": "select 1 as price\n",
    "dbt/models/marts/prices_v2.sql": "select 2 as price\n",
    "dbt/models/marts/bill.sql": "select price from {{ ref('prices') }}\n",
    "dbt/models/marts/marts.yml": """\
groups:
  - name: keepers
    owner: {name: Ola, email: ola@example.com}
models:
  - name: titles
    description: "{{ doc('titles') }}"
    columns:
      - {name: title, description: With title.}
  - name: contracted
    config:
      contract: {enforced: true}
    columns:
      - {name: dog_id, data_type: integer, description: Number.}
  - name: grown
    config: {group: keepers}
    access: protected
    meta: {owner: Ola}
  - name: prices
    latest_version: 1
    versions:
      - v: 1
      - v: 2
exposures:
  - name: screen
    type: dashboard
    depends_on: [ref('titles')]
    owner: {name: Ola, email: ola@example.com}
unit_tests:
  - name: titles_are_given
    model: titles
    given:
      - input: ref('names')
        format: sql
        rows: select 1 as dog_id, 'REX!' as name
    expect:
      format: sql
      fixture: two_titles
""",
    "dbt/snapshots/history.yml": """\
snapshots:
  - name: history
    relation: ref('dogs')
    config: {strategy: check, unique_key: dog_id, check_cols: all}
""",
    "dbt/snapshots/ages.sql": """\
{% snapshot ages %}
{{ config(strategy='check', unique_key='dog_id', check_cols=['age']) }}
select dog_id, age from {{ ref('dogs') }}
{% endsnapshot %}
""",
    "dbt/analyses/question.sql": "select * from {{ ref('dogs') }}\n",
}
