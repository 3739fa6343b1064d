"""The command livius lakehouse."""
