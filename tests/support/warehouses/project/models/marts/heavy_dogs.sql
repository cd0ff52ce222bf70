{{ config(dist='all', sort='dog_id', sort_type='interleaved', backup=false) }}

select f.dog_id, f.name, max(h.weight_kg) as weight_kg
from {{ ref('fact_dogs') }} as f
inner join {{ ref('heavy_visits') }} as h on h.dog_id = f.dog_id
group by f.dog_id, f.name
