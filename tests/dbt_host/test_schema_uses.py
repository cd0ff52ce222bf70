"""Code that only puts the target's schema into texts is told from code that looks into it."""

from __future__ import annotations

import pytest

from pytest_dbtci.dbt_host.schema_uses import _NAMING, _Code, _LooksInto

NAMING = """
{% macro generate_schema_name(custom_schema_name, node) -%}
  {%- set default_schema = target.schema -%}
  {%- if custom_schema_name is none -%} {{ default_schema }}
  {%- else -%} {{ default_schema }}_{{ custom_schema_name | trim }} {%- endif -%}
{%- endmacro %}
"""


@pytest.mark.parametrize(
    "code",
    [
        NAMING,
        "{{ config(post_hook='x ' ~ target.schema ~ '.heavy') }} select 1",
        "select * from {{ target.schema }}.x, {{ target['schema'] }}.y",
        "{% set h %}comment on {{ this }} is 'x'{% endset %}{{ config(post_hook=h) }}",
        "{% if target.name == 'prod' and target['type'] != 'duckdb' %}x{% endif %}",
        "{% if is_incremental() %} where a > (select max(a) from {{ this }}) {% endif %}",
        "{{ config(meta={'s': target.schema, 'l': [target['schema']]}, location=target.schema + '/x.parquet') }}",
        "{{ config(schema='x', alias=var('schema')) }} {{ this.name | upper }}",
        "{% if execute %}{% if this.schema == 'x' %}a{% endif %}{% endif %}",
        "{% macro f(model, schema) %}{{ g(model) }}{% if schema == 1 %}{{ schema }}{% endif %}{% endmacro %}",
        "{{ return(adapter.dispatch('generate_schema_name', 'dbt')(custom_schema_name, node)) }}",
        "{% raw %}{{ target.schema == 'x' }}{% endraw %}{# {{ target.schema | upper }} #}",
    ],
)
def test_a_schema_that_is_only_written_down_is_plain(code: str) -> None:
    _Code(code, _NAMING).outputs()


@pytest.mark.parametrize(
    "code",
    [
        "{{ config(enabled=target.schema == 'x') }}",
        "{{ 'a' if 'x' in target.schema else 'b' }}",
        "{% if target['schema'] in ['x'] %}{% endif %}",
        "{% if target.schema.startswith('dbt') %}a{% endif %}",
        "{{ config(alias=target.schema | upper) }}",
        "{{ config(alias=(target.schema ~ 'x') | upper) }}",
        "{{ config(alias=target.schema.upper()) }}",
        "{{ config(alias=target.schema[:4]) }}",
        "{{ config(alias=names[target.schema]) }}",
        "{{ config(alias=local_md5(target.schema)) }}",
        "{{ config(alias=node.schema | length) }}",
        "{{ config(alias=generate_schema_name(none, model) | upper) }}",
        "{% set s = target.schema %}{% if s == 'x' %}{% endif %}",
        "{% set h %}{{ target.schema }}{% endset %}{{ h | upper }}",
        "{% filter upper %}{{ target.schema }}{% endfilter %}",
        "{% call f() %}{{ target.schema }}{% endcall %}",
        "{% if this.schema == 'x' %}{% endif %}",
        "{% if schema == 'x' %}{% endif %}",
        "{{ note(this) }}",
        "{{ target.get('schema') }}",
        "{{ tojson(target) }}",
        "{% for k, v in target.items() %}{% endfor %}",
        "{% do names.append(target.schema) %}",
        "{% if execute %}{% else %}{{ this.schema | upper }}{% endif %}",
    ],
)
def test_a_schema_that_is_looked_into_is_not(code: str) -> None:
    with pytest.raises(_LooksInto):
        _Code(code, _NAMING).outputs()


def test_a_macro_hands_the_schema_on() -> None:
    assert _Code("{% macro place() %}{{ target.schema }}.x{% endmacro %}", ()).outputs() == {"place"}
    with pytest.raises(_LooksInto):
        _Code("{% if place() == 'x' %}{% endif %}", ("place",)).outputs()
