{% macro AREA_label() -%}
    '{{ "AREA" | upper }}'
{%- endmacro %}
