-- Every krona of a stay is in exactly one month.
select
    by_month.kronor as income_by_month,
    by_stay.kronor as income_by_stay
from (select sum(income_kronor) as kronor from {{ ref('monthly_income') }}) as by_month
cross join (select sum(price_kronor) as kronor from {{ ref('fact_dogs') }}) as by_stay
where by_month.kronor <> by_stay.kronor
