package livius

import java.util.concurrent.ConcurrentHashMap

import org.apache.spark.SparkContext
import org.apache.spark.scheduler.{SparkListener, SparkListenerJobStart}
import org.apache.spark.sql.livius.Inside

/** Which Spark jobs belong to which statement, known from the moment that Spark tells of a job.
  *
  * Spark's own index looks through all the jobs of a driver for each question. A statement's numbers are forgotten once its end has
  * been told; until then they are as many as its jobs.
  */
final class Jobs private (context: SparkContext) extends SparkListener {
  private val ofGroup = new ConcurrentHashMap[String, Vector[Int]]

  override def onJobStart(start: SparkListenerJobStart): Unit =
    for {
      properties <- Option(start.properties)
      group      <- Option(properties.getProperty("spark.jobGroup.id")) if group.startsWith(Jobs.Ours)
    } ofGroup.merge(group, Vector(start.jobId), (known, more) => known ++ more)

  /** What there is to tell of a group's jobs, as JSON: their number and the last `most` of them. Empty if there are none.
    *
    * @param isLast after a statement's end: waits a little for what Spark has yet to take note of, then forgets the group
    */
  def describe(group: String, most: Int, isLast: Boolean): String = {
    if (isLast) Inside.settle(context)
    val known = if (isLast) ofGroup.remove(group) else ofGroup.get(group)
    if (known == null) "" else s"""{"total":${known.size},"jobs":[${known.takeRight(most).flatMap(Inside.job(context, _)).mkString(",")}]}"""
  }
}

object Jobs {
  private val Ours = "livius-"

  def watch(context: SparkContext): Jobs = {
    val jobs = new Jobs(context)
    context.addSparkListener(jobs)
    jobs
  }
}
