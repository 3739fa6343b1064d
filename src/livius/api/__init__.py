"""The HTTP API: handlers parse, call one use case and render. They decide nothing."""
