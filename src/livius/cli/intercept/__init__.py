"""Unmodified programs: Fabric's host names led to the gateway, for one process tree.

`tree` begins one: its folder, its variables, the proxy that ends with it. `proxy` leads,
`variables` makes a program's variables, and its PATH has the rest: `az` and a browser.
"""
