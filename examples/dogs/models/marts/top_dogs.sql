with stays as (
    select
        dog_id,
        count(*) as stays,
        sum(nights) as nights,
        sum(price_kronor) as paid_kronor
    from {{ ref('fact_dogs') }}
    group by dog_id
),

walks as (
    select
        dog_id,
        cast(sum(metres) / 1000.0 as numeric(12, 1)) as walked_km
    from {{ ref('fact_walks') }}
    group by dog_id
)

select
    dog.dog_id,
    dog.name,
    dog.size,
    coalesce(stays.stays, 0) as stays,
    coalesce(stays.nights, 0) as nights,
    coalesce(stays.paid_kronor, 0) as paid_kronor,
    coalesce(walks.walked_km, 0) as walked_km
from {{ ref('dim_dog') }} as dog
left join stays on dog.dog_id = stays.dog_id
left join walks on dog.dog_id = walks.dog_id
