{# Fails on every row whose value is below `value`; unknown values pass, not_null is there for them. #}
{% test at_least(model, column_name, value) %}

select *
from {{ model }}
where {{ column_name }} < {{ value }}

{% endtest %}
