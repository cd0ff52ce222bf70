{{ config(materialized='table') }}

with order_payments as (
    select * from {{ ref('int_AREA__order_payments') }}
),

customers as (
    select * from {{ ref('stg_AREA__customers') }}
),

final as (
    select
        order_payments.order_id,
        order_payments.customer_id,
        order_payments.product_id,
        order_payments.ordered_on,
        {{ money('order_payments.amount') }} as amount,
        customers.full_name
    from order_payments
    left join customers on order_payments.customer_id = customers.customer_id
)

select
    order_id,
    customer_id,
    product_id,
    ordered_on,
    amount,
    full_name
from final
