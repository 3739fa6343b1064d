"""``python -m livius.cli``: the same as ``livius``."""

from livius.cli import main

main()
