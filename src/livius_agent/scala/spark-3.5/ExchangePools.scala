package org.apache.spark.sql.execution.livius

import org.apache.spark.sql.execution.exchange.BroadcastExchangeExec

/** How the threads of each pool are called, and the pool. */
private[livius] object ExchangePools {
  val all = Seq("broadcast-exchange" -> BroadcastExchangeExec.executionContext)
}
