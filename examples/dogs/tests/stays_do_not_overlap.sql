-- A dog sleeps in one kennel at a time.
select
    earlier.dog_id,
    earlier.stay_id,
    later.stay_id as overlapping_stay_id
from {{ ref('fact_dogs') }} as earlier
inner join {{ ref('fact_dogs') }} as later
    on earlier.dog_id = later.dog_id
    and earlier.stay_id < later.stay_id
    and later.check_in < earlier.check_out
    and earlier.check_in < later.check_out
