{{ config(materialized='table') }}

select
    stay_id,
    dog_id,
    check_in,
    check_out,
    nights,
    {{ ore_to_kronor('price_ore') }} as price_kronor
from {{ ref('stay_nights') }}
