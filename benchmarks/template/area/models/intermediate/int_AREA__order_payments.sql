{{ config(materialized='view') }}

with orders as (
    select * from {{ ref('stg_AREA__orders') }}
),

payments as (
    select
        order_id,
        sum(amount) as amount,
        count(*) as payments
    from {{ ref('stg_AREA__payments') }}
    group by order_id
),

final as (
    select
        orders.order_id,
        orders.customer_id,
        orders.product_id,
        orders.ordered_on,
        coalesce(payments.amount, 0) as amount,
        coalesce(payments.payments, 0) as payments
    from orders
    left join payments on orders.order_id = payments.order_id
)

select
    order_id,
    customer_id,
    product_id,
    ordered_on,
    amount,
    payments
from final
