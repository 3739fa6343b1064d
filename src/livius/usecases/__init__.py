"""The use cases: one function per intent of a caller; each writes a goal and returns."""
