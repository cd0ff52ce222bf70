{{ config(materialized='view') }}

with source as (
    select * from {{ ref('raw_customers') }}
),

final as (
    select
        id as customer_id,
        {{ clean_text('full_name') }} as full_name,
        {{ clean_text('email') }} as email,
        cast(joined_on as date) as joined_on,
        {{ AREA_label() }} as area
    from source
)

select
    customer_id,
    full_name,
    email,
    joined_on,
    area
from final
