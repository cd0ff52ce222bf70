{% macro kilograms(grams) %}cast(floor({{ grams }} / 1000.0) as integer){% endmacro %}
