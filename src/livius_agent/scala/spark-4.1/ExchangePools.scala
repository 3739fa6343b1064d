package org.apache.spark.sql.execution.livius

import org.apache.spark.sql.execution.exchange.{BroadcastExchangeExec, ShuffleExchangeExec}

/** How the threads of each pool are called, and the pool. */
private[livius] object ExchangePools {
  val all = Seq(
    "shuffle-exchange"   -> ShuffleExchangeExec.executionContext,
    "broadcast-exchange" -> BroadcastExchangeExec.executionContext
  )
}
