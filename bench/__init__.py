"""Measurements of Livius against its floor: the same work in plain PySpark."""
