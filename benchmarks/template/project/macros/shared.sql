{% macro cents_to_dollars(column) -%}
    {{ money(column ~ ' / 100.0') }}
{%- endmacro %}

{% macro money(expression) -%}
    cast({{ expression }} as numeric(18, 2))
{%- endmacro %}

{% macro clean_text(column) -%}
    nullif(trim(cast({{ column }} as varchar(256))), '')
{%- endmacro %}

{# The schema of a build is its target's, followed by the folder's: what dbt does by default, said out loud. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {%- if custom_schema_name is none -%}
        {{ target.schema }}
    {%- else -%}
        {{ target.schema }}_{{ custom_schema_name | trim }}
    {%- endif -%}
{%- endmacro %}

{# What a team calls when a pull request's build is over. #}
{% macro drop_build_schemas(prefix) %}
    {% set found = run_query(
        "select schema_name from information_schema.schemata where catalog_name = '" ~ target.database ~ "'"
    ) %}
    {% for name in found.columns[0].values() if name == prefix or name.startswith(prefix ~ '_') %}
        {% do adapter.drop_schema(api.Relation.create(database=target.database, schema=name)) %}
    {% endfor %}
{% endmacro %}
