"""Keys, tokens and first accounts on files of the gateway's own (PyJWT, cryptography)."""
