{{ config(materialized='table') }}

with sales as (
    select * from {{ ref('int_AREA__product_sales') }}
),

paid as (
    select product_id, sum(amount) as paid
    from {{ ref('fct_AREA__orders') }}
    group by product_id
),

final as (
    select
        sales.product_id,
        sales.category,
        sales.revenue,
        coalesce(paid.paid, 0) as paid
    from sales
    left join paid on sales.product_id = paid.product_id
)

select
    product_id,
    category,
    revenue,
    paid
from final
