"""The pages, one module each: routes, calls of use cases, and data for templates."""
