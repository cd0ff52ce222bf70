{{ config(materialized='view') }}

with source as (
    select * from {{ ref('raw_products') }}
),

final as (
    select
        id as product_id,
        {{ clean_text('name') }} as name,
        {{ cents_to_dollars('price_cents') }} as price,
        {{ clean_text('category') }} as category
    from source
)

select
    product_id,
    name,
    price,
    category
from final
