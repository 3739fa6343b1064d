"""The command livius secret."""
