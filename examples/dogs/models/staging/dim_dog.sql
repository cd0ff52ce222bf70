select
    dogs.dog_id,
    dogs.name,
    breeds.breed,
    breeds.size,
    dogs.born_on,
    dogs.owner,
    dogs.updated_at
from {{ ref('raw_dogs') }} as dogs
inner join {{ ref('raw_breeds') }} as breeds on dogs.breed_code = breeds.breed_code
