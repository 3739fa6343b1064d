"""``python -m livius_agent FOLDER``: the agent of the driver whose folder it is."""

import sys
from pathlib import Path

from livius_agent.agent import main

sys.exit(main(Path(sys.argv[1])))
