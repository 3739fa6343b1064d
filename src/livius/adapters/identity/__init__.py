"""Keys, tokens and first accounts in the gateway's own files (PyJWT, cryptography)."""
