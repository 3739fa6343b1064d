// The package is Spark's, because what is asked for here is visible only from within it.
package org.apache.spark.sql.livius

import java.util.concurrent.{BlockingQueue, TimeoutException}

import scala.util.Try

import com.fasterxml.jackson.databind.ObjectMapper

import org.apache.spark.{SparkConf, SparkContext}
import org.apache.spark.scheduler.SparkListenerInterface
import org.apache.spark.sql.SparkSession
import org.apache.spark.sql.classic
import org.apache.spark.util.{EventLoop, Utils}

/** The few things we need of Spark that it keeps to itself. */
object Inside {

  /** A session on a context that we made. The public builder gives the same one, and a warning. */
  def session(context: SparkContext): SparkSession = classic.SparkSession.builder().sparkContext(context).getOrCreate()

  /** The calling thread's own properties, not a copy. */
  def localProperties(context: SparkContext): java.util.Properties = context.localProperties.get

  /** Adds a listener that has a queue of its own: what others do at an event does not delay it. */
  def listen(context: SparkContext, listener: SparkListenerInterface): Unit = context.listenerBus.addToQueue(listener, "livius")

  /** The ids of the tasks that run for these jobs, in the stages that the filter passes. */
  def runningTasks(context: SparkContext, jobs: Seq[Int], stages: Int => Boolean): Seq[Long] =
    for {
      job   <- jobs.flatMap(context.statusTracker.getJobInfo(_))
      stage <- job.stageIds.toSeq.filter(stages).flatMap(context.statusTracker.getStageInfo(_)) if stage.numActiveTasks > 0
      task  <- context.statusStore.taskList(stage.stageId, stage.currentAttemptId, Int.MaxValue) if task.status == "RUNNING"
    } yield task.taskId

  /** Waits until Spark has taken note of what has happened, for a bounded moment.
    *
    * A job that was begun, and the order to cancel it, go through its scheduler's queue first; who listens is told after that.
    */
  def settle(context: SparkContext): Unit = {
    val until = System.nanoTime + SettlesWithin * 1000000
    while (!isIdle(context.dagScheduler.eventProcessLoop) && System.nanoTime < until) Thread.sleep(1)
    try context.listenerBus.waitUntilEmpty(SettlesWithin) catch { case _: TimeoutException => }
  }

  /** Whether a loop has no event and handles none: its thread waits for the next. */
  private def isIdle(loop: EventLoop[_]): Boolean =
    events.invoke(loop).asInstanceOf[BlockingQueue[_]].isEmpty && loop.eventThread.getState == Thread.State.WAITING &&
      loop.eventThread.getStackTrace.exists(frame => frame.getClassName.endsWith(".LinkedBlockingDeque") && frame.getMethodName == "take")

  /** What gives a loop's queue. It is private, so its name has a prefix; nothing else tells that it is empty. */
  private val events = classOf[EventLoop[_]].getMethods.find(_.getName.endsWith("eventQueue")).get

  /** A Spark job with its stages, as JSON; nothing once Spark has forgotten it. */
  def job(context: SparkContext, id: Int): Option[String] = Try(context.statusStore.job(id)).toOption.map { job =>
    val json   = mapper.createObjectNode
    val stages = json.putArray("stages")
    json.put("id", id).put("name", job.name.take(LongestName)).put("status", CancelledJobs.word(id, job.status.toString))
    job.submissionTime.foreach(at => json.put("started", at.getTime / 1000.0))
    job.completionTime.foreach(at => json.put("ended", at.getTime / 1000.0))
    json.put("tasks", job.numTasks).put("done", job.numCompletedTasks).put("active", job.numActiveTasks)
    json.put("failed", job.numFailedTasks).put("skipped", job.numSkippedTasks)
    for (stage <- job.stageIds.sorted.takeRight(MostStages).flatMap(id => Try(context.statusStore.lastStageAttempt(id)).toOption))
      stages.addObject.put("id", stage.stageId).put("attempt", stage.attemptId).put("name", stage.name.take(LongestName))
        .put("status", CancelledJobs.word(job.jobId, stage.status.toString)).put("tasks", stage.numTasks).put("done", stage.numCompleteTasks)
        .put("active", stage.numActiveTasks).put("failed", stage.numFailedTasks)
    json.toString
  }

  private val mapper        = new ObjectMapper
  private val SettlesWithin = 500L
  private val LongestName   = 200
  private val MostStages    = 50

  /** The conf for display, without its secrets. */
  def redacted(conf: SparkConf): Map[String, String] = Utils.redact(conf, conf.getAll.toSeq).toMap

  /** Whether any session of the context runs a streaming query, sessions that users made included. */
  def hasStreams(session: SparkSession): Boolean =
    !session.asInstanceOf[classic.SparkSession].sharedState.activeStreamingQueries.isEmpty
}
