// The package is Spark's: its pools are visible only from within it.
package org.apache.spark.sql.execution.livius

import java.lang.Thread.State.{TERMINATED, TIMED_WAITING, WAITING}
import java.util.concurrent.ThreadPoolExecutor

import scala.concurrent.ExecutionContextExecutorService

/** The pools from which adaptive queries begin their jobs, a moment after who asked has given up. */
object Exchanges {
  /** Whether any of their threads works, or is about to: on a busy machine one that was handed work takes a while to wake up.
    *
    * @param alive all threads
    */
  def areBusy(alive: Seq[Thread]): Boolean = ExchangePools.all.exists { case (name, pool) =>
    // Work leaves the queue for a thread, so the queue is looked at first.
    !executor(pool).getQueue.isEmpty || alive.exists(thread => thread.getName.startsWith(name) && !isIdle(thread))
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
