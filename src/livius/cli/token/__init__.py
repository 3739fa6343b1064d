"""The command livius token."""
