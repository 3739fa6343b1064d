"""``livius environment``: environments from the shell, through the public API."""
