select
    month,
    income_kronor
from {{ ref('monthly_income', v=2) }}
