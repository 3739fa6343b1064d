"""The core's contracts with the outside; no behaviour."""
