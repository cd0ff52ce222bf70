{{ config(bind=false) }}

select visit_id, dog_id, visited_on, weight_g, updated_at
from {{ ref('raw_visits') }}
