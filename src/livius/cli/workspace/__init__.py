"""The command livius workspace."""
