"""How wants become true: idempotent steps, one record at a time."""
