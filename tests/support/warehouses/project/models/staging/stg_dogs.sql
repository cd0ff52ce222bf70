select dog_id, name, breed, born_on
from {{ ref('raw_dogs') }}
