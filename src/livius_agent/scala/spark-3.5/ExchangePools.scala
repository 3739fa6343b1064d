package org.apache.spark.sql.execution.livius

import org.apache.spark.sql.execution.{SubqueryBroadcastExec, SubqueryExec}
import org.apache.spark.sql.execution.exchange.BroadcastExchangeExec

/** How the threads of each pool are called, and the pool. */
private[livius] object ExchangePools {
  val all = Map(
    "broadcast-exchange" -> BroadcastExchangeExec.executionContext,
    "subquery"           -> SubqueryExec.executionContext,
    "dynamicpruning"     -> SubqueryBroadcastExec.executionContext
  )
}
