"""Adapters: each implements a port for one external system."""
