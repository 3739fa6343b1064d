"""``livius runtime``: the runtimes of this machine."""
