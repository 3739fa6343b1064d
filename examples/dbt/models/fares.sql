select zone, cast(zone * 2.5 as double) as fare from {{ ref('zones') }}
