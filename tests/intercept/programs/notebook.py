"""Run cells as a notebook in the kernel `livius`; print what each put out, as JSON.

Cells come as a JSON list on standard input.
"""

import json
import sys

import nbformat
from nbclient import NotebookClient

cells = [nbformat.v4.new_code_cell(cell) for cell in json.load(sys.stdin)]
notebook = nbformat.v4.new_notebook(cells=cells)
NotebookClient(notebook, kernel_name="livius", timeout=240).execute()
print(
    json.dumps(
        ["".join(one.get("text", "") for one in cell["outputs"]) for cell in notebook["cells"]]
    )
)
