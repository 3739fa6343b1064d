"""The old name of `notebookutils`."""

import sys

import notebookutils

sys.modules[__name__] = notebookutils
