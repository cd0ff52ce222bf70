{{ config(materialized='view') }}

with customers as (
    select * from {{ ref('stg_AREA__customers') }}
),

elsewhere as (
    select customer_id, email from {{ ref('stg_NEIGHBOUR__customers') }}
),

orders as (
    select
        customer_id,
        min(ordered_on) as first_order,
        max(ordered_on) as last_order,
        count(*) as orders
    from {{ ref('stg_AREA__orders') }}
    group by customer_id
),

final as (
    select
        customers.customer_id,
        elsewhere.email is not null as known_elsewhere,
        orders.first_order,
        orders.last_order,
        coalesce(orders.orders, 0) as orders
    from customers
    left join elsewhere on customers.customer_id = elsewhere.customer_id
    left join orders on customers.customer_id = orders.customer_id
)

select
    customer_id,
    known_elsewhere,
    first_order,
    last_order,
    orders
from final
