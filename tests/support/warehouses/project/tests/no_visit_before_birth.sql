select v.visit_id
from {{ ref('stg_visits') }} as v
inner join {{ ref('stg_dogs') }} as d on d.dog_id = v.dog_id
where v.visited_on < d.born_on
