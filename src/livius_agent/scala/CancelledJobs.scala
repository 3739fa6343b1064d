// The package is Spark's: a job's result is visible only from within it.
package org.apache.spark.sql.livius

import java.util.{Collections, LinkedHashMap, Map => JavaMap}

import org.apache.spark.SparkThrowable
import org.apache.spark.scheduler.{JobFailed, SparkListener, SparkListenerJobEnd}

/** The last jobs that ended because somebody cancelled them: Spark's own records say only that they failed. */
object CancelledJobs extends SparkListener {
  private val Most = 10000
  private val Condition = "SPARK_JOB_CANCELLED"

  private val ids: JavaMap[Int, Unit] = Collections.synchronizedMap(new LinkedHashMap[Int, Unit] {
    override def removeEldestEntry(eldest: JavaMap.Entry[Int, Unit]): Boolean = size > Most
  })

  override def onJobEnd(ended: SparkListenerJobEnd): Unit = ended.jobResult match {
    case JobFailed(failure: SparkThrowable) if Version.condition(failure) == Condition => ids.put(ended.jobId, ())
    case _                                                                       =>
  }

  /** The word for a job, or for a stage of it, that Spark says ended so. */
  def word(job: Int, status: String): String = if (status == "FAILED" && ids.containsKey(job)) "CANCELLED" else status
}
