{{ config(materialized='view') }}

with source as (
    select * from {{ ref('raw_orders') }}
),

final as (
    select
        id as order_id,
        customer_id,
        product_id,
        cast(ordered_on as date) as ordered_on,
        {{ clean_text('status') }} as status,
        {{ AREA_label() }} as area
    from source
)

select
    order_id,
    customer_id,
    product_id,
    ordered_on,
    status,
    area
from final
