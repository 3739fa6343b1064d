"""``livius sql``, ``run`` and ``session``: a Fabric client of the gateway's public API."""
