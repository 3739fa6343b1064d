"""The parts of an installation, and their places."""
