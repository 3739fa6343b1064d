"""The names that Python statements find: those of PySpark's shell, classic Livy and Fabric."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from livius_agent import frames


def display(*values: Any, summary: bool = False, **options: Any) -> Any:
    """Show values: Spark DataFrames as tables, others as IPython shows them.

    With ``summary`` a second table follows each frame: for each of its columns, how many values are
    missing, how many different ones there are, the least and the greatest. ``options`` are those of
    IPython's own ``display``.
    """
    from IPython.display import display as show

    handle = show(*values, **options)
    if summary:
        for value in values:
            if frames.is_frame(value):
                show(frames.summary_of(value))
            elif hasattr(value, "describe"):  # a pandas DataFrame
                show(value.describe(include="all"))
    return handle


def displayHTML(html: str) -> None:  # noqa: N802 - Fabric's name
    """Show HTML."""
    from IPython.display import publish_display_data

    publish_display_data({"text/html": str(html)})


def names(context: Any, spark: Any) -> Mapping[str, Any]:
    """Return the names with their values."""
    import atexit
    import builtins
    import os
    import platform
    import sys
    import warnings
    from urllib.parse import urlparse

    import notebookutils
    import pyspark
    from pyspark import SparkContext, cloudpickle
    from pyspark.sql import HiveContext, SparkSession, SQLContext
    from pyspark.sql.utils import is_remote
    from pyspark.streaming import StreamingContext

    sql_context = SQLContext(context, spark)
    of_pyspark = {
        "SQLContext": SQLContext,
        "SparkContext": SparkContext,
        "SparkSession": SparkSession,
        "atexit": atexit,
        "builtins": builtins,
        "is_remote": is_remote,
        "os": os,
        "platform": platform,
        "pyspark": pyspark,
        "sc": context,
        "spark": spark,
        "sql": spark.sql,
        "sqlContext": sql_context,
        "sqlCtx": sql_context,
        "sys": sys,
        "urlparse": urlparse,
        "version": context.version,
        "warnings": warnings,
    }
    of_livy = {
        "HiveContext": HiveContext,
        "StreamingContext": StreamingContext,
        "cloudpickle": cloudpickle,
    }
    of_fabric = {
        "display": display,
        "displayHTML": displayHTML,
        "mssparkutils": notebookutils,
        "notebookutils": notebookutils,
    }
    return {**of_pyspark, **_of_pyspark_4(), **of_livy, **of_fabric}


def _of_pyspark_4() -> Mapping[str, Any]:
    try:
        from pyspark.logger import SPARK_LOG_SCHEMA
    except ImportError:
        return {}
    return {"SPARK_LOG_SCHEMA": SPARK_LOG_SCHEMA}
