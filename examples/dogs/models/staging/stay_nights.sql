{{ config(materialized='ephemeral') }}

select
    stay_id,
    dog_id,
    check_in,
    check_out,
    {{ dbt.datediff('check_in', 'check_out', 'day') }} as nights,
    price_ore
from {{ ref('raw_stays') }}
where dog_id <> {{ var('test_dog_id') }}
