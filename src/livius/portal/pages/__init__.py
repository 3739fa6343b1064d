"""The pages, one module each: its routes, what it asks of use cases, what its templates show."""
