{# Öre, the hundredths that the till counts in, as kronor with two decimals. #}
{% macro ore_to_kronor(column_name) -%}
    cast(({{ column_name }}) / 100.0 as numeric(12, 2))
{%- endmacro %}
