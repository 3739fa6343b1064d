package org.apache.spark.sql.execution.livius

import scala.concurrent.ExecutionContextExecutorService

/** Spark 3.5 begins the jobs of shuffles in the thread that asks for them. */
private[livius] object LaterPools {
  val all = Map.empty[String, ExecutionContextExecutorService]
}
