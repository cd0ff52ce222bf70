{{ config(materialized='ephemeral') }}

select visit_id, dog_id, {{ kilograms('weight_g') }} as weight_kg
from {{ ref('stg_visits') }}
where weight_g > 20000
