{% macro let_reader_in(schemas) %}
  {% if target.type != 'duckdb' %}
    {% for schema in schemas %}
      grant usage on schema {{ adapter.quote(schema) }} to reader;
    {% endfor %}
  {% endif %}
{% endmacro %}
