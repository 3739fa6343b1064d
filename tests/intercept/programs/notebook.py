"""Run a notebook's cells in the kernel `livius`; print each one's output, as JSON.

The notebook is a file, or a JSON list of cells on standard input.
"""

import json
import sys

import nbformat
from nbclient import NotebookClient

if sys.argv[1:]:
    notebook = nbformat.read(sys.argv[1], as_version=4)
else:
    cells = [nbformat.v4.new_code_cell(cell) for cell in json.load(sys.stdin)]
    notebook = nbformat.v4.new_notebook(cells=cells)
NotebookClient(notebook, kernel_name="livius", timeout=240).execute()


def text(output):
    return output.get("text", "") or output.get("data", {}).get("text/plain", "")


cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
print(json.dumps(["".join(map(text, cell["outputs"])) for cell in cells]))
