{{ config(materialized='view') }}

with source as (
    select * from {{ ref('raw_payments') }}
),

final as (
    select
        id as payment_id,
        order_id,
        {{ cents_to_dollars('amount_cents') }} as amount,
        {{ clean_text('method') }} as method
    from source
)

select
    payment_id,
    order_id,
    amount,
    method
from final
