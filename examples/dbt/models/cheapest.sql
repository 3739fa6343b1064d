{{ config(materialized='view') }}
select name, fare from {{ ref('zones') }} join {{ ref('fares') }} using (zone)
order by fare limit 1
