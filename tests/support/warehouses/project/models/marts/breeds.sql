{{ config(materialized='view', bind=false) }}

select breed, count(*) as dogs
from {{ ref('fact_dogs') }}
group by breed
