{{ config(materialized='incremental', unique_key='walk_id') }}

select
    walk_id,
    dog_id,
    walked_at,
    metres
from {{ source('collar', 'walks') }}
{% if is_incremental() %}
where walked_at > (select coalesce(max(walked_at), timestamp '1970-01-01') from {{ this }})
{% endif %}
