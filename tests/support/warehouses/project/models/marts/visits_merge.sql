{{ config(
    materialized='incremental',
    incremental_strategy='merge',
    unique_key='visit_id',
    dist='even',
    sort='updated_at'
) }}

select visit_id, dog_id, {{ kilograms('weight_g') }} as weight_kg, updated_at
from {{ ref('stg_visits') }}
{% if is_incremental() %}
where updated_at > (select max(updated_at) from {{ this }})
{% endif %}
