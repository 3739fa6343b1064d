// The package is Spark's, because what is asked for here is visible only from within it.
package org.apache.spark.sql.livius

import java.util.Date
import java.util.concurrent.{BlockingQueue, CountDownLatch, TimeUnit, TimeoutException}

import scala.util.Try

import com.fasterxml.jackson.databind.ObjectMapper
import com.fasterxml.jackson.databind.node.ObjectNode

import org.apache.spark.{SparkConf, SparkContext}
import org.apache.spark.scheduler.SparkListenerInterface
import org.apache.spark.sql.{Row, SparkSession, classic}
import org.apache.spark.sql.catalyst.catalog.{CatalogDatabase, CatalogUtils}
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan
import org.apache.spark.sql.connector.catalog.SupportsNamespaces
import org.apache.spark.sql.execution.ui.{SQLExecutionUIData, SparkPlanGraphWrapper}
import org.apache.spark.status._
import org.apache.spark.util.{EventLoop, Utils}

/** The few things we need of Spark that it keeps to itself. */
object Inside {

  /** A session on a context that we made. The public builder gives the same one, and a warning. */
  def session(context: SparkContext): SparkSession = classic.SparkSession.builder().sparkContext(context).getOrCreate()

  /** The databases whose names have a pattern. */
  def databases(session: SparkSession, pattern: String): Seq[String] =
    session.asInstanceOf[classic.SparkSession].sharedState.externalCatalog.listDatabases(pattern)

  /** Makes a database if it is missing, without a query, which Spark's pages would show among the user's. */
  def createDatabase(session: SparkSession, name: String, location: String): Unit = {
    val owner    = Map(SupportsNamespaces.PROP_OWNER -> Utils.getCurrentUserName())
    val database = CatalogDatabase(name, description = "", CatalogUtils.stringToURI(location), owner)
    session.asInstanceOf[classic.SparkSession].sessionState.catalog.createDatabase(database, ignoreIfExists = true)
  }

  /** The rows of a plan. */
  def rows(session: SparkSession, plan: LogicalPlan): Seq[Row] =
    classic.Dataset.ofRows(session.asInstanceOf[classic.SparkSession], plan).collect().toSeq

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

  /** Waits until Spark has taken note of what has happened, for a bounded moment; tells whether it has.
    *
    * A job that was begun, and the order to cancel it, go through its scheduler's queue first; who listens is told after that.
    */
  def settle(context: SparkContext): Boolean = {
    val until = System.nanoTime + SettlesWithin * 1000000
    def isScheduled = isIdle(context.dagScheduler.eventProcessLoop)
    while (!isScheduled && System.nanoTime < until) Thread.sleep(1)
    val isTold = try { context.listenerBus.waitUntilEmpty(SettlesWithin); true } catch { case _: TimeoutException => false }
    isTold && isScheduled
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
    def times(of: ObjectNode, began: Option[Date], ended: Option[Date]): ObjectNode = {
      began.foreach(at => of.put("started", at.getTime / 1000.0))
      ended.foreach(at => of.put("ended", at.getTime / 1000.0))
      of
    }
    json.put("id", id).put("name", job.name.take(LongestName)).put("status", CancelledJobs.word(id, job.status.toString))
    job.description.foreach(text => json.put("description", text.take(LongestDescription)))
    times(json, job.submissionTime, job.completionTime)
    json.put("tasks", job.numTasks).put("done", job.numCompletedTasks).put("active", job.numActiveTasks)
    json.put("failed", job.numFailedTasks).put("skipped", job.numSkippedTasks)
    for (stage <- job.stageIds.sorted.takeRight(MostStages).flatMap(id => Try(context.statusStore.lastStageAttempt(id)).toOption))
      times(stages.addObject, stage.submissionTime, stage.completionTime)
        .put("id", stage.stageId).put("attempt", stage.attemptId).put("name", stage.name.take(LongestName))
        .put("status", CancelledJobs.word(job.jobId, stage.status.toString)).put("tasks", stage.numTasks).put("done", stage.numCompleteTasks)
        .put("active", stage.numActiveTasks).put("failed", stage.numFailedTasks)
        .put("input_bytes", stage.inputBytes).put("input_rows", stage.inputRecords)
        .put("output_bytes", stage.outputBytes).put("output_rows", stage.outputRecords)
    json.toString
  }

  private val mapper             = new ObjectMapper
  private val SettlesWithin      = 500L
  private val LongestName        = 200
  private val LongestDescription = 500
  private val MostStages         = 50

  /** The conf for display, without its secrets. */
  def redacted(conf: SparkConf): Map[String, String] = Utils.redact(conf, conf.getAll.toSeq).toMap

  /** Sets conf for a context that runs and for all of its sessions; keys of Hadoop's have the prefix that Spark's conf gives them. */
  def set(context: SparkContext, base: SparkSession, settings: Iterable[(String, String)]): Unit = for ((key, value) <- settings) {
    context.conf.set(key, value) // what sessions start with that user code makes
    if (key.startsWith(HadoopPrefix)) context.hadoopConfiguration.set(key.stripPrefix(HadoopPrefix), value)
    else if (key != "spark.app.name") base.conf.set(key, value)
  }

  private val HadoopPrefix = "spark.hadoop."

  /** Deletes what Spark's pages and REST would show of the jobs and queries so far. Their numbers are not used again. */
  def forgetWork(context: SparkContext): Unit = {
    settle(context)
    val store = context.statusStore.store
    // Spark writes a query once more when it has summed up its metrics, in a thread of the store.
    store match {
      case tracking: ElementTrackingStore =>
        val written = new CountDownLatch(1)
        tracking.doAsync(written.countDown())
        written.await(SettlesWithin, TimeUnit.MILLISECONDS)
      case _ =>
    }
    def all[A](kind: Class[A]): Seq[A] = KVUtils.viewToSeq(store.view(kind))
    all(classOf[JobDataWrapper]).foreach(job => store.delete(classOf[JobDataWrapper], job.info.jobId))
    all(classOf[StageDataWrapper]).foreach { stage =>
      store.delete(classOf[StageDataWrapper], Array(stage.info.stageId, stage.info.attemptId))
      store.delete(classOf[RDDOperationGraphWrapper], stage.info.stageId)
    }
    all(classOf[TaskDataWrapper]).foreach(task => store.delete(classOf[TaskDataWrapper], task.taskId))
    all(classOf[SQLExecutionUIData]).foreach { query =>
      store.delete(classOf[SQLExecutionUIData], query.executionId)
      store.delete(classOf[SparkPlanGraphWrapper], query.executionId)
    }
    // The counts of the pages' heads.
    for (listener <- context.listenerBus.findListenersByClass[AppStatusListener]()) {
      val counts = classOf[AppStatusListener].getDeclaredFields.find(_.getName.endsWith("appSummary")).get
      counts.setAccessible(true)
      counts.set(listener, new AppSummary(0, 0))
    }
    store.write(new AppSummary(0, 0))
  }

  /** Whether any session of the context runs a streaming query, sessions that users made included. */
  def hasStreams(session: SparkSession): Boolean =
    !session.asInstanceOf[classic.SparkSession].sharedState.activeStreamingQueries.isEmpty
}
