// The package is Spark's: its pools are visible only from within it.
package org.apache.spark.sql.execution.livius

import java.lang.Thread.State.{TERMINATED, TIMED_WAITING, WAITING}
import java.util.concurrent.ThreadPoolExecutor

import scala.concurrent.ExecutionContextExecutorService

import org.apache.spark.sql.{SparkSession, classic}
import org.apache.spark.sql.execution.{SubqueryBroadcastExec, SubqueryExec}
import org.apache.spark.sql.execution.exchange.BroadcastExchangeExec

/** The pools from which queries begin their jobs, a moment after who asked has given up. */
object QueryPools {

  /** How the threads of each pool are called, and the pool; made where a session is active. */
  private lazy val pools = LaterPools.all ++ Map(
    "broadcast-exchange" -> BroadcastExchangeExec.executionContext,
    "subquery"           -> SubqueryExec.executionContext,
    "dynamicpruning"     -> SubqueryBroadcastExec.executionContext
  )

  /** Whether any of their threads works, or is about to: on a busy machine one that was handed work takes a while to wake up.
    *
    * @param session Spark makes its pools at their first use, as large as the conf of the active session says
    * @param alive   all threads
    */
  def areBusy(session: SparkSession, alive: => Seq[Thread]): Boolean = session.asInstanceOf[classic.SparkSession].withActive {
    // Work leaves the queue for a thread, so the queues are looked at first.
    pools.values.exists(!executor(_).getQueue.isEmpty) ||
    alive.exists(thread => pools.keys.exists(name => thread.getName.startsWith(name)) && !isIdle(thread))
  }

  /** Spark's wrapper of a pool keeps it to itself. */
  private def executor(pool: ExecutionContextExecutorService): ThreadPoolExecutor =
    pool.getClass.getMethod("executor").invoke(pool).asInstanceOf[ThreadPoolExecutor]

  /** Whether a thread waits for work. The state is looked at first: a thread that has since begun to wait has done its work. */
  private def isIdle(thread: Thread): Boolean = thread.getState match {
    case TERMINATED              => true
    case WAITING | TIMED_WAITING => thread.getStackTrace.exists(_.getMethodName == "getTask")
    case _                       => false
  }
}
