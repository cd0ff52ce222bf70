{{ config(
    dist='dog_id',
    sort=['breed', 'dog_id'],
    sort_type='compound',
    pre_hook="select count(*) from {{ ref('stg_dogs') }}",
    post_hook="delete from {{ this }} where dog_id < 0"
) }}

select
    d.dog_id,
    cast(d.name as varchar(40)) as name,
    cast(d.breed as varchar(40)) as breed,
    cast(count(v.visit_id) as integer) as visits,
    max(v.visited_on) as last_visit
from {{ ref('stg_dogs') }} as d
left join {{ ref('stg_visits') }} as v on v.dog_id = d.dog_id
group by d.dog_id, d.name, d.breed
