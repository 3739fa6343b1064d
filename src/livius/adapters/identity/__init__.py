"""Keys, tokens and client applications on files of the gateway's own (PyJWT, cryptography)."""
