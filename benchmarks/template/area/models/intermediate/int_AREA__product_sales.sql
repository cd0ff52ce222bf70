{{ config(materialized='view') }}

with products as (
    select * from {{ ref('stg_AREA__products') }}
),

orders as (
    select product_id, count(*) as orders
    from {{ ref('stg_AREA__orders') }}
    group by product_id
),

final as (
    select
        products.product_id,
        products.category,
        {{ money('products.price * coalesce(orders.orders, 0)') }} as revenue,
        coalesce(orders.orders, 0) as orders
    from products
    left join orders on products.product_id = orders.product_id
)

select
    product_id,
    category,
    revenue,
    orders
from final
