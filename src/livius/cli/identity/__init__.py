"""The command livius identity."""
