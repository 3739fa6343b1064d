{{ config(
    materialized='incremental', incremental_strategy='merge', unique_key='zone', file_format='delta'
) }}
select zone, current_timestamp() as seen_at from {{ ref('zones') }}
{% if is_incremental() %} where zone > 1 {% endif %}
