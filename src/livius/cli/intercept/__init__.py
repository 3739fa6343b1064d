"""Unmodified programs: Fabric's host names led to the gateway, for one process tree.

`tree` begins one: its folder, its variables, the proxy that ends with it. `proxy` leads,
`variables` says what a program is told, and the rest stands in its PATH: `az` and a browser.
"""
