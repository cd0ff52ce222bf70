select
    cast({{ dbt.date_trunc('month', 'check_in') }} as date) as month,
    count(*) as stays,
    coalesce(sum(price_kronor), 0) as income_kronor
from {{ ref('fact_dogs') }}
group by 1
