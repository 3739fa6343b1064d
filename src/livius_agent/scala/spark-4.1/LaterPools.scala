package org.apache.spark.sql.execution.livius

import org.apache.spark.sql.execution.exchange.ShuffleExchangeExec

/** The pools that Spark 3.5 has not. */
private[livius] object LaterPools {
  val all = Map("shuffle-exchange" -> ShuffleExchangeExec.executionContext)
}
