{{ config(materialized='table') }}

with customer_orders as (
    select * from {{ ref('int_AREA__customer_orders') }}
),

final as (
    select
        customer_id,
        first_order,
        last_order,
        orders,
        case when orders > 5 then 'gold' when orders > 0 then 'silver' else 'none' end as tier
    from customer_orders
)

select
    customer_id,
    first_order,
    last_order,
    orders,
    tier
from final
